package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/jobs"
)

// LIM-09, T54: one who asks for much does not hold up one who asks for little.
func TestLine_LIM09_fairBetweenOwners(t *testing.T) {
	t.Parallel()
	one := func(_ *jobs.Config, s *server) { s.slots = 0 }
	inBubble(t, one, func(b *bench) {
		t := b.t
		var order []string
		b.server.onSubmit = func(r *run) error {
			prefix, _ := r.graph["out"].Inputs["filename_prefix"].(string)
			order = append(order, prefix)
			return nil
		}
		start := func(owner string, n int) {
			s := b.spec(owner, fmt.Sprint(owner, n))
			s.Graph["out"].Inputs["filename_prefix"] = s.CallID
			b.start(t, s)
		}
		for n := range 4 {
			start("flood", n)
		}
		start("ann", 0)
		start("bob", 0)
		b.server.open(1)
		for n := range 6 {
			b.server.run(t, n).succeed(1)
		}
		synctest.Wait()
		if want := []string{"flood0", "ann0", "bob0", "flood1", "flood2", "flood3"}; !slices.Equal(order, want) {
			t.Errorf("order %v, want %v", order, want)
		}
	})
}

// SC-50: jobs above a cap wait, none is refused.
func TestLine_SC50_caps(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		slots, perOwner, inFlight int
		owners                    []string
		want                      int
	}{
		"per owner":  {slots: 9, perOwner: 2, inFlight: 9, owners: []string{"ann", "ann", "ann", "ann"}, want: 2},
		"in flight":  {slots: 9, perOwner: 9, inFlight: 4, owners: []string{"a", "b", "c", "d", "e", "f"}, want: 4},
		"per server": {slots: 2, perOwner: 9, inFlight: 9, owners: []string{"a", "b", "c", "d"}, want: 2},
		"defaults":   {slots: 9, owners: []string{"ann", "ann", "ann", "bob", "bob", "bob", "cat"}, want: 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caps := func(c *jobs.Config, s *server) { c.PerOwner, c.InFlight, s.slots = tt.perOwner, tt.inFlight, tt.slots }
			inBubble(t, caps, func(b *bench) {
				t := b.t
				for i, owner := range tt.owners {
					b.start(t, b.spec(owner, fmt.Sprint(i)))
				}
				synctest.Wait()
				if got := b.server.submitted(); got != tt.want {
					t.Errorf("%d jobs were submitted, want %d", got, tt.want)
				}
				for n := range tt.owners {
					b.server.run(t, n).succeed(1)
				}
				synctest.Wait()
				if got := b.Stats(); got.Ended != len(tt.owners) {
					t.Errorf("%+v, want all ended", got)
				}
				if b.server.most > tt.want {
					t.Errorf("up to %d at once, want %d", b.server.most, tt.want)
				}
			})
		})
	}
}

func TestLine_position(t *testing.T) {
	t.Parallel()
	inBubble(t, func(_ *jobs.Config, s *server) { s.slots = 1 }, func(b *bench) {
		t := b.t
		first := b.start(t, b.spec("ann", "c0"))
		r := b.server.run(t, 0)
		r.set(comfy.Progress{State: comfy.Pending, Position: 5}) // other programs use the server too
		a1, a2, bob := b.start(t, b.spec("ann", "c1")), b.start(t, b.spec("ann", "c2")), b.start(t, b.spec("bob", "c3"))
		synctest.Wait()
		positions := func() (got [4]int) {
			for i, j := range []jobs.Job{first, a1, bob, a2} {
				j, err := b.Get(t.Context(), j.Owner, j.ID)
				if err != nil {
					t.Fatal(err)
				}
				got[i] = j.Progress.Position
			}
			return got
		}
		if got, want := positions(), [4]int{5, 2, 3, 4}; got != want {
			t.Errorf("positions %v, want %v", got, want)
		}
		r.set(comfy.Progress{State: comfy.Running})
		synctest.Wait()
		if got, want := positions(), [4]int{0, 1, 2, 3}; got != want {
			t.Errorf("positions once the first runs %v, want %v", got, want)
		}
		moved := make(chan int, 10)
		watch, stop := context.WithCancel(t.Context())
		go func() {
			defer close(moved)
			_, _ = b.Watch(watch, "ann", a2.ID, func(j jobs.Job) { moved <- j.Progress.Position })
		}()
		synctest.Wait()
		if _, err := b.Cancel(t.Context(), "bob", bob.ID); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		stop()
		var got []int
		for p := range moved {
			got = append(got, p)
		}
		if want := []int{3, 2}; !slices.Equal(got, want) {
			t.Errorf("a waiting job's watcher was told %v, want %v", got, want)
		}
	})
}

