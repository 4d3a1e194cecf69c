package tools

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

// Bounds of what check_workflow tells.
const (
	maxFaults  = 50
	maxChoices = 12 // options of one input
	maxResults = 30
)

// Judge decides about requests, as the pipeline has it done. [policy.Rules] does.
type Judge interface {
	Decide(ctx context.Context, r policy.Request) policy.Decision
}

func checkWorkflowTool(e *Env) Tool {
	return Tool{
		Name:    "check_workflow",
		Title:   "Check a workflow",
		Toolset: "workflows",
		Scope:   policy.WorkflowRead,
		Class:   limits.Status,
		Hints:   Hints{ReadOnly: true, Idempotent: true, OpenWorld: true},
		Description: "Says what run_workflow would do with the same arguments, and never runs anything: every fault at once with its node and what would fit, missing models with folder and source, " +
			"whether you may run it and by which rule, its cost, and the inputs it offers.",
		Schema: object(workflowFields()).raw(),
		Output: checkOutput().raw(),
		Decode: func(raw json.RawMessage) (Args, error) {
			a := checkArgs{env: e, raw: raw}
			if err := decode(raw, &a.in); err != nil {
				return nil, err
			}
			return a, nil
		},
	}
}

func checkOutput() schema {
	text := func(name string) field { return field{name, schema{Type: "string"}} }
	list := func(name string, items schema) field { return field{name, schema{Type: "array", Items: &items}} }
	return object(fields{
		{"runnable", schema{Type: "boolean", Description: "run_workflow would run it."}},
		text("workflow"),
		text("from"),
		list("faults", object(fields{text("node"), text("class"), text("input"), text("problem"), text("got"), text("fits"), text("rule")}, "problem")),
		{"more_faults", schema{Type: "integer"}},
		list("missing_models", missingSchema()),
		{"policy", object(fields{{"allowed", schema{Type: "boolean"}}, text("rule"), text("reason")}, "allowed", "rule")},
		{"cost", schema{Type: "object", Description: "Megapixel-steps and what they are made of."}},
		list("inputs", schema{Type: "object"}),
		list("results", schema{Type: "string"}),
		{"nodes", schema{Type: "integer"}},
		list("models", schema{Type: "string"}),
		list("notes", schema{Type: "string"}),
	}, "runnable", "faults", "policy")
}

func missingSchema() schema {
	text := func(name string) field { return field{name, schema{Type: "string"}} }
	return object(fields{text("file"), text("folder"), text("source")}, "file", "folder")
}

type checkArgs struct {
	env *Env
	raw json.RawMessage
	in  workflowArg
}

// A checkView is the structured content, and as JSON the text.
type checkView struct {
	Runnable bool          `json:"runnable"`
	Workflow string        `json:"workflow,omitempty"`
	From     string        `json:"from,omitempty"`
	Faults   []faultView   `json:"faults"`
	More     int           `json:"more_faults,omitempty"`
	Missing  []missingView `json:"missing_models,omitempty"`
	Policy   verdictView   `json:"policy"`
	Cost     *costView     `json:"cost,omitempty"`
	Inputs   []inputView   `json:"inputs,omitempty"`
	Results  []string      `json:"results,omitempty"`
	Nodes    int           `json:"nodes,omitempty"`
	Models   []string      `json:"models,omitempty"`
	Notes    []string      `json:"notes,omitempty"`
}

type faultView struct {
	Node    string `json:"node,omitempty"`
	Class   string `json:"class,omitempty"`
	Input   string `json:"input,omitempty"`
	Problem string `json:"problem"`
	Got     string `json:"got,omitempty"`
	Fits    string `json:"fits,omitempty"`
	Rule    string `json:"rule,omitempty"`
}

type missingView struct {
	File   string `json:"file"`
	Folder string `json:"folder"`
	Source string `json:"source,omitempty"`
}

type verdictView struct {
	Allowed bool   `json:"allowed"`
	Rule    string `json:"rule"`
	Reason  string `json:"reason,omitempty"`
}

