package comfy_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
)

// tiny is a graph of three nodes.
func tiny() comfy.Graph {
	return comfy.Graph{
		"1": {ClassType: "EmptyImage", Inputs: map[string]any{"width": 64, "height": 64}},
		"3": {ClassType: "KSampler", Inputs: map[string]any{"image": comfy.Link{Node: "1"}, "seed": uint64(18446744073709551615)}},
		"9": {ClassType: "SaveImage", Inputs: map[string]any{"images": comfy.Link{Node: "3"}}},
	}
}

func submit(t *testing.T, c *comfy.Client) *comfy.Run {
	t.Helper()
	r, err := c.Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	return r
}

func result(t *testing.T, r *comfy.Run) comfy.Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	res, err := r.Result(ctx)
	if err != nil {
		t.Fatalf("no end: %v; progress %+v", err, r.Progress())
	}
	return res
}

// dialects runs a test against a server without and with the jobs API, on a fake clock.
func dialects(t *testing.T, test func(f *fake)) {
	t.Helper()
	for _, d := range []struct {
		name string
		jobs bool
	}{{"queue and history", false}, {"jobs API", true}} {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, "/comfy/ui")
				f.jobsAPI = d.jobs
				test(f)
			})
		})
	}
}

// CLIENT-WS-7, CLIENT-WS-8, CLIENT-FAIL-3: a cached job ends before the POST is answered.
func TestRun_endsBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		f.placed = func(j *fakeJob) {
			f.begin(j)
			f.end(j, "execution_success", picture("a_00001_.png"))
		}
		began := time.Now()
		res := result(t, submit(t, f.client()))
		if took := time.Since(began); took > 50*time.Millisecond {
			t.Errorf("took %v", took)
		}
		want := []comfy.Output{{Node: "9", Kind: "images", Filename: "a_00001_.png", Type: "output"}}
		if diff := cmp.Diff(want, res.Outputs); diff != "" || res.State != comfy.Succeeded || res.Err != nil {
			t.Errorf("state %s, err %v, outputs %s", res.State, res.Err, diff)
		}
		if res.Duration != 2500*time.Millisecond {
			t.Errorf("duration %v, the server says 2.5 s", res.Duration)
		}
	})
}

// CLIENT-WS-7: the history comes later than the word of success; the follower asks again at once, not after a poll's time.
func TestRun_historyIsLate(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		f.placed = func(j *fakeJob) {
			f.begin(j)
			f.tell(j.client, "execution_success", map[string]any{"prompt_id": j.id})
			go func() {
				time.Sleep(350 * time.Millisecond)
				f.record(j, "execution_success", picture("a.png"), nil)
			}()
		}
		began := time.Now()
		res := result(t, submit(t, f.client()))
		if took := time.Since(began); res.State != comfy.Succeeded || took > 700*time.Millisecond {
			t.Errorf("%s after %v", res.State, took)
		}
	})
}

// CLIENT-FAIL-1, CLIENT-WS-12: nothing is heard of the run, and its end is known all the same, within a poll's time.
func TestRun_deafSocket(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		c := f.client()
		r := submit(t, c)
		j := f.job(0)
		f.mu.Lock()
		j.state = "running"
		f.mu.Unlock()
		time.Sleep(20 * time.Second)
		if p := r.Progress(); p.State != comfy.Running {
			t.Errorf("state %s, want running from a poll", p.State)
		}
		f.record(j, "execution_success", picture("a.png"), nil)
		ended := time.Now()
		res := result(t, r)
		if took := time.Since(ended); res.State != comfy.Succeeded || took > 5*time.Second {
			t.Errorf("%s, %v after the end", res.State, took)
		}
		// The socket proved deaf, so the next run gets another.
		time.Sleep(3 * time.Second)
		submit(t, c)
		if a, b := j.client, f.job(1).client; a == b {
			t.Error("the deaf connection's client id is used again")
		}
	})
}

// CLIENT-WS-11, CLIENT-WS-13, CLIENT-TIME-3: the socket is cut in the middle. The run is polled, new runs have a fresh client id.
func TestRun_socketIsCut(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		c := f.client()
		r := submit(t, c)
		j := f.job(0)
		f.begin(j)
		f.dropSockets()
		time.Sleep(5 * time.Second)
		f.await("the reconnect", func() bool { return len(f.hellos) == 2 })
		submit(t, c)
		if f.job(1).client == j.client {
			t.Error("a new run goes by the old client id")
		}
		f.record(j, "execution_success", picture("a.png"), nil)
		ended := time.Now()
		if res := result(t, r); res.State != comfy.Succeeded || time.Since(ended) > 3*time.Second {
			t.Errorf("%s after %v", res.State, time.Since(ended))
		}
	})
}

