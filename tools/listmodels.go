package tools

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

// Kinds that list_models knows beside those of files.
const (
	kindSamplers   = "samplers"
	kindSchedulers = "schedulers"
)

// Bounds of what list_models names at once.
const (
	defaultList  = 50
	maxList      = 500
	maxListChars = 30_000 // of names: they stand in the text and in the structured content
)

// fileKinds are the kinds of files in the order in which they are told.
func fileKinds() []policy.Kind {
	return []policy.Kind{policy.Checkpoint, policy.DiffusionModel, policy.LoRA, policy.Upscaler, policy.VAE, policy.Embedding}
}

func kindNames() (names []string) {
	for _, k := range fileKinds() {
		names = append(names, string(k))
	}
	return append(names, kindSamplers, kindSchedulers)
}

func listModelsTool(e *Env) Tool {
	return Tool{
		Name:    "list_models",
		Title:   "List models",
		Toolset: "images",
		Scope:   policy.ModelRead,
		Class:   limits.Status,
		Hints:   Hints{ReadOnly: true, Idempotent: true, OpenWorld: true},
		Description: "Without kind: the model families that generate knows, which are installed, what others lack, and which a bare prompt takes; and how many files of each kind there are. " +
			"With kind: names, as generate and upscale take them. Answers are JSON.",
		Schema: object(fields{
			{"kind", schema{Type: "string", Description: "What to list.", Enum: kindNames(), Examples: []any{"loras"}}},
			{"search", schema{Type: "string", Description: "Only names with this in them.", MinLength: 1, MaxLength: 100, Examples: []any{"anime"}}},
			{"family", schema{
				Type: "string", Pattern: "^[a-z0-9][a-z0-9._-]*$", MinLength: 1, MaxLength: 60, Examples: []any{"sdxl"},
				Description: "Only this family, or with kind only files of it, as far as names tell.",
			}},
			{"limit", schema{Type: "integer", Description: "Names at most.", Minimum: 1, Maximum: maxList, Default: defaultList, Examples: []any{50}}},
		}).raw(),
		Output: object(fields{
			{"families", schema{Type: "array", Description: "In the order in which a bare prompt chooses.", Items: new(object(fields{
				{"family", schema{Type: "string"}},
				{"title", schema{Type: "string"}},
				{"installed", schema{Type: "boolean", Description: "It can be used."}},
				{"default", schema{Type: "boolean", Description: "A bare prompt takes it."}},
				{"model", schema{Type: "string", Description: "The file taken."}},
				{"missing", schema{Type: "array", Description: "Files to install.", Items: &schema{Type: "string"}}},
				{"needs", schema{Type: "array", Description: "What this ComfyUI is too old for.", Items: &schema{Type: "string"}}},
			}, "family", "title", "installed"))}},
			{"counts", schema{Type: "object", Description: "Files by kind."}},
			{"kind", schema{Type: "string"}},
			{"names", schema{Type: "array", Items: &schema{Type: "string"}}},
			{"total", schema{Type: "integer", Description: "Names that match, shown or not."}},
			{"default_model", schema{Type: "string", Description: "The model that the operator set for bare prompts."}},
		}).raw(),
		Decode: func(raw json.RawMessage) (Args, error) {
			a := listArgs{env: e}
			if err := decode(raw, &a.in); err != nil {
				return nil, err
			}
			return a, nil
		},
	}
}

type listArgs struct {
	env *Env
	in  struct {
		Kind   string `json:"kind"`
		Search string `json:"search"`
		Family string `json:"family"`
		Limit  int    `json:"limit"`
	}
}

// Resolve implements [Args]. It reads the lists already: there is nothing else to do.
func (a listArgs) Resolve(ctx context.Context, _ Caller) (Plan, error) {
	if a.in.Family != "" && slices.Contains([]string{kindSamplers, kindSchedulers}, a.in.Kind) {
		return nil, workflow.FieldErrors{{Field: "family", Problem: a.in.Kind + " belong to no family", Fits: "leave it out"}}
	}
	var (
		v   listView
		err error
	)
	if a.in.Kind == "" {
		v, err = a.families(ctx)
	} else {
		v, err = a.names(ctx)
	}
	return listPlan{args: a, view: v}, err
}

// A listView is the structured content, and as JSON the text.
type listView struct {
	Families []familyView   `json:"families,omitzero"`
	Counts   map[string]int `json:"counts,omitempty"`
	Kind     string         `json:"kind,omitempty"`
	Names    []string       `json:"names,omitzero"`
	Total    *int           `json:"total,omitempty"`
	Default  string         `json:"default_model,omitempty"`
}