func TestLine_queueTimeout(t *testing.T) {
	t.Parallel()
	t.Run("in our line", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(_ *jobs.Config, s *server) { s.slots = 0 }, func(b *bench) {
			t := b.t
			j := b.ended(t, b.start(t, b.spec("ann", "c1")))
			if took := j.Ended.Sub(j.Created); j.State != jobs.Failed || !errors.Is(j.Err, jobs.ErrQueueTimeout) || took != time.Hour {
				t.Errorf("job is %s with %v after %v", j.State, j.Err, took)
			}
			if rec := b.record(t, j); rec.Cost != 0 {
				t.Errorf("it cost %v", rec.Cost)
			}
		})
	})
	t.Run("at the server", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(_ *jobs.Config, s *server) { s.slots = 0 }, func(b *bench) {
			t := b.t
			j := b.start(t, b.spec("ann", "c1"))
			time.Sleep(30 * time.Minute)
			b.server.open(1)
			r := b.server.run(t, 0)
			r.set(comfy.Progress{State: comfy.Pending, Position: 3})
			j = b.ended(t, j)
			if took := j.Ended.Sub(j.Created); !errors.Is(j.Err, jobs.ErrQueueTimeout) || took != time.Hour || r.stops() != 1 {
				t.Errorf("job ended with %v after %v, %d cancels", j.Err, took, r.stops())
			}
		})
	})
}

