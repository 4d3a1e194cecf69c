package auth

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/policy"
)

// Names of principals that no configuration gives away.
const (
	Local     = "local"     // stdio by default, and a loopback listener without credentials
	Token     = "token"     // who presents HTTP__TOKEN
	Anonymous = "anonymous" // whoever reaches an open listener; always a viewer
)

// Errors of [Authenticator.Request]; test with errors.Is. A failure limit's own error may come as well, as it is.
// None tells which part of a credential was wrong (T28).
var (
	ErrNoCredentials  = errors.New("credentials are required")
	ErrBadCredentials = errors.New("the credentials are not valid")
	ErrQueryToken     = errors.New("credentials do not belong into the URL; send them in the Authorization header")
)

// Failures counts failed sign-ins for each address (SC-10). It is safe for concurrent use.
type Failures interface {
	// Allow returns nil, or why addr must wait before it may try again.
	Allow(addr netip.Addr) error
	// Failed counts one failure.
	Failed(addr netip.Addr)
}

// Config of an [Authenticator]. The zero value admits nobody over HTTP.
type Config struct {
	Token    config.Secret // HTTP__TOKEN: its bearer is the principal [Token]
	Tokens   config.Secret // AUTH__TOKENS: name:sha256hex[:role], separated by commas
	Username string        // HTTP__USERNAME; with Password or not at all (SC-10)
	Password config.Secret
	Store    *Store // tokens of a file; optional
	OIDC     *OIDC  // tokens of an OpenID provider; optional
	// Certificates name the principals of client certificates, which the listener has verified; optional.
	Certificates Certificates
	// Metadata is the address of the RFC 9728 document, for challenges; with OIDC only.
	Metadata string
	// Roles are AUTH__ROLES: principal → role. Who is not in it is an operator; [Anonymous] is always a viewer.
	Roles map[string]policy.Role
	// Loopback says that the bound address is loopback only, where nobody needs a credential unless some are configured.
	Loopback bool
	// Open is HTTP__ALLOW_UNAUTHENTICATED: without any configured credential, everybody who reaches another address is [Anonymous].
	Open     bool
	Failures Failures // optional
}

// An Authenticator is immutable and safe for concurrent use.
type Authenticator struct {
	tokens   []token
	user     string
	userSum  [sha256.Size]byte
	passSum  [sha256.Size]byte
	store    *Store
	oidc     *OIDC
	certs    Certificates
	metadata string
	roles    map[string]policy.Role
	loopback bool
	open     bool
	failures Failures
	needed   string // what a challenge says that tools need
}

type token struct {
	sum  [sha256.Size]byte // of the token: the value itself is not kept (T25)
	name string
}

// New checks cfg and returns an Authenticator, or every fault of cfg at once.
func New(cfg Config) (*Authenticator, error) {
	a := &Authenticator{
		store:    cfg.Store,
		oidc:     cfg.OIDC,
		certs:    cfg.Certificates,
		metadata: cfg.Metadata,
		roles:    maps.Clone(cfg.Roles),
		loopback: cfg.Loopback,
		open:     cfg.Open,
		failures: cfg.Failures,
	}
	if a.roles == nil {
		a.roles = make(map[string]policy.Role)
	}
	scopes := make([]string, 0, len(policy.ScopesOf(policy.Operator)))
	for _, s := range policy.ScopesOf(policy.Operator) {
		scopes = append(scopes, string(s))
	}
	slices.Sort(scopes)
	a.needed = `, scope="` + strings.Join(scopes, " ") + `"` + a.where()
	var errs []error
	for name, role := range cfg.Roles {
		if !known(role) {
			errs = append(errs, fmt.Errorf("AUTH__ROLES: %q is no role for %q: use viewer, operator or admin", role, name))
		}
		if name == Anonymous && role != policy.Viewer {
			errs = append(errs, fmt.Errorf("AUTH__ROLES: %s is a viewer and cannot be anything else", Anonymous))
		}
	}
	if cfg.Token.IsSet() {
		a.tokens = append(a.tokens, token{sum: sha256.Sum256([]byte(cfg.Token.Reveal())), name: Token})
	}
	errs = append(errs, a.readTokens(cfg.Tokens)...)
	errs = append(errs, a.readBasic(cfg)...)
	errs = append(errs, a.certs.check())
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return a, nil
}

func known(role policy.Role) bool {
	return role == policy.Viewer || role == policy.Operator || role == policy.Admin
}

