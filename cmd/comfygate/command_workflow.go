package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/config"
)

// workflowCommands are what people do with workflows in the terminal.
type workflowCommands struct {
	List    workflowListCommand    `cmd:"" help:"List the workflows that are saved or that ComfyUI ships."`
	Check   workflowCheckCommand   `cmd:"" help:"Say everything that is wrong with a workflow, what it needs and what it would take. Never runs it."`
	Run     workflowRunCommand     `cmd:"" help:"Run a workflow, by its name or from a file."`
	Convert workflowConvertCommand `cmd:"" help:"Print a workflow of ComfyUI's editor as the graph that the server runs."`
}

// A workflowValues is a workflow with values for its inputs, as it stands on the command line.
type workflowValues struct {
	Workflow string   `arg:"" help:"Name of a workflow in the list, or a .json file in either format."`
	Set      []string `sep:"none" placeholder:"INPUT=VALUE" help:"A value for an input: a number, true, false or a text; @FILE is a picture of yours. Can be given several times."`
}

// workflowTimeout bounds everything but the run itself, which ends after its wait.
const workflowTimeout = time.Minute

// quietEnv is env with stdio as the transport and no more in the log than what goes wrong.
func quietEnv(environ []string) []string {
	env := []string{}
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if name != "COMFYGATE_SERVER__TRANSPORT" && name != "COMFYGATE_LOGGING__LEVEL" {
			env = append(env, kv)
		}
	}
	return append(env, "COMFYGATE_SERVER__TRANSPORT=stdio", "COMFYGATE_LOGGING__LEVEL=ERROR")
}

// withSelf has do speak to this program.
func withSelf(p *process, within time.Duration, do func(context.Context, *selfClient) error) error {
	ctx, cancel := context.WithTimeout(p.ctx, within)
	defer cancel()
	s, err := startSelf(ctx, quietEnv(p.environ), "comfygate-workflow", p.stderr)
	if err != nil {
		return err
	}
	var code exitCode
	if err = do(ctx, s); errors.As(err, &code) {
		return errors.Join(s.ended(nil), err)
	}
	return s.ended(err)
}

// arguments are those of run_workflow and check_workflow. Pictures are uploaded on the way.
func (w workflowValues) arguments(ctx context.Context, s *selfClient) (map[string]any, error) {
	args := map[string]any{"workflow": w.Workflow}
	if strings.HasSuffix(w.Workflow, ".json") {
		data, err := readWorkflow(w.Workflow)
		if err != nil {
			return nil, err
		}
		args = map[string]any{"graph": json.RawMessage(data)}
	}
	inputs := make(map[string]any)
	for _, set := range w.Set {
		name, text, ok := strings.Cut(set, "=")
		if !ok || name == "" {
			return nil, usageError{fmt.Errorf("--set %s: write INPUT=VALUE", set)}
		}
		var err error
		if inputs[name], err = s.valueOf(ctx, text); err != nil {
			return nil, fmt.Errorf("--set %s: %w", name, err)
		}
	}
	if len(inputs) > 0 {
		args["inputs"] = inputs
	}
	return args, nil
}

// readWorkflow reads a file that holds one JSON object.
func readWorkflow(file string) ([]byte, error) {
	data, err := readFile(file, workflow.MaxGraphBytes)
	if err != nil {
		return nil, err
	}
	if !json.Valid(data) {
		return nil, usageError{fmt.Errorf("%s is not JSON", file)}
	}
	return data, nil
}

// valueOf reads a value as a person writes it: JSON where it is a number, a truth value or a quoted text, the id of a picture in place of
// @FILE, else the text itself.
func (s *selfClient) valueOf(ctx context.Context, text string) (any, error) {
	if file, ok := strings.CutPrefix(text, "@"); ok {
		return s.upload(ctx, file)
	}
	var raw json.RawMessage
	if json.Unmarshal([]byte(text), &raw) == nil && text != "null" && !strings.ContainsAny(text[:1], "[{") {
		return raw, nil // numbers as they are written: a seed may have 64 bits
	}
	return text, nil
}

