package tools

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

// listedJobs bounds what manage_queue lists, of jobs and of principals.
const listedJobs = 100

// What manage_queue does.
const (
	queueList      = "list"
	queueDrop      = "drop_pending"
	queueInterrupt = "interrupt"
	queueFree      = "free_memory"
	queueDrain     = "drain"
	queueResume    = "resume"
)

func manageQueueTool(e *Env) Tool {
	return Tool{
		Name:    "manage_queue",
		Title:   "Look after the queue",
		Toolset: "operations",
		Scope:   policy.Operate,
		Class:   limits.Status,
		Hints:   Hints{Destructive: true, OpenWorld: true},
		Description: "For operators. list: the jobs of all principals, and how many others ComfyUI has. drop_pending: cancels jobs that have not begun, of one principal or of all. " +
			"interrupt: stops one job, whoever's it is. free_memory: has ComfyUI unload its models. drain: no new jobs are taken in, waiting ones are cancelled, running ones end; resume takes in jobs again. " +
			"Only this server's own jobs are ever stopped. Answers are JSON.",
		Schema: object(fields{
			{"action", schema{
				Type: "string", Description: "What to do.", Enum: []string{queueList, queueDrop, queueInterrupt, queueFree, queueDrain, queueResume},
				Examples: []any{queueList},
			}},
			idField("job_id", "With interrupt: the job."),
			{"principal", schema{
				Type: "string", Description: "With list and drop_pending: only the jobs of this one.", MinLength: 1, MaxLength: 256, Examples: []any{"anna"},
			}},
		}, "action").raw(),
		Output: queueOutput().raw(),
		Decode: func(raw json.RawMessage) (Args, error) {
			a := queueArgs{env: e}
			if err := decode(raw, &a.in); err != nil {
				return nil, err
			}
			return a, a.in.validate()
		},
	}
}

func queueOutput() schema {
	whole := func(name string) field { return field{name, schema{Type: "integer"}} }
	text := func(name string) field { return field{name, schema{Type: "string"}} }
	return object(fields{
		text("action"),
		{"message", schema{Type: "string", Description: "What was done."}},
		{"draining", schema{Type: "boolean", Description: "No new jobs are taken in."}},
		whole("running"),
		whole("queued"),
		{"jobs", schema{Type: "array", Description: "Those that were asked for, or were stopped, the oldest first.", Items: new(object(fields{
			text("job_id"), text("principal"), text("tool"), text("state"), text("model"), text("created"), whole("percent"),
			{"server_unreachable", schema{Type: "boolean"}},
		}, "job_id", "principal", "tool", "state"))}},
		whole("more_jobs"),
		{"by_principal", schema{Type: "object", Description: "How many jobs each has."}},
		{"comfyui", object(fields{whole("running"), whole("pending"), whole("others_running"), whole("others_pending")})},
		{"comfyui_error", schema{Type: "string", Description: "Why ComfyUI's own queue is not known."}},
	}, "action", "message", "draining", "running", "queued")
}

type queueIn struct {
	Action    string `json:"action"`
	Job       string `json:"job_id"`
	Principal string `json:"principal"`
}

