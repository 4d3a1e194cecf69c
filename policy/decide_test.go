package policy_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/comfygate/comfygate/policy"
)

func rules(tb testing.TB, cfg policy.Config) *policy.Rules {
	tb.Helper()
	r, err := policy.New(cfg)
	if err != nil {
		tb.Fatalf("New: %v", err)
	}
	return r
}

// good is a request that the built-in policy allows.
func good() policy.Request {
	return policy.Request{
		Principal: "local", Role: policy.Operator, Scopes: policy.ScopesOf(policy.Operator),
		Tool: "generate", Scope: policy.ImageGenerate,
		Models: []policy.Model{{Kind: policy.Checkpoint, Name: "sd_xl_base_1.0.safetensors"}},
		Nodes: []policy.Node{
			{ID: "3", Class: "KSampler", Module: "nodes"},
			{ID: "5", Class: "EmptySD3LatentImage", Module: "comfy_extras.nodes_sd3"},
		},
		Width: 1024, Height: 1024, Count: 1, Steps: 20, Pixels: 1024 * 1024,
	}
}

func TestDecide(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cfg  policy.Config
		edit func(*policy.Request)
		rule string
	}{
		"allowed":                       {rule: policy.RuleAllow},
		"caller unknown, SC-59":         {edit: func(r *policy.Request) { r.Principal = "" }, rule: policy.RulePrincipal},
		"caller denied, SC-43":          {cfg: policy.Config{DeniedPrincipals: []string{"eve", "local"}}, rule: policy.RulePrincipal},
		"another denied":                {cfg: policy.Config{DeniedPrincipals: []string{"eve"}}, rule: policy.RuleAllow},
		"tool unknown, SC-59":           {edit: func(r *policy.Request) { r.Tool = "format_disk" }, rule: policy.RuleTool},
		"tool disabled, SC-43":          {cfg: policy.Config{DisabledTools: []string{"upscale", "generate"}}, rule: policy.RuleDisabled},
		"another tool disabled, SC-43":  {cfg: policy.Config{DisabledTools: []string{"upscale"}}, rule: policy.RuleAllow},
		"tool under a lesser scope":     {edit: func(r *policy.Request) { r.Scope = policy.JobRead }, rule: policy.RuleTool},
		"role unknown, SC-59":           {edit: func(r *policy.Request) { r.Role = "root" }, rule: policy.RuleRole},
		"role without the scope, SC-59": {edit: func(r *policy.Request) { r.Role = policy.Viewer }, rule: policy.RuleRole},
		"token without the scope":       {edit: func(r *policy.Request) { r.Scopes = []policy.Scope{policy.JobRead} }, rule: policy.RuleScope},
		"scopes wider than the role": {edit: func(r *policy.Request) {
			r.Tool, r.Scope, r.Scopes = "manage_queue", policy.Operate, []policy.Scope{policy.Operate}
		}, rule: policy.RuleRole},
		"scope unknown":                 {edit: func(r *policy.Request) { r.Scope = "everything"; r.Scopes = []policy.Scope{"everything"} }, rule: policy.RuleTool},
		"model of a pickle type, SC-52": {edit: func(r *policy.Request) { r.Models[0].Name = "a.ckpt" }, rule: policy.RuleModels},
		"one bad model among good": {edit: func(r *policy.Request) {
			r.Models = append(r.Models, policy.Model{Kind: policy.LoRA, Name: "../a.safetensors"})
		}, rule: policy.RuleModels},
		"model of no kind":               {edit: func(r *policy.Request) { r.Models[0].Kind = "" }, rule: policy.RuleModels},
		"node of a custom module, T34":   {edit: func(r *policy.Request) { r.Nodes[0].Module = "custom_nodes.x" }, rule: policy.RuleModules},
		"core name, custom module":       {edit: func(r *policy.Request) { r.Nodes[0] = policy.Node{Class: "SaveImage", Module: "custom_nodes.evil"} }, rule: policy.RuleModules},
		"node of a paid service, T34":    {edit: func(r *policy.Request) { r.Nodes[0].Module = "comfy_api_nodes.nodes_bfl" }, rule: policy.RuleModules},
		"core node of a paid service":    {edit: func(r *policy.Request) { r.Nodes[0].API = true }, rule: policy.RuleClasses},
		"module unknown":                 {edit: func(r *policy.Request) { r.Nodes[0].Module = "" }, rule: policy.RuleModules},
		"module that only begins alike":  {edit: func(r *policy.Request) { r.Nodes[0].Module = "nodes_evil" }, rule: policy.RuleModules},
		"module comfy_extras. alone":     {edit: func(r *policy.Request) { r.Nodes[0].Module = "comfy_extras." }, rule: policy.RuleModules},
		"class denied, T34":              {edit: func(r *policy.Request) { r.Nodes[1].Class = "CheckpointSave" }, rule: policy.RuleClasses},
		"513 nodes, SC-54":               {edit: func(r *policy.Request) { r.Nodes = slices.Repeat(r.Nodes[:1], 513) }, rule: policy.RuleNodeCount},
		"512 nodes":                      {edit: func(r *policy.Request) { r.Nodes = slices.Repeat(r.Nodes[:1], 512) }, rule: policy.RuleAllow},
		"nodes bounded by the operator":  {cfg: policy.Config{MaxNodes: 1}, rule: policy.RuleNodeCount},
		"pixels at the bound":            {edit: func(r *policy.Request) { r.Width, r.Height, r.Count = 2048, 2048, 4 }, rule: policy.RuleAllow},
		"pixels over the bound":          {edit: func(r *policy.Request) { r.Width, r.Height, r.Count = 2048, 2049, 4 }, rule: policy.RulePixels},
		"pixels of another pass":         {edit: func(r *policy.Request) { r.Pixels = 16_777_217 }, rule: policy.RulePixels},
		"pixels bounded by the operator": {cfg: policy.Config{MaxPixels: 1 << 19}, rule: policy.RulePixels},
		"work at the bound":              {edit: func(r *policy.Request) { r.Width, r.Height, r.Count, r.Steps = 2048, 2048, 4, 100 }, rule: policy.RuleAllow},
		"work over the bound":            {edit: func(r *policy.Request) { r.Width, r.Height, r.Count, r.Steps = 2048, 2048, 4, 101 }, rule: policy.RuleWork},
		"work bounded by the operator":   {cfg: policy.Config{MaxWork: 1 << 20}, rule: policy.RuleWork},
		"a video of 291 frames":          {edit: video(1280, 720, 291, 20), rule: policy.RuleAllow},
		"a video over the bound":         {edit: video(1280, 720, 292, 20), rule: policy.RulePixels},
		"a frame at the bound":           {edit: video(4096, 4096, 16, 20), rule: policy.RuleAllow},
		"a frame over the bound":         {edit: video(4096, 4097, 2, 20), rule: policy.RulePixels},
		"a frame of another pass":        {edit: func(r *policy.Request) { r.Count, r.Frames, r.Pixels = 10, 10, 167_772_170 }, rule: policy.RulePixels},
		"one frame is a picture":         {edit: video(2048, 2049, 1, 20), rule: policy.RuleAllow},
		"one frame, four pictures":       {edit: func(r *policy.Request) { video(2048, 2049, 1, 20)(r); r.Count = 4 }, rule: policy.RulePixels},
		"frames of many videos":          {edit: func(r *policy.Request) { video(1280, 720, 100, 20)(r); r.Count = 300 }, rule: policy.RulePixels},
		"work of a video at the bound":   {edit: video(4096, 4096, 16, 100), rule: policy.RuleAllow},
		"work of a video over it":        {edit: video(4096, 4096, 16, 101), rule: policy.RuleWork},
		"videos bounded by the operator": {cfg: policy.Config{MaxVideoPixels: 1 << 20}, edit: video(512, 512, 5, 1), rule: policy.RulePixels},
		"video work by the operator":     {cfg: policy.Config{MaxVideoWork: 1 << 20}, edit: video(512, 512, 4, 2), rule: policy.RuleWork},
		"frames negative, T32":           {edit: func(r *policy.Request) { r.Frames = -1 }, rule: policy.RuleSize},
		"frames overflow, T32":           {edit: video(1<<31, 1<<31, 1<<31, 1), rule: policy.RulePixels},
		"count not told is one":          {edit: func(r *policy.Request) { r.Width, r.Height, r.Count = 1<<13, 1<<13, 0 }, rule: policy.RulePixels},
		"width negative, T32":            {edit: func(r *policy.Request) { r.Width = -1 }, rule: policy.RuleSize},
		"steps negative, T32":            {edit: func(r *policy.Request) { r.Steps = -1 }, rule: policy.RuleSize},
		"pixels overflow, T32":           {edit: func(r *policy.Request) { r.Width, r.Height, r.Count = 1<<31, 1<<31, 4 }, rule: policy.RulePixels},
		"pixels overflow to zero, T32":   {edit: func(r *policy.Request) { r.Width, r.Height, r.Count = 1<<32, 1<<32, 1 }, rule: policy.RulePixels},
		"work overflow, T32":             {edit: func(r *policy.Request) { r.Steps = math.MaxInt }, rule: policy.RuleWork},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := good()
			if tt.edit != nil {
				tt.edit(&req)
			}
			d := rules(t, tt.cfg).Decide(t.Context(), req)
			if d.Rule != tt.rule || d.Allowed != (tt.rule == policy.RuleAllow) {
				t.Errorf("Decide = %+v, want rule %s", d, tt.rule)
			}
			if !d.Allowed && d.Reason == "" {
				t.Error("a denial without a reason")
			}
		})
	}
}

