package audit

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// Beside the slots, which share them:
//
//	<data folder>/audit/signing.key   the private key of the checkpoints, unless a setting has it
//	<data folder>/audit/keys          the public keys that were ever used, each a statement signed by itself and by the one before it
const (
	signingFile = "signing.key"
	trustFile   = "keys"

	keyStatement = "comfygate audit key"
	privateStart = "PRIVATE+KEY+"
)

var errSigningKey = errors.New("not an Ed25519 signing key in the note format, PRIVATE+KEY+name+hash+key")

// A signer signs checkpoints (AUD-11).
type signer struct {
	note.Signer
	secret string
	public string // in the note format
}

// GenerateSigningKey makes a key for checkpoints, in the note format. The name becomes the logs' origin; "" makes one up.
func GenerateSigningKey(name string) (private, public string, err error) {
	if name == "" {
		var id [8]byte
		rand.Read(id[:]) // never fails
		name = "comfygate.local/" + hex.EncodeToString(id[:])
	}
	private, public, err = note.GenerateKey(rand.Reader, name)
	if err != nil {
		return "", "", fmt.Errorf("making a signing key: %w", err)
	}
	return private, public, nil
}

// newSigner reads a private key in the note format.
func newSigner(secret string) (*signer, error) {
	secret = strings.TrimSpace(secret)
	s, err := note.NewSigner(secret)
	if err != nil {
		return nil, errSigningKey
	}
	parts := strings.SplitN(strings.TrimPrefix(secret, privateStart), "+", 3) // name, hash, key
	seed, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(seed) != 1+ed25519.SeedSize {
		return nil, errSigningKey
	}
	pub, ok := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return nil, errSigningKey
	}
	public, err := note.NewEd25519VerifierKey(s.Name(), pub)
	if err != nil {
		return nil, errSigningKey
	}
	return &signer{s, secret, public}, nil
}

// openSigner returns the configured signing key, or the one in its file, which is made if it isn't there, and sees to it that its
// public key is among the trusted ones.
func openSigner(cfg Config) (*signer, error) {
	var secret string
	if cfg.SigningKey.IsSet() {
		secret = cfg.SigningKey.Reveal()
	} else {
		b, err := openSecret(cfg.SigningKeyFile, "audit signing key", func() ([]byte, error) {
			private, _, err := GenerateSigningKey(cfg.Origin)
			return []byte(private), err
		})
		if err != nil {
			return nil, err
		}
		secret = string(b)
	}
	s, err := newSigner(secret)
	if err != nil {
		return nil, err
	}
	return s, introduce(cfg.trustFile(), s, nil)
}

// trustFile is where the public keys are.
func (cfg Config) trustFile() string { return filepath.Join(filepath.Dir(cfg.Dir), trustFile) }

// origin is the first line of a log's checkpoints: the node's, and the slot's name.
func (cfg Config) origin(s *signer) string {
	node := cfg.Origin
	if node == "" {
		node = s.Name()
	}
	return node + "/" + filepath.Base(cfg.Dir)
}

// introduce adds s's public key to the trusted ones, vouched for by the key before it, if that is given. A key that is there already
// stays as it is.
func introduce(name string, s, before *signer) (err error) {
	if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte("\n"+s.public+"\n")) {
		return nil
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return fmt.Errorf("opening the trusted audit keys: %w", err)
	}
	defer closing(f, &err)
	if err := lockPatiently(f, "trusted audit keys"); err != nil {
		return err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxTrust))
	if err != nil {
		return fmt.Errorf("reading the trusted audit keys: %w", err)
	}
	if bytes.Contains(b, []byte("\n"+s.public+"\n")) {
		return nil
	}
	signers := []note.Signer{s}
	if before != nil {
		signers = append(signers, before)
	}
	text := keyStatement + "\n" + s.public + "\n" + time.Now().UTC().Format(time.RFC3339) + "\n"
	signed, err := note.Sign(&note.Note{Text: text}, signers...)
	if err != nil {
		return fmt.Errorf("introducing the audit signing key: %w", err)
	}
	if _, err := f.WriteAt(append(signed, '\n'), int64(len(b))); err != nil {
		return fmt.Errorf("introducing the audit signing key: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("introducing the audit signing key: %w", err)
	}
	return nil
}

// maxTrust bounds the file of trusted keys.
const maxTrust = 1 << 20

// A trust is a set of public keys. It implements [note.Verifiers].
type trust struct {
	keys     map[uint32]note.Verifier
	listed   []string // trusted, as they are written
	strange  []string // keys that nobody trusted vouches for
	statedBy map[string]string
}

