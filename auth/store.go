package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/strictyaml"
)

// Bounds of a token file.
const (
	maxStored     = 10_000
	maxStoreBytes = 8 << 20
)

// A Stored is what is kept of a token: not the token (AUT-04, T25).
type Stored struct {
	ID      string         `yaml:"id"`
	Name    string         `yaml:"principal"`
	Role    policy.Role    `yaml:"role,omitempty"`    // default operator
	Scopes  []policy.Scope `yaml:"scopes,omitempty"`  // of its role; none: all
	Created time.Time      `yaml:"created"`           //
	Expires time.Time      `yaml:"expires,omitempty"` // zero: never
	From    []netip.Prefix `yaml:"from,omitempty"`    // networks that it may be used from; none: all
	SHA256  string         `yaml:"sha256"`            // of the whole token, hex
}

// A Store are the tokens of a file, read again when it changes. It is safe for concurrent use.
type Store struct {
	path string

	mu     sync.RWMutex
	seen   [sha256.Size]byte
	tokens map[string]Stored // by id
	used   map[string]int64  // by id, since they were written down
	wrote  time.Time
}

// OpenStore reads a token file, which need not be there yet.
func OpenStore(path string) (*Store, error) {
	s := &Store{path: path}
	return s, s.Reload()
}

// Reload reads the file again if it changed. After an error the tokens are as they were.
func (s *Store) Reload() error {
	data, err := s.read()
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	s.mu.RLock()
	same := sum == s.seen && s.tokens != nil
	s.mu.RUnlock()
	if same {
		return nil
	}
	list, err := parseStore(data)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	tokens := make(map[string]Stored, len(list))
	for _, t := range list {
		tokens[t.ID] = t
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens, s.seen = tokens, sum
	return nil
}

// Empty reports whether there are no tokens.
func (s *Store) Empty() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.tokens) == 0
}

// List returns the tokens, by principal and age.
func (s *Store) List() (list []Stored) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, t := range s.tokens {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b Stored) int {
		return slices.Compare([]string{a.Name, a.Created.Format(time.RFC3339Nano), a.ID}, []string{b.Name, b.Created.Format(time.RFC3339Nano), b.ID})
	})
	return list
}

// holds reports whether some token is a principal's.
func (s *Store) holds(name string) bool {
	return slices.ContainsFunc(s.List(), func(t Stored) bool { return t.Name == name })
}

func (s *Store) read() (_ []byte, err error) {
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the token file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := io.ReadAll(io.LimitReader(f, maxStoreBytes+1))
	if err != nil {
		return nil, fmt.Errorf("the token file: %w", err)
	}
	if len(data) > maxStoreBytes {
		return nil, fmt.Errorf("the token file %s has more than %d bytes", s.path, maxStoreBytes)
	}
	return data, nil
}

type storeFile struct {
	Tokens []Stored `yaml:"tokens"`
}

func parseStore(data []byte) ([]Stored, error) {
	var file storeFile
	if len(data) > 0 {
		if err := strictyaml.Unmarshal(data, &file); err != nil {
			return nil, fmt.Errorf("the token file cannot be read: %w", err)
		}
	}
	if len(file.Tokens) > maxStored {
		return nil, fmt.Errorf("%d tokens are more than %d", len(file.Tokens), maxStored)
	}
	var errs []error
	ids := map[string]bool{}
	for i, t := range file.Tokens {
		if err := t.check(); err != nil {
			errs = append(errs, fmt.Errorf("tokens[%d]: %w", i, err))
		}
		if ids[t.ID] {
			errs = append(errs, fmt.Errorf("tokens[%d]: the id is there twice", i))
		}
		ids[t.ID] = true
	}
	return file.Tokens, errors.Join(errs...)
}

