package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/policy"
)

// tokenCommands keep the tokens that let callers in over HTTP.
type tokenCommands struct {
	Create tokenCreateCommand `cmd:"" help:"Make a token and print it, once."`
	List   tokenListCommand   `cmd:"" help:"List the tokens, without their secrets."`
	Revoke tokenRevokeCommand `cmd:"" help:"Take a token back; a running server sees it within seconds."`
}

type tokenCreateCommand struct {
	Name    string   `arg:"" help:"The principal: 1 to 64 letters, digits or . _ @ + -."`
	Role    string   `enum:"viewer,operator,admin" default:"operator" help:"viewer, operator or admin."`
	Scopes  []string `placeholder:"SCOPE,…" help:"Only these scopes of the role, such as job:read,image:generate."`
	Expires string   `placeholder:"90d" help:"Lifetime in days or hours (90d, 12h), or a date (2027-01-31); default never."`
	From    []string `placeholder:"NET,…" help:"Only from these networks, such as 10.0.0.0/8."`
}

// Run makes a token.
func (c *tokenCreateCommand) Run(p *process) error {
	store, err := openTokens(p)
	if err != nil {
		return err
	}
	t := auth.Stored{Name: c.Name, Role: policy.Role(c.Role)}
	for _, s := range c.Scopes {
		t.Scopes = append(t.Scopes, policy.Scope(s))
	}
	if t.From, err = networks(c.From); err != nil {
		return usageError{err}
	}
	if t.Expires, err = lifetime(c.Expires, time.Now()); err != nil {
		return usageError{err}
	}
	if left := beyond(t.Scopes, policy.ScopesOf(t.Role)); len(left) > 0 {
		return usageError{fmt.Errorf("the role %s does not hold %s; it holds %s", t.Role, join(left), join(policy.ScopesOf(t.Role)))}
	}
	value, t, err := store.Create(t)
	if err != nil {
		return usageError{err}
	}
	fmt.Fprintln(p.stdout, value)
	fmt.Fprintf(p.stderr, "Token %s of %s, %s. Keep it now: it is not kept here and cannot be printed again.\n", t.ID, t.Name, until(t))
	return nil
}

// beyond returns those of scopes that a role does not hold.
func beyond(scopes, role []policy.Scope) []policy.Scope {
	return slices.DeleteFunc(slices.Clone(scopes), func(s policy.Scope) bool { return slices.Contains(role, s) })
}

func join(scopes []policy.Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = string(s)
	}
	return strings.Join(words, ", ")
}

func networks(texts []string) (out []netip.Prefix, err error) {
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if addr, aerr := netip.ParseAddr(text); aerr == nil {
			p, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, fmt.Errorf("%q is no network such as 10.0.0.0/8", text)
		}
		out = append(out, p)
	}
	return out, nil
}

var span = regexp.MustCompile(`^([1-9][0-9]{0,4})([dh])$`)

// lifetime is when a token ends that is made now; zero for an empty text.
func lifetime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	end, err := time.Parse(time.DateOnly, text)
	if m := span.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1]) // at most five digits
		unit := map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour}[m[2]]
		end, err = now.Add(time.Duration(n)*unit), nil
	}
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("--expires: %q is neither a time such as 90d or 12h nor a date such as 2027-01-31", text)
	case !end.After(now):
		return time.Time{}, fmt.Errorf("--expires: %s is over", text)
	}
	return end.UTC().Truncate(time.Second), nil
}

func until(t auth.Stored) string {
	if t.Expires.IsZero() {
		return "without end"
	}
	return "until " + t.Expires.Format(time.RFC3339)
}

type tokenListCommand struct{}

// Run lists the tokens.
func (tokenListCommand) Run(p *process) error {
	store, err := openTokens(p)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tPRINCIPAL\tROLE\tSCOPES\tFROM\tCREATED\tLAST USED\tEXPIRES")
	for _, t := range store.List() {
		scopes, from := "all", "anywhere"
		if len(t.Scopes) > 0 {
			scopes = join(t.Scopes)
		}
		if len(t.From) > 0 {
			from = strings.Trim(fmt.Sprint(t.From), "[]")
		}
		expires := until(t)
		if t.Expired(time.Now()) {
			expires = "expired " + t.Expires.Format(time.DateOnly)
		}
		used := "never"
		if at, ok := store.LastUsed(t.ID); ok {
			used = at.UTC().Format("2006-01-02 15:04")
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.ID, t.Name, t.Role, scopes, from, t.Created.Format(time.DateOnly), used, expires)
	}
	return w.Flush()
}

type tokenRevokeCommand struct {
	ID string `arg:"" help:"The token's id, as the list has it: the part between the two _ of a token."`
}

// Run takes a token back.
func (c *tokenRevokeCommand) Run(p *process) error {
	store, err := openTokens(p)
	if err != nil {
		return err
	}
	if err := store.Revoke(c.ID); err != nil {
		if errors.Is(err, auth.ErrNoToken) {
			return usageError{fmt.Errorf("%w: %q; comfygate token list has them", err, c.ID)}
		}
		return err
	}
	fmt.Fprintf(p.stdout, "Token %s is taken back.\n", c.ID)
	return nil
}

func openTokens(p *process) (*auth.Store, error) {
	cfg, _, err := load(p, nil)
	if err != nil {
		return nil, err
	}
	path := tokenStore(cfg)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return auth.OpenStore(path)
}
