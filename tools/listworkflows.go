package tools

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/comfy/workflow/library"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

// Bounds of what list_workflows tells.
const (
	defaultWorkflows = 20
	maxWorkflows     = 100
	listBytes        = 20_000 // of JSON: it stands in the text and in the structured content
	listedInputs     = 16
	listedModels     = 8
)

// What workflows make, as list_workflows tells it.
const (
	makesPicture = "picture"
	makesVideo   = "video"
	makesAudio   = "audio"
	makes3D      = "3d"
	makesText    = "text"
)

func listWorkflowsTool(e *Env) Tool {
	return Tool{
		Name:    "list_workflows",
		Title:   "List workflows",
		Toolset: "workflows",
		Scope:   policy.WorkflowRead,
		Class:   limits.Status,
		Hints:   Hints{ReadOnly: true, Idempotent: true, OpenWorld: true},
		Description: "Finds workflows that run_workflow runs by name: those saved here, and those that this ComfyUI ships. Each with what it makes, its inputs, whether its models are installed, " +
			"and which are missing, with folder and source. Those that can run come first. Use search: there may be hundreds.",
		Schema: object(fields{
			{"search", schema{Type: "string", Description: "Words that name, description, tags or models must have.", MinLength: 1, MaxLength: 100, Examples: []any{"inpaint flux"}}},
			{"kind", schema{
				Type: "string", Description: "What it makes.", Enum: []string{makesPicture, makesVideo, makesAudio, makes3D, makesText}, Examples: []any{makesPicture},
			}},
			{"installed", schema{Type: "boolean", Description: "true: only those whose models are all there. false: only those that lack some.", Examples: []any{true}}},
			{"limit", schema{Type: "integer", Description: "Workflows at most.", Minimum: 1, Maximum: maxWorkflows, Default: defaultWorkflows, Examples: []any{10}}},
		}).raw(),
		Output: object(fields{
			{"workflows", schema{Type: "array", Items: &schema{Type: "object"}}},
			{"total", schema{Type: "integer", Description: "Workflows that match, shown or not."}},
			{"not_looked_into", schema{Type: "integer", Description: "Of these, how many were not opened yet: ask again, or search more narrowly."}},
			{"paid_hidden", schema{Type: "integer", Description: "Workflows left out because they need a paid service, which the policy does not allow."}},
		}, "workflows", "total").raw(),
		Decode: func(raw json.RawMessage) (Args, error) {
			a := workflowsArgs{env: e}
			if err := decode(raw, &a.in); err != nil {
				return nil, err
			}
			return a, nil
		},
	}
}

type workflowsArgs struct {
	env *Env
	in  struct {
		Search    string `json:"search"`
		Kind      string `json:"kind"`
		Installed *bool  `json:"installed"`
		Limit     int    `json:"limit"`
	}
}

// A workflowsView is the structured content, and as JSON the text.
type workflowsView struct {
	Workflows []workflowView `json:"workflows"`
	Total     int            `json:"total"`
	Unopened  int            `json:"not_looked_into,omitempty"`
	Paid      int            `json:"paid_hidden,omitempty"`
}

// A workflowView is one workflow as it is listed.
type workflowView struct {
	Name      string        `json:"name"`
	From      string        `json:"from"`
	Title     string        `json:"title,omitempty"`
	About     string        `json:"about,omitempty"`
	Makes     string        `json:"makes"`
	Installed *bool         `json:"installed,omitempty"` // nil: not looked into
	Inputs    kindsByName   `json:"inputs,omitempty"`
	Required  []string      `json:"required,omitempty"` // of the inputs
	Models    []string      `json:"models,omitempty"`   // that are there
	Missing   []missingView `json:"missing,omitempty"`
	Bytes     int64         `json:"bytes,omitempty"` // of its model files together
	Denied    string        `json:"denied_by,omitempty"`
	Fault     string        `json:"fault,omitempty"`
	Tool      string        `json:"tool,omitempty"` // by which it can be called too
}

// kindsByName are the kinds of a workflow's inputs by their names, in the order in which they are told; check_workflow tells the rest.
type kindsByName []workflow.Offer