func (t Stored) check() error {
	sum, err := hex.DecodeString(t.SHA256)
	switch {
	case err != nil || len(sum) != sha256.Size:
		return errors.New("sha256 must be 64 hexadecimal digits")
	case t.ID == "" || strings.Contains(t.ID, "_"):
		return errors.New("a token has an id, without _")
	case !nameForm.MatchString(t.Name) || t.Name == Anonymous || t.Name == Token:
		return errors.New("principal must be 1 to 64 letters, digits or . _ @ + -, and neither anonymous nor token")
	}
	for _, s := range t.Scopes {
		if !slices.Contains(policy.ScopesOf(policy.Admin), s) {
			return fmt.Errorf("there is no scope %q", s)
		}
	}
	return nil
}

// Expired reports whether t may not be used any more at now.
func (t Stored) Expired(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// tokenPrefix begins every token, so that people and scanners know one when they see it.
const tokenPrefix = "cg"

// check returns what is kept of a token that is good for a caller at addr. It compares in the same time whether its id is known or not.
func (s *Store) check(value string, addr netip.Addr, now time.Time) (Stored, bool) {
	parts := strings.SplitN(value, "_", 3)
	if len(parts) != 3 || parts[0] != tokenPrefix {
		return Stored{}, false
	}
	s.mu.RLock()
	t, known := s.tokens[parts[1]]
	s.mu.RUnlock()
	var want [sha256.Size]byte
	if sum, err := hex.DecodeString(t.SHA256); err == nil {
		copy(want[:], sum)
	}
	good := equal(want, sha256.Sum256([]byte(value)))
	allowed := len(t.From) == 0 || slices.ContainsFunc(t.From, func(p netip.Prefix) bool { return p.Contains(addr.Unmap()) })
	if !known || !good || !allowed || t.Expired(now) {
		return t, false
	}
	s.use(t.ID, now)
	return t, true
}

// Create adds a token for t's principal to the file and returns it: it cannot be had again. ID, Created and SHA256 of t are filled in.
func (s *Store) Create(t Stored) (value string, _ Stored, err error) {
	secret := make([]byte, 32)
	id := make([]byte, 5)
	rand.Read(secret) // never fails
	rand.Read(id)
	t.ID = strings.ToLower(base32.StdEncoding.EncodeToString(id))
	t.Created = time.Now().UTC().Truncate(time.Second)
	value = tokenPrefix + "_" + t.ID + "_" + base64.RawURLEncoding.EncodeToString(secret)
	sum := sha256.Sum256([]byte(value))
	t.SHA256 = hex.EncodeToString(sum[:])
	if err := t.check(); err != nil {
		return "", t, err
	}
	return value, t, s.change(func(list []Stored) ([]Stored, error) { return append(list, t), nil })
}

// ErrNoToken answers for an id that no token has.
var ErrNoToken = errors.New("no token has this id")

// Revoke takes a token out of the file.
func (s *Store) Revoke(id string) error {
	return s.change(func(list []Stored) ([]Stored, error) {
		left := slices.DeleteFunc(slices.Clone(list), func(t Stored) bool { return t.ID == id })
		if len(left) == len(list) {
			return nil, ErrNoToken
		}
		return left, nil
	})
}

// change writes the file anew, whole or not at all.
func (s *Store) change(edit func([]Stored) ([]Stored, error)) (err error) {
	data, err := s.read()
	if err != nil {
		return err
	}
	list, err := parseStore(data)
	if err != nil {
		return err
	}
	if list, err = edit(list); err != nil {
		return err
	}
	if len(list) > maxStored {
		return fmt.Errorf("a token file holds at most %d tokens; revoke some", maxStored)
	}
	if data, err = yaml.Marshal(storeFile{list}); err != nil {
		return fmt.Errorf("writing the token file: %w", err)
	}
	if err := writeWhole(s.path, data); err != nil {
		return fmt.Errorf("writing the token file: %w", err)
	}
	return s.Reload()
}

// writeWhole puts data in place of a file that only its owner may read.
func writeWhole(path string, data []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".tokens-*") // with mode 0600
	if err != nil {
		return err //nolint:wrapcheck // the caller says what was done
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path) //nolint:wrapcheck // the caller says what was done
}