// video makes a request one for a video.
func video(width, height, frames, steps int) func(*policy.Request) {
	return func(r *policy.Request) {
		r.Width, r.Height, r.Count, r.Frames, r.Steps = width, height, frames, frames, steps
		r.Pixels = 0 // what width, height and count say
	}
}

// POL-01: no rules, no act.
func TestDecide_POL01_noRulesDeny(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]*policy.Rules{"nil": nil, "zero": {}} {
		if d := r.Decide(t.Context(), good()); d.Allowed || d.Rule != policy.RuleNone {
			t.Errorf("%s rules decide %+v", name, d)
		}
		if r.AllowModel(policy.Checkpoint, "a.safetensors") || r.Hash() != "" {
			t.Errorf("%s rules allow a model or have a hash", name)
		}
	}
}

// SC-52: a denial says the same of a model that exists, one that does not, and one with a name of evil intent.
func TestDecide_SC52_denialsOfModelsAreAlike(t *testing.T) {
	t.Parallel()
	r := rules(t, policy.Config{ModelDeny: []string{"secret*"}})
	seen := map[policy.Decision]bool{}
	for _, name := range []string{"secret.safetensors", "a.ckpt", "../a.safetensors", ""} {
		req := good()
		req.Models = []policy.Model{{Kind: policy.Checkpoint, Name: name}}
		seen[r.Decide(t.Context(), req)] = true
	}
	if len(seen) != 1 {
		t.Errorf("denials of models differ: %v", seen)
	}
}

