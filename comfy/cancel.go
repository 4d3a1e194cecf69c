package comfy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const (
	stops       = 3 // CLIENT-FAIL-8; an interrupt that came a moment too early is forgotten by the server
	stopGap     = 250 * time.Millisecond
	stopGapMost = 2 * time.Second
)

// Cancel stops exactly this run, pending or running, and verifies it (CLIENT-FAIL-8). It returns when the end is known
// or ctx ends; then the error holds ctx's and what kept the server from obeying, if that is known. Cancelling an ended run is no
// error, and a run that ended by itself before it could be stopped has that end.
func (r *Run) Cancel(ctx context.Context) error {
	r.mu.Lock()
	r.asked = true
	r.mu.Unlock()
	var last error
	gap := stopGap
	for told := 0; !r.ended(); {
		if told < stops {
			if last = r.c.stop(ctx, r.PromptID()); last == nil {
				told++
			}
			r.poke()
		}
		t := time.NewTimer(gap)
		select {
		case <-r.done:
		case <-t.C:
			gap = min(2*gap, stopGapMost)
		case <-ctx.Done():
			t.Stop()
			if last != nil && !errors.Is(last, ctx.Err()) {
				return fmt.Errorf("%w: %w", ctx.Err(), last)
			}
			return ctx.Err()
		}
		t.Stop()
	}
	return nil
}

// stop tells the server once: by the jobs API, which takes the job whichever way it is; else out of the queue, and if it is the
// one being run, by an interrupt that names it. Servers below the floor interrupt whatever runs, which by then is ours.
func (c *Client) stop(ctx context.Context, id string) error {
	if c.dialect.jobs.Load() != jobsMissing {
		err := c.postJSON(ctx, c.timeouts.Queue, struct{}{}, "jobs", id, "cancel")
		if code := status(err); code != http.StatusNotFound && code != http.StatusMethodNotAllowed {
			return err
		}
	}
	if err := c.postJSON(ctx, c.timeouts.Queue, deletion{[]string{id}}, "queue"); err != nil {
		return err
	}
	q, err := c.Queue(ctx)
	if err != nil || !slices.Contains(q.Running, id) || c.base.cloud && len(q.Running) > 1 {
		return err // Comfy Cloud runs several at a time, and its interrupt stops them all
	}
	return c.postJSON(ctx, c.timeouts.Queue, map[string]string{"prompt_id": id}, "interrupt")
}
