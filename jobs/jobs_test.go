package jobs_test

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/engine"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
)

func TestNew_refusesWhatIsMissing(t *testing.T) {
	t.Parallel()
	full := jobs.Config{Servers: newServer(1), Pictures: &pictures{}, Record: &recorder{}}
	for name, change := range map[string]func(*jobs.Config){
		"Servers":  func(c *jobs.Config) { c.Servers = nil },
		"Pictures": func(c *jobs.Config) { c.Pictures = nil },
		"Record":   func(c *jobs.Config) { c.Record = nil },
		"negative": func(c *jobs.Config) { c.Timeout = -1 },
	} {
		cfg := full
		change(&cfg)
		if _, err := jobs.New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: error %v", name, err)
		}
	}
}

// T27, CLIENT-FAIL-20, AUD-17: one job from the line to its record.
func TestStart_succeeds(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		seed := uint64(7)
		s := b.spec("ann", "c1")
		s.Count, s.Seed, s.Expect = 2, &seed, images.Bounds{Width: 64}
		j := b.start(t, s)
		if !regexp.MustCompile(`^[a-z2-7]{26}$`).MatchString(j.ID) || j.State != jobs.Queued {
			t.Errorf("job %q is %s", j.ID, j.State)
		}
		if b.releases("c1") != 0 {
			t.Error("the place in the queue was given back before the job was submitted")
		}
		r := b.server.run(t, 0)
		time.Sleep(time.Second)
		if b.releases("c1") != 1 {
			t.Error("a submitted job keeps its place in the queue")
		}
		r.set(comfy.Progress{State: comfy.Running, Class: "KSampler", Step: 3, Steps: 20, Fraction: 0.1, Preview: []byte("p"), PreviewMIME: "image/jpeg"})
		synctest.Wait()
		j, err := b.Get(t.Context(), "ann", j.ID)
		if err != nil || j.State != jobs.Running || j.PromptID != r.id {
			t.Fatalf("job is %s with prompt %q, %v", j.State, j.PromptID, err)
		}
		want := jobs.Progress{Step: 3, Steps: 20, Node: "KSampler", Fraction: 0.1, Preview: []byte("p"), PreviewMIME: "image/jpeg"}
		if diff := cmp.Diff(want, j.Progress); diff != "" {
			t.Error(diff)
		}
		if got := b.Stats(); got != (jobs.Stats{Running: 1}) {
			t.Errorf("Stats = %+v", got)
		}
		time.Sleep(3 * time.Second)
		r.succeed(2)
		j = b.ended(t, j)
		if j.State != jobs.Succeeded || j.Err != nil || j.Progress.Fraction != 1 || j.Progress.Preview != nil {
			t.Errorf("job ended %+v", j)
		}
		if len(j.Images) != 2 || j.Images[0].Owner != "ann" || j.Images[0].JobID != j.ID || *j.Images[0].Seed != 7 || j.Images[0].Backend != "comfyui" {
			t.Errorf("pictures %+v", j.Images)
		}
		if got := b.pictures.bounds[0]; got.Width != 64 {
			t.Errorf("pictures were held to %+v", got)
		}
		rec := b.record(t, j)
		if rec.Status != "succeeded" || rec.PromptID != r.id || rec.Cost != 20 || rec.Principal != "ann" || rec.DurationMS != 3000 ||
			!slices.Equal(rec.Outputs, []string{j.Images[0].SHA256, j.Images[1].SHA256}) {
			t.Errorf("record %+v", rec)
		}
		if len(b.server.deleted) != 0 {
			t.Error("history was purged though nobody asked")
		}
	})
}

// A job that was never seen running has a start and an end all the same.
func TestStart_endsAtOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		j := b.start(t, b.spec("ann", "c1"))
		r := b.server.run(t, 0)
		time.Sleep(time.Minute)
		r.set(comfy.Progress{State: comfy.Succeeded})
		r.succeed(1)
		if j = b.ended(t, j); j.Started.IsZero() || j.Ended.Sub(j.Started) > time.Second {
			t.Errorf("started %v, ended %v", j.Started, j.Ended)
		}
	})
}

// SC-51: who is to fetch the pictures of a job that was left to its server finds them by its history.
func TestClose_SC51_keepsHistoryOfDetached(t *testing.T) {
	t.Parallel()
	inBubble(t, func(c *jobs.Config, _ *server) { c.PurgeHistory = true }, func(b *bench) {
		t := b.t
		b.start(t, b.spec("ann", "c1"))
		b.server.run(t, 0).set(comfy.Progress{State: comfy.Running})
		if err := b.Close(t.Context()); err != nil || len(b.server.deleted) != 0 {
			t.Errorf("Close: %v; deleted %v", err, b.server.deleted)
		}
	})
}

