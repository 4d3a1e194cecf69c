package policy_test

import (
	"strings"
	"testing"

	"github.com/comfygate/comfygate/policy"
)

func TestNew_namesEveryFault(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg  policy.Config
		want []string
	}{
		"pickle types for models, SC-52": {policy.Config{ModelExtensions: []string{".ckpt", ".PT"}}, []string{`".ckpt" can run code`, `".pt" can run code`}},
		"extension without a dot":        {policy.Config{UpscaleExtensions: []string{"pth"}}, []string{`"pth" is no file extension`}},
		"extension of a path":            {policy.Config{ModelExtensions: []string{"./x"}}, []string{`"./x" is no file extension`}},
		"malformed globs":                {policy.Config{ModelAllow: []string{"[a"}, ModelDeny: []string{" "}}, []string{`model allow: "[a"`, `model deny: ""`}},
		"unknown tool, SC-43":            {policy.Config{DisabledTools: []string{"generat"}}, []string{`no tool "generat"`, "generate, "}},
		"empty principal, SC-43":         {policy.Config{DeniedPrincipals: []string{""}}, []string{"denies nobody"}},
		"negative bound":                 {policy.Config{MaxWork: -1}, []string{"negative"}},
		"two at once":                    {policy.Config{MaxNodes: -1, ModelDeny: []string{"["}}, []string{"negative", `"["`}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := policy.New(tt.cfg)
			if err == nil || r != nil {
				t.Fatalf("New = %v, %v", r, err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q lacks %q", err, want)
				}
			}
		})
	}
}

// POL-03: the hash tells rules apart and nothing else.
func TestHash(t *testing.T) {
	t.Parallel()
	base := rules(t, policy.Config{ModelDeny: []string{"a*", "b*"}}).Hash()
	if len(base) != 64 {
		t.Fatalf("hash %q", base)
	}
	for name, cfg := range map[string]policy.Config{
		"another order": {ModelDeny: []string{"b*", "a*"}},
		"doubled":       {ModelDeny: []string{"a*", "b*", "a*"}},
		"another case":  {ModelDeny: []string{"A*", " b*"}},
		"defaults spelled": {
			ModelDeny: []string{"a*", "b*"}, MaxNodes: policy.DefaultMaxNodes, MaxPixels: policy.DefaultMaxPixels, MaxWork: policy.DefaultMaxWork,
			ModelExtensions: []string{".gguf", ".sft", ".safetensors"},
		},
	} {
		if rules(t, cfg).Hash() != base {
			t.Errorf("%s: another hash", name)
		}
	}
	for name, cfg := range map[string]policy.Config{
		"one glob less":    {ModelDeny: []string{"a*"}},
		"as allowance":     {ModelAllow: []string{"a*", "b*"}},
		"a tool disabled":  {ModelDeny: []string{"a*", "b*"}, DisabledTools: []string{"upscale"}},
		"a caller denied":  {ModelDeny: []string{"a*", "b*"}, DeniedPrincipals: []string{"eve"}},
		"another bound":    {ModelDeny: []string{"a*", "b*"}, MaxPixels: 1},
		"other extensions": {ModelDeny: []string{"a*", "b*"}, UpscaleExtensions: []string{".sft"}},
	} {
		if rules(t, cfg).Hash() == base {
			t.Errorf("%s: the same hash", name)
		}
	}
}

// Rules do not change when the lists they were made of do.
func TestNew_keepsNothingOfTheCaller(t *testing.T) {
	t.Parallel()
	denied := []string{"eve"}
	r := rules(t, policy.Config{DeniedPrincipals: denied})
	denied[0] = "local"
	if d := r.Decide(t.Context(), good()); !d.Allowed {
		t.Errorf("Decide = %+v", d)
	}
}
