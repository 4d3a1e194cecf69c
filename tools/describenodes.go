package tools

import (
	"context"
	"encoding/json"

	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

// Bounds of what describe_nodes tells.
const (
	defaultNodes = 10
	maxNodes     = 50
	nodesBytes   = 16_000 // they stand in the text and in the structured content
)

func describeNodesTool(e *Env) Tool {
	return Tool{
		Name:    "describe_nodes",
		Title:   "Describe node classes",
		Toolset: "workflows",
		Scope:   policy.WorkflowRead,
		Class:   limits.Status,
		Hints:   Hints{ReadOnly: true, Idempotent: true, OpenWorld: true},
		Description: "Finds ComfyUI node classes that may be used in graphs here, by words, by a type that an input takes or by one that an output gives, and tells their inputs with types, " +
			"bounds, defaults and options. In a graph: {\"ID\": {\"class_type\": CLASS, \"inputs\": {NAME: value or [\"ID\", output number]}}}.",
		Schema: object(fields{
			{"search", schema{
				Type: "string", Description: "Words of the name, title or category.", MinLength: 1, MaxLength: 100, Examples: []any{"KSampler"},
			}},
			{"input", typeField("A type that an input takes.", "LATENT")},
			{"output", typeField("A type that an output gives.", "IMAGE")},
			{"limit", schema{Type: "integer", Description: "Classes at most.", Minimum: 1, Maximum: maxNodes, Default: defaultNodes, Examples: []any{5}}},
		}).raw(),
		Output: object(fields{
			{"classes", schema{Type: "array", Description: "The most relevant first.", Items: &schema{Type: "object"}}},
			{"total", schema{Type: "integer", Description: "Classes that match, shown or not."}},
		}, "classes", "total").raw(),
		Decode: func(raw json.RawMessage) (Args, error) {
			a := nodesArgs{env: e}
			if err := decode(raw, &a.in); err != nil {
				return nil, err
			}
			return a, nil
		},
	}
}

func typeField(description, example string) schema {
	return schema{Type: "string", Description: description, Pattern: "^[A-Za-z0-9_,*]+$", MinLength: 1, MaxLength: 60, Examples: []any{example}}
}

type nodesArgs struct {
	env *Env
	in  struct {
		Search string `json:"search"`
		Input  string `json:"input"`
		Output string `json:"output"`
		Limit  int    `json:"limit"`
	}
}

// A nodesView is the structured content, and as JSON the text.
type nodesView struct {
	Classes []workflow.ClassSummary `json:"classes"`
	Total   int                     `json:"total"`
}

// Resolve implements [Args]. It reads the classes already: there is nothing else to do.
func (a nodesArgs) Resolve(ctx context.Context, _ Caller) (Plan, error) {
	inv, err := a.env.lists.read(ctx)
	if err != nil {
		return nil, err
	}
	if a.in.Limit == 0 {
		a.in.Limit = defaultNodes
	}
	found, total := workflow.Describe(inv.Info, workflow.Query{
		Search: a.in.Search, Input: a.in.Input, Output: a.in.Output, Limit: a.in.Limit, Bytes: nodesBytes, Allow: a.env.Rules.AllowNode,
	})
	if found == nil {
		found = []workflow.ClassSummary{}
	}
	return nodesPlan{a, nodesView{found, total}}, nil
}

type nodesPlan struct {
	args nodesArgs
	view nodesView
}

// Policy implements [Plan].
func (nodesPlan) Policy() policy.Request { return policy.Request{} }

// Cost implements [Plan].
func (nodesPlan) Cost() Cost { return Cost{Tokens: 1} }

// Record implements [Plan].
func (p nodesPlan) Record() map[string]any {
	return map[string]any{"input": p.args.in.Input, "output": p.args.in.Output, "limit": p.args.in.Limit}
}

// Run implements [Plan].
func (p nodesPlan) Run(_ context.Context, _ Caller, release func()) (Result, error) {
	release()
	text, err := jsonText(p.view)
	return Result{Text: text, Structured: p.view}, err
}