// SC-51.
func TestStart_SC51_purgesHistory(t *testing.T) {
	t.Parallel()
	purge := func(c *jobs.Config, _ *server) { c.PurgeHistory = true }
	inBubble(t, purge, func(b *bench) {
		t := b.t
		b.server.onView = func(comfy.Output) error {
			if len(b.server.deleted) > 0 {
				return errors.New("history went before the picture was fetched")
			}
			return nil
		}
		j := b.start(t, b.spec("ann", "c1"))
		r := b.server.run(t, 0)
		r.succeed(1)
		if j = b.ended(t, j); j.State != jobs.Succeeded {
			t.Error(j.Err)
		}
		if !slices.Equal(b.server.deleted, []string{r.id}) {
			t.Errorf("deleted %v, want %s alone", b.server.deleted, r.id)
		}
	})
}

// SC-32, T26: whose job it is not, to them it does not exist.
func TestManager_SC32_ownerBound(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		j := b.start(t, b.spec("ann", "c1"))
		r := b.server.run(t, 0)
		ctx := t.Context()
		for _, id := range []string{j.ID, strings.Repeat("a", 26), "", "../ann/" + j.ID, j.ID + "\x00"} {
			for owner, try := range map[string]func() (jobs.Job, error){
				"get":    func() (jobs.Job, error) { return b.Get(ctx, "bob", id) },
				"cancel": func() (jobs.Job, error) { return b.Cancel(ctx, "bob", id) },
				"watch": func() (jobs.Job, error) {
					return b.Watch(ctx, "bob", id, func(jobs.Job) { t.Error("a stranger sees the job") })
				},
			} {
				if got, err := try(); !errors.Is(err, jobs.ErrNotFound) || err.Error() != jobs.ErrNotFound.Error() || got.ID != "" {
					t.Errorf("%s %q: %+v, %v", owner, id, got, err)
				}
			}
		}
		for _, owner := range []string{"bob", "", "an", "ann/"} {
			if got := b.List(ctx, owner, 10); len(got) != 0 {
				t.Errorf("List(%q) = %v", owner, got)
			}
		}
		if r.stops() != 0 {
			t.Error("a stranger's cancel reached the server")
		}
		r.succeed(1)
		b.ended(t, j)
		if _, err := b.Get(ctx, "bob", j.ID); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("ended job: %v", err)
		}
	})
}

func TestList_newestFirst(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		var want []string
		for _, call := range []string{"c1", "c2", "c3"} {
			j := b.start(t, b.spec("ann", call))
			b.start(t, b.spec("bob", "b"+call))
			want = slices.Insert(want, 0, j.ID)
			time.Sleep(time.Second)
		}
		b.server.run(t, 0).succeed(1)
		var got []string
		for _, j := range b.List(t.Context(), "ann", 10) {
			got = append(got, j.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("List = %v, want %v", got, want)
		}
		if got := b.List(t.Context(), "ann", 2); len(got) != 2 || got[0].ID != want[0] {
			t.Errorf("the newest two: %v", got)
		}
	})
}

func TestStart_failures(t *testing.T) {
	t.Parallel()
	broken := &comfy.ExecutionError{Class: "KSampler", Exception: "ValueError"}
	onePicture := func(r *run) { r.succeed(1) }
	tests := map[string]struct {
		prepare func(b *bench)
		end     func(r *run) // nil: it is not submitted
		state   jobs.State
		err     string // end of it
		cost    float64
	}{
		"refused": {
			prepare: func(b *bench) {
				b.server.onSubmit = func(*run) error { return &comfy.RejectedError{Type: "bad", Nodes: []comfy.NodeFault{{Node: "out"}}} }
			},
			state: jobs.Failed, err: "rejects the graph: bad",
		},
		"not reached": {
			prepare: func(b *bench) { b.server.onSubmit = func(*run) error { return comfy.ErrUnreachable } },
			state:   jobs.Failed, err: comfy.ErrUnreachable.Error(),
		},
		"fails half-way": {
			end: func(r *run) {
				r.set(comfy.Progress{State: comfy.Running, Fraction: 0.5})
				synctest.Wait()
				r.end(comfy.Result{State: comfy.Failed, Err: broken})
			},
			state: jobs.Failed, err: broken.Error(), cost: 10,
		},
		"fails without a reason": {
			end:   func(r *run) { r.end(comfy.Result{State: comfy.Failed}) },
			state: jobs.Failed, err: "gave no reason",
		},
		"lost": {
			end:   func(r *run) { r.end(comfy.Result{State: comfy.Lost}) },
			state: jobs.Lost, err: jobs.ErrLost.Error(),
		},
		"stopped by somebody": {
			end:   func(r *run) { r.end(comfy.Result{State: comfy.Cancelled}) },
			state: jobs.Cancelled, err: jobs.ErrInterrupted.Error(),
		},
		"no picture": {end: func(r *run) { r.succeed(0) }, state: jobs.Failed, err: "expected 1 pictures, the run gave 0"},
		"too many":   {end: func(r *run) { r.succeed(3) }, state: jobs.Failed, err: "expected 1 pictures, the run gave 3"},
		"not a picture": {
			prepare: func(b *bench) { b.pictures.err = &images.TypeError{Got: "text/html"} },
			end:     onePicture,
			state:   jobs.Failed, err: "but text/html",
		},
		"not fetched": {
			prepare: func(b *bench) { b.server.onView = func(comfy.Output) error { return comfy.ErrProtocol } },
			end:     onePicture,
			state:   jobs.Failed, err: "fetching a result: " + comfy.ErrProtocol.Error(),
		},
		"panics": {
			prepare: func(b *bench) { b.server.onSubmit = func(*run) error { panic("boom") } },
			state:   jobs.Failed, err: "panic: boom",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(b *bench) {
				t := b.t
				if tt.prepare != nil {
					tt.prepare(b)
				}
				j := b.start(t, b.spec("ann", "c1"))
				if tt.end != nil {
					tt.end(b.server.run(t, 0))
				}
				j = b.ended(t, j)
				if j.State != tt.state || j.Err == nil || !strings.HasSuffix(j.Err.Error(), tt.err) {
					t.Errorf("job is %s with %v, want %s with %s", j.State, j.Err, tt.state, tt.err)
				}
				if rec := b.record(t, j); rec.Status != string(tt.state) || rec.Code != "OTHER" || rec.Cost != tt.cost {
					t.Errorf("record %+v", rec)
				}
				// Others go on.
				b.server.onSubmit, b.server.onView, b.pictures.err = nil, nil, nil
				next := b.start(t, b.spec("ann", "c2"))
				b.server.run(t, b.server.submitted()).succeed(1)
				if next = b.ended(t, next); next.State != jobs.Succeeded {
					t.Errorf("the next job is %s with %v", next.State, next.Err)
				}
			})
		})
	}
}

