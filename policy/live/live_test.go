package live_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/policy/live"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	open   = "version: 1\nrules: [{id: all, effect: allow}]\n"
	closed = "version: 1\nrules: [{id: all, effect: allow}, {id: shut, effect: deny}]\n"
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func request() policy.Request {
	return policy.Request{Principal: "p", Role: policy.Operator, Scopes: policy.ScopesOf(policy.Operator), Tool: "generate", Scope: policy.ImageGenerate}
}

// POL-02: a change comes into force as a whole, a broken file changes nothing, and both are told, once.
func TestWatch_POL02(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, name, open)
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []string
		tell := func(text string) { mu.Lock(); told = append(told, text); mu.Unlock() }
		p, err := live.Open(live.Config{
			File:     name,
			Changed:  func(was, is *policy.Rules) { tell("changed " + was.Hash()[:4] + is.Hash()[:4]) },
			Rejected: func(err error) { tell("rejected " + err.Error()) },
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		again := make(chan os.Signal)
		go p.Watch(ctx, again)
		first := p.Hash()
		turn := func() { time.Sleep(live.Every + time.Millisecond); synctest.Wait() }
		decides := func(when, rule string) {
			t.Helper()
			if d := p.Decide(t.Context(), request()); d.Rule != rule || d.Policy != p.Hash() {
				t.Errorf("%s: %+v", when, d)
			}
		}
		decides("at first", "all")
		turn()
		write(t, name, "version: 1\nrules: [{id: all, effect: alow}]\n")
		turn()
		turn()
		decides("after a broken file", "all")
		if p.Hash() != first {
			t.Error("a broken file changed the hash")
		}
		write(t, name, closed)
		again <- os.Interrupt // any signal: at once, not after the pause
		synctest.Wait()
		decides("after a change", "shut")
		if p.Offers(request()) {
			t.Error("a tool is offered that is denied")
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		turn()
		decides("after the file is gone", "shut")
		write(t, name, open)
		turn()
		decides("after it came back", "all")
		if p.Hash() != first || !p.AllowModel(policy.Checkpoint, "a.safetensors") {
			t.Error("the same file is another policy")
		}
		cancel()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if got := strings.Join(told, "\n"); len(told) != 4 || !strings.Contains(got, `effect: "alow" is neither`) || strings.Count(got, "changed") != 2 {
			t.Errorf("told: %s", got)
		}
	})
}

func TestOpen(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, name, "version: 2\n")
	for file, want := range map[string]string{
		name:           "version: 2 is not known",
		name + ".none": "no such file",
		"@teem":        "there are @personal, @public, @team",
	} {
		if _, err := live.Open(live.Config{File: file}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", file, err)
		}
	}
	for _, file := range []string{"", "@personal", "@team", "@public"} {
		p, err := live.Open(live.Config{File: file})
		if err != nil || !p.Decide(t.Context(), request()).Allowed || p.Reload() != nil {
			t.Errorf("%q: %v", file, err)
		}
	}
}