// upload brings a picture in and returns its id.
func (s *selfClient) upload(ctx context.Context, file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	res, err := s.call(ctx, "upload_image", map[string]any{"data": base64.StdEncoding.EncodeToString(data)})
	if err != nil {
		return "", err
	}
	id, ok := imageID(res)
	if !ok {
		return "", errors.New("the picture was not taken in")
	}
	return id, nil
}

type workflowListCommand struct {
	Search    []string `arg:"" optional:"" help:"Words that it must have."`
	Kind      string   `help:"Only what makes this: picture, video, audio, 3d or text." enum:"picture,video,audio,3d,text," default:""`
	Installed bool     `help:"Only those whose models are all there."`
	Limit     int      `default:"50" help:"At most so many, up to 100."`
	JSON      bool     `name:"json" help:"Print what an agent gets."`
}

// Run asks list_workflows.
func (c *workflowListCommand) Run(p *process) error {
	args := map[string]any{"limit": c.Limit}
	if len(c.Search) > 0 {
		args["search"] = strings.Join(c.Search, " ")
	}
	if c.Kind != "" {
		args["kind"] = c.Kind
	}
	if c.Installed {
		args["installed"] = true
	}
	return withSelf(p, workflowTimeout, func(ctx context.Context, s *selfClient) error {
		res, err := s.call(ctx, "list_workflows", args)
		if err != nil {
			return err
		}
		if c.JSON {
			fmt.Fprintln(p.stdout, textOf(res))
			return nil
		}
		return showList(p.stdout, textOf(res))
	})
}

// listedWorkflows is as much of list_workflows' answer as people read.
type listedWorkflows struct {
	Workflows []struct {
		Name, From, Title, Makes, Fault string
		Installed                       *bool
		Denied                          string `json:"denied_by"`
		Inputs                          map[string]string
		Missing                         []struct{ File, Folder, Source string }
	}
	Total int
	Paid  int `json:"paid_hidden"`
}

func showList(out io.Writer, text string) error {
	var list listedWorkflows
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return err
	}
	for _, w := range list.Workflows {
		state := "not looked into"
		switch {
		case w.Fault != "":
			state = w.Fault
		case w.Denied != "":
			state = "denied by the rule " + w.Denied
		case w.Installed != nil && *w.Installed:
			state = "ready"
		case w.Installed != nil:
			state = "models missing"
		}
		fmt.Fprintf(out, "%s (%s, %s): %s; %s\n", w.Name, w.From, w.Makes, w.Title, state)
		if len(w.Inputs) > 0 {
			fmt.Fprintf(out, "  inputs: %s\n", strings.Join(slices.Sorted(maps.Keys(w.Inputs)), ", "))
		}
		for _, m := range w.Missing {
			fmt.Fprintf(out, "  missing: models/%s/%s %s\n", m.Folder, m.File, m.Source)
		}
	}
	fmt.Fprintf(out, "%d of %d", len(list.Workflows), list.Total)
	if list.Paid > 0 {
		fmt.Fprintf(out, "; %d that need a paid service are left out", list.Paid)
	}
	fmt.Fprintln(out)
	return nil
}

type workflowCheckCommand struct {
	workflowValues
	JSON bool `name:"json" help:"Print what an agent gets."`
}

// Run asks check_workflow; what could not run ends with exit code 1.
func (c *workflowCheckCommand) Run(p *process) error {
	return withSelf(p, workflowTimeout, func(ctx context.Context, s *selfClient) error {
		args, err := c.arguments(ctx, s)
		if err != nil {
			return err
		}
		res, err := s.call(ctx, "check_workflow", args)
		if err != nil {
			return err
		}
		ok, err := showCheck(p.stdout, textOf(res), c.JSON)
		if err == nil && !ok {
			return exitCode(exitError)
		}
		return err
	})
}

// checkedWorkflow is as much of check_workflow's answer as people read.
type checkedWorkflow struct {
	Runnable bool
	Faults   []struct{ Node, Class, Input, Problem, Fits, Rule string }
	Missing  []struct{ File, Folder, Source string } `json:"missing_models"`
	Policy   struct {
		Allowed      bool
		Rule, Reason string
	}
	Cost *struct {
		Work          float64 `json:"megapixel_steps"`
		Width, Height int
		Count, Steps  int
	}
	Inputs []struct {
		Name, Kind, Label string
		Default           any
		Required          bool
	}
	Results []string
}