func newTrust(keys []string) (*trust, error) {
	t := &trust{keys: map[uint32]note.Verifier{}, statedBy: map[string]string{}}
	for _, k := range keys {
		if !t.add(strings.TrimSpace(k)) {
			return nil, fmt.Errorf("%w: not a public key in the note format, name+hash+key", ErrBadKey)
		}
	}
	return t, nil
}

// add trusts a key; false where it is none.
func (t *trust) add(public string) bool {
	v, err := note.NewVerifier(public)
	if err != nil {
		return false
	}
	t.keys[v.KeyHash()] = v
	t.listed = append(t.listed, public)
	return true
}

// ErrBadKey says that a key that was given is none.
var ErrBadKey = errors.New("bad key")

// Verifier implements [note.Verifiers].
func (t *trust) Verifier(name string, hash uint32) (note.Verifier, error) {
	if v, ok := t.keys[hash]; ok && v.Name() == name {
		return v, nil
	}
	return nil, &note.UnknownVerifierError{Name: name, KeyHash: hash}
}

// read adds the keys of a file of statements. Where no key is trusted yet, the first one is; each later one needs the word of one that
// is. It returns what is wrong with the file's form, or "".
func (t *trust) read(b []byte) string {
	notes := newNoteReader(bytes.NewReader(b))
	for {
		signed, err := notes.next()
		if errors.Is(err, io.EOF) {
			return ""
		}
		if err != nil {
			return fmt.Sprintf("statement %d is %v", notes.number, err)
		}
		if err := t.hear(signed); err != nil {
			return fmt.Sprintf("statement %d: %v", notes.number, err)
		}
	}
}

// hear takes one statement.
func (t *trust) hear(signed []byte) error {
	lines := strings.SplitN(string(signed), "\n", 4)
	if len(lines) < 4 || lines[0] != keyStatement {
		return errNote
	}
	own, err := note.NewVerifier(lines[1])
	if err != nil {
		return errNote
	}
	if _, err := openNote(signed, note.VerifierList(own)); err != nil {
		return errors.New("the key did not sign it")
	}
	t.statedBy[lines[1]] = string(signed)
	if _, ok := t.keys[own.KeyHash()]; ok {
		return nil
	}
	if _, err := openNote(signed, t); err != nil && len(t.keys) > 0 {
		t.strange = append(t.strange, lines[1])
		return nil
	}
	t.add(lines[1])
	return nil
}

// readTrust reads the trusted keys of a data folder's logs.
func readTrust(fsys FS, name string, keys []string) (_ *trust, wrong string, err error) {
	t, err := newTrust(keys)
	if err != nil {
		return nil, "", err
	}
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return t, "the file of public keys is missing", nil
	}
	if err != nil {
		return nil, "", fmt.Errorf("reading the trusted audit keys: %w", err)
	}
	defer closing(f, &err)
	b, err := io.ReadAll(io.LimitReader(f, maxTrust))
	if err != nil {
		return nil, "", fmt.Errorf("reading the trusted audit keys: %w", err)
	}
	if wrong = t.read(b); wrong != "" {
		wrong = "the file of public keys: " + wrong
	}
	return t, wrong, nil
}

// RotateSigningKey makes a new key for checkpoints, in cfg.SigningKeyFile, vouched for by the one that cfg has now, and returns the new public
// key. With the key in a setting, cfg.SigningKeyFile is the new one's file, which must not be there yet. Processes that run go on with the
// old key until they are started anew; both stay trusted.
func RotateSigningKey(cfg Config) (public string, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return "", err
	}
	before, err := openSigner(cfg)
	if err != nil {
		return "", err
	}
	private, _, err := GenerateSigningKey(before.Name())
	if err != nil {
		return "", err
	}
	now, err := newSigner(private)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(cfg.SigningKeyFile); cfg.SigningKey.IsSet() && !errors.Is(err, fs.ErrNotExist) {
		return "", errors.New("the file for the new audit signing key is there already")
	}
	next := cfg.SigningKeyFile + ".new"
	if err := writeSecret(next, private); err != nil {
		return "", err
	}
	if err := introduce(cfg.trustFile(), now, before); err != nil {
		return "", err
	}
	if err := os.Rename(next, cfg.SigningKeyFile); err != nil {
		return "", fmt.Errorf("putting the new audit signing key in its place: %w", err)
	}
	return now.public, nil
}

// writeSecret makes a new file that is its owner's alone.
func writeSecret(name, secret string) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	defer closing(f, &err)
	if _, err := f.WriteString(secret + "\n"); err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing a key: %w", err)
	}
	return nil
}
