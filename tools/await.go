package tools

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/comfygate/comfygate/jobs"
)

// stopGrace bounds how long a call that its caller gave up still waits for its job to be stopped.
const stopGrace = 10 * time.Second

// await follows job j until it is over or the wait, counted from the call's arrival, is. It tells progress meanwhile. The end of the
// wait is no error: the job runs on. ctx's end is not either; see [Env.abandon].
func (e *Env) await(ctx context.Context, c Caller, j jobs.Job, wait time.Duration) (jobs.Job, error) {
	if j.Over() || wait == 0 {
		return j, nil
	}
	ctx, cancel := context.WithDeadline(ctx, c.Arrived.Add(wait))
	defer cancel()
	return e.Jobs.Watch(ctx, j.Owner, j.ID, reporter(c.Notify))
}

// reporter tells progress of jobs to notify, of a hundred: strictly increasing, as MCP wants it, also where only the words change. The
// last hundredth is the end's.
func reporter(notify func(Progress)) func(jobs.Job) {
	if notify == nil {
		return func(jobs.Job) {}
	}
	const (
		total = 100
		nudge = 0.001
	)
	last, said := -nudge, ""
	return func(j jobs.Job) {
		done, message := min(j.Progress.Fraction, 1)*(total-1), stage(j)
		if j.Over() {
			done = total
		}
		if done <= last && message == said {
			return
		}
		if done = max(done, last+nudge); done > total {
			return // the job's pieces were too many
		}
		last, said = done, message
		notify(Progress{Done: done, Total: total, Message: message})
	}
}

// stage says in a few words where a job is.
func stage(j jobs.Job) string {
	p := j.Progress
	switch {
	case j.Over():
		return string(j.State)
	case p.Unreachable:
		return "ComfyUI does not answer; waiting for it"
	case j.State == jobs.Queued && p.Position > 1:
		return "waiting, " + count(p.Position-1, "job") + " ahead"
	case j.State == jobs.Queued:
		return "waiting, next in line"
	case p.Steps > 1:
		return fmt.Sprintf("step %d of %d", p.Step, p.Steps)
	case p.Node != "":
		return "running " + clean(p.Node, 60)
	}
	return "running"
}

// abandon decides about the job of a call whose context ended: it is stopped where the caller asked for that, or went away and the
// operator wants its jobs stopped; else, also where the call's own time was over, it runs on. The error it returns is the call's.
func (e *Env) abandon(ctx context.Context, c Caller, j jobs.Job) error {
	if ctx.Err() == nil || j.Over() {
		return nil
	}
	if _, stop := e.leaves(ctx, c); !stop {
		return nil // an answer that the job runs on, to whom it may reach
	}
	owed, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	if _, err := e.Jobs.Cancel(owed, j.Owner, j.ID); err != nil {
		return fmt.Errorf("stopping the job of a cancelled call: %w", errors.Join(err, context.Canceled))
	}
	return context.Canceled
}

// leaves tells whether ctx's end means that the caller left the call, and whether its job is to be stopped then.
func (e *Env) leaves(ctx context.Context, c Caller) (gone, stop bool) {
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrCancelRequested):
		return true, true
	case errors.Is(cause, ErrCallerGone):
		return true, e.Settings.CancelOnDisconnect
	case errors.Is(cause, context.Canceled):
		asked := c.Transport == "stdio"
		return true, asked || e.Settings.CancelOnDisconnect
	}
	return false, false
}