// No WebSocket at all: polling alone, quick for a quick run.
func TestRun_withoutSocket(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		f.noWS = true
		f.placed = func(j *fakeJob) { f.record(j, "execution_success", picture("a.png"), nil) }
		c := f.client()
		began := time.Now()
		if res := result(t, submit(t, c)); res.State != comfy.Succeeded || time.Since(began) > 100*time.Millisecond {
			t.Errorf("%s after %v", res.State, time.Since(began))
		}
		if again := time.Now(); result(t, submit(t, c)).State != comfy.Succeeded || time.Since(again) > 100*time.Millisecond {
			t.Error("the second run waits for a socket that was given up on")
		}
	})
}

// CLIENT-FAIL-4, CLIENT-FAIL-5, CLIENT-QUEUE-3: known nowhere, seen twice at least 2 s apart, is lost; once is not.
func TestRun_lost(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		r := submit(t, f.client())
		f.begin(f.job(0))
		time.Sleep(time.Second)
		f.forget()
		gone := time.Now()
		res := result(t, r)
		if took := time.Since(gone); res.State != comfy.Lost || took < 2*time.Second || took > 10*time.Second {
			t.Errorf("%s after %v", res.State, took)
		}
	})
}

// A run that is unknown for a moment only, while it moves from the queue to the history, goes on.
func TestRun_unknownOnce(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		r := submit(t, f.client())
		j := f.job(0)
		f.begin(j)
		f.mu.Lock()
		j.state = "gone"
		f.mu.Unlock()
		r.Poke()
		time.Sleep(1500 * time.Millisecond)
		f.mu.Lock()
		j.state = "running"
		f.mu.Unlock()
		time.Sleep(30 * time.Second)
		if p := r.Progress(); p.State != comfy.Running {
			t.Errorf("state %s", p.State)
		}
	})
}

// CLIENT-FAIL-12 and design.md "it comes back": while the server is away the run is running and unreachable, without end; within
// 10 s after the server answers again without knowing it, the run is lost.
func TestRun_serverGoesAndComesBack(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		r := submit(t, f.client())
		f.begin(f.job(0))
		time.Sleep(time.Second)
		f.pipes.turn(true)
		f.forget()
		time.Sleep(10 * time.Minute)
		if p := r.Progress(); p.State != comfy.Running || !p.Unreachable {
			t.Errorf("away: %s, unreachable %v", p.State, p.Unreachable)
		}
		f.pipes.turn(false)
		back := time.Now()
		if res := result(t, r); res.State != comfy.Lost || time.Since(back) > 10*time.Second {
			t.Errorf("%s, %v after it came back", res.State, time.Since(back))
		}
	})
}

// The server was away and still knows the run.
func TestRun_networkGoesAndComesBack(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		r := submit(t, f.client())
		f.begin(f.job(0))
		f.pipes.turn(true)
		time.Sleep(time.Minute)
		f.record(f.job(0), "execution_success", picture("a.png"), nil)
		f.pipes.turn(false)
		back := time.Now()
		if res := result(t, r); res.State != comfy.Succeeded || time.Since(back) > 3*time.Second {
			t.Errorf("%s, %v after it came back", res.State, time.Since(back))
		}
	})
}

// CLIENT-FAIL-23: a blocked node does not end the run. CLIENT-FAIL-24: an error of the run is an ExecutionError, without the
// traceback (CLIENT-WS-4).
func TestRun_blockedAndFailed(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		r := submit(t, f.client())
		j := f.job(0)
		f.begin(j)
		f.tell(j.client, "execution_error", map[string]any{"prompt_id": j.id, "exception_type": "ExecutionBlocked", "node_id": "9"})
		time.Sleep(10 * time.Second)
		if p := r.Progress(); p.State != comfy.Running {
			t.Fatalf("blocked: %s", p.State)
		}
		f.endWith(j, "execution_error", nil, map[string]any{
			"node_id": "3", "node_type": "KSampler", "exception_type": "torch.OutOfMemoryError",
			"exception_message": "no room at /srv/x\x1b[31m\n", "traceback": []string{"secret"},
		})
		res := result(t, r)
		want := &comfy.ExecutionError{Node: "3", Class: "KSampler", Exception: "torch.OutOfMemoryError", Message: "no room at /srv/x[31m"}
		var got *comfy.ExecutionError
		if res.State != comfy.Failed || !errors.As(res.Err, &got) || *got != *want {
			t.Errorf("%s, %#v", res.State, res.Err)
		}
		if !errors.Is(res.Err, comfy.ErrOutOfMemory) {
			t.Error("it is out of memory") // CLIENT-FAIL-11
		}
	})
}

