package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"text/tabwriter"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/policy/live"
)

// policyCommands are those that ask a policy without serving anything.
type policyCommands struct {
	Check   policyCheckCommand   `cmd:"" help:"Read a policy file and say every fault of it."`
	Test    policyTestCommand    `cmd:"" help:"Try a policy file with the table of cases beside it."`
	Explain policyExplainCommand `cmd:"" help:"Say what each rule thinks of a call, and what is decided."`
	Show    policyShowCommand    `cmd:"" help:"Print a policy that comes with comfygate, to begin with."`
}

// policyFile is the file that a command asks.
type policyFile struct {
	File string `arg:"" optional:"" placeholder:"FILE" help:"Policy file, or @personal, @team, @public; default COMFYGATE_POLICY__FILE."`
}

// rules compiles the file under the settings in force.
func (f policyFile) rules(p *process) (*policy.Rules, string, error) {
	cfg, _, err := load(p, nil)
	if err != nil {
		return nil, "", err
	}
	cfg.Policy.File = cmp.Or(f.File, cfg.Policy.File)
	rules, err := newRules(cfg)
	return rules, cfg.Policy.File, err
}

type policyCheckCommand struct{ policyFile }

// Run compiles a policy.
func (c *policyCheckCommand) Run(p *process) error {
	rules, file, err := c.rules(p)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s is well.\nhash %s\n", cmp.Or(file, "The built-in policy"), rules.Hash())
	return nil
}

type policyTestCommand struct {
	policyFile

	Cases string `placeholder:"FILE" help:"Table of cases; default: policy.cases.yaml beside policy.yaml."`
}

// Run tries a policy with its cases; exit code 1 where one is not as it should be.
func (c *policyTestCommand) Run(p *process) error {
	rules, file, err := c.rules(p)
	if err != nil {
		return err
	}
	data, err := c.table(file)
	if err != nil {
		return usageError{err}
	}
	cases, err := policy.ParseCases(data)
	if err != nil {
		return usageError{err}
	}
	failed := 0
	for _, one := range cases {
		problem := rules.Try(p.ctx, one)
		if problem == "" {
			fmt.Fprintf(p.stdout, "ok    %s\n", one.Name)
			continue
		}
		failed++
		fmt.Fprintf(p.stdout, "FAIL  %s: %s\n", one.Name, problem)
	}
	fmt.Fprintf(p.stdout, "%d cases, %d failed\n", len(cases), failed)
	if failed > 0 {
		return exitCode(exitError)
	}
	return nil
}

// table returns the bytes of the table of cases that belongs to a policy.
func (c *policyTestCommand) table(file string) ([]byte, error) {
	if c.Cases != "" {
		return live.Read(c.Cases)
	}
	if name, shipped := strings.CutPrefix(file, "@"); shipped {
		_, cases, _ := policy.Posture(name)
		return cases, nil
	}
	if file == "" {
		return nil, errors.New("say which policy: comfygate policy test policy.yaml")
	}
	name := strings.TrimSuffix(strings.TrimSuffix(file, ".yaml"), ".yml") + ".cases.yaml"
	data, err := live.Read(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no table of cases %s; write one (comfygate policy show @team --cases prints an example), or name it with --cases", name)
	}
	return data, err
}

type policyExplainCommand struct {
	policyFile

	Tool      string  `required:"" placeholder:"NAME" help:"Tool that is called."`
	Principal string  `placeholder:"NAME" help:"Who calls; default anyone."`
	Role      string  `placeholder:"ROLE" help:"In which role; default the file's for the principal, or operator."`
	Transport string  `placeholder:"stdio|http|sse" help:"The way in; default http."`
	At        string  `placeholder:"TIME" help:"When, as 2026-07-01T12:00:00Z."`
	Args      string  `placeholder:"JSON" help:"Arguments of the call."`
	Model     string  `placeholder:"FILE" help:"A checkpoint that would be loaded."`
	Width     int     `help:"Of one picture."`
	Height    int     `help:"Of one picture."`
	Count     int     `default:"1" help:"Pictures."`
	Steps     int     `help:"Sampling steps."`
	Cost      float64 `help:"Megapixel-steps; default of size, count and steps."`
	Workflow  string  `placeholder:"FILE" help:"A workflow, whose nodes are judged by the classes of the configured ComfyUI."`
	JSON      bool    `help:"Print it as JSON."`
}