type costView struct {
	Work   float64 `json:"megapixel_steps"`
	Width  int     `json:"width,omitempty"`
	Height int     `json:"height,omitempty"`
	Count  int     `json:"count,omitempty"`
	Frames int     `json:"frames,omitempty"`
	Steps  int     `json:"steps,omitempty"`
	Guess  bool    `json:"upper_bound,omitempty"` // something could not be told, and counts as the most it may be
}

// An inputView is one input that a workflow offers.
type inputView struct {
	Name     string             `json:"name"`
	Kind     workflow.OfferKind `json:"kind"`
	Label    string             `json:"label,omitempty"`
	About    string             `json:"about,omitempty"`
	Default  any                `json:"default,omitempty"`
	Required bool               `json:"required,omitempty"`
	Min      *float64           `json:"min,omitempty"`
	Max      *float64           `json:"max,omitempty"`
	Options  []string           `json:"options,omitempty"`
	More     int                `json:"more_options,omitempty"`
}

// Resolve implements [Args]. It does all there is to do: checking changes nothing.
func (a checkArgs) Resolve(ctx context.Context, c Caller) (Plan, error) {
	p, err := a.env.prepare(ctx, c, a.in, seed{})
	if err != nil {
		faults, ok := unreadable(err)
		if !ok {
			return nil, err
		}
		v := checkView{Workflow: a.in.Workflow, Faults: faults}
		v.Policy = verdictView{Rule: policy.RuleNone, Reason: "there is no graph to judge"}
		return checkPlan{view: v, record: map[string]any{"workflow": a.in.Workflow, "faults": len(faults)}}, nil
	}
	v, err := a.view(ctx, c, p)
	if err != nil {
		return nil, err
	}
	record := p.record()
	record["faults"], record["verdict"] = len(v.Faults)+v.More, v.Policy.Rule
	return checkPlan{v, record}, nil
}

// unreadable are the faults of a workflow that is no graph for this server; false for errors of another kind.
func unreadable(err error) (list []faultView, ok bool) {
	if unknown, ok := errors.AsType[*workflow.UnknownClassError](err); ok {
		for _, u := range unknown.Classes[:min(len(unknown.Classes), maxFaults)] {
			f := faultView{Node: clean(u.Node, 40), Class: clean(u.Class, 100), Problem: "this ComfyUI has no node of this class"}
			if u.Package != "" {
				f.Fits = "the custom nodes " + clean(u.Package, 100) + ", where the operator allows them"
			}
			list = append(list, f)
		}
		return list, true
	}
	if bad, ok := errors.AsType[*workflow.GraphError](err); ok {
		return []faultView{{Problem: clean(bad.Problem, 300)}}, true
	}
	return nil, false
}

func (a checkArgs) view(ctx context.Context, c Caller, p *prepared) (checkView, error) {
	v := checkView{Workflow: p.source.name, From: p.source.from, Faults: []faultView{}, Nodes: len(p.graph)}
	for _, f := range p.fields {
		v.Faults = append(v.Faults, faultView{Input: clean(f.Field, 100), Problem: clean(f.Problem, 300), Fits: clean(f.Fits, 300)})
	}
	if p.lost != nil {
		v.Faults = append(v.Faults, faultView{Problem: clean(a.env.Explain(p.lost).Message, 300), Fits: "an id of a picture that was made or uploaded here"})
	}
	for _, f := range p.faults {
		v.Faults = append(v.Faults, faultOf(f))
	}
	v.Missing = missingViews(p.missing)
	args, err := argumentsOf(a.raw)
	if err != nil {
		return v, err
	}
	d := a.env.Judge.Decide(ctx, a.request(c, p, args))
	v.Policy = verdictView{Allowed: d.Allowed, Rule: clean(d.Rule, 100), Reason: clean(d.Reason, 300)}
	v.Runnable = d.Allowed && len(v.Faults) == 0 && len(v.Missing) == 0
	if n := len(v.Faults) - maxFaults; n > 0 {
		v.Faults, v.More = v.Faults[:maxFaults], n
	}
	w := p.weight
	v.Cost = &costView{Work: p.work(), Width: w.Width, Height: w.Height, Count: w.Count, Frames: w.Frames, Steps: w.Steps, Guess: !w.Known}
	v.Inputs = inputViews(p.offers)
	v.Results = results(p)
	for _, m := range p.models {
		v.Models = append(v.Models, clean(string(m.Kind)+"/"+m.Name, 200))
	}
	for _, n := range p.notes {
		v.Notes = append(v.Notes, clean(n, 300))
	}
	return v, nil
}