// CLIENT-QUEUE-1: the place is by number, not by the order of the answer.
func TestRun_position(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		c := f.client()
		runs := []*comfy.Run{submit(t, c), submit(t, c), submit(t, c), submit(t, c)}
		f.begin(f.job(0))
		time.Sleep(3 * time.Second)
		for i, want := range []int{0, 1, 2, 3} {
			if got := runs[i].Progress().Position; got != want {
				t.Errorf("run %d is at %d, want %d", i, got, want)
			}
		}
		q, err := c.Queue(t.Context())
		if err != nil || len(q.Running) != 1 || q.Pending[0] != runs[1].PromptID() || q.Pending[2] != runs[3].PromptID() {
			t.Errorf("queue %v, %v", q, err)
		}
	})
}

// CLIENT-FAIL-6: the worker is dead: jobs wait and nothing runs.
func TestRun_stalled(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		r := submit(t, f.client())
		time.Sleep(20 * time.Second)
		if r.Progress().Stalled {
			t.Error("stalled after 20 s")
		}
		time.Sleep(20 * time.Second)
		if !r.Progress().Stalled {
			t.Error("not stalled after 40 s")
		}
		f.begin(f.job(0))
		synctest.Wait()
		if p := r.Progress(); p.Stalled || p.State != comfy.Running {
			t.Errorf("it runs: %+v", p)
		}
	})
}

// An answer about the run that can never be read ends it; a server's own trouble does not.
func TestRun_unreadable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		c := f.client(func(cfg *comfy.Config) { cfg.Limits.JSONBytes = 2000 })
		r := submit(t, c)
		f.on("GET /queue", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
		f.begin(f.job(0))
		time.Sleep(5 * time.Minute)
		if p := r.Progress(); p.State != comfy.Running || !p.Unreachable {
			t.Fatalf("trouble of the server ended the run: %+v", p)
		}
		f.on("GET /queue", nil)
		f.on("GET /history/*", func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusOK, map[string]any{"x": make([]int, 5000)})
		})
		f.record(f.job(0), "execution_success", nil, nil)
		res := result(t, r)
		var large *comfy.TooLargeError
		if res.State != comfy.Failed || !errors.As(res.Err, &large) {
			t.Errorf("%s, %v", res.State, res.Err)
		}
	})
}

// Close leaves what runs to the server, and nobody waits for ever.
func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		c := f.client()
		r := submit(t, c)
		f.begin(f.job(0))
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if res := result(t, r); res.State != comfy.Lost || !errors.Is(res.Err, comfy.ErrClosed) {
			t.Errorf("%s, %v", res.State, res.Err)
		}
		if _, err := c.Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()}); !errors.Is(err, comfy.ErrClosed) {
			t.Errorf("submit after Close: %v", err)
		}
		if _, err := c.ObjectInfo(t.Context()); !errors.Is(err, comfy.ErrClosed) {
			t.Errorf("list after Close: %v", err)
		}
		if f.count("POST", "/interrupt")+f.count("POST", "/queue") > 0 {
			t.Error("Close stopped the job")
		}
	})
}

// A proxy whose 404 has words does not make an old server's runs unknown.
func TestRun_wordy404(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		wordy := func(w http.ResponseWriter, _ *http.Request) {
			reply(w, http.StatusNotFound, map[string]any{"error": "no such page"})
		}
		f.on("GET /jobs/*", wordy)
		f.on("GET /jobs", wordy)
		r := submit(t, f.client())
		f.begin(f.job(0))
		time.Sleep(30 * time.Second)
		if p := r.Progress(); p.State != comfy.Running {
			t.Fatalf("%s", p.State)
		}
		f.end(f.job(0), "execution_success", picture("a.png"))
		began := time.Now()
		if res := result(t, r); res.State != comfy.Succeeded || time.Since(began) > 100*time.Millisecond {
			t.Errorf("%s after %v", res.State, time.Since(began))
		}
	})
}

// A status of a newer server that has no meaning here ends nothing.
func TestRun_newStatus(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		f.on("GET /jobs/*", answers(map[string]any{"status": "canceling"}))
		r := submit(t, f.client())
		time.Sleep(5 * time.Minute)
		if p := r.Progress(); p.State != comfy.Running || p.Unreachable {
			t.Errorf("%+v", p)
		}
	})
}

// CLIENT-FAIL-11: what means that there was no memory, of the graphics card or the machine.
func TestExecutionError_CLIENT_FAIL_11(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		exception, message string
		want               bool
	}{
		{"torch.OutOfMemoryError", "", true},
		{"torch.cuda.OutOfMemoryError", "", true},
		{"OOMError", "", true},
		{"MemoryError", "", true},
		{"RuntimeError", "MPS backend Out of Memory", true},
		{"RuntimeError", "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes", true},
		{"RuntimeError", "shape mismatch", false},
		{"ValueError", "out of memory", false},
	} {
		err := error(&comfy.ExecutionError{Class: "VAEDecode", Exception: row.exception, Message: row.message})
		if errors.Is(err, comfy.ErrOutOfMemory) != row.want || errors.Is(err, comfy.ErrAuth) {
			t.Errorf("%+v", row)
		}
	}
}
