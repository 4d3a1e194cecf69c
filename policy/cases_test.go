package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/policy"
)

// POL-04: each posture that is shipped gives the verdicts of its table, and each of its rules decides a case of it.
func TestPostures_POL04(t *testing.T) {
	t.Parallel()
	if got := strings.Join(policy.Postures(), " "); got != "personal public team" {
		t.Fatalf("postures %s", got)
	}
	for _, name := range policy.Postures() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, table, ok := policy.Posture(name)
			if !ok {
				t.Fatal("it is not there")
			}
			r := load(t, string(data))
			cases, err := policy.ParseCases(table)
			if err != nil {
				t.Fatal(err)
			}
			var deciding []string
			for _, c := range cases {
				if problem := r.Try(t.Context(), c); problem != "" {
					t.Errorf("%s: %s", c.Name, problem)
				}
				deciding = append(deciding, c.Rule)
			}
			file, err := policy.Parse(data)
			if err != nil {
				t.Fatal(err)
			}
			for _, rule := range file.Rules {
				if !slices.Contains(deciding, rule.ID) {
					t.Errorf("no case is decided by %s", rule.ID)
				}
			}
		})
	}
	if _, _, ok := policy.Posture("../policy"); ok {
		t.Error("a posture that is none")
	}
}

// A table can fail, for each reason that it can.
func TestTry_fails(t *testing.T) {
	t.Parallel()
	r := load(t, anything+`principals: {anna: viewer}`)
	for name, tt := range map[string]struct {
		c    policy.Case
		want string
	}{
		"another verdict": {policy.Case{Tool: "generate", Want: policy.Allow, Role: policy.Viewer}, "want allow, got deny by role"},
		"another rule":    {policy.Case{Tool: "generate", Want: policy.Allow, Role: policy.Operator, Rule: "x"}, "want allow by x, got it by all"},
		"the file's role": {policy.Case{Tool: "generate", Want: policy.Allow, Principal: "anna"}, "got deny by role"},
		"no time":         {policy.Case{Tool: "generate", Want: policy.Allow, Now: "noon"}, "no time"},
		"by cost":         {policy.Case{Tool: "generate", Want: policy.Allow, Role: policy.Operator, Width: 4096, Height: 4096, Count: 2}, "by pixels"},
	} {
		if got := r.Try(t.Context(), tt.c); !strings.Contains(got, tt.want) {
			t.Errorf("%s: it says %q", name, got)
		}
	}
}

func TestParseCases_refuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"cases: []": "has none",
		"cases: [{name: a, tool: b, want: maybe}]": "neither allow nor deny",
		"cases: [{tool: b, want: deny}]":           "needs a name",
		"cases: [{name: a, tol: b, want: deny}]":   "unknown field",
		"cases: 3":                                 "cannot be read",
		"cases: [" + strings.Repeat("{name: a, tool: b, want: deny},", 10_001) + "]": "more than 10000",
	} {
		if _, err := policy.ParseCases([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
	if _, err := policy.ParseCases(make([]byte, policy.MaxFileBytes+1)); err == nil {
		t.Error("a file that is too large is read")
	}
}