// validate refuses an argument that the action would leave aside: who names one principal must not hit all.
func (in queueIn) validate() error {
	var faults workflow.FieldErrors
	switch {
	case in.Action == queueInterrupt && in.Job == "":
		faults = append(faults, &workflow.FieldError{Field: "job_id", Problem: "is missing", Fits: "the id of the job to stop; list tells it"})
	case in.Action != queueInterrupt && in.Job != "":
		faults = append(faults, &workflow.FieldError{Field: "job_id", Problem: "goes with interrupt only", Fits: "interrupt, or no job_id"})
	}
	if in.Principal != "" {
		if in.Action != queueList && in.Action != queueDrop {
			faults = append(faults, &workflow.FieldError{Field: "principal", Problem: "goes with list and drop_pending only", Fits: "drop_pending, or no principal"})
		} else if clean(in.Principal, 256) != in.Principal {
			faults = append(faults, &workflow.FieldError{Field: "principal", Problem: "holds characters that no name has", Fits: "a name as list tells it"})
		}
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

type queueArgs struct {
	env *Env
	in  queueIn
}

// Resolve implements [Args].
func (a queueArgs) Resolve(ctx context.Context, _ Caller) (Plan, error) {
	p := queuePlan{env: a.env, in: a.in}
	if a.in.Job != "" {
		var err error
		if p.job, err = a.env.Jobs.Find(ctx, a.in.Job); err != nil {
			return nil, err
		}
	}
	return p, nil
}

type queuePlan struct {
	env *Env
	in  queueIn
	job jobs.Job // as it stood, with interrupt
}

// Policy implements [Plan].
func (queuePlan) Policy() policy.Request { return policy.Request{} }

// Cost implements [Plan].
func (queuePlan) Cost() Cost { return Cost{Tokens: 1} }

// Record implements [Plan].
func (p queuePlan) Record() map[string]any {
	r := map[string]any{"action": p.in.Action}
	if p.in.Job != "" {
		r["job_id"], r["owner"] = p.in.Job, p.job.Owner
	}
	if p.in.Principal != "" {
		r["of"] = p.in.Principal
	}
	return r
}

// A manageView is the structured content, and as JSON the text.
type manageView struct {
	Action      string         `json:"action"`
	Message     string         `json:"message"`
	Draining    bool           `json:"draining"`
	Running     int            `json:"running"`
	Queued      int            `json:"queued"`
	Jobs        []managedView  `json:"jobs,omitempty"`
	More        int            `json:"more_jobs,omitempty"`
	ByPrincipal map[string]int `json:"by_principal,omitempty"`
	Server      *othersView    `json:"comfyui,omitempty"`
	ServerError string         `json:"comfyui_error,omitempty"`
}

// A managedView is a job as those see it who look after all jobs.
type managedView struct {
	ID          string     `json:"job_id"`
	Principal   string     `json:"principal"`
	Tool        string     `json:"tool"`
	State       jobs.State `json:"state"`
	Model       string     `json:"model,omitempty"`
	Created     time.Time  `json:"created"`
	Percent     int        `json:"percent,omitempty"`
	Unreachable bool       `json:"server_unreachable,omitempty"`
}

// An othersView counts what ComfyUI has in its queue, and what of it is not this process's.
type othersView struct {
	Running       int `json:"running"`
	Pending       int `json:"pending"`
	OthersRunning int `json:"others_running"`
	OthersPending int `json:"others_pending"`
}

// Run implements [Plan].
func (p queuePlan) Run(ctx context.Context, c Caller, release func()) (Result, error) {
	release()
	bounded, stop := context.WithTimeout(ctx, cancelWait)
	defer stop()
	v := manageView{Action: p.in.Action}
	by := jobs.Stopper{Principal: c.Principal.Name, CallID: c.CallID}
	var err error
	switch p.in.Action {
	case queueList:
		p.list(bounded, &v)
	case queueDrop:
		dropped, late := p.env.Jobs.Drop(bounded, by, p.in.Principal)
		v.stopped(dropped)
		v.Message = "Cancelled: " + told(dropped)
		err = late
	case queueInterrupt:
		j, late := p.env.Jobs.Stop(bounded, by, p.in.Job)
		v.stopped([]jobs.Job{j})
		v.Message = cancelPlan{job: p.job}.verdict(j)
		err = late
	case queueFree:
		err = p.env.Server.Free(bounded)
		v.Message = "ComfyUI unloads its models and empties its caches, once its present job has ended."
	case queueDrain:
		dropped, late := p.env.Jobs.Drain(bounded, by)
		v.stopped(dropped)
		v.Message = "No new jobs are taken in. Cancelled: " + told(dropped)
		err = late
	case queueResume:
		p.env.Jobs.Resume()
		v.Message = "New jobs are taken in."
	}
	if err != nil && (p.in.Action == queueFree || ctx.Err() != nil || bounded.Err() == nil) {
		return Result{}, err
	}
	stats := p.env.Jobs.Stats()
	v.Draining, v.Running, v.Queued = errors.Is(p.env.Jobs.Draining(), jobs.ErrDraining), stats.Running, stats.Queued
	text, err := jsonText(v)
	return Result{Text: text, Structured: v, JobID: p.in.Job}, err
}

// list tells of all jobs, and of what else ComfyUI has to do.
func (p queuePlan) list(ctx context.Context, v *manageView) {
	all := p.env.Jobs.All()
	ours := make(map[string]bool, len(all))
	v.ByPrincipal = make(map[string]int)
	var wanted []jobs.Job
	for _, j := range all {
		ours[j.PromptID] = true
		if p.in.Principal == "" || j.Owner == p.in.Principal {
			wanted = append(wanted, j)
			v.ByPrincipal[clean(j.Owner, 256)]++
		}
	}
	v.stopped(wanted)
	for _, name := range slices.Sorted(maps.Keys(v.ByPrincipal))[min(len(v.ByPrincipal), listedJobs):] {
		delete(v.ByPrincipal, name)
	}
	v.Message = count(len(wanted), "job") + "."
	var queue comfy.Queue
	err := p.env.Server.Read(ctx, func(ctx context.Context, lists Lists) (err error) {
		queue, err = lists.Queue(ctx)
		return err
	})
	if err != nil {
		v.ServerError = p.env.Explain(err).Message
		return
	}
	others := func(ids []string) (n int) {
		for _, id := range ids {
			if !ours[id] {
				n++
			}
		}
		return n
	}
	v.Server = &othersView{len(queue.Running), len(queue.Pending), others(queue.Running), others(queue.Pending)}
}

// stopped puts jobs into a view, as many as it lists.
func (v *manageView) stopped(list []jobs.Job) {
	for i, j := range list {
		if i == listedJobs {
			v.More = len(list) - i
			return
		}
		v.Jobs = append(v.Jobs, managedView{
			ID: j.ID, Principal: clean(j.Owner, 256), Tool: j.Tool, State: j.State, Model: clean(j.Model, 200), Created: j.Created.UTC().Truncate(time.Second),
			Percent: int(j.Progress.Fraction * 100), Unreachable: j.Progress.Unreachable,
		})
	}
}

// told counts jobs that were stopped, and those of which that is not known yet.
func told(list []jobs.Job) string {
	cancelled, open := 0, 0
	for _, j := range list {
		switch {
		case !j.Over(), errors.Is(j.Err, jobs.ErrUnverified):
			open++
		case j.State == jobs.Cancelled:
			cancelled++
		}
	}
	text := count(cancelled, "job")
	if open > 0 {
		text += "; " + strconv.Itoa(open) + " more were asked to stop, which ComfyUI has not confirmed"
	}
	return text + "."
}