type familyView struct {
	ID        string   `json:"family"`
	Title     string   `json:"title"`
	Installed bool     `json:"installed"`
	Default   bool     `json:"default,omitempty"`
	Model     string   `json:"model,omitempty"`
	Missing   []string `json:"missing,omitempty"`
	Needs     []string `json:"needs,omitempty"`
}

// families tells what a prompt can be given to.
func (a listArgs) families(ctx context.Context) (listView, error) {
	kinds := append(fileKinds(), policy.TextEncoder)
	inv, err := a.env.lists.read(ctx, kinds...)
	if err != nil {
		return listView{}, err
	}
	v := listView{Counts: map[string]int{kindSamplers: len(inv.Samplers), kindSchedulers: len(inv.Schedulers)}}
	for _, kind := range fileKinds() {
		v.Counts[string(kind)] = len(inv.Files[kind])
	}
	if def := a.env.Settings.Model; def != "" && a.known(inv, def) {
		v.Default = def
	}
	states := a.env.Catalog.Families(inv)
	for _, f := range states {
		if !a.matches(f.ID) && !a.matches(f.Title) || a.in.Family != "" && f.ID != a.in.Family {
			continue
		}
		one := familyView{ID: f.ID, Title: f.Title, Installed: f.Installed, Default: f.Chosen && v.Default == "", Model: f.Model, Needs: f.Lacks}
		for _, m := range f.Missing {
			one.Missing = append(one.Missing, "models/"+m.Folder+"/"+m.Name+" from "+m.Repository)
		}
		if len(v.Families) < a.limit() {
			v.Families = append(v.Families, one)
		}
	}
	if a.in.Family != "" && !slices.ContainsFunc(states, func(f workflow.FamilyState) bool { return f.ID == a.in.Family }) {
		return listView{}, unknownFamily(states)
	}
	return v, nil
}

func unknownFamily(states []workflow.FamilyState) error {
	var ids []string
	for _, f := range states {
		ids = append(ids, f.ID)
	}
	return workflow.FieldErrors{{Field: "family", Problem: "is not known", Fits: "one of " + strings.Join(ids, ", ")}}
}

// known reports whether a model is there and allowed; one that is not is not named.
func (listArgs) known(inv workflow.Inventory, name string) bool {
	for _, kind := range []policy.Kind{policy.Checkpoint, policy.DiffusionModel} {
		for _, f := range inv.Files[kind] {
			if f.Name == name {
				return true
			}
		}
	}
	return false
}

// names lists one kind.
func (a listArgs) names(ctx context.Context) (listView, error) {
	var kinds []policy.Kind
	if kind := policy.Kind(a.in.Kind); slices.Contains(fileKinds(), kind) {
		kinds = append(kinds, kind)
	}
	inv, err := a.env.lists.read(ctx, kinds...)
	if err != nil {
		return listView{}, err
	}
	all := map[string][]string{kindSamplers: inv.Samplers, kindSchedulers: inv.Schedulers}[a.in.Kind]
	for _, kind := range kinds {
		for _, f := range inv.Files[kind] {
			if id, ok := a.env.Catalog.Recognise(kind, f.Name); a.in.Family == "" || ok && id == a.in.Family {
				all = append(all, f.Name)
			}
		}
	}
	names := []string{}
	for _, name := range all {
		if a.matches(name) {
			names = append(names, clean(name, 300))
		}
	}
	return listView{Kind: a.in.Kind, Total: new(len(names)), Names: names[:a.fitting(names)]}, nil
}

// fitting is how many of names an answer holds.
func (a listArgs) fitting(names []string) int {
	chars := 0
	for i, name := range names {
		if chars += len(name) + len(`"",`); i == a.limit() || chars > maxListChars {
			return i
		}
	}
	return len(names)
}

func (a listArgs) matches(name string) bool {
	return strings.Contains(strings.ToLower(name), strings.ToLower(a.in.Search))
}

func (a listArgs) limit() int {
	if a.in.Limit == 0 {
		return defaultList
	}
	return a.in.Limit
}

type listPlan struct {
	args listArgs
	view listView
}

// Policy implements [Plan].
func (listPlan) Policy() policy.Request { return policy.Request{} }

// Cost implements [Plan].
func (listPlan) Cost() Cost { return Cost{Tokens: 1} }

// Record implements [Plan].
func (p listPlan) Record() map[string]any {
	return map[string]any{"kind": p.args.in.Kind, "family": p.args.in.Family, "limit": p.args.limit()}
}

// Run implements [Plan].
func (p listPlan) Run(_ context.Context, _ Caller, release func()) (Result, error) {
	release()
	text, err := jsonText(p.view)
	return Result{Text: text, Structured: p.view}, err
}