// The reason of a denial is shown to people, whatever a graph's author wrote into it.
func TestDecide_reasonIsSafeToShow(t *testing.T) {
	t.Parallel()
	req := good()
	req.Nodes[0] = policy.Node{ID: "\x1b[2J\n", Class: "Evil\u202e" + strings.Repeat("x", 1000)}
	d := rules(t, policy.Config{}).Decide(t.Context(), req)
	if strings.ContainsAny(d.Reason, "\x1b\n\u202e") || len(d.Reason) > 300 {
		t.Errorf("reason %q", d.Reason)
	}
	if got := (&policy.DeniedError{Decision: d}).Error(); !strings.Contains(got, policy.RuleModules) {
		t.Errorf("error %q does not name the rule", got)
	}
}

// SC-59, design.md "roles".
func TestScopesOf_SC59(t *testing.T) {
	t.Parallel()
	want := map[policy.Role]string{
		policy.Viewer:   "[image:read job:read model:read workflow:read]",
		policy.Operator: "[image:generate image:read image:upload job:cancel job:read model:read workflow:read workflow:run workflow:write]",
		policy.Admin:    "[image:generate image:read image:upload job:cancel job:read model:read operate workflow:read workflow:run workflow:write]",
		"root":          "[]",
	}
	for role, scopes := range want {
		if got := fmt.Sprint(policy.ScopesOf(role)); got != scopes {
			t.Errorf("%s holds %s, want %s", role, got, scopes)
		}
	}
	policy.ScopesOf(policy.Viewer)[0] = policy.Operate
	if policy.ScopesOf(policy.Viewer)[0] == policy.Operate {
		t.Error("a caller's change of the slice reaches the table")
	}
}

// SC-59: principal × tool. Each role may use exactly the tools whose scope it holds.
func TestDecide_SC59_rolesAndTools(t *testing.T) {
	t.Parallel()
	need := map[string]policy.Scope{
		"generate": policy.ImageGenerate, "edit": policy.ImageGenerate, "upscale": policy.ImageGenerate, "generate_video": policy.ImageGenerate,
		"status": policy.JobRead, "cancel": policy.JobCancel, "get_image": policy.ImageRead, "upload_image": policy.ImageUpload,
		"list_models": policy.ModelRead, "list_workflows": policy.WorkflowRead, "check_workflow": policy.WorkflowRead,
		"describe_nodes": policy.WorkflowRead, "run_workflow": policy.WorkflowRun, "save_workflow": policy.WorkflowWrite, "manage_queue": policy.Operate,
	}
	if len(need) != len(policy.Tools()) {
		t.Errorf("tools are %v", policy.Tools())
	}
	r := rules(t, policy.Config{})
	for _, role := range []policy.Role{policy.Viewer, policy.Operator, policy.Admin} {
		for tool, scope := range need {
			req := policy.Request{Principal: "p", Role: role, Scopes: policy.ScopesOf(role), Tool: tool, Scope: scope}
			if d := r.Decide(t.Context(), req); d.Allowed != slices.Contains(policy.ScopesOf(role), scope) {
				t.Errorf("%s, %s: %+v", role, tool, d)
			}
		}
	}
}

