package audit

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/config"
)

// A Mode says what the record keeps of a class of texts (AUD-12).
type Mode string

// Modes.
const (
	ModeHash   Mode = "hash"   // a keyed digest: who has the key can tell whether a text is there
	ModeRedact Mode = "redact" // that there was one
	ModeFull   Mode = "full"   // the text
)

// Privacy says what the record keeps. The zero value is the default of each.
type Privacy struct {
	Prompts   Mode // what people write to be drawn, wherever a tool says so; default hash
	Arguments Mode // all other texts in arguments: names of models, samplers, files; default full
	Sessions  Mode // session ids, and callers' addresses where they stand in the record; default full
}

func (p Privacy) withDefaults(logPrompts bool) (Privacy, error) {
	if p.Prompts == "" {
		p.Prompts = ModeHash
		if logPrompts {
			p.Prompts = ModeFull
		}
	}
	for _, m := range []*Mode{&p.Arguments, &p.Sessions} {
		if *m == "" {
			*m = ModeFull
		}
	}
	for _, m := range []Mode{p.Prompts, p.Arguments, p.Sessions} {
		if m != ModeHash && m != ModeRedact && m != ModeFull {
			return p, fmt.Errorf("privacy %q: it is hash, redact or full", m)
		}
	}
	return p, nil
}

// Each principal's texts are digested with a key of its own: made of the audit key and of a secret in a file, so that the file's loss
// makes that principal's digests, and no other's, mean nothing to anybody (AUD-12).
const (
	tenantDir  = "tenants"
	tenantInfo = "comfygate audit tenant"
	maxTenants = 512 // whose keys are remembered; more are read again
)

// A keyring has the principals' keys. It is safe for concurrent use.
type keyring struct {
	master key
	dir    string
	log    *zap.Logger

	mu   sync.Mutex
	keys map[string]key
}

func newKeyring(cfg Config, master key) *keyring {
	return &keyring{master: master, dir: filepath.Join(filepath.Dir(cfg.Dir), tenantDir), log: cfg.Log, keys: map[string]key{}}
}

// file is where a principal's secret is. Its name doesn't tell whose it is.
func (k *keyring) file(principal string) string {
	return filepath.Join(k.dir, hex.EncodeToString(k.master.mac(tenantInfo + " file " + principal)[:16])+".key")
}

// of returns a principal's key, which is made at first. Nobody's texts are digested with the audit key itself. Where a secret can't be kept, the
// key is good until the process ends.
func (k *keyring) of(principal string) key {
	if principal == "" {
		return k.master
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if found, ok := k.keys[principal]; ok {
		return found
	}
	if len(k.keys) >= maxTenants {
		clear(k.keys)
	}
	var secret []byte
	err := ownDir(k.dir)
	if err == nil {
		secret, err = openSecret(k.file(principal), "key of a principal's texts", func() ([]byte, error) { return randomKey(), nil })
	}
	if err != nil {
		k.log.Error("a principal's texts are digested with a key that will be lost", zap.String("cause", cause(err)))
		secret = randomKey()
	}
	derived := k.derive(secret)
	k.keys[principal] = derived
	return derived
}

func (k *keyring) derive(secret []byte) key {
	derived, err := hkdf.Key(sha256.New, k.master, secret, tenantInfo, sha256.Size)
	if err != nil { // only of lengths that no hash has
		return k.master
	}
	return derived
}

// known returns a principal's key if there is one.
func (k *keyring) known(principal string) (key, error) {
	if principal == "" {
		return k.master, nil
	}
	secret, err := readSecret(k.file(principal), "key of a principal's texts")
	if err != nil {
		return nil, err
	}
	return k.derive(secret), nil
}

// Forget destroys the key of a principal's texts: nobody can tell any more which they were, and what that principal writes from then on is
// digested with a new one. The log stays as it is. A process that runs has the key in memory until it ends. ErrNoRecord says that there is no key.
func Forget(cfg Config, principal string) error {
	ring, err := openKeyring(cfg)
	if err != nil {
		return err
	}
	if principal == "" {
		return ErrNoRecord
	}
	name := ring.file(principal)
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrNoRecord
	}
	if err != nil {
		return fmt.Errorf("forgetting a principal's key: %w", err)
	}
	var noise [2 * sha256.Size]byte // in place, for disks that keep it there
	rand.Read(noise[:])             // never fails
	_, werr := f.WriteAt(noise[:], 0)
	if err := errors.Join(werr, f.Sync(), f.Close(), os.Remove(name), syncDir(ring.dir)); err != nil {
		return fmt.Errorf("forgetting a principal's key: %w", err)
	}
	return nil
}

