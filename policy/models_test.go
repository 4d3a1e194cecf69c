package policy_test

import (
	"path"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/comfygate/comfygate/policy"
)

// SC-26, T33: names that reach out of a models folder, in every spelling.
func TestAllowModel_SC26_traversal(t *testing.T) {
	t.Parallel()
	r := rules(t, policy.Config{})
	for _, name := range traversal() {
		for _, kind := range []policy.Kind{policy.Checkpoint, policy.LoRA, policy.Upscaler, policy.Embedding, policy.VAE} {
			if r.AllowModel(kind, name) {
				t.Errorf("%s %q is allowed", kind, name)
			}
		}
	}
}

func traversal() []string {
	return []string{
		"", "..", "../a.safetensors", `..\a.safetensors`, "a/../../b.safetensors", "a/..", "./a.safetensors", "a/./b.safetensors", "a//b.safetensors",
		"/a.safetensors", `\a.safetensors`, "//host/share/a.safetensors", `\\host\share\a.safetensors`, `\\?\C:\a.safetensors`,
		"C:/a.safetensors", `c:\a.safetensors`, "C:a.safetensors", "a.ckpt:b.safetensors",
		"a\x00.safetensors", "a\n.safetensors", "a\u202e.safetensors", "a\xff.safetensors",
		"%2e%2e/a.safetensors", "%2E%2E%2Fa.safetensors", "%252e%252e/a.safetensors", "..%2fa.safetensors", "..%5ca.safetensors", "a%5Cb.safetensors",
		"con.safetensors", "NUL.safetensors", "sub/aux.safetensors", "COM1.safetensors", "lpt9/a.safetensors", "prn .safetensors",
		"a.safetensors [input]", "a [output].safetensors", "a[TEMP].safetensors",
		strings.Repeat("a", 1025) + ".safetensors",
	}
}

// SC-52: extension by kind.
func TestAllowModel_SC52_extensions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg     policy.Config
		kind    policy.Kind
		name    string
		allowed bool
	}{
		"safetensors":                  {kind: policy.Checkpoint, name: "a.safetensors", allowed: true},
		"upper case":                   {kind: policy.Checkpoint, name: "A.SAFETENSORS", allowed: true},
		"with dots":                    {kind: policy.Checkpoint, name: "NetaYume.v3.5.safetensors", allowed: true},
		"with spaces and umlauts":      {kind: policy.LoRA, name: "mein Stil/schön 01.safetensors", allowed: true},
		"sft":                          {kind: policy.VAE, name: "ae.sft", allowed: true},
		"gguf":                         {kind: policy.DiffusionModel, name: "q4.gguf", allowed: true},
		"com10 is no device":           {kind: policy.LoRA, name: "com10.safetensors", allowed: true},
		"console is no device":         {kind: policy.LoRA, name: "console.safetensors", allowed: true},
		"folder of Windows":            {kind: policy.LoRA, name: `style\a.safetensors`, allowed: true},
		"kind of another folder":       {kind: "controlnet", name: "a.safetensors", allowed: true},
		"ckpt":                         {kind: policy.Checkpoint, name: "a.ckpt"},
		"pt":                           {kind: policy.LoRA, name: "a.pt"},
		"pth, checkpoint":              {kind: policy.Checkpoint, name: "a.pth"},
		"pth, LoRA":                    {kind: policy.LoRA, name: "a.pth"},
		"bin":                          {kind: policy.TextEncoder, name: "pytorch_model.bin"},
		"no extension":                 {kind: policy.Checkpoint, name: "safetensors"},
		"only an extension of a name":  {kind: policy.Checkpoint, name: "a.safetensors.bak"},
		"pth, upscaler":                {kind: policy.Upscaler, name: "RealESRGAN_x4plus.pth", allowed: true},
		"gguf, upscaler":               {kind: policy.Upscaler, name: "a.gguf"},
		"pth not allowed, upscaler":    {cfg: policy.Config{UpscaleExtensions: []string{".safetensors"}}, kind: policy.Upscaler, name: "a.pth"},
		"extension of the operator":    {cfg: policy.Config{ModelExtensions: []string{".Onnx"}}, kind: policy.VAE, name: "a.onnx", allowed: true},
		"default no longer allowed":    {cfg: policy.Config{ModelExtensions: []string{".onnx"}}, kind: policy.VAE, name: "a.sft"},
		"embedding without extension":  {kind: policy.Embedding, name: "easynegative", allowed: true},
		"embedding with a dot":         {kind: policy.Embedding, name: "bad.v2_5", allowed: true},
		"embedding of a pickle type":   {kind: policy.Embedding, name: "bad.pt"},
		"upscale allowance only there": {cfg: policy.Config{UpscaleExtensions: []string{".pth"}}, kind: policy.Checkpoint, name: "a.pth"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := rules(t, tt.cfg).AllowModel(tt.kind, tt.name); got != tt.allowed {
				t.Errorf("AllowModel(%s, %q) = %v", tt.kind, tt.name, got)
			}
		})
	}
}

