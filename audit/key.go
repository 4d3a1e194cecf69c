package audit

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
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

// Digest is what the log that cfg describes would hold of text ([Log.Digest]). It opens no log and makes no key, so an
// investigator may use it beside a running process.
func Digest(cfg Config, text string) (map[string]any, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	k := key(cfg.Key.Reveal())
	if len(k) == 0 {
		if k, err = readKey(cfg.KeyFile); err != nil {
			return nil, err
		}
	}
	return k.digest(text, cfg.LogPrompts), nil
}

func (k key) mac(text string) []byte {
	h := hmac.New(sha256.New, k)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (k key) digest(text string, keep bool) map[string]any {
	d := map[string]any{
		"hmac_sha256": hex.EncodeToString(k.mac(text)),
		"len":         utf8.RuneCountInString(text),
	}
	if keep {
		d["text"] = text
	}
	return d
}

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
	k, err := readKey(cfg.KeyFile)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errUnfinishedKey) {
		k, err = makeKey(cfg.KeyFile)
	}
	if err != nil && cfg.FailOpen {
		return randomKey(), nil
	}
	return k, err
}

var errUnfinishedKey = errors.New("the audit key file is empty or cut off")

func readKey(name string) (key, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("reading the audit key: %w", err)
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, fmt.Errorf("reading the audit key: %w", err)
	}
	if !private(info) {
		return nil, fmt.Errorf("others may read the audit key (mode %04o): chmod 600 %s", info.Mode().Perm(), name)
	}
	k := key(strings.TrimSpace(string(b)))
	if len(k) < minKey {
		return nil, errUnfinishedKey
	}
	return k, nil
}

// makeKey makes the key file. Processes that start at once agree on one key: only the holder of the file's lock writes it, and
// only while there is none in it.
func makeKey(name string) (_ key, err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fmt.Errorf("making the audit key: %w", err)
	}
	defer closing(f, &err)
	for deadline := time.Now().Add(keyPatience); ; time.Sleep(keyPatience / 100) {
		ok, err := tryLock(f)
		if err != nil {
			return nil, fmt.Errorf("making the audit key: %w", err)
		}
		if ok {
			break
		}
		if time.Now().After(deadline) {
			return nil, errors.New("making the audit key: another process has been making it for a second")
		}
	}
	if k, err := readKey(name); err == nil || !errors.Is(err, errUnfinishedKey) {
		return k, err
	}
	k := randomKey()
	if err := f.Truncate(0); err != nil {
		return nil, fmt.Errorf("making the audit key: %w", err)
	}
	if _, err := f.WriteAt(append(k, '\n'), 0); err != nil {
		return nil, fmt.Errorf("making the audit key: %w", err)
	}
	if err := f.Sync(); err != nil {
		return nil, fmt.Errorf("making the audit key: %w", err)
	}
	return k, nil
}

// randomKey is 32 random bytes in hex, since a key is also passed in environment variables.
func randomKey() key {
	var b [32]byte
	rand.Read(b[:]) // never fails
	return key(hex.EncodeToString(b[:]))
}
