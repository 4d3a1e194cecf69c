package jobs_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/jobs"
)

var operator = jobs.Stopper{Principal: "root", CallID: "op"}

// stoppedByOperator is what the end of a job that an operator stopped has to say, to its owner and in the record (SC-43).
func stoppedByOperator(t *testing.T, b *bench, j jobs.Job) {
	t.Helper()
	if j.State != jobs.Cancelled || !errors.Is(j.Err, jobs.ErrStopped) {
		t.Errorf("job of %s is %s with %v", j.Owner, j.State, j.Err)
	}
	r := b.record(t, j)
	if r.Principal != j.Owner || r.Status != "cancelled" || r.Detail["by"] != "root" || r.Detail["by_call"] != "op" {
		t.Errorf("the record of %s: %+v", j.Owner, r)
	}
}

// SC-43: what waits is dropped, of one principal or of all, at the server too; what runs goes on.
func TestDrop_SC43(t *testing.T) {
	t.Parallel()
	for owner, want := range map[string]int{"": 3, "ann": 1, "bob": 2, "eve": 0} {
		t.Run(owner, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(b *bench) {
				t := b.t
				running := b.start(t, b.spec("ann", "c1"))
				b.server.run(t, 0).set(comfy.Progress{State: comfy.Running})
				time.Sleep(time.Second)
				atServer := b.start(t, b.spec("bob", "c2"))
				b.server.run(t, 1).set(comfy.Progress{State: comfy.Pending, Position: 1})
				here := []jobs.Job{b.start(t, b.spec("ann", "c3")), b.start(t, b.spec("bob", "c4"))}
				synctest.Wait()
				if all := b.All(); len(all) != 4 || all[0].ID != running.ID || all[0].State != jobs.Running {
					t.Errorf("all jobs: %+v", all)
				}
				dropped, err := b.Drop(t.Context(), operator, owner)
				if err != nil || len(dropped) != want {
					t.Fatalf("%d jobs are dropped, want %d; %v", len(dropped), want, err)
				}
				for _, j := range dropped {
					stoppedByOperator(t, b, j)
				}
				if stops := b.server.run(t, 1).stops(); (stops == 1) != (owner == "" || owner == "bob") || b.server.run(t, 0).stops() != 0 {
					t.Errorf("the server was asked to stop %d waiting jobs, and %d that run", stops, b.server.run(t, 0).stops())
				}
				b.server.run(t, 0).succeed(1)
				if running = b.ended(t, running); running.State != jobs.Succeeded {
					t.Errorf("the running job is %s", running.State)
				}
				for _, j := range append(here, atServer) { // so that nothing is left
					if _, err := b.Cancel(t.Context(), j.Owner, j.ID); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

// SC-43: a drained manager takes in nothing until it is told to.
func TestDrain_SC43(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		running := b.start(t, b.spec("ann", "c1"))
		b.server.run(t, 0).set(comfy.Progress{State: comfy.Running})
		b.start(t, b.spec("bob", "c2"))
		b.server.run(t, 1)
		synctest.Wait()
		if b.Draining() != nil {
			t.Error("it drains before it is told to")
		}
		dropped, err := b.Drain(t.Context(), operator)
		if err != nil || len(dropped) != 1 {
			t.Fatalf("%d jobs are dropped; %v", len(dropped), err)
		}
		stoppedByOperator(t, b, dropped[0])
		if _, err := b.Start(t.Context(), b.spec("bob", "refused")); !errors.Is(err, jobs.ErrDraining) || !errors.Is(b.Draining(), jobs.ErrDraining) {
			t.Errorf("while it drains: %v", err)
		}
		b.mu.Lock()
		given := b.released["refused"]
		delete(b.released, "refused") // it has no job, and so no record
		b.mu.Unlock()
		if given != 1 {
			t.Errorf("the refused job's place was given back %d times", given)
		}
		b.server.run(t, 0).succeed(1)
		if running = b.ended(t, running); running.State != jobs.Succeeded {
			t.Errorf("the running job is %s", running.State)
		}
		b.Resume()
		again := b.start(t, b.spec("bob", "c3"))
		b.server.run(t, 2).succeed(1)
		if again = b.ended(t, again); again.State != jobs.Succeeded {
			t.Errorf("after it was resumed a job is %s", again.State)
		}
	})
}

// SC-43: one job is stopped whoever's it is, and found after its end; an unknown id stops nothing.
func TestStop_SC43(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		j := b.start(t, b.spec("ann", "c1"))
		b.server.run(t, 0).set(comfy.Progress{State: comfy.Running, Fraction: 0.5})
		synctest.Wait()
		if found, err := b.Find(t.Context(), j.ID); err != nil || found.Owner != "ann" || found.State != jobs.Running {
			t.Errorf("Find: %+v, %v", found, err)
		}
		stopped, err := b.Stop(t.Context(), operator, j.ID)
		if err != nil {
			t.Fatal(err)
		}
		stoppedByOperator(t, b, stopped)
		if again, err := b.Stop(t.Context(), operator, j.ID); err != nil || again.State != jobs.Cancelled {
			t.Errorf("stopped again it is %s, %v", again.State, err)
		}
		if _, err := b.Stop(t.Context(), operator, "unknown"); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("an unknown id: %v", err)
		}
		if own := b.record(t, j); own.Code != "OTHER" || own.Cost != 10 {
			t.Errorf("record %+v", own)
		}
	})
}

// A server that does not confirm keeps nobody waiting longer than they wait, and what is not known is not told as known.
func TestStop_SC43_unconfirmed(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		b.server.onCancel = func(ctx context.Context, _ *run) error { <-ctx.Done(); return ctx.Err() }
		j := b.start(t, b.spec("ann", "c1"))
		b.server.run(t, 0).set(comfy.Progress{State: comfy.Running})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		stopped, err := b.Stop(ctx, operator, j.ID)
		if !errors.Is(err, context.DeadlineExceeded) || stopped.Over() {
			t.Errorf("job is %s, %v", stopped.State, err)
		}
		if j = b.ended(t, j); !errors.Is(j.Err, jobs.ErrUnverified) {
			t.Errorf("job ended with %v", j.Err)
		}
		stoppedByOperator(t, b, j)
	})
}