func showCheck(out io.Writer, text string, raw bool) (ok bool, err error) {
	var w checkedWorkflow
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return false, err
	}
	if raw {
		fmt.Fprintln(out, text)
		return w.Runnable, nil
	}
	for _, f := range w.Faults {
		where := strings.TrimSpace(fmt.Sprintf("%s %s %s", f.Node, f.Class, f.Input))
		fmt.Fprintf(out, "fault: %s: %s%s%s\n", where, f.Problem, after("; use ", f.Fits), after("; rule ", f.Rule))
	}
	for _, m := range w.Missing {
		fmt.Fprintf(out, "missing: models/%s/%s%s\n", m.Folder, m.File, after(" from ", m.Source))
	}
	if !w.Policy.Allowed {
		fmt.Fprintf(out, "denied by the rule %s: %s\n", w.Policy.Rule, w.Policy.Reason)
	}
	for _, in := range w.Inputs {
		fmt.Fprintf(out, "input: %s (%s)%s", in.Name, in.Kind, after(" ", in.Label))
		if in.Default != nil {
			fmt.Fprintf(out, " = %v", in.Default)
		}
		if in.Required {
			fmt.Fprint(out, ", must be given")
		}
		fmt.Fprintln(out)
	}
	for _, r := range w.Results {
		fmt.Fprintf(out, "result: %s\n", r)
	}
	if c := w.Cost; c != nil {
		fmt.Fprintf(out, "cost: %g megapixel-steps (%d×%d, %d, %d steps)\n", c.Work, c.Width, c.Height, max(c.Count, 1), c.Steps)
	}
	if w.Runnable {
		fmt.Fprintln(out, "It can run.")
	}
	return w.Runnable, nil
}

// after is a text behind a mark, or nothing.
func after(mark, text string) string {
	if text == "" {
		return ""
	}
	return mark + text
}

type workflowRunCommand struct {
	workflowValues
	Seed int64 `default:"-1" help:"The same seed and values give the same result; -1: a random one."`
	Wait int   `default:"300" help:"Seconds to wait for the end, up to 300; the job goes on for as long as this command does."`
}

// Run calls run_workflow.
func (c *workflowRunCommand) Run(p *process) error {
	return withSelf(p, workflowTimeout+time.Duration(c.Wait)*time.Second, func(ctx context.Context, s *selfClient) error {
		args, err := c.arguments(ctx, s)
		if err != nil {
			return err
		}
		args["seed"], args["wait_seconds"] = c.Seed, c.Wait
		res, err := s.call(ctx, "run_workflow", args)
		if err != nil {
			return err
		}
		fmt.Fprintln(p.stdout, textOf(res))
		return nil
	})
}

type workflowConvertCommand struct {
	File string `arg:"" help:"A .json file as ComfyUI's editor saves it, or a graph in the API format."`
}

// Run asks ComfyUI for its classes and converts. Notes go to stderr, so that the graph can be piped.
func (c *workflowConvertCommand) Run(p *process) error {
	data, err := readWorkflow(c.File)
	if err != nil {
		return err
	}
	doc, err := workflow.Read(data)
	if err != nil {
		return usageError{fmt.Errorf("%s: %w", c.File, err)}
	}
	cfg, _, err := config.Load(p.environ, os.ReadFile, nil)
	if err != nil {
		return usageError{err}
	}
	h := &house{cfg: cfg, log: newLog(p, cfg)}
	ctx, cancel := context.WithTimeout(p.ctx, workflowTimeout)
	defer cancel()
	if err := h.reachComfyUI(ctx); err != nil {
		return errors.Join(err, h.close(ctx))
	}
	info, err := h.client.ObjectInfo(ctx)
	if err = errors.Join(err, h.close(ctx)); err != nil {
		return fmt.Errorf("asking ComfyUI for its nodes: %w", err)
	}
	made, err := doc.Convert(info)
	if err != nil {
		return err
	}
	for _, note := range made.Notes {
		fmt.Fprintln(p.stderr, "note:", note)
	}
	text, err := json.MarshalIndent(made.Graph, "", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, string(text))
	return nil
}