func TestStart_savingFails(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		b.pictures.save = errors.New("disk full")
		j := b.start(t, b.spec("ann", "c1"))
		b.server.run(t, 0).succeed(1)
		if j = b.ended(t, j); j.State != jobs.Succeeded || !errors.Is(j.SaveErr, b.pictures.save) {
			t.Errorf("job is %s, SaveErr %v", j.State, j.SaveErr)
		}
	})
}

// A record that cannot be written delays no one: the audit log refuses the next call itself.
func TestStart_recordFails(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		b.recorder.err = errors.New("disk full")
		j := b.start(t, b.spec("ann", "c1"))
		b.server.run(t, 0).succeed(1)
		if j = b.ended(t, j); j.State != jobs.Succeeded {
			t.Errorf("job is %s", j.State)
		}
	})
}

func TestStart_noRoom(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*jobs.Config, *server){
		"in line":      func(c *jobs.Config, _ *server) { c.Queue = engine.NewLines(0) },
		"in the store": func(c *jobs.Config, _ *server) { c.Store = engine.NewMemory[jobs.Job](0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, change)
				if _, err := b.Start(t.Context(), b.spec("ann", "c1")); !errors.Is(err, engine.ErrFull) {
					t.Errorf("error %v", err)
				}
				if b.released["c1"] != 1 || len(b.recorder.all()) != 0 || b.Stats() != (jobs.Stats{}) {
					t.Errorf("place given back %d times, %d records, %+v", b.released["c1"], len(b.recorder.all()), b.Stats())
				}
				if err := b.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestWatch(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		j := b.start(t, b.spec("ann", "c1"))
		r := b.server.run(t, 0)
		r.set(comfy.Progress{State: comfy.Running})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		calls := 0
		got, err := b.Watch(ctx, "ann", j.ID, func(jobs.Job) {
			if calls++; calls > 1 {
				return
			}
			for i := range 100 { // while the watcher is busy
				r.set(comfy.Progress{State: comfy.Running, Step: i + 1, Steps: 100})
				synctest.Wait()
			}
		})
		if err != nil || got.State != jobs.Running || got.Progress.Step != 100 {
			t.Errorf("Watch = %s at step %d, %v", got.State, got.Progress.Step, err)
		}
		if calls != 2 {
			t.Errorf("changed was called %d times, want the hundred changes as one", calls)
		}
		r.succeed(1)
		if got := b.ended(t, j); got.State != jobs.Succeeded {
			t.Errorf("the job did not run on: %s", got.State)
		}
		if got := b.ended(t, j); got.State != jobs.Succeeded {
			t.Errorf("watching an ended job: %s", got.State)
		}
	})
}

func TestProgress_unreachable(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		j := b.start(t, b.spec("ann", "c1"))
		r := b.server.run(t, 0)
		for _, away := range []bool{false, true, false} {
			r.set(comfy.Progress{State: comfy.Running, Unreachable: away})
			synctest.Wait()
			if got, _ := b.Get(t.Context(), "ann", j.ID); got.State != jobs.Running || got.Progress.Unreachable != away {
				t.Errorf("job is %s, unreachable %v, want %v", got.State, got.Progress.Unreachable, away)
			}
		}
		r.set(comfy.Progress{State: comfy.Running, Unreachable: true})
		r.end(comfy.Result{State: comfy.Lost})
		if j = b.ended(t, j); j.State != jobs.Lost || j.Progress.Unreachable {
			t.Errorf("job is %s, unreachable %v", j.State, j.Progress.Unreachable)
		}
	})
}