// SC-52: allow and deny globs.
func TestAllowModel_SC52_globs(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		allow, deny []string
		name        string
		allowed     bool
	}{
		"no globs":                           {name: "a/b.safetensors", allowed: true},
		"allowed by name":                    {allow: []string{"sdxl*"}, name: "sdxl_base.safetensors", allowed: true},
		"allowed by name in a folder":        {allow: []string{"sdxl*"}, name: "x/SDXL_base.safetensors", allowed: true},
		"not allowed":                        {allow: []string{"sdxl*"}, name: "flux.safetensors"},
		"one of two allowances":              {allow: []string{"sdxl*", "flux*"}, name: "flux.safetensors", allowed: true},
		"allowed by folder":                  {allow: []string{"ok/*"}, name: "ok/a.safetensors", allowed: true},
		"not in the allowed folder":          {allow: []string{"ok/*"}, name: "other/a.safetensors"},
		"in a folder that ends alike":        {allow: []string{"ok/*"}, name: "not/ok/a.safetensors"},
		"denied by name":                     {deny: []string{"*nsfw*"}, name: "a-NSFW-b.safetensors"},
		"denied by name, deep":               {deny: []string{"*nsfw*"}, name: "x/y/nsfw.safetensors"},
		"denied by folder":                   {deny: []string{"private"}, name: "x/Private/a.safetensors"},
		"denied by folder, slash at the end": {deny: []string{"private/"}, name: "private/a.safetensors"},
		"denied by folder, deep":             {deny: []string{"private/*"}, name: "private/a/b.safetensors"},
		"denied by folder, Windows":          {deny: []string{"private/*"}, name: `PRIVATE\a.safetensors`},
		"backslash in the glob":              {deny: []string{`private\*`}, name: "private/a.safetensors"},
		"denied and allowed":                 {allow: []string{"*"}, deny: []string{"a*"}, name: "a.safetensors"},
		"denied otherwise":                   {deny: []string{"b*"}, name: "a.safetensors", allowed: true},
		"allowance is no pass for pickles":   {allow: []string{"*"}, name: "a.ckpt"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := rules(t, policy.Config{ModelAllow: tt.allow, ModelDeny: tt.deny})
			if got := r.AllowModel(policy.Checkpoint, tt.name); got != tt.allowed {
				t.Errorf("AllowModel(%q) = %v", tt.name, got)
			}
		})
	}
}

// SC-52: what is denied is in no list, what is allowed in the same order, and Decide agrees with the filter.
func TestFilter_SC52_nothingDeniedIsListed(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		r, err := policy.New(drawConfig(t))
		if err != nil {
			t.Fatal(err)
		}
		kind := rapid.SampledFrom([]policy.Kind{policy.Checkpoint, policy.Upscaler, policy.Embedding}).Draw(t, "kind")
		names := rapid.SliceOf(rapid.Custom(drawName)).Draw(t, "names")
		kept := r.Filter(kind, names)
		for _, name := range names {
			if slices.Contains(kept, name) != r.AllowModel(kind, name) {
				t.Fatalf("%q: listed or not, against AllowModel", name)
			}
			req := good()
			req.Models = []policy.Model{{Kind: kind, Name: name}}
			if r.Decide(t.Context(), req).Allowed != slices.Contains(kept, name) {
				t.Fatalf("%q: listed or not, against Decide", name)
			}
		}
		rest := names
		for _, name := range kept {
			i := slices.Index(rest, name)
			if i < 0 {
				t.Fatalf("%q is out of order", name)
			}
			rest = rest[i+1:]
		}
	})
}

func FuzzAllowModel(f *testing.F) {
	for _, name := range traversal() {
		f.Add(name)
	}
	f.Add("sub/a.safetensors")
	r := rules(f, policy.Config{})
	f.Fuzz(func(t *testing.T, name string) {
		if !r.AllowModel(policy.Checkpoint, name) {
			return
		}
		low := strings.ToLower(strings.ReplaceAll(name, `\`, "/"))
		if strings.HasPrefix(low, "/") || strings.Contains(low, "..") || strings.ContainsAny(low, "\x00:\n\x1b") ||
			!slices.Contains([]string{".safetensors", ".sft", ".gguf"}, path.Ext(low)) {
			t.Errorf("%q is allowed", name)
		}
	})
}