// MarshalJSON implements [json.Marshaler].
func (k kindsByName) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	for i, o := range k {
		mark := byte(',')
		if i == 0 {
			mark = '{'
		}
		name, err := json.Marshal(o.Name)
		if err != nil {
			return nil, err
		}
		b.WriteByte(mark)
		b.Write(name)
		fmt.Fprintf(&b, ":%q", o.Kind)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// A candidate is a workflow that matches, before and after it was looked into.
type candidate struct {
	saved  *library.Entry
	ships  *comfy.Template
	view   workflowView
	digest *digest
}

// Resolve implements [Args]. It reads the lists already: there is nothing else to do.
func (a workflowsArgs) Resolve(ctx context.Context, c Caller) (Plan, error) {
	found, paid, err := a.candidates(ctx, c)
	if err != nil {
		return nil, err
	}
	inv, err := a.env.lists.read(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.env.digests.fill(ctx, a.env, inv.Info, found); err != nil {
		return nil, err
	}
	v := workflowsView{Workflows: []workflowView{}, Paid: paid}
	for _, one := range found {
		if one.digest == nil && one.view.Fault == "" {
			v.Unopened++
		}
		one.describe(ctx, a.env, c)
	}
	found = slices.DeleteFunc(found, func(one *candidate) bool {
		return a.in.Installed != nil && (one.view.Installed == nil || *one.view.Installed != *a.in.Installed) ||
			a.in.Kind != "" && one.view.Makes != a.in.Kind
	})
	slices.SortStableFunc(found, func(a, b *candidate) int { return cmp.Compare(a.rank(), b.rank()) })
	v.Total = len(found)
	v.Workflows = fitting(found, cmp.Or(a.in.Limit, defaultWorkflows))
	return workflowsPlan{a, v}, nil
}

// fitting are the views of the first candidates, at most n, as an answer holds them.
func fitting(found []*candidate, n int) []workflowView {
	list, room := []workflowView{}, listBytes
	for _, one := range found[:min(len(found), n)] {
		text, err := json.Marshal(one.view)
		if room -= len(text) + 1; err != nil || room < 0 {
			break
		}
		list = append(list, one.view)
	}
	return list
}

// candidates are the workflows that match by what is known without opening them, saved ones first; paid counts those left out.
func (a workflowsArgs) candidates(ctx context.Context, c Caller) (found []*candidate, paid int, err error) {
	found, taken, err := a.saved(c)
	if err != nil {
		return nil, 0, err
	}
	var index []comfy.Template
	err = a.env.Server.Read(ctx, func(ctx context.Context, lists Lists) (err error) {
		index, err = lists.Templates(ctx)
		return err
	})
	payable := a.env.Rules.AllowNode(policy.Node{Class: "Paid", Module: "comfy_api_nodes.nodes", API: true})
	for i := range index {
		t := &index[i]
		one := ofTemplate(t)
		switch {
		case taken[t.Name], a.in.Kind != "" && one.view.Makes != a.in.Kind,
			!a.matches(slices.Concat([]string{t.Name, t.Title, t.Description, t.Group}, t.Tags, t.Models)...):
		case t.Paid && !payable:
			paid++
		default:
			found = append(found, one)
		}
	}
	return found, paid, err
}

// saved are the saved workflows that match; taken are the names of all that are there for the caller.
func (a workflowsArgs) saved(c Caller) (found []*candidate, taken map[string]bool, err error) {
	taken = make(map[string]bool)
	if a.env.Library == nil {
		return nil, taken, nil
	}
	list, err := a.env.Library.List()
	for i := range list {
		if allowedBy(c, list[i]) != nil {
			continue // for whom it is not, it is not there
		}
		taken[list[i].Name] = true
		if one := ofSaved(&list[i], a.env.own[list[i].Name]); a.matches(one.view.Name, one.view.Title, one.view.About) {
			found = append(found, one)
		}
	}
	return found, taken, err
}

// matches reports whether all words that are searched for stand in texts.
func (a workflowsArgs) matches(texts ...string) bool {
	all := strings.ToLower(strings.Join(texts, "\n"))
	for word := range strings.FieldsSeq(strings.ToLower(a.in.Search)) {
		if !strings.Contains(all, word) {
			return false
		}
	}
	return true
}

func ofSaved(e *library.Entry, asTool bool) *candidate {
	one := &candidate{saved: e, view: workflowView{
		Name: clean(e.Name, 60), From: fromSaved, Title: clean(e.Title, 80), About: clean(e.Description, 200), Makes: makesPicture,
	}}
	if e.Err != nil {
		one.view.Fault = clean(e.Err.Error(), 300)
	} else if asTool {
		one.view.Tool = policy.SavedTool + e.Name
	}
	return one
}

func ofTemplate(t *comfy.Template) *candidate {
	return &candidate{ships: t, view: workflowView{
		Name: t.Name, From: fromTemplate, Title: clean(t.Title, 80), About: clean(t.Description, 160), Makes: makesOf(t), Bytes: t.Size,
	}}
}

// makesOf tells what a template makes: by its index of results where there is one, else by the words it stands under.
func makesOf(t *comfy.Template) string {
	var words []string
	for _, o := range t.Outputs {
		words = append(words, o.Media, o.Class)
	}
	if len(words) == 0 {
		words = append([]string{t.Group}, t.Tags...)
	}
	return makes(words)
}

// makes finds the most telling kind among words: who makes a video shows pictures too.
func makes(words []string) string {
	all := " " + strings.ToLower(strings.Join(words, " "))
	for _, kind := range []struct {
		makes string
		marks []string
	}{
		{makesVideo, []string{"video", "animat"}},
		{makesAudio, []string{"audio", " music"}},
		{makes3D, []string{"3d", "glb", "mesh"}},
		{makesPicture, []string{"image"}},
		{makesText, []string{"text", "previewany", "llm"}},
	} {
		for _, mark := range kind.marks {
			if strings.Contains(all, mark) {
				return kind.makes
			}
		}
	}
	return makesPicture
}

// describe fills in what was found when the workflow was looked into.
func (one *candidate) describe(ctx context.Context, e *Env, c Caller) {
	d := one.digest
	if d == nil {
		return
	}
	one.view.Fault = d.fault
	if d.fault != "" {
		return
	}
	if one.saved != nil || len(one.ships.Outputs) == 0 {
		one.view.Makes = d.makes
	}
	one.view.Installed = new(len(d.missing) == 0)
	for _, m := range d.missing[:min(len(d.missing), listedModels)] {
		one.view.Missing = append(one.view.Missing, missingViews([]workflow.MissingFile{m})...)
	}
	for _, m := range d.models {
		if lacking := slices.ContainsFunc(d.missing, func(f workflow.MissingFile) bool { return f.Name == m.Name }); !lacking && len(one.view.Models) < listedModels {
			one.view.Models = append(one.view.Models, clean(string(m.Kind)+"/"+m.Name, 160))
		}
	}
	one.view.Inputs = d.offers[:min(len(d.offers), listedInputs)]
	for _, o := range one.view.Inputs {
		if o.Required {
			one.view.Required = append(one.view.Required, o.Name)
		}
	}
	verdict := e.Judge.Decide(ctx, policy.Request{
		Principal: c.Principal.Name, Role: c.Principal.Role, Scopes: c.Principal.Scopes, Method: c.Principal.Method, Transport: c.Transport,
		Now: c.Arrived.Unix(), Tool: runTool, Scope: policy.WorkflowRun, Nodes: d.nodes, Args: map[string]any{"workflow": one.view.Name},
	})
	if !verdict.Allowed {
		one.view.Denied = clean(verdict.Rule, 60)
	}
}

// rank puts first what can run now.
func (one *candidate) rank() int {
	switch v := one.view; {
	case v.Fault != "":
		return 4
	case v.Denied != "":
		return 3
	case v.Installed == nil:
		return 2
	case !*v.Installed:
		return 1
	}
	return 0
}

type workflowsPlan struct {
	args workflowsArgs
	view workflowsView
}

// Policy implements [Plan].
func (workflowsPlan) Policy() policy.Request { return policy.Request{} }

// Cost implements [Plan].
func (workflowsPlan) Cost() Cost { return Cost{Tokens: 1} }

// Record implements [Plan].
func (p workflowsPlan) Record() map[string]any {
	return map[string]any{"kind": p.args.in.Kind, "limit": cmp.Or(p.args.in.Limit, defaultWorkflows)}
}

// Run implements [Plan].
func (p workflowsPlan) Run(_ context.Context, _ Caller, release func()) (Result, error) {
	release()
	text, err := jsonText(p.view)
	return Result{Text: text, Structured: p.view}, err
}