// SC-56: time counts from the start of execution; the job is stopped at the server.
func TestTimeout_SC56(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		j := b.start(t, b.spec("ann", "c1"))
		r := b.server.run(t, 0)
		time.Sleep(50 * time.Minute)
		r.set(comfy.Progress{State: comfy.Running, Fraction: 0.25})
		j = b.ended(t, j)
		if took := j.Ended.Sub(j.Started); j.State != jobs.Failed || !errors.Is(j.Err, jobs.ErrTimeout) || took != time.Hour || r.stops() != 1 {
			t.Errorf("job is %s with %v after %v, %d cancels", j.State, j.Err, took, r.stops())
		}
		if rec := b.record(t, j); rec.Code != "GENERATION_TIMEOUT" || rec.Cost != 5 {
			t.Errorf("record %+v", rec)
		}
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	cancel := func(t *testing.T, b *bench, j jobs.Job) jobs.Job {
		t.Helper()
		got, err := b.Cancel(t.Context(), j.Owner, j.ID)
		if err != nil {
			t.Errorf("Cancel: %v", err)
		}
		return got
	}
	t.Run("in line", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(_ *jobs.Config, s *server) { s.slots = 0 }, func(b *bench) {
			t := b.t
			j := cancel(t, b, b.start(t, b.spec("ann", "c1")))
			b.server.open(2)
			synctest.Wait()
			if j.State != jobs.Cancelled || j.Err != nil || b.server.submitted() != 0 {
				t.Errorf("job is %s with %v, %d submissions", j.State, j.Err, b.server.submitted())
			}
			if again := cancel(t, b, j); again.State != jobs.Cancelled {
				t.Errorf("cancelled again it is %s", again.State)
			}
		})
	})
	t.Run("running", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			j := b.start(t, b.spec("ann", "c1"))
			r := b.server.run(t, 0)
			other := b.start(t, b.spec("ann", "c2"))
			b.server.run(t, 1)
			r.set(comfy.Progress{State: comfy.Running})
			synctest.Wait()
			if j = cancel(t, b, j); j.State != jobs.Cancelled || r.stops() != 1 {
				t.Errorf("job is %s, %d cancels", j.State, r.stops())
			}
			b.server.run(t, 1).succeed(1)
			if other = b.ended(t, other); other.State != jobs.Succeeded {
				t.Errorf("the other job is %s", other.State)
			}
		})
	})
	t.Run("while it is being submitted", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			b.server.onSubmit = func(*run) error { time.Sleep(10 * time.Second); return nil }
			j := b.start(t, b.spec("ann", "c1"))
			time.Sleep(time.Second)
			if j = cancel(t, b, j); j.State != jobs.Cancelled || b.server.run(t, 0).stops() != 1 {
				t.Errorf("job is %s: the server's copy was not stopped", j.State)
			}
		})
	})
	t.Run("while a picture is uploaded", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			b.server.onUpload = func() { time.Sleep(10 * time.Second) }
			s := b.spec("ann", "c1")
			s.Inputs = map[string]string{"in": "mine"}
			j := b.start(t, s)
			time.Sleep(time.Second)
			if j = cancel(t, b, j); j.State != jobs.Cancelled || b.server.submitted() != 0 {
				t.Errorf("job is %s, %d submissions", j.State, b.server.submitted())
			}
		})
	})
	t.Run("too late", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			b.server.onCancel = func(_ context.Context, r *run) error { r.succeed(1); return nil }
			j := b.start(t, b.spec("ann", "c1"))
			b.server.run(t, 0).set(comfy.Progress{State: comfy.Running})
			if j = cancel(t, b, j); j.State != jobs.Succeeded || len(j.Images) != 1 {
				t.Errorf("job is %s with %d pictures", j.State, len(j.Images))
			}
		})
	})
	t.Run("not confirmed", func(t *testing.T) { // CLIENT-FAIL-7
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			b.server.onCancel = func(ctx context.Context, _ *run) error { <-ctx.Done(); return ctx.Err() }
			j := b.start(t, b.spec("ann", "c1"))
			b.server.run(t, 0).set(comfy.Progress{State: comfy.Running})
			begun := time.Now()
			if j = cancel(t, b, j); j.State != jobs.Cancelled || !errors.Is(j.Err, jobs.ErrUnverified) || time.Since(begun) != time.Minute {
				t.Errorf("job is %s with %v after %v", j.State, j.Err, time.Since(begun))
			}
		})
	})
	t.Run("the server is away", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			back := false
			b.server.onCancel = func(_ context.Context, r *run) error {
				if back {
					r.end(comfy.Result{State: comfy.Cancelled})
					return nil
				}
				return comfy.ErrUnreachable
			}
			j := b.start(t, b.spec("ann", "c1"))
			r := b.server.run(t, 0)
			r.set(comfy.Progress{State: comfy.Running, Unreachable: true})
			ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
			defer stop()
			got, err := b.Cancel(ctx, "ann", j.ID)
			if !errors.Is(err, context.DeadlineExceeded) || got.State != jobs.Running || !got.Progress.Unreachable {
				t.Errorf("job is %s, unreachable %v, %v", got.State, got.Progress.Unreachable, err)
			}
			back = true
			r.set(comfy.Progress{State: comfy.Running})
			if j = b.ended(t, j); j.State != jobs.Cancelled || j.Err != nil {
				t.Errorf("job is %s with %v", j.State, j.Err)
			}
		})
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	hang := func(ctx context.Context, _ *run) error { <-ctx.Done(); return ctx.Err() }
	tests := map[string]struct {
		cancel    bool
		onCancel  func(context.Context, *run) error
		submitted string // status recorded for a submitted job
		cancels   int
	}{
		"detaches":                       {submitted: "detached"},
		"cancels":                        {cancel: true, submitted: "cancelled", cancels: 1},
		"cancels at a server that hangs": {cancel: true, onCancel: hang, submitted: "cancelled", cancels: 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			change := func(c *jobs.Config, s *server) { c.CancelOnClose, s.slots, s.onCancel = tt.cancel, 1, tt.onCancel }
			inBubble(t, change, func(b *bench) {
				t := b.t
				submitted := b.start(t, b.spec("ann", "c1"))
				r := b.server.run(t, 0)
				r.set(comfy.Progress{State: comfy.Running})
				pending := b.start(t, b.spec("ann", "c2"))
				watched := make(chan jobs.Job, 1)
				go func() { watched <- b.ended(t, submitted) }()
				synctest.Wait()
				ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
				defer stop()
				if err := b.Close(ctx); err != nil {
					t.Errorf("Close: %v", err)
				}
				if got := b.record(t, submitted); got.Status != tt.submitted {
					t.Errorf("the submitted job was recorded as %s", got.Status)
				}
				if got := b.record(t, pending); got.Status != "cancelled" || r.stops() != tt.cancels {
					t.Errorf("the pending job was recorded as %s; %d cancels at the server", got.Status, r.stops())
				}
				if got := <-watched; got.Over() != tt.cancel {
					t.Errorf("who waited was told %s", got.State)
				}
				s := b.spec("ann", "late")
				s.Release = nil
				if _, err := b.Start(t.Context(), s); !errors.Is(err, jobs.ErrClosed) {
					t.Errorf("Start after Close: %v", err)
				}
			})
		})
	}
	t.Run("while a job is being submitted", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			entered := make(chan struct{})
			b.server.onPost = func(ctx context.Context) error {
				close(entered)
				<-ctx.Done()
				return ctx.Err()
			}
			j := b.start(t, b.spec("ann", "c1"))
			<-entered
			ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
			defer stop()
			if err := b.Close(ctx); err != nil {
				t.Errorf("Close: %v", err)
			}
			if got := b.record(t, j); got.Status != "detached" || got.PromptID == "" {
				t.Errorf("record %+v", got)
			}
		})
	})
	t.Run("while a picture is fetched", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(c *jobs.Config, _ *server) { c.CancelOnClose = true }, func(b *bench) {
			t := b.t
			b.server.onView = func(comfy.Output) error { time.Sleep(time.Second); return context.Canceled }
			j := b.start(t, b.spec("ann", "c1"))
			b.server.run(t, 0).succeed(1)
			synctest.Wait()
			if err := b.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
			if got := b.record(t, j); got.Status != "detached" {
				t.Errorf("record %+v", got)
			}
		})
	})
	t.Run("with a server that does not let go", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, nil)
			release := make(chan struct{})
			b.server.onView = func(comfy.Output) error { <-release; return nil }
			b.start(t, b.spec("ann", "c1"))
			b.server.run(t, 0).succeed(1)
			synctest.Wait()
			ctx, stop := context.WithTimeout(t.Context(), 5*time.Second)
			defer stop()
			if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Close: %v", err)
			}
			close(release)
			synctest.Wait()
		})
	})
}

