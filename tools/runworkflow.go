package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"strings"

	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

// runTool is the tool that runs workflows; check_workflow judges what it would do.
const runTool = "run_workflow"

func runWorkflowTool(e *Env) Tool {
	return Tool{
		Name:    runTool,
		Title:   "Run a workflow",
		Toolset: "workflows",
		Scope:   policy.WorkflowRun,
		Class:   limits.Generate,
		Hints:   Hints{OpenWorld: true},
		Waits:   true,
		Description: "Runs a ComfyUI workflow: one that is saved here or shipped with ComfyUI, by its name in list_workflows, or a graph of yours (API format or the editor's format). " +
			"inputs sets values by the names that list_workflows or check_workflow tell; whatever is not named stays as it is, but the seed, which is random unless you give it. " +
			"Pictures are given by image id. Answers with previews, ids and links of everything made; if the wait ends first, with a job_id for status.",
		Schema: object(append(workflowFields(), seedField(), waitField())).raw(),
		Decode: func(raw json.RawMessage) (Args, error) {
			a := runArgs{env: e, tool: runTool}
			if err := decode(raw, &a.in); err != nil {
				return nil, err
			}
			return a, nil
		},
	}
}

// workflowFields are the arguments by which a workflow and its values are given.
func workflowFields() fields {
	return fields{
		{"workflow", schema{
			Type: "string", Description: "Name of a workflow in list_workflows.", MinLength: 1, MaxLength: 128, Examples: []any{"text_to_picture"},
		}},
		{"graph", schema{
			Type: "object", Description: "A workflow itself, in place of workflow.", MaxProps: workflow.MaxGraphNodes,
			Examples: []any{map[string]any{"1": map[string]any{"class_type": "EmptyImage", "inputs": map[string]any{"width": 64}}}},
		}},
		{"inputs", schema{
			Type: "object", Description: "Values by the input's name.", MaxProps: 100,
			Examples: []any{map[string]any{"prompt": "a red fox", "steps": 12, "image": exampleID}},
		}},
	}
}

// A workflowArg is a workflow and its values as they were said.
type workflowArg struct {
	Workflow string          `json:"workflow"`
	Graph    json.RawMessage `json:"graph"`
	Inputs   values          `json:"inputs"`
}

// values are inputs by name, numbers as they were written (E03).
type values map[string]any

// UnmarshalJSON implements [json.Unmarshaler].
func (v *values) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return d.Decode((*map[string]any)(v))
}

type runArgs struct {
	env   *Env
	tool  string
	saved bool // only a saved workflow is meant
	in    struct {
		workflowArg
		Seed seed `json:"seed"`
		wait
	}
}

// Resolve implements [Args].
func (a runArgs) Resolve(ctx context.Context, c Caller) (Plan, error) {
	if a.saved {
		if err := a.env.still(a.in.Workflow); err != nil {
			return nil, err
		}
	}
	p, err := a.env.prepare(ctx, c, a.in.workflowArg, a.in.Seed)
	if err != nil {
		return nil, err
	}
	if err := p.fault(); err != nil {
		return nil, err
	}
	if w := p.weight; w.Known {
		tight, err := a.env.fitsVideo(w.Width, w.Height, w.Count, 0)
		if err != nil {
			return nil, err
		}
		if tight != "" {
			p.notes = append(p.notes, tight)
		}
	}
	return &runPlan{prepared: p, env: a.env, args: a}, nil
}

// A runPlan is one workflow to run.
type runPlan struct {
	*prepared
	env  *Env
	args runArgs
}

// Policy implements [Plan].
func (p *runPlan) Policy() policy.Request { return p.request() }

// Cost implements [Plan].
func (p *runPlan) Cost() Cost {
	return Cost{Tokens: p.tokens(p.env.Settings.MaxBatch), Place: true, Work: p.work()}
}

// Record implements [Plan].
func (p *runPlan) Record() map[string]any { return p.record() }

// Run implements [Plan].
func (p *runPlan) Run(ctx context.Context, c Caller, release func()) (Result, error) {
	return p.env.runJob(ctx, c, jobs.Spec{
		Owner: c.Principal.Name, CallID: c.CallID, Tool: p.args.tool, Graph: p.graph, Inputs: p.inputs(), InputOf: p.inputNames(), Seed: p.seed, Model: p.model(),
		Count: max(p.weight.Count, 1), Cost: p.work(), Summary: p.summary(), Release: release,
	}, p.args.in.duration(), "")
}

// summary tells people how the results are made.
func (p *prepared) summary() map[string]string {
	s := map[string]string{"workflow": p.source.called(), "model": p.model()}
	if p.weight.Known && p.weight.Width > 0 {
		s["size"] = strconv.Itoa(p.weight.Width) + "×" + strconv.Itoa(p.weight.Height)
	}
	if p.weight.Steps > 0 {
		s["steps"] = strconv.Itoa(p.weight.Steps)
	}
	if len(p.notes) > 0 {
		s[noteKey] = strings.Join(p.notes, " ")
	}
	return s
}
