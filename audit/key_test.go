package audit_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/config"
)

const secret = "an operator's own key"

func withKey(k string) func(*audit.Config) {
	return func(c *audit.Config) { c.Key = config.NewSecret(k) }
}

// SC-37, AUD-12: same prompt and key, same digest; another of either, another; and the prompt itself is nowhere.
func TestSec_SC37_digest(t *testing.T) {
	t.Parallel()
	const canary = "CANARY a cat, näive"
	data := t.TempDir()
	l := open(t, data, withKey(secret))
	digest := l.Digest("", canary)
	if d := cmp.Diff(map[string]any{"hmac_sha256": digest["hmac_sha256"], "len": 19}, digest); d != "" {
		t.Error(d)
	}
	if hex, ok := digest["hmac_sha256"].(string); !ok || len(hex) != 64 {
		t.Errorf("digest %v", digest)
	}
	for _, tc := range []struct {
		name string
		log  *logs
		text string
		same bool
	}{
		{"same", open(t, t.TempDir(), withKey(secret)), canary, true},
		{"another prompt", l, canary + ".", false},
		{"another key", open(t, t.TempDir(), withKey(secret+"!")), canary, false},
		{"a random key", open(t, t.TempDir(), nil), canary, false},
	} {
		if got := tc.log.Digest("", tc.text)["hmac_sha256"] == digest["hmac_sha256"]; got != tc.same {
			t.Errorf("%s: same digest %v", tc.name, got)
		}
	}
	intent, outcome := call("c")
	intent.Params = map[string]any{"prompt": digest}
	l.append(t, intent)
	l.append(t, outcome)
	l.stop(t)
	everywhere(t, data, "CANARY", false)
	everywhere(t, data, secret, false) // T65

	// An investigator tests a candidate without opening the log.
	again, err := audit.Digest(audit.Config{Dir: l.slot.Dir(), Key: config.NewSecret(secret)}, "", canary)
	if d := cmp.Diff(digest, again); d != "" || err != nil {
		t.Errorf("%v %s", err, d)
	}
}

// everywhere fails unless a text is in the files of a folder, or not.
func everywhere(t *testing.T, data, text string, want bool) {
	t.Helper()
	var all strings.Builder
	if err := filepath.WalkDir(data, func(name string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			all.Write(read(t, name))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if got := strings.Contains(all.String(), text); got != want {
		t.Errorf("%q is in the files: %v", text, got)
	}
}

// SC-37: the text only with the explicit setting.
func TestSec_SC37_log_prompts(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, func(c *audit.Config) { c.LogPrompts = true })
	intent, _ := call("c")
	intent.Params = map[string]any{"prompt": l.Digest("", "CANARY a cat")}
	l.append(t, intent)
	l.stop(t)
	everywhere(t, data, "CANARY a cat", true)
	if scan(t, data)[0].Detail["prompts"] != "true" {
		t.Error("the start record doesn't say that prompts are kept")
	}
}

// SC-37: without a key one is made, 0600, and all slots share it.
func TestSec_SC37_key_file(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	digests := make([]any, 8)
	var wg sync.WaitGroup
	for i := range digests {
		l := open(t, data, nil)
		wg.Go(func() { digests[i] = l.Digest("", "x")["hmac_sha256"] })
	}
	wg.Wait()
	for _, d := range digests {
		if d != digests[0] {
			t.Errorf("digests differ between slots: %v", digests)
			break
		}
	}
	name := filepath.Join(data, "audit", "hmac.key")
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %o", info.Mode().Perm())
	}
	if n := len(strings.TrimSpace(string(read(t, name)))); n != 64 {
		t.Errorf("the key has %d characters, want 32 bytes in hex", n)
	}
	// The file's content, given as a setting, is the same key.
	l := open(t, t.TempDir(), withKey(strings.TrimSpace(string(read(t, name)))))
	if l.Digest("", "x")["hmac_sha256"] != digests[0] {
		t.Error("the key file's content is another key as a setting")
	}
}

// Processes that start at once agree on one key.
func TestKey_made_at_once(t *testing.T) {
	t.Parallel()
	for range 3 {
		data := t.TempDir()
		keys := make([]string, 8)
		var wg sync.WaitGroup
		for i := range keys {
			slot := take(t, data)
			wg.Go(func() {
				l, err := audit.Open(audit.Config{Dir: slot.Dir(), FS: lazy()})
				if err != nil {
					t.Error(err)
					return
				}
				keys[i], _ = l.Digest("", "x")["hmac_sha256"].(string)
				if err := l.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		for _, k := range keys {
			if k != keys[0] {
				t.Fatalf("keys differ: %v", keys)
			}
		}
	}
}

func lazy() *disk {
	d := newDisk()
	d.lazy = true
	return d
}

func TestKey_refused(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(t *testing.T, c *audit.Config)
		want   string
	}{
		{"too short", func(_ *testing.T, c *audit.Config) { c.Key = config.NewSecret("short") }, "16 bytes or more"},
		{"no folder for it", func(t *testing.T, c *audit.Config) { t.Helper(); c.KeyFile = filepath.Join(t.TempDir(), "no", "key") }, "making the audit key"},
		{"readable for others", func(t *testing.T, c *audit.Config) {
			t.Helper()
			if runtime.GOOS == "windows" {
				t.Skip("modes are for Unix")
			}
			c.KeyFile = filepath.Join(t.TempDir(), "key")
			write(t, c.KeyFile, []byte(strings.Repeat("x", 64)))
			if err := os.Chmod(c.KeyFile, 0o644); err != nil {
				t.Fatal(err)
			}
		}, "chmod 600"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := tryOpen(t, t.TempDir(), func(c *audit.Config) { tc.change(t, c) })
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want something about %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "short\"") {
				t.Error("the error shows the key")
			}
		})
	}
}

// A key file that a crash left half written is no key; the next start makes a whole one.
func TestKey_unfinished(t *testing.T) {
	t.Parallel()
	for _, left := range []string{"", "abc\n"} {
		data := t.TempDir()
		name := filepath.Join(data, "key")
		write(t, name, []byte(left))
		l := open(t, data, func(c *audit.Config) { c.KeyFile = name })
		if n := len(read(t, name)); n != 65 {
			t.Errorf("after %q the key file has %d bytes", left, n)
		}
		l.stop(t)
	}
	if _, err := audit.Digest(audit.Config{Dir: t.TempDir(), KeyFile: filepath.Join(t.TempDir(), "none")}, "", "x"); err == nil {
		t.Error("a digest without a key")
	}
	if _, err := audit.Digest(audit.Config{}, "", "x"); err == nil {
		t.Error("a digest of no log")
	}
}

// AUD-01: a log says when the key changed, without telling either.
func TestAUD01_key_change(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for _, k := range []string{secret, secret, secret + " new"} {
		open(t, data, withKey(k)).stop(t)
	}
	want := []string{"start", "stop", "start", "stop", "event:audit.key_changed", "start", "stop"}
	records := scan(t, data)
	if d := cmp.Diff(want, kinds(records)); d != "" {
		t.Error(d)
	}
	b, err := json.Marshal(records)
	if err != nil || strings.Contains(string(b), secret) {
		t.Errorf("the log shows the key: %v", err)
	}
}