func TestForget(t *testing.T) {
	t.Parallel()
	few := func(c *jobs.Config, s *server) { c.Keep, c.KeepPerOwner, c.KeepFor, s.slots = 6, 4, time.Hour, 1 }
	inBubble(t, few, func(b *bench) {
		t := b.t
		n := 0
		run := func(owner string) jobs.Job {
			j := b.start(t, b.spec(owner, fmt.Sprint("c", n)))
			b.server.run(t, n).succeed(1)
			n++
			return b.ended(t, j)
		}
		first := run("bob")
		for range 5 {
			run("ann")
		}
		if got := len(b.List(t.Context(), "ann", 100)); got != 4 {
			t.Errorf("ann has %d jobs, want 4", got)
		}
		if _, err := b.Get(t.Context(), "bob", first.ID); err != nil {
			t.Errorf("ann's many jobs pushed out bob's: %v", err)
		}
		for range 3 {
			run("cat")
		}
		if got := b.Stats().Ended; got != 6 {
			t.Errorf("%d jobs are kept, want 6", got)
		}
		time.Sleep(time.Hour)
		if got := len(b.List(t.Context(), "cat", 100)); got != 0 {
			t.Errorf("after an hour %d jobs are kept", got)
		}
	})
}

// SC-50: whatever happens at once, no cap is passed, no place is lost.
func TestManager_SC50_race(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *jobs.Config, s *server) { c.PerOwner, c.InFlight, s.slots = 2, 4, 3 })
	b.server.onSubmit = func(r *run) error {
		go r.succeed(1)
		return nil
	}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			owner := fmt.Sprint("owner", i%7)
			s := b.spec(owner, fmt.Sprint(i))
			j, err := b.Start(t.Context(), s)
			if err != nil {
				t.Error(err)
				return
			}
			if i%3 == 0 {
				j, err = b.Cancel(t.Context(), owner, j.ID)
			} else {
				j, err = b.Watch(t.Context(), owner, j.ID, func(jobs.Job) {})
			}
			if err != nil || (j.State != jobs.Succeeded && j.State != jobs.Cancelled) {
				t.Errorf("job is %s with %v, %v", j.State, j.Err, err)
			}
		})
	}
	wg.Wait()
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if b.server.busy != 0 || b.server.most > 3 || len(b.released) != 200 || len(b.recorder.all()) != 200 {
		t.Errorf("%d places taken, %d at most; %d places given back, %d records", b.server.busy, b.server.most, len(b.released), len(b.recorder.all()))
	}
}
