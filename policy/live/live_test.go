package live_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/policy/live"
)

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
func TestReload_POL02(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "policy.yaml")
	write(t, name, open)
	var told []string
	p, err := live.Open(live.Config{
		File:     name,
		Changed:  func(was, is *policy.Rules) { told = append(told, "changed "+was.Hash()[:4]+is.Hash()[:4]) },
		Rejected: func(err error) { told = append(told, "rejected "+err.Error()) },
	})
	if err != nil {
		t.Fatal(err)
	}
	first := p.Hash()
	decides := func(when, rule string, broken bool) {
		t.Helper()
		for range 2 { // to look again changes nothing
			if err := p.Reload(); (err != nil) != broken {
				t.Errorf("%s: %v", when, err)
			}
		}
		if d := p.Decide(t.Context(), request()); d.Rule != rule || d.Policy != p.Hash() {
			t.Errorf("%s: %+v", when, d)
		}
	}
	decides("at first", "all", false)
	write(t, name, "version: 1\nrules: [{id: all, effect: alow}]\n")
	decides("after a broken file", "all", true)
	if p.Hash() != first {
		t.Error("a broken file changed the hash")
	}
	write(t, name, closed)
	decides("after a change", "shut", false)
	if p.Offers(request()) {
		t.Error("a tool is offered that is denied")
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	decides("after the file is gone", "shut", true)
	write(t, name, closed)
	decides("after it came back", "shut", false)
	write(t, name, open)
	decides("after it is as at first", "all", false)
	if p.Hash() != first || !p.AllowModel(policy.Checkpoint, "a.safetensors") || !p.AllowNode(policy.Node{Class: "KSampler", Module: "nodes"}) {
		t.Error("the same file is another policy")
	}
	if got := strings.Join(told, "\n"); len(told) != 4 || !strings.Contains(got, `effect: "alow" is neither`) || strings.Count(got, "changed") != 2 {
		t.Errorf("told: %s", got)
	}
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
