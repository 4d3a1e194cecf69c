package jobs_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/jobs"
)

// T53, LIM-03: at its end, and once, a job tells what of its cost it took; the record says the same.
func TestSettle_T53(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		end  func(*testing.T, *bench, jobs.Job, *run)
		want float64
	}{
		"all of it":           {func(_ *testing.T, _ *bench, _ jobs.Job, r *run) { r.succeed(1) }, 20},
		"nothing at all":      {func(t *testing.T, b *bench, j jobs.Job, _ *run) { t.Helper(); b.cancel(t, j) }, 0},
		"what ran until then": {func(t *testing.T, b *bench, j jobs.Job, r *run) { t.Helper(); r.quarter(); b.cancel(t, j) }, 5},
		"what its failure cost": {func(_ *testing.T, _ *bench, _ jobs.Job, r *run) {
			r.quarter()
			r.end(comfy.Result{State: comfy.Failed, Err: &comfy.ExecutionError{Class: "KSampler"}})
		}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(b *bench) {
				t := b.t
				s := b.spec("ann", "c1")
				var told []float64
				s.Settle = func(work float64) { told = append(told, work) }
				j := b.start(t, s)
				r := b.server.run(t, 0)
				synctest.Wait()
				if len(told) > 0 {
					t.Fatal("a job that runs was settled")
				}
				tc.end(t, b, j, r)
				b.ended(t, j)
				if !slices.Equal(told, []float64{tc.want}) {
					t.Errorf("told %v, want %v once", told, tc.want)
				}
				if rec := b.record(t, j); rec.Cost != tc.want {
					t.Errorf("the record says %v", rec.Cost)
				}
			})
		})
	}
}

// An owner's own number of jobs at once goes before the setting's; 0 is none.
func TestLine_ownPerOwner(t *testing.T) {
	t.Parallel()
	own := map[string]int{"three": 3, "none": 0}
	caps := func(c *jobs.Config, s *server) {
		c.PerOwner, c.InFlight, s.slots = 1, 9, 9
		c.OwnPerOwner = func(owner string) (int, bool) { n, ok := own[owner]; return n, ok }
	}
	inBubble(t, caps, func(b *bench) {
		t := b.t
		var waiting []jobs.Job
		for _, owner := range []string{"three", "none", "other"} {
			for n := range 4 {
				j := b.start(t, b.spec(owner, fmt.Sprint(owner, n)))
				if owner == "none" {
					waiting = append(waiting, j)
				}
			}
		}
		synctest.Wait()
		if got := b.server.submitted(); got != 4 {
			t.Errorf("%d jobs were submitted, want 3 and 1", got)
		}
		for _, j := range waiting {
			b.cancel(t, j)
		}
		for n := range 8 {
			b.server.run(t, n).succeed(1)
			synctest.Wait()
		}
	})
}

// LIM-09: an owner of large jobs gets no more of ComfyUI than one of small ones.
func TestLine_LIM09_byWork(t *testing.T) {
	t.Parallel()
	inBubble(t, func(_ *jobs.Config, s *server) { s.slots = 0 }, func(b *bench) {
		t := b.t
		var order []string
		b.server.onSubmit = func(r *run) error {
			prefix, _ := r.graph["out"].Inputs["filename_prefix"].(string)
			order = append(order, prefix)
			return nil
		}
		for n := range 2 {
			for owner, cost := range map[string]float64{"large": 100, "small": 25} {
				s := b.spec(owner, fmt.Sprint(owner, n))
				s.Cost = cost
				s.Graph["out"].Inputs["filename_prefix"] = s.CallID
				b.start(t, s)
			}
		}
		synctest.Wait()
		b.server.open(1)
		for n := range 4 {
			b.server.run(t, n).succeed(1)
			synctest.Wait()
		}
		if len(order) != 4 || order[0] != "small0" || order[1] != "small1" {
			t.Errorf("order %v", order)
		}
	})
}

func (r *run) quarter() {
	r.set(comfy.Progress{State: comfy.Running, Class: "KSampler", Step: 5, Steps: 20, Fraction: 0.25})
	synctest.Wait()
}

func (b *bench) cancel(t *testing.T, j jobs.Job) {
	t.Helper()
	if _, err := b.Cancel(t.Context(), j.Owner, j.ID); err != nil {
		t.Fatal(err)
	}
}
