package tools

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/comfy/workflow/library"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

func saveWorkflowTool(e *Env) Tool {
	return Tool{
		Name:    "save_workflow",
		Title:   "Save a workflow",
		Toolset: "workflows",
		Scope:   policy.WorkflowWrite,
		Class:   limits.Status,
		Hints:   Hints{Destructive: true, Idempotent: true, OpenWorld: true},
		Description: "Keeps a workflow under a name, for run_workflow. It is checked like check_workflow first and refused if it could not run. " +
			"inputs are what callers may set, under names of your own and with bounds; without inputs, those that check_workflow finds. One that is there is replaced only with overwrite.",
		Schema: object(fields{
			{"name", schema{
				Type: "string", Description: "Small letters, digits, - and _.", Pattern: library.NamePattern, MinLength: 1, MaxLength: library.MaxName, Examples: []any{"product_shot"},
			}},
			{"title", schema{Type: "string", Description: "A name for people.", MinLength: 1, MaxLength: 120, Examples: []any{"Product shot"}}},
			{"description", schema{Type: "string", Description: "What it makes and of what.", MinLength: 1, MaxLength: 2000, Examples: []any{"A product on white ground."}}},
			{"graph", workflowFields()[1].with("The workflow, in either format.")},
			{"inputs", schema{
				Type: "array", Description: "What callers may set.", MaxItems: library.MaxInputs, Items: new(savedInput()),
				Examples: []any{[]any{map[string]any{"name": "steps", "node": "3", "input": "steps", "min": 1, "max": 30}}},
			}},
			{"overwrite", schema{Type: "boolean", Description: "Replace one of this name.", Default: false, Examples: []any{true}}},
		}, "name", "graph").raw(),
		Output: object(fields{
			{"saved", schema{Type: "string"}},
			{"replaced", schema{Type: "boolean"}},
			{"inputs", schema{Type: "array", Items: &schema{Type: "object"}}},
			{"notes", schema{Type: "array", Items: &schema{Type: "string"}}},
		}, "saved", "replaced").raw(),
		Decode: func(raw json.RawMessage) (Args, error) {
			a := saveArgs{env: e}
			if err := decode(raw, &a.in); err != nil {
				return nil, err
			}
			return a, nil
		},
	}
}

func savedInput() schema {
	bound := func(which string) schema {
		return schema{Type: "number", Description: which + " that callers may give.", Minimum: json.Number("-1e18"), Maximum: json.Number("2e19"), Examples: []any{1}}
	}
	word := func(description, example string, most int) schema {
		return schema{Type: "string", Description: description, MinLength: 1, MaxLength: most, Examples: []any{example}}
	}
	return object(fields{
		{"name", schema{Type: "string", Description: "What callers call it.", Pattern: library.InputPattern, MinLength: 1, MaxLength: 64, Examples: []any{"steps"}}},
		{"node", word("Id of the node; 57:12 for 12 inside 57.", "3", 100)},
		{"input", word("Input of the node.", "steps", 100)},
		{"label", word("A name for people.", "Steps", 100)},
		{"description", word("What it does.", "More is finer and slower.", 500)},
		{"min", bound("The least")},
		{"max", bound("The most")},
		{"options", schema{
			Type: "array", Description: "The only choices.", MaxItems: 200, Items: &schema{Type: "string", MaxLength: 300}, Examples: []any{[]any{"euler"}},
		}},
		{"required", schema{Type: "boolean", Description: "It must be given.", Default: false, Examples: []any{true}}},
	}, "name", "node", "input")
}

// with is f's schema under another description.
func (f field) with(description string) schema {
	f.Description = description
	return f.schema
}

type saveArgs struct {
	env *Env
	in  struct {
		Name        string          `json:"name"`
		Title       string          `json:"title"`
		Description string          `json:"description"`
		Graph       json.RawMessage `json:"graph"`
		Inputs      []saveInput     `json:"inputs"`
		Overwrite   bool            `json:"overwrite"`
	}
}

type saveInput struct {
	Name        string   `json:"name"`
	Node        string   `json:"node"`
	Input       string   `json:"input"`
	Label       string   `json:"label"`
	Description string   `json:"description"`
	Min         *float64 `json:"min"`
	Max         *float64 `json:"max"`
	Options     []string `json:"options"`
	Required    bool     `json:"required"`
}

// Resolve implements [Args]. What could not run is not saved; a picture that is not given yet, and a model that is not there yet, are no
// reason: they come with the call, and with time.
func (a saveArgs) Resolve(ctx context.Context, _ Caller) (Plan, error) {
	if a.env.Library == nil {
		return nil, ErrNoLibrary
	}
	if err := a.words(); err != nil {
		return nil, err
	}
	doc, err := workflow.Read(a.in.Graph)
	if err != nil {
		return nil, err
	}
	inv, err := a.env.lists.read(ctx)
	if err != nil {
		return nil, err
	}
	conv, err := doc.Convert(inv.Info)
	if err != nil {
		return nil, err
	}
	p := &savePlan{env: a.env, args: a, notes: conv.Notes}
	if err := p.offer(conv, inv.Info); err != nil {
		return nil, err
	}
	if err := p.judge(conv.Graph, inv.Info); err != nil {
		return nil, err
	}
	p.entry.Graph, err = json.MarshalIndent(conv.Graph, "", "  ")
	p.models, p.nodes = workflow.Models(conv.Graph, inv.Info), workflow.Nodes(conv.Graph, inv.Info)
	return p, err
}