// nameForm is what a principal's name may be: it stands in records and beside pictures.
var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$`)

func (a *Authenticator) readTokens(s config.Secret) (errs []error) {
	if !s.IsSet() {
		return nil
	}
	seen := make(map[string]bool)
	for i, entry := range strings.Split(s.Reveal(), ",") {
		// Faults tell the place, never the text: it may be a token that was put here by mistake.
		if err := a.readToken(strings.TrimSpace(entry), seen); err != nil {
			errs = append(errs, fmt.Errorf("AUTH__TOKENS: entry %d: %w", i+1, err))
		}
	}
	return errs
}

func (a *Authenticator) readToken(entry string, seen map[string]bool) error {
	parts := strings.Split(entry, ":")
	if len(parts) != 2 && len(parts) != 3 {
		return errors.New("write name:sha256hex or name:sha256hex:role")
	}
	name := parts[0]
	if !nameForm.MatchString(name) || name == Anonymous || name == Token {
		return errors.New("the name must be 1 to 64 letters, digits or . _ @ + -, and neither anonymous nor token")
	}
	if seen[name] {
		return fmt.Errorf("%s is there twice", name)
	}
	seen[name] = true
	sum, err := hex.DecodeString(parts[1])
	if err != nil || len(sum) != sha256.Size {
		return errors.New("the digest must be the token's SHA-256 in 64 hexadecimal digits: printf %s TOKEN | sha256sum")
	}
	if len(parts) == 3 {
		role := policy.Role(parts[2])
		if !known(role) {
			return errors.New("the role must be viewer, operator or admin")
		}
		if was, ok := a.roles[name]; ok && was != role {
			return fmt.Errorf("%s has another role in AUTH__ROLES", name)
		}
		a.roles[name] = role
	}
	a.tokens = append(a.tokens, token{sum: [sha256.Size]byte(sum), name: name})
	return nil
}

func (a *Authenticator) readBasic(cfg Config) []error {
	switch {
	case cfg.Username == "" && !cfg.Password.IsSet():
		return nil
	case cfg.Username == "":
		return []error{errors.New("HTTP__USERNAME is missing: HTTP__PASSWORD alone does not protect anything")}
	case !cfg.Password.IsSet():
		return []error{errors.New("HTTP__PASSWORD is missing: HTTP__USERNAME alone does not protect anything")}
	case !nameForm.MatchString(cfg.Username) || cfg.Username == Anonymous:
		return []error{errors.New("HTTP__USERNAME must be 1 to 64 letters, digits or . _ @ + -, and not anonymous")}
	}
	a.user = cfg.Username
	a.userSum = sha256.Sum256([]byte(cfg.Username))
	a.passSum = sha256.Sum256([]byte(cfg.Password.Reveal()))
	return nil
}

// Required reports whether some credential is configured, and so demanded of everybody.
func (a *Authenticator) Required() bool {
	return len(a.tokens) > 0 || a.user != "" || a.oidc != nil || len(a.certs) > 0 || a.store != nil && !a.store.Empty()
}

// Stdio returns who speaks over stdio: whoever started the process, under name.
func (a *Authenticator) Stdio(name string) Principal { return a.principal(name, "stdio") }

func (a *Authenticator) principal(name, method string) Principal {
	role := policy.Operator
	if r, ok := a.roles[name]; ok {
		role = r
	}
	if name == Anonymous {
		role = policy.Viewer
	}
	return Principal{Name: name, Method: method, Role: role, Scopes: policy.ScopesOf(role)}
}

// Request tells who sent r from addr, the client's address as far as it can be trusted.
func (a *Authenticator) Request(r *http.Request, addr netip.Addr) (Principal, error) {
	if queryToken(r) {
		return Principal{}, ErrQueryToken
	}
	if !a.Required() {
		switch {
		case a.loopback:
			return a.principal(Local, "loopback"), nil
		case a.open:
			return a.principal(Anonymous, "anonymous"), nil
		}
		return Principal{}, ErrNoCredentials
	}
	if a.failures != nil {
		if err := a.failures.Allow(addr); err != nil {
			return Principal{}, err
		}
	}
	p, err := a.identify(r, addr)
	if errors.Is(err, ErrBadCredentials) && a.failures != nil {
		a.failures.Failed(addr)
	}
	return p, err
}

// identify looks at the credentials of a request: those of the Authorization header, and without one its certificate.
func (a *Authenticator) identify(r *http.Request, addr netip.Addr) (Principal, error) {
	headers := r.Header.Values("Authorization")
	switch {
	case len(headers) == 0 && len(a.certs) > 0 && r.TLS != nil && len(r.TLS.VerifiedChains) > 0:
		if name, ok := a.certs.principal(r.TLS.VerifiedChains[0][0]); ok {
			return a.principal(name, "mtls"), nil
		}
	case len(headers) == 0:
		return Principal{}, ErrNoCredentials
	case len(headers) == 1: // of several, the one that is checked here and the one that somebody else reads may differ
		return a.credential(r.Context(), headers[0], addr)
	}
	return Principal{}, ErrBadCredentials
}

// queryToken finds a credential in the query under any of the usual names.
func queryToken(r *http.Request) bool {
	if r.URL.RawQuery == "" {
		return false
	}
	for key := range r.URL.Query() {
		switch strings.ToLower(key) {
		case "token", "access_token", "api_key", "apikey", "authorization", "bearer", "password":
			return true
		}
	}
	return false
}

func (a *Authenticator) credential(ctx context.Context, header string, addr netip.Addr) (Principal, error) {
	scheme, value, _ := strings.Cut(header, " ")
	value = strings.TrimSpace(value)
	switch {
	case value == "":
	case strings.EqualFold(scheme, "Bearer"):
		return a.bearer(ctx, value, addr)
	case strings.EqualFold(scheme, "Basic"):
		if p, ok := a.basic(value); ok {
			return p, nil
		}
	}
	return Principal{}, ErrBadCredentials
}

// bearer asks those who know tokens, one after the other.
func (a *Authenticator) bearer(ctx context.Context, value string, addr netip.Addr) (Principal, error) {
	if p, ok := a.static(value); ok {
		return p, nil
	}
	if a.store != nil {
		if t, ok := a.store.check(value, addr, time.Now()); ok {
			return a.stored(t), nil
		}
	}
	if a.oidc == nil {
		return Principal{}, ErrBadCredentials
	}
	c, err := a.oidc.verify(ctx, value)
	if err != nil {
		return Principal{}, err
	}
	if a.reserved(c.name) { // the provider must not make anybody one of ours
		return Principal{}, ErrBadCredentials
	}
	return a.narrowed(a.principal(c.name, "oidc"), c.scopes), nil
}

// stored returns the principal of a token of the file.
func (a *Authenticator) stored(t Stored) Principal {
	p := a.principal(t.Name, "token")
	if _, told := a.roles[t.Name]; !told && t.Role != "" {
		p = p.Under(t.Role, policy.ScopesOf(t.Role))
	}
	if len(t.Scopes) == 0 {
		return p
	}
	return a.narrowed(p, t.Scopes)
}

// narrowed leaves of a principal's scopes those of its token; nil leaves all.
func (*Authenticator) narrowed(p Principal, scopes []policy.Scope) Principal {
	p.Token = scopes
	return p.Under(p.Role, p.Scopes)
}

// reserved reports whether a name is given by this configuration, so that nobody else may give it.
func (a *Authenticator) reserved(name string) bool {
	return name == Local || name == Token || name == Anonymous || name == a.user ||
		slices.ContainsFunc(a.tokens, func(t token) bool { return t.name == name }) ||
		a.store != nil && a.store.holds(name)
}

// static looks at every token whatever was found, so that time tells nothing.
func (a *Authenticator) static(value string) (Principal, bool) {
	sum := sha256.Sum256([]byte(value))
	found := -1
	for i := range a.tokens {
		if equal(a.tokens[i].sum, sum) {
			found = i
		}
	}
	if found < 0 {
		return Principal{}, false
	}
	return a.principal(a.tokens[found].name, "token"), true
}

func (a *Authenticator) basic(value string) (Principal, bool) {
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil || a.user == "" {
		return Principal{}, false
	}
	user, pass, _ := strings.Cut(string(raw), ":")
	userOK := equal(sha256.Sum256([]byte(user)), a.userSum)
	passOK := equal(sha256.Sum256([]byte(pass)), a.passSum)
	if !userOK || !passOK {
		return Principal{}, false
	}
	return a.principal(a.user, "basic"), true
}

// equal is the one place that compares credentials: always digests, always in constant time (T25).
func equal(x, y [sha256.Size]byte) bool { return subtle.ConstantTimeCompare(x[:], y[:]) == 1 }

// Challenges returns the values of WWW-Authenticate that answer err. The scope is that of an operator: what the tools need.
func (a *Authenticator) Challenges(err error) []string {
	first := `Bearer realm="comfygate"`
	switch {
	case errors.Is(err, ErrQueryToken):
		first += `, error="invalid_request"`
	case errors.Is(err, ErrBadCredentials):
		first += `, error="invalid_token"`
	}
	first += a.needed
	if a.user == "" {
		return []string{first}
	}
	return []string{first, `Basic realm="comfygate", charset="UTF-8"`}
}

// where tells clients of an OpenID provider where they read about it (RFC 9728, T20).
func (a *Authenticator) where() string {
	if a.oidc == nil || a.metadata == "" {
		return ""
	}
	return `, resource_metadata="` + a.metadata + `"`
}

// StepUp returns the challenge to a caller whose token lacks scopes, naming all that the call needs at once (T23); false for a caller who
// has no provider to ask for more.
func (a *Authenticator) StepUp(p Principal, need []policy.Scope) (string, bool) {
	if p.Method != "oidc" {
		return "", false
	}
	words := make([]string, len(need))
	for i, s := range need {
		words[i] = string(s)
	}
	return `Bearer realm="comfygate", error="insufficient_scope", scope="` + strings.Join(words, " ") + `"` + a.where(), true
}