// POL-01: to add a denial never allows more, and to take a permission away neither.
func TestDecide_POL01_denialsNeverAllowMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		wide := drawConfig(t)
		narrow := wide
		switch rapid.IntRange(0, 5).Draw(t, "which") {
		case 0:
			narrow.ModelDeny = append(slices.Clone(wide.ModelDeny), drawGlob(t))
		case 1:
			narrow.DisabledTools = append(slices.Clone(wide.DisabledTools), rapid.SampledFrom(policy.Tools()).Draw(t, "tool"))
		case 2:
			narrow.DeniedPrincipals = append(slices.Clone(wide.DeniedPrincipals), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "principal"))
		case 3:
			narrow.MaxPixels = 1 << 20
			wide.MaxPixels = 1 << 21
		case 4:
			narrow.MaxNodes, wide.MaxNodes = 1, 2
		case 5:
			narrow.MaxVideoPixels, wide.MaxVideoPixels = 1<<20, 1<<21
		}
		w, err := policy.New(wide)
		if err != nil {
			t.Fatal(err)
		}
		n, err := policy.New(narrow)
		if err != nil {
			t.Fatal(err)
		}
		req := drawRequest(t)
		was, is := w.Decide(t.Context(), req), n.Decide(t.Context(), req)
		if is.Allowed && !was.Allowed {
			t.Fatalf("%+v denies with %s what the narrower %+v allows", wide, was.Rule, narrow)
		}
		if was.Rule == "" || is.Rule == "" {
			t.Fatal("a decision without a rule")
		}
		if again := w.Decide(t.Context(), req); again != was {
			t.Fatalf("the same request is judged %+v, then %+v", was, again)
		}
	})
}

func drawGlob(t *rapid.T) string {
	return rapid.SampledFrom([]string{"*", "a*", "sub/*", "*.sft", "sub", "x/y/*", "?.safetensors"}).Draw(t, "glob")
}

func drawConfig(t *rapid.T) policy.Config {
	return policy.Config{
		ModelAllow: rapid.SliceOfN(rapid.Custom(drawGlob), 0, 2).Draw(t, "allow"),
		ModelDeny:  rapid.SliceOfN(rapid.Custom(drawGlob), 0, 2).Draw(t, "deny"),
	}
}

func drawName(t *rapid.T) string {
	return rapid.OneOf(
		rapid.SampledFrom([]string{"a.safetensors", "sub/a.safetensors", `sub\b.sft`, "x/y/c.gguf", "A.SafeTensors", "a.ckpt", "../a.sft"}),
		rapid.String(),
	).Draw(t, "name")
}

func drawRequest(t *rapid.T) policy.Request {
	req := policy.Request{
		Principal: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "principal"),
		Role:      rapid.SampledFrom([]policy.Role{"", policy.Viewer, policy.Operator, policy.Admin}).Draw(t, "role"),
		Tool:      rapid.SampledFrom(append(policy.Tools(), "x")).Draw(t, "tool"),
		Scope:     rapid.SampledFrom(policy.ScopesOf(policy.Admin)).Draw(t, "scope"),
		Width:     rapid.IntRange(-1, 3000).Draw(t, "width"),
		Height:    rapid.IntRange(0, 3000).Draw(t, "height"),
		Count:     rapid.IntRange(0, 5).Draw(t, "count"),
		Steps:     rapid.IntRange(0, 200).Draw(t, "steps"),
	}
	req.Frames = rapid.IntRange(0, 2).Draw(t, "frames")
	if rapid.Bool().Draw(t, "fitting") {
		req.Tool, req.Scope = "generate", policy.ImageGenerate
	}
	req.Scopes = policy.ScopesOf(req.Role)
	for range rapid.IntRange(0, 3).Draw(t, "models") {
		req.Models = append(req.Models, policy.Model{Kind: policy.Checkpoint, Name: drawName(t)})
	}
	for range rapid.IntRange(0, 3).Draw(t, "nodes") {
		req.Nodes = append(req.Nodes, policy.Node{Class: "KSampler", Module: rapid.SampledFrom([]string{"nodes", "nodes", "x"}).Draw(t, "module")})
	}
	return req
}