// words finds what the schema cannot say of texts.
func (a saveArgs) words() error {
	var faults workflow.FieldErrors
	look := func(field, text string) {
		if len(text) > 0 && clean(text, len(text)) != text {
			faults = append(faults, &workflow.FieldError{Field: field, Problem: "holds characters that are no text", Fits: "letters, digits, blanks and signs, on one line"})
		}
	}
	look("title", a.in.Title)
	look("description", a.in.Description)
	seen := make(map[string]bool)
	for i, in := range a.in.Inputs {
		at := fmt.Sprintf("inputs.%d.", i)
		look(at+"node", in.Node)
		look(at+"input", in.Input)
		look(at+"label", in.Label)
		look(at+"description", in.Description)
		for _, option := range in.Options {
			look(at+"options", option)
		}
		if seen[in.Name] {
			faults = append(faults, &workflow.FieldError{Field: at + "name", Problem: "is in the list twice", Fits: "each name once"})
		}
		seen[in.Name] = true
		if in.Min != nil && in.Max != nil && *in.Min > *in.Max {
			faults = append(faults, &workflow.FieldError{Field: at + "min", Problem: "is above max", Fits: "a bound below max"})
		}
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// A savePlan is one workflow to keep.
type savePlan struct {
	drawn
	env    *Env
	args   saveArgs
	entry  library.Entry
	offers []workflow.Offer
	notes  []string
}

// offer makes the sheet. Found inputs are written down too: what a saved workflow takes must not change with the server.
func (p *savePlan) offer(conv workflow.Converted, info *comfy.ObjectInfo) error {
	in := p.args.in
	p.entry = library.Entry{Name: in.Name, Sheet: library.Sheet{Title: in.Title, Description: in.Description}}
	if len(in.Inputs) == 0 {
		p.offers = conv.Offers
		return nil
	}
	var faults workflow.FieldErrors
	for i, one := range in.Inputs {
		declared := library.Input{
			Name: one.Name, Label: one.Label, Description: one.Description, Node: one.Node, Input: one.Input, Min: one.Min, Max: one.Max,
			Options: one.Options, Required: one.Required,
		}
		o, problem := declaredOffer(declared, conv.Graph, info)
		if problem != "" {
			faults = append(faults, &workflow.FieldError{Field: fmt.Sprintf("inputs.%d.input", i), Problem: problem, Fits: "an input that check_workflow names"})
			continue
		}
		declared.Kind = o.Kind
		p.entry.Inputs, p.offers = append(p.entry.Inputs, declared), append(p.offers, o)
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// judge refuses a graph that could never run. Inputs that the caller gives with each run, and models, are left out of it.
func (p *savePlan) judge(g comfy.Graph, info *comfy.ObjectInfo) error {
	later := make(map[workflow.Target]bool)
	for _, o := range p.offers {
		for _, t := range o.Targets {
			later[t] = true
		}
	}
	absent := make(map[string]bool)
	for _, m := range workflow.Absent(g, info) {
		absent[m.Name] = true
	}
	_, unsafe := workflow.Secure(g, info, workflow.Destination{Prefix: prefix()}, nil)
	var faults []workflow.Fault
	for _, f := range merged(unsafe, workflow.Check(g, p.env.suggestible(g, info))) {
		name, _ := g[f.Node].Inputs[f.Input].(string)
		if !later[workflow.Target{Node: f.Node, Input: f.Input}] && (name == "" || !absent[name]) {
			faults = append(faults, f)
		}
	}
	if len(faults) > 0 {
		return &GraphFaultsError{faults}
	}
	return nil
}

// Policy implements [Plan]. A graph that may not run is not kept either; its models are judged when it runs.
func (p *savePlan) Policy() policy.Request { return policy.Request{Nodes: p.nodes} }

// Cost implements [Plan].
func (*savePlan) Cost() Cost { return Cost{Tokens: 1} }

// Record implements [Plan].
func (p *savePlan) Record() map[string]any {
	return map[string]any{
		"workflow": p.entry.Name, "title": Digest(p.entry.Title), "nodes": len(p.nodes), "overwrite": p.args.in.Overwrite,
		"graph_sha256": sum(p.entry.Graph),
	}
}

// A savedView is the structured content, and as JSON the text.
type savedView struct {
	Saved    string      `json:"saved"`
	Replaced bool        `json:"replaced"`
	Inputs   []inputView `json:"inputs,omitempty"`
	Notes    []string    `json:"notes,omitempty"`
}

// Run implements [Plan].
func (p *savePlan) Run(_ context.Context, _ Caller, release func()) (Result, error) {
	release()
	_, err := p.env.Library.Get(p.entry.Name)
	there := err == nil
	if err := p.env.Library.Save(p.entry, p.args.in.Overwrite); err != nil {
		return Result{}, err
	}
	v := savedView{Saved: p.entry.Name, Replaced: there, Inputs: inputViews(p.offers)}
	for _, n := range p.notes {
		v.Notes = append(v.Notes, clean(n, 300))
	}
	text, err := jsonText(v)
	return Result{Text: text, Structured: v}, err
}
