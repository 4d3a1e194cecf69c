package tools

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

// cancelWait bounds how long cancel waits for the server to confirm.
const cancelWait = 30 * time.Second

func cancelTool(e *Env) Tool {
	return Tool{
		Name:    "cancel",
		Title:   "Stop a job",
		Toolset: "images",
		Scope:   policy.JobCancel,
		Class:   limits.Status,
		Hints:   Hints{Destructive: true, Idempotent: true, OpenWorld: true},
		Description: "Stops one of your jobs, waiting or running, at ComfyUI too, and tells how it ended: a job that was just finished keeps its pictures. " +
			"No other job is touched.",
		Schema: object(fields{idField("job_id", "The job, as generate, upscale or status told it.")}, "job_id").raw(),
		Output: object(fields{
			idField("job_id", "The job."),
			{"state", schema{
				Type: "string", Description: "How the job stands now.",
				Enum: []string{"queued", "running", "succeeded", "failed", "cancelled", "lost"},
			}},
			{"message", schema{Type: "string", Description: "What happened.", MaxLength: 500}},
		}, "job_id", "state", "message").raw(),
		Decode: func(raw json.RawMessage) (Args, error) {
			a := cancelArgs{env: e}
			if err := decode(raw, &a.in); err != nil {
				return nil, err
			}
			return a, nil
		},
	}
}

type cancelArgs struct {
	env *Env
	in  struct {
		Job string `json:"job_id"`
	}
}

// Resolve implements [Args].
func (a cancelArgs) Resolve(ctx context.Context, c Caller) (Plan, error) {
	j, err := a.env.Jobs.Get(ctx, c.Principal.Name, a.in.Job)
	if err != nil {
		return nil, err
	}
	return cancelPlan{env: a.env, job: j}, nil
}

type cancelPlan struct {
	env *Env
	job jobs.Job // as it stood
}

// Policy implements [Plan].
func (cancelPlan) Policy() policy.Request { return policy.Request{} }

// Cost implements [Plan].
func (cancelPlan) Cost() Cost { return Cost{Tokens: 1} }

// Record implements [Plan].
func (p cancelPlan) Record() map[string]any { return map[string]any{"job_id": p.job.ID} }

// A cancelView is the structured content.
type cancelView struct {
	Job     string     `json:"job_id"`
	State   jobs.State `json:"state"`
	Message string     `json:"message"`
}

// Run implements [Plan].
func (p cancelPlan) Run(ctx context.Context, _ Caller, release func()) (Result, error) {
	release()
	bounded, stop := context.WithTimeout(ctx, cancelWait)
	defer stop()
	j, err := p.env.Jobs.Cancel(bounded, p.job.Owner, p.job.ID)
	if err != nil && bounded.Err() == nil {
		return Result{}, err
	}
	v := cancelView{Job: j.ID, State: j.State, Message: p.verdict(j)}
	return Result{Text: v.Message + "\nJob: " + j.ID, Structured: v, JobID: j.ID}, nil
}

func (p cancelPlan) verdict(j jobs.Job) string {
	switch {
	case errors.Is(j.Err, jobs.ErrUnverified):
		return "The job was given up, but ComfyUI did not confirm that it stopped: it may still run there."
	case j.State == jobs.Cancelled && p.job.Over():
		return "The job was cancelled before."
	case j.State == jobs.Cancelled:
		return "The job is cancelled."
	case j.State == jobs.Succeeded:
		return "Too late: the job had succeeded. status shows its pictures."
	case j.Over():
		return "Nothing to stop: the job had ended as " + string(j.State) + "."
	case j.Progress.Unreachable:
		return "ComfyUI does not answer at present. The job is stopped as soon as it does; ask status."
	}
	return "The job is being stopped; ComfyUI has not confirmed it yet. Ask status."
}
