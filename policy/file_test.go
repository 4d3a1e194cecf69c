package policy_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/policy"
)

// load compiles a policy file that is good.
func load(tb testing.TB, text string) *policy.Rules {
	tb.Helper()
	r, err := policy.Read(policy.Config{}, []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

const anything = "version: 1\nrules: [{id: all, effect: allow}]\n"

// LIM-11's manner, POL-02: each file of the corpus is refused, for the reason that its first line tells.
func TestLoad_POL02_brokenFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/broken/*.yaml")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(data), "\n")
			want, ok := strings.CutPrefix(first, "# says: ")
			if !ok {
				t.Fatal("the first line does not tell what is to be said")
			}
			if _, err = policy.Read(policy.Config{}, data); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("it says %q, want %q", err, want)
			}
		})
	}
	if _, err := policy.Parse(make([]byte, policy.MaxFileBytes+1)); err == nil || !strings.Contains(err.Error(), "1048576") {
		t.Errorf("a file that is too large: %v", err)
	}
}

// POL-01: the semantics of the list.
func TestDecide_POL01_file(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		rules string
		edit  func(*policy.Request)
		rule  string
		allow bool
	}{
		"allowed by a rule":            {rules: `[{id: all, effect: allow}]`, rule: "all", allow: true},
		"no match denies":              {rules: `[{id: ups, effect: allow, tools: [upscale]}]`, rule: policy.RuleNoMatch},
		"deny before allow":            {rules: `[{id: no, effect: deny}, {id: all, effect: allow}]`, rule: "no"},
		"deny after allow overrides":   {rules: `[{id: all, effect: allow}, {id: no, effect: deny, when: "width > 100"}]`, rule: "no"},
		"the first allowance is named": {rules: `[{id: a, effect: allow, when: "width < 3"}, {id: b, effect: allow}, {id: c, effect: allow}]`, rule: "b", allow: true},
		"another role's denial":        {rules: `[{id: all, effect: allow}, {id: no, effect: deny, roles: [viewer]}]`, rule: "all", allow: true},
		"another tool's denial":        {rules: `[{id: all, effect: allow}, {id: no, effect: deny, tools: [upscale, "list_*"]}]`, rule: "all", allow: true},
		"a tool by pattern":            {rules: `[{id: all, effect: allow}, {id: no, effect: deny, tools: ["gen*"]}]`, rule: "no"},
		"an error in a denial denies":  {rules: `[{id: all, effect: allow}, {id: bad, effect: deny, when: "args.absent > 3"}]`, rule: "bad"},
		"an error in an allowance":     {rules: `[{id: bad, effect: allow, when: "args.absent > 3"}, {id: all, effect: allow}]`, rule: "bad"},
		"the built-in guards stay":     {rules: `[{id: all, effect: allow}]`, edit: func(r *policy.Request) { r.Models[0].Name = "a.ckpt" }, rule: policy.RuleModels},
		"nor are scopes given":         {rules: `[{id: all, effect: allow}]`, edit: func(r *policy.Request) { r.Role = policy.Viewer }, rule: policy.RuleRole},
		"by cost":                      {rules: `[{id: all, effect: allow}, {id: dear, effect: deny, when: "cost > 20.0"}]`, edit: func(r *policy.Request) { r.Cost = 21 }, rule: "dear"},
		"by an argument":               {rules: `[{id: all, effect: allow}, {id: seed, effect: deny, when: "has(args.seed) && args.seed == 7"}]`, edit: func(r *policy.Request) { r.Args = map[string]any{"seed": float64(7)} }, rule: "seed"},
		"by time":                      {rules: `[{id: all, effect: allow}, {id: night, effect: deny, when: 'now.getHours("Europe/Berlin") >= 22'}]`, edit: func(r *policy.Request) { r.Now = 1_790_024_400 }, rule: "night"},
		"by class":                     {rules: `[{id: all, effect: allow}, {id: noks, effect: deny, when: '"KSampler" in classes'}]`, rule: "noks"},
		"by model":                     {rules: `[{id: all, effect: allow}, {id: xl, effect: deny, when: 'models.exists(m, m.startsWith("sd_xl"))'}]`, rule: "xl"},
		"by frames":                    {rules: `[{id: all, effect: allow}, {id: long, effect: deny, when: "frames > 81"}]`, edit: video(64, 64, 82, 1), rule: "long"},
		"by way in":                    {rules: `[{id: local, effect: allow, when: 'transport == "stdio" && method == "stdio"'}]`, edit: func(r *policy.Request) { r.Transport, r.Method = "stdio", "stdio" }, rule: "local", allow: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := good()
			if tt.edit != nil {
				tt.edit(&req)
			}
			r := load(t, "version: 1\nrules: "+tt.rules)
			d := r.Decide(t.Context(), req)
			if d.Rule != tt.rule || d.Allowed != tt.allow || (d.Reason == "") == !d.Allowed {
				t.Errorf("Decide = %+v, want %s", d, tt.rule)
			}
			verdicts, same := r.Explain(t.Context(), req)
			if same != d || verdicts == nil && d.Rule == tt.rule && !strings.Contains("models role", d.Rule) && d.Rule != policy.RuleNoMatch {
				t.Errorf("Explain = %v, %+v", verdicts, same)
			}
		})
	}
}

// Models of the file and of the settings must both let a model pass, and lists go through the same filter (SC-52).
func TestAllowModel_SC52_file(t *testing.T) {
	t.Parallel()
	r, err := policy.Read(policy.Config{ModelDeny: []string{"flux-old*"}}, []byte(anything+`models: {allow: ["sdxl/*", "flux*"], deny: ["*secret*"]}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{
		"sdxl/a.safetensors": true, "SDXL/A.safetensors": true, "flux1.safetensors": true, "flux-old.safetensors": false,
		"sdxl/secret1.safetensors": false, "other.safetensors": false, "sdxl/a.ckpt": false,
	} {
		if got := r.AllowModel(policy.Checkpoint, name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// T34: which classes may run, and with which values.
func TestDecide_T34_nodesOfTheFile(t *testing.T) {
	t.Parallel()
	text := anything + `
nodes:
  modules: ["custom_nodes.good*"]
  allow: [WebcamCapture, FluxProNode]
  deny: ["*Video*"]
  inputs:
    - {class: "Empty*", input: width, min: 64, max: 1024}
    - {class: KSampler, input: sampler_name, values: [euler, dpmpp_2m]}
    - {class: SaveImage, input: filename_prefix, matches: "comfygate/[a-z0-9]+"}
    - {class: "*", input: secret, never: true}
`
	node := func(class, module string, inputs map[string]any) policy.Node {
		return policy.Node{ID: "9", Class: class, Module: module, Inputs: inputs}
	}
	tests := map[string]struct {
		node policy.Node
		rule string
	}{
		"a module of the file":          {node("Nice", "custom_nodes.goodies", nil), "all"},
		"another custom module":         {node("Nice", "custom_nodes.evil", nil), policy.RuleModules},
		"a denied class of that module": {node("CheckpointSave", "custom_nodes.goodies", nil), policy.RuleClasses},
		"a class by name":               {node("WebcamCapture", "nodes", nil), "all"},
		"a paid class by name":          {policy.Node{Class: "FluxProNode", Module: "comfy_api_nodes.bfl", API: true}, "all"},
		"a class of an unknown module":  {node("WebcamCapture", "", nil), policy.RuleModules},
		"deny wins":                     {node("SaveVideo", "nodes", nil), policy.RuleClasses},
		"within bounds":                 {node("EmptyImage", "nodes", map[string]any{"width": 512}), "all"},
		"above":                         {node("EmptyImage", "nodes", map[string]any{"width": 1025}), policy.RuleConstraint},
		"below":                         {node("EmptyImage", "nodes", map[string]any{"width": 63.9}), policy.RuleConstraint},
		"no number":                     {node("EmptyImage", "nodes", map[string]any{"width": "512"}), policy.RuleConstraint},
		"from another node":             {node("EmptyImage", "nodes", map[string]any{"width": policy.Linked{}}), policy.RuleConstraint},
		"another input":                 {node("EmptyImage", "nodes", map[string]any{"height": 9999}), "all"},
		"one of the values":             {node("KSampler", "nodes", map[string]any{"sampler_name": "euler"}), "all"},
		"none of the values":            {node("KSampler", "nodes", map[string]any{"sampler_name": "ddim"}), policy.RuleConstraint},
		"of the form":                   {node("SaveImage", "nodes", map[string]any{"filename_prefix": "comfygate/abc"}), "all"},
		"only in part of the form":      {node("SaveImage", "nodes", map[string]any{"filename_prefix": "x/comfygate/abc"}), policy.RuleConstraint},
		"never":                         {node("Whatever", "nodes", map[string]any{"secret": ""}), policy.RuleConstraint},
	}
	r := load(t, text)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req := good()
			req.Nodes = append(req.Nodes, tt.node)
			if d := r.Decide(t.Context(), req); d.Rule != tt.rule {
				t.Errorf("Decide = %+v, want %s", d, tt.rule)
			}
		})
	}
}

// SC-59: roles, principals and limits of a file.
func TestLoad_SC59_rolesOfTheFile(t *testing.T) {
	t.Parallel()
	r := load(t, anything+`
roles: {painter: [image:generate, "job:read"]}
principals: {anna: painter, ben: admin, "*": viewer}
limits:
  roles: {painter: {generate_per_minute: 5, work_per_hour: 100}}
  principals: {anna: {generate_per_minute: 7}}
bounds: {nodes: 3, pixels: 1048576, video_pixels: 2097152, video_work: 20971520}
`)
	for name, want := range map[string]policy.Role{"anna": "painter", "ben": policy.Admin, "eve": policy.Viewer} {
		if role, told := r.RoleOf(name); role != want || !told {
			t.Errorf("%s is %s, %v", name, role, told)
		}
	}
	if l := r.Limits("anna", "painter"); *l.GeneratePerMinute != 7 || *l.WorkPerHour != 100 || l.Pending != nil {
		t.Errorf("limits %+v", l)
	}
	req := good()
	req.Role, req.Scopes = "painter", r.ScopesOf("painter")
	if d := r.Decide(t.Context(), req); !d.Allowed {
		t.Errorf("a painter may not paint: %+v", d)
	}
	req.Tool, req.Scope = "cancel", policy.JobCancel
	if d := r.Decide(t.Context(), req); d.Rule != policy.RuleRole {
		t.Errorf("a painter cancels: %+v", d)
	}
	req = good()
	req.Pixels = 1048577
	if d := r.Decide(t.Context(), req); d.Rule != policy.RulePixels {
		t.Errorf("the file's bound does not hold: %+v", d)
	}
	for rule, edit := range map[string]func(*policy.Request){
		"all": video(512, 512, 8, 10), policy.RulePixels: video(512, 512, 9, 1), policy.RuleWork: video(512, 512, 8, 11),
	} {
		req = good()
		edit(&req)
		if d := r.Decide(t.Context(), req); d.Rule != rule {
			t.Errorf("a video is judged %+v, want %s", d, rule)
		}
	}
	if role, told := load(t, anything).RoleOf("anna"); told {
		t.Errorf("a file without principals tells of %s", role)
	}
	if load(t, anything).Hash() == load(t, anything+"bounds: {nodes: 3}").Hash() {
		t.Error("two files have the same hash (POL-03)")
	}
}

// T29: what is offered is what might be allowed.
func TestOffers_T29(t *testing.T) {
	t.Parallel()
	r := load(t, `version: 1
disabled: {tools: [upscale], principals: [eve]}
rules:
  - {id: reading, effect: allow, tools: [status, "list_*", upscale]}
  - {id: sometimes, effect: allow, tools: [generate], when: "width < 100"}
  - {id: but, effect: deny, tools: [generate], when: "height > 100"}
  - {id: not-at-all, effect: deny, tools: [list_workflows]}
  - {id: admins, effect: allow, roles: [admin]}
`)
	for tool, want := range map[string]bool{
		"status": true, "list_models": true, "list_workflows": false, "upscale": false, "generate": true, "cancel": false, "manage_queue": false, "x": false,
	} {
		req := policy.Request{Principal: "anna", Role: policy.Operator, Scopes: policy.ScopesOf(policy.Operator), Tool: tool, Scope: policy.ScopeOf(tool)}
		if got := r.Offers(req); got != want {
			t.Errorf("%s is offered: %v", tool, got)
		}
		if req.Principal = "eve"; r.Offers(req) {
			t.Errorf("%s is offered to one who is denied", tool)
		}
		req.Principal, req.Role, req.Scopes = "anna", policy.Admin, nil
		if r.Offers(req) {
			t.Errorf("%s is offered to a token without scopes", tool)
		}
	}
}

// Issue 7: a decision among 100 rules, two of whose conditions are evaluated.
func BenchmarkDecide(b *testing.B) {
	var text strings.Builder
	text.WriteString("version: 1\nrules:\n- {id: all, effect: allow, when: 'cost < 1000.0'}\n- {id: large, effect: deny, tools: [generate], when: 'width * height > 4194304'}\n")
	for i := range 98 {
		text.WriteString("- {id: r" + strconv.Itoa(i) + ", effect: deny, tools: [upscale, run_workflow], when: 'width > 3'}\n")
	}
	r := load(b, text.String())
	req := good()
	b.ReportAllocs()
	for b.Loop() {
		if d := r.Decide(b.Context(), req); !d.Allowed {
			b.Fatal(d)
		}
	}
}