// openKeyring opens the keys of a data folder without making any.
func openKeyring(cfg Config) (*keyring, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	k := key(cfg.Key.Reveal())
	if len(k) == 0 {
		b, err := readSecret(cfg.KeyFile, hmacKey)
		if err != nil {
			return nil, err
		}
		k = b
	}
	return newKeyring(cfg, k), nil
}

// Digest is what the log that cfg describes would hold of a principal's text ([Log.Digest]). It opens no log and makes no key, so an
// investigator may use it beside a running process.
func Digest(cfg Config, principal, text string) (map[string]any, error) {
	ring, err := openKeyring(cfg)
	if err != nil {
		return nil, err
	}
	k, err := ring.known(principal)
	if err != nil {
		return nil, err
	}
	p, err := cfg.Privacy.withDefaults(cfg.LogPrompts)
	return k.digest(text, p.Prompts), err
}

// Recogniser returns a function that tells whether a record holds a text, by its digest or as it is. It isn't for concurrent use.
func Recogniser(cfg Config, text string) (func(*Record) bool, error) {
	ring, err := openKeyring(cfg)
	if err != nil {
		return nil, err
	}
	macs := map[string]map[string]bool{}
	return func(r *Record) bool {
		wanted, ok := macs[r.Principal]
		if !ok {
			if len(macs) >= maxTenants {
				clear(macs)
			}
			wanted = map[string]bool{text: true}
			if k, err := ring.known(r.Principal); err == nil {
				wanted[hex.EncodeToString(k.mac(text))], wanted[k.short(text)] = true, true
			}
			wanted[hex.EncodeToString(ring.master.mac(text))] = true
			macs[r.Principal] = wanted
		}
		return wanted[r.Session] || holds(r.Params, wanted)
	}, nil
}

// holds reports whether a value is or has one of the texts.
func holds(v any, texts map[string]bool) bool {
	switch v := v.(type) {
	case string:
		return texts[v]
	case map[string]any:
		for _, v := range v {
			if holds(v, texts) {
				return true
			}
		}
	case []any:
		for _, v := range v {
			if holds(v, texts) {
				return true
			}
		}
	}
	return false
}

// keepPrivate makes of r what the settings let it be. It changes no map of the caller's.
func (l *Log) keepPrivate(r *Record) {
	p := l.cfg.Privacy
	if p.Sessions != ModeFull {
		r.Session = l.veil(r.Principal, r.Session, p.Sessions)
		if address, ok := r.Detail[detailAddress]; ok {
			r.Detail = maps.Clone(r.Detail)
			r.Detail[detailAddress] = l.veil(r.Principal, address, p.Sessions)
		}
	}
	if p.Arguments != ModeFull && len(r.Params) > 0 {
		r.Params = l.veilAll(r.Principal, r.Params, p.Arguments)
	}
}

// detailAddress is where events have a caller's address.
const detailAddress = "address"

func (l *Log) veil(principal, text string, mode Mode) string {
	switch {
	case text == "":
		return ""
	case mode == ModeHash:
		return l.keys.of(principal).short(text)
	}
	return config.Mask
}

// veilAll veils the texts in a map, except in what is a digest already.
func (l *Log) veilAll(principal string, m map[string]any, mode Mode) map[string]any {
	if _, digested := m["len"]; digested {
		return m
	}
	out := make(map[string]any, len(m))
	for k, v := range m {
		switch v := v.(type) {
		case string:
			out[k] = l.veil(principal, v, mode)
		case []string:
			list := make([]string, len(v))
			for i := range v {
				list[i] = l.veil(principal, v[i], mode)
			}
			out[k] = list
		case map[string]any:
			out[k] = l.veilAll(principal, v, mode)
		case bool, int, int64, uint64, float64:
			out[k] = v
		default:
			out[k] = config.Mask
		}
	}
	return out
}
