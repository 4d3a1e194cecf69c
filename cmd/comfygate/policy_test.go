package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/comfygate/comfygate/audit"
)

// A file that changes changes what is allowed and what is offered, without a restart; a broken one changes nothing; the record says
// which policy judged (SC-43, POL-02, POL-03, T29).
func TestSec_SC43_policyWithoutRestart(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "policy.yaml")
	put := func(text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const open = "version: 1\nrules: [{id: all, effect: allow}]\n"
	put(open)
	w := newWorld(t, embedded, "COMFYGATE_POLICY__FILE="+name)
	a := w.stdio(t)
	a.picture(t, "a cat")
	offered := func(tool string) bool { return slices.Contains(a.tools(t), tool) }
	put(open + "disabled: {tools: [generate]}\n")
	eventually(t, "a tool is taken away", func() bool { return !offered("generate") })
	a.refused(t, "generate", args{"prompt": "a cat"}, "POLICY_DENIED")
	if !offered("status") {
		t.Error("another tool is gone too")
	}

	put("version: 1\nrules: [{id: all, effect: alow}]\n")
	eventually(t, "a broken file is told", func() bool { return len(w.events(t, audit.PolicyRejected)) == 1 })
	a.refused(t, "generate", args{"prompt": "a cat"}, "POLICY_DENIED")

	put(open + `principals: {"*": viewer}` + "\n")
	eventually(t, "roles change", func() bool { return offered("status") && !offered("upscale") })
	a.refused(t, "generate", args{"prompt": "a cat"}, "POLICY_DENIED")

	put(open)
	eventually(t, "all is as it was", func() bool { return offered("generate") })
	a.picture(t, "a cat")
	a.end(t)
	w.whole(t)
	hashes := map[string]bool{}
	for _, r := range w.records(t) {
		if r.Kind == audit.DecisionK && (r.PolicyHash == "" || r.Rule == "") {
			t.Errorf("a denial without policy or rule: %+v", r)
		}
		if r.PolicyHash != "" {
			hashes[r.PolicyHash] = true
		}
	}
	if changes := len(w.events(t, audit.PolicyChanged)); changes != 3 || len(hashes) != 3 {
		t.Errorf("%d changes are recorded, of %d policies; want 3 and 3", changes, len(hashes))
	}
}

// tools are the names of the tools that the caller is offered.
func (a *agent) tools(t *testing.T) (names []string) {
	t.Helper()
	list, err := a.c.ListTools(soon(t), mcp.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	return names
}
