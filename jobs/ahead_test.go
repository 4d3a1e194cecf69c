package jobs_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/jobs"
)

// A picture that the socket names is fetched before the end is known, and is there only when the result names it, too (CLIENT-FAIL-3).
func TestAhead_isAHint(t *testing.T) {
	t.Parallel()
	first := comfy.Output{Node: "out", Kind: "images", Filename: "0.png", Type: "output"}
	for name, c := range map[string]struct {
		named  comfy.Output
		ending func(*run)
		state  jobs.State
		views  []string
	}{
		"confirmed":             {first, func(r *run) { r.succeed(1) }, jobs.Succeeded, []string{"0.png"}},
		"another":               {comfy.Output{Node: "out", Kind: "images", Filename: "old.png", Type: "output"}, func(r *run) { r.succeed(1) }, jobs.Succeeded, []string{"old.png", "0.png"}},
		"of another node":       {comfy.Output{Node: "other", Kind: "images", Filename: "x.png", Type: "temp"}, func(r *run) { r.succeed(1) }, jobs.Succeeded, []string{"0.png"}},
		"of a run that fails":   {first, func(r *run) { r.end(comfy.Result{State: comfy.Failed, Err: &comfy.ExecutionError{}}) }, jobs.Failed, []string{"0.png"}},
		"of a run that is lost": {first, func(r *run) { r.end(comfy.Result{State: comfy.Lost}) }, jobs.Lost, []string{"0.png"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(b *bench) {
				var views []string
				b.server.onView = func(o comfy.Output) error {
					views = append(views, o.Filename)
					return nil
				}
				j := b.start(b.t, b.spec("ann", "c1"))
				r := b.server.run(b.t, 0)
				r.name(c.named)
				synctest.Wait()
				if n := len(b.pictures.put); n != 0 {
					b.t.Fatalf("%d pictures are there before the end is known", n)
				}
				c.ending(r)
				j = b.ended(b.t, j)
				want := 0
				if c.state == jobs.Succeeded {
					want = 1
				}
				if j.State != c.state || len(b.pictures.put) != want || len(j.Images) != want || !slices.Equal(views, c.views) {
					b.t.Errorf("the job is %s with %d pictures, %d are there, after fetching %v; want %s, %d, %v",
						j.State, len(j.Images), len(b.pictures.put), views, c.state, want, c.views)
				}
			})
		})
	}
}

// What fails ahead, because the file is not there yet, is fetched again when it must be.
func TestAhead_failsWithoutHarm(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		views := 0
		b.server.onView = func(comfy.Output) error {
			if views++; views == 1 {
				return comfy.ErrNotFound
			}
			return nil
		}
		j := b.start(b.t, b.spec("ann", "c1"))
		r := b.server.run(b.t, 0)
		r.name(comfy.Output{Node: "out", Kind: "images", Filename: "0.png", Type: "output"})
		synctest.Wait()
		r.succeed(1)
		if j = b.ended(b.t, j); j.State != jobs.Succeeded || len(j.Images) != 1 || views != 2 {
			b.t.Errorf("the job is %s with %d pictures after %d fetches: %v", j.State, len(j.Images), views, j.Err)
		}
	})
}

// What is shown of a job is prepared of those that succeeded; a panic in it hurts nobody.
func TestShow(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		var shown atomic.Int32
		for _, c := range []struct {
			ending func(*run)
			state  jobs.State
		}{
			{func(r *run) { r.succeed(1) }, jobs.Succeeded},
			{func(r *run) { r.end(comfy.Result{State: comfy.Lost}) }, jobs.Lost},
		} {
			s := b.spec("ann", string(c.state))
			s.Show = func(_ context.Context, j jobs.Job) {
				if len(j.Images) == 1 {
					shown.Add(1)
				}
				panic("never mind")
			}
			n := b.server.submitted()
			j := b.start(b.t, s)
			c.ending(b.server.run(b.t, n))
			if j = b.ended(b.t, j); j.State != c.state {
				b.t.Errorf("the job is %s, want %s", j.State, c.state)
			}
		}
		synctest.Wait()
		if shown.Load() != 1 {
			b.t.Errorf("%d jobs were shown, want that which succeeded", shown.Load())
		}
	})
}
