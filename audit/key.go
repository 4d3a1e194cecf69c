package audit

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
	"unicode/utf8"
)

const (
	minKey      = 16
	keyPatience = time.Second // for another process that is making the key
)

// A key is what prompts are digested with (AUD-12). Whoever has it can test whether a prompt is in the log; whoever
// destroys it has erased them all.
type key []byte

func (k key) mac(text string) []byte {
	h := hmac.New(sha256.New, k)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// digest is what a record holds of a prompt.
func (k key) digest(text string, mode Mode) map[string]any {
	d := map[string]any{"len": utf8.RuneCountInString(text)}
	if mode != ModeRedact {
		d["hmac_sha256"] = hex.EncodeToString(k.mac(text))
	}
	if mode == ModeFull {
		d["text"] = text
	}
	return d
}

// short is what stands in the place of another text.
func (k key) short(text string) string { return "hmac:" + hex.EncodeToString(k.mac(text)[:16]) }

// id names the key without telling it, so that a log shows when it changed.
func (k key) id() string { return hex.EncodeToString(k.mac("comfygate audit key id")[:4]) }

// openKey returns the configured key, or the one in the key file, which is made if it isn't there. A log that fails open
// does without: its digests are good until the process ends.
func openKey(cfg Config) (key, error) {
	if cfg.Key.IsSet() {
		k := key(cfg.Key.Reveal())
		if len(k) < minKey {
			return nil, fmt.Errorf("the audit key is too short to protect prompts: it needs %d bytes or more", minKey)
		}
		return k, nil
	}
	b, err := openSecret(cfg.KeyFile, hmacKey, func() ([]byte, error) { return randomKey(), nil })
	if err != nil && cfg.FailOpen {
		return randomKey(), nil
	}
	return key(b), err
}

const hmacKey = "audit key"

var errUnfinishedKey = errors.New("it is empty or cut off")

// readSecret reads a file that is its owner's alone; what names it in errors.
func readSecret(name, what string) ([]byte, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", what, err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("reading the %s: %w", what, err)
	}
	if !private(info) {
		return nil, fmt.Errorf("others may read the %s (mode %04o): chmod 600 %s", what, info.Mode().Perm(), name)
	}
	if b = bytes.TrimSpace(b); len(b) < minKey {
		return nil, fmt.Errorf("reading the %s: %w", what, errUnfinishedKey)
	}
	return b, nil
}

// openSecret is readSecret, but makes the file where there is none. Processes that start at once agree on one: only the holder of
// the file's lock writes it, and only while there is nothing in it.
func openSecret(name, what string, fresh func() ([]byte, error)) (_ []byte, err error) {
	b, err := readSecret(name, what)
	if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errUnfinishedKey) {
		return b, err
	}
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("making the %s: %w", what, err)
	}
	defer closing(f, &err)
	if err := lockPatiently(f, what); err != nil {
		return nil, err
	}
	if b, err := readSecret(name, what); err == nil || !errors.Is(err, errUnfinishedKey) {
		return b, err
	}
	if b, err = fresh(); err != nil {
		return nil, err
	}
	if err := f.Truncate(0); err != nil {
		return nil, fmt.Errorf("making the %s: %w", what, err)
	}
	if _, err := f.WriteAt(append(b, '\n'), 0); err != nil {
		return nil, fmt.Errorf("making the %s: %w", what, err)
	}
	if err := f.Sync(); err != nil {
		return nil, fmt.Errorf("making the %s: %w", what, err)
	}
	return b, nil
}

// lockPatiently takes the lock of a file that others hold for a moment only. It goes with the descriptor.
func lockPatiently(f *os.File, what string) error {
	for deadline := time.Now().Add(keyPatience); ; time.Sleep(keyPatience / 100) {
		ok, err := tryLock(f)
		switch {
		case err != nil:
			return fmt.Errorf("making the %s: %w", what, err)
		case ok:
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("making the %s: another process has been making it for a second", what)
		}
	}
}

// randomKey is 32 random bytes in hex, since a key is also passed in environment variables.
func randomKey() key {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return key(hex.EncodeToString(b[:]))
}