func argumentsOf(raw json.RawMessage) (map[string]any, error) {
	var args values
	err := args.UnmarshalJSON(raw)
	return args, err
}

// request is what run_workflow would be judged by.
func (checkArgs) request(c Caller, p *prepared, args map[string]any) policy.Request {
	r := p.request()
	r.Principal, r.Role, r.Scopes, r.Method = c.Principal.Name, c.Principal.Role, c.Principal.Scopes, c.Principal.Method
	r.Tool, r.Scope, r.Transport, r.Now = runTool, policy.WorkflowRun, c.Transport, c.Arrived.Unix()
	r.Args, r.Cost = args, p.work()
	return r
}

func faultOf(f workflow.Fault) faultView {
	return faultView{
		Node: clean(f.Node, 40), Class: clean(f.Class, 100), Input: clean(f.Input, 100), Problem: clean(f.Problem, 300), Got: clean(f.Got, 120),
		Fits: clean(f.Fits, 300), Rule: clean(f.Rule, 60),
	}
}

func missingViews(files []workflow.MissingFile) (list []missingView) {
	for _, f := range files {
		list = append(list, missingView{clean(f.Name, 200), clean(f.Folder, 60), clean(f.Repository, 300)})
	}
	return list
}

func inputViews(offers []workflow.Offer) (list []inputView) {
	for _, o := range offers {
		v := inputView{
			Name: o.Name, Kind: o.Kind, Label: clean(o.Label, 60), About: clean(o.Description, 160), Default: shownDefault(o), Required: o.Required,
		}
		if o.Kind != workflow.OfferSeed { // whose bounds go without saying, and are no numbers that JSON keeps
			v.Min, v.Max = o.Min, o.Max
		}
		for i, option := range o.Options {
			if i == maxChoices {
				v.More = len(o.Options) - i
				break
			}
			v.Options = append(v.Options, clean(option, 120))
		}
		list = append(list, v)
	}
	return list
}

// shownDefault is what an input has when it is not set: nothing for a seed, which is drawn, and for a model that is not there to be known.
func shownDefault(o workflow.Offer) any {
	if o.Kind == workflow.OfferSeed {
		return nil
	}
	if text, ok := o.Default.(string); ok {
		return clean(text, 120)
	}
	return o.Default
}

// results names the nodes whose results would be answered.
func results(p *prepared) (list []string) {
	for _, n := range p.nodes {
		if !p.gives[n.ID] {
			continue
		}
		if len(list) == maxResults {
			break
		}
		text := "node " + clean(n.ID, 40) + " (" + clean(n.Class, 80) + ")"
		if meta := p.graph[n.ID].Meta; meta != nil && meta.Title != "" {
			text += " " + strconv.Quote(clean(meta.Title, 80))
		}
		list = append(list, text)
	}
	return list
}

// outputNodes are the nodes of a graph that give results.
func outputNodes(g comfy.Graph, info *comfy.ObjectInfo) map[string]bool {
	out := make(map[string]bool)
	for id, n := range g {
		if class := info.Classes[n.ClassType]; class != nil && class.OutputNode {
			out[id] = true
		}
	}
	return out
}

// isLost reports whether err says that a picture is not there.
func isLost(err error) bool {
	return errors.Is(err, images.ErrNotFound) || errors.Is(err, images.ErrPending)
}

type checkPlan struct {
	view   checkView
	record map[string]any
}

// Policy implements [Plan].
func (checkPlan) Policy() policy.Request { return policy.Request{} }

// Cost implements [Plan].
func (checkPlan) Cost() Cost { return Cost{Tokens: 1} }

// Record implements [Plan].
func (p checkPlan) Record() map[string]any { return p.record }

// Run implements [Plan].
func (p checkPlan) Run(_ context.Context, _ Caller, release func()) (Result, error) {
	release()
	text, err := jsonText(p.view)
	return Result{Text: text, Structured: p.view}, err
}