// Run asks the rules about a call that nobody makes.
func (c *policyExplainCommand) Run(p *process) error {
	rules, _, err := c.rules(p)
	if err != nil {
		return err
	}
	one := policy.Case{
		Principal: c.Principal, Role: policy.Role(c.Role), Transport: c.Transport, Now: c.At, Tool: c.Tool,
		Width: c.Width, Height: c.Height, Count: c.Count, Steps: c.Steps, Cost: c.Cost,
	}
	if c.Model != "" {
		one.Models = []policy.CaseModel{{Name: c.Model}}
	}
	if c.Args != "" {
		if err := json.Unmarshal([]byte(c.Args), &one.Args); err != nil {
			return usageError{fmt.Errorf("--args is no JSON object such as {\"prompt\": \"a cat\"}: %w", err)}
		}
	}
	req, err := rules.Request(one)
	if err != nil {
		return usageError{err}
	}
	if c.Workflow != "" {
		if err := c.graph(p, &req); err != nil {
			return err
		}
	}
	verdicts, decision := rules.Explain(p.ctx, req)
	if c.JSON {
		return writeJSON(p.stdout, explained(verdicts, decision))
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	for _, v := range verdicts {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", v.Rule, v.Effect, applies(v), v.When)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if decision.Allowed {
		fmt.Fprintf(p.stdout, "Allowed by %s.\n", decision.Rule)
		return nil
	}
	fmt.Fprintf(p.stdout, "Denied by %s: %s\n", decision.Rule, decision.Reason)
	return nil
}

// graph puts the nodes, models and sizes of a workflow into a request, as run_workflow would.
func (c *policyExplainCommand) graph(p *process, req *policy.Request) (err error) {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	data, err := readFile(c.Workflow, workflow.MaxGraphBytes)
	if err != nil {
		return err
	}
	doc, err := workflow.Read(data)
	if err != nil {
		return err
	}
	h := &house{cfg: cfg, log: zap.NewNop()}
	defer func() { err = errors.Join(err, h.close(context.WithoutCancel(p.ctx))) }()
	if err := h.reachComfyUI(p.ctx); err != nil {
		return err
	}
	info, err := h.client.ObjectInfo(p.ctx)
	if err != nil {
		return err
	}
	made, err := doc.Convert(info)
	if err != nil {
		return err
	}
	weight := workflow.Weigh(made.Graph, info, nil)
	req.Nodes, req.Models = workflow.Nodes(made.Graph, info), append(req.Models, workflow.Models(made.Graph, info)...)
	req.Width, req.Height, req.Count, req.Steps, req.Pixels = weight.Width, weight.Height, weight.Count, weight.Steps, weight.Pixels
	req.Frames = weight.Frames
	req.Cost = cmp.Or(c.Cost, float64(weight.Work)/1e6)
	return nil
}

func applies(v policy.Verdict) string {
	switch {
	case v.Problem != "":
		return "cannot be told: " + v.Problem
	case v.Applies:
		return "applies"
	}
	return "does not apply"
}

// explained is the JSON form of an explanation.
func explained(verdicts []policy.Verdict, d policy.Decision) any {
	type rule struct {
		Rule    string `json:"rule"`
		Effect  string `json:"effect"`
		When    string `json:"when,omitempty"`
		Applies bool   `json:"applies"`
		Problem string `json:"problem,omitempty"`
	}
	rules := make([]rule, len(verdicts))
	for i, v := range verdicts {
		rules[i] = rule(v)
	}
	return struct {
		Allowed bool   `json:"allowed"`
		Rule    string `json:"rule"`
		Reason  string `json:"reason,omitempty"`
		Policy  string `json:"policy"`
		Rules   []rule `json:"rules"`
	}{d.Allowed, d.Rule, d.Reason, d.Policy, rules}
}

type policyShowCommand struct {
	Name  string `arg:"" placeholder:"NAME" help:"@personal, @team or @public."`
	Cases bool   `help:"Print its table of cases."`
}

// Run prints a posture.
func (c *policyShowCommand) Run(p *process) error {
	file, cases, ok := policy.Posture(strings.TrimPrefix(c.Name, "@"))
	if !ok {
		return usageError{fmt.Errorf("no policy called %s comes with comfygate; there are @%s", c.Name, strings.Join(policy.Postures(), ", @"))}
	}
	if c.Cases {
		file = cases
	}
	_, err := p.stdout.Write(file)
	return err
}
