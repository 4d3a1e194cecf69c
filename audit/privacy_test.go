package audit_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/comfygate/comfygate/audit"
)

// AUD-12: what each class of texts becomes in each mode; counts, switches and digests stay as they are.
func TestAUD12_modes(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		privacy audit.Privacy
		there   []string
		gone    []string
	}{
		{"default", audit.Privacy{}, []string{"MODEL", "NESTED", "LISTED", "SESSION", "10.1.2.3", `"hmac_sha256":"`}, []string{"PROMPT"}},
		{"everything", audit.Privacy{Prompts: audit.ModeFull}, []string{"PROMPT", `"hmac_sha256":"`, "MODEL"}, nil},
		{"hashed", audit.Privacy{Arguments: audit.ModeHash, Sessions: audit.ModeHash}, []string{`"model":"hmac:`, `"session":"hmac:`, `"width":512`}, []string{"PROMPT", "MODEL", "NESTED", "LISTED", "SESSION", "10.1.2.3"}},
		{"redacted", audit.Privacy{Prompts: audit.ModeRedact, Arguments: audit.ModeRedact, Sessions: audit.ModeRedact}, []string{`"prompt":{"len":8}`, `"model":"**********"`, `"width":512`}, []string{"PROMPT", "MODEL", "NESTED", "LISTED", "SESSION", "10.1.2.3", "hmac"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			l := open(t, data, func(c *audit.Config) { lazily(c); c.Privacy = tc.privacy })
			r, _ := call("c1")
			r.Session = "SESSION"
			r.Detail = map[string]string{"address": "10.1.2.3"}
			params := map[string]any{
				"prompt": l.Digest("ann", "a PROMPT"[1:]+" "), "model": "MODEL", "width": 512,
				"more": map[string]any{"name": "NESTED"}, "list": []string{"LISTED"},
			}
			r.Params = params
			l.append(t, r)
			if params["model"] != "MODEL" || r.Detail["address"] != "10.1.2.3" {
				t.Error("the caller's record was changed")
			}
			l.stop(t)
			text := string(read(t, segments(t, data)[0]))
			text = text[strings.Index(text, `"kind":"intent"`):]
			for _, want := range tc.there {
				if !strings.Contains(text, want) {
					t.Errorf("%s is not in %s", want, text)
				}
			}
			for _, secret := range tc.gone {
				if strings.Contains(text, secret) {
					t.Errorf("%s is in %s", secret, text)
				}
			}
			verified(t, data)
		})
	}
	if _, err := tryOpen(t, t.TempDir(), func(c *audit.Config) { c.Privacy.Prompts = "some" }); err == nil || !strings.Contains(err.Error(), "hash, redact or full") {
		t.Errorf("a mode that is none: %v", err)
	}
}

// AUD-12: each principal's texts have a key of their own, the same in all slots and for ever; destroying one erases that principal's digests
// and no other's, and the log stays whole.
func TestAUD12_crypto_erasure(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l, other := open(t, data, lazily), open(t, data, lazily)
	ann, bob := l.Digest("ann", "a cat"), l.Digest("bob", "a cat")
	if ann["hmac_sha256"] == bob["hmac_sha256"] || ann["hmac_sha256"] == l.Digest("", "a cat")["hmac_sha256"] {
		t.Error("two principals have one key")
	}
	if again := other.Digest("ann", "a cat"); again["hmac_sha256"] != ann["hmac_sha256"] {
		t.Error("a principal's key differs between slots")
	}
	for who, digest := range map[string]map[string]any{"ann": ann, "bob": bob} {
		r, _ := call("call-" + who)
		r.Principal, r.Params = who, map[string]any{"prompt": digest, "list": []any{"x", map[string]any{"model": "m"}}}
		l.append(t, r)
	}
	l.stop(t)
	other.stop(t)
	cfg := audit.Config{Dir: l.slot.Dir()}
	found := func(text string) (calls []string) {
		t.Helper()
		known, err := audit.Recogniser(cfg, text)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range scan(t, data) {
			if known(&r) {
				calls = append(calls, r.CallID)
			}
		}
		return calls
	}
	if got := found("a cat"); len(got) != 2 {
		t.Errorf("found in %v", got)
	}
	if got := found("m"); len(got) != 2 { // what stands there in clear is found, too
		t.Errorf("found in %v", got)
	}
	if got := found("a dog"); got != nil {
		t.Errorf("found in %v", got)
	}
	everywhere(t, data, "ann.key", false) // no file tells whose it is
	if err := audit.Forget(cfg, "ann"); err != nil {
		t.Fatal(err)
	}
	if got := found("a cat"); len(got) != 1 || got[0] != "call-bob" {
		t.Errorf("after one was forgotten: found in %v", got)
	}
	if _, err := audit.Digest(cfg, "ann", "a cat"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the key is there: %v", err)
	}
	for _, who := range []string{"ann", "eve", ""} {
		if err := audit.Forget(cfg, who); !errors.Is(err, audit.ErrNoRecord) {
			t.Errorf("forgetting %q: %v", who, err)
		}
	}
	l = open(t, data, lazily)
	if l.Digest("ann", "a cat")["hmac_sha256"] == ann["hmac_sha256"] {
		t.Error("the key came back")
	}
	l.stop(t)
	verified(t, data)
}

// More principals than are remembered have keys all the same.
func TestAUD12_many_principals(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), lazily)
	first := l.Digest("p0", "x")["hmac_sha256"]
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 150 {
				l.Digest("p"+strconv.Itoa(w*150+i), "x")
			}
		})
	}
	wg.Wait()
	if l.Digest("p0", "x")["hmac_sha256"] != first {
		t.Error("a principal's key changed")
	}
	l.stop(t)
}

// AUD-12: where a principal's key can't be kept, texts are digested nevertheless.
func TestAUD12_no_place_for_keys(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, lazily)
	write(t, filepath.Join(data, "audit", "tenants"), []byte("a file"))
	if d := l.Digest("ann", "x"); fmt.Sprint(d["hmac_sha256"]) == "" || d["text"] != nil || d["hmac_sha256"] != l.Digest("ann", "x")["hmac_sha256"] {
		t.Errorf("digest %v", d)
	}
	l.stop(t)
}
