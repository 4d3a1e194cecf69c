package comfy_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/comfy"
)

func cancelWithin(t *testing.T, r *comfy.Run, d time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return r.Cancel(ctx)
}

// CLIENT-FAIL-8, SC-56: pending, running, ended; exactly one job, and never an interrupt for all (the fake sees to that).
func TestCancel_CLIENT_FAIL_8(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		c := f.client()
		runs := []*comfy.Run{submit(t, c), submit(t, c), submit(t, c)}
		f.begin(f.job(0))
		if err := cancelWithin(t, runs[1], time.Minute); err != nil { // pending
			t.Fatal(err)
		}
		if res := result(t, runs[1]); res.State != comfy.Cancelled || res.Err != nil {
			t.Errorf("pending: %s, %v", res.State, res.Err)
		}
		if f.job(0).state != "running" || f.job(2).state != "pending" {
			t.Fatalf("others are %s and %s", f.job(0).state, f.job(2).state)
		}
		began := time.Now()
		if err := cancelWithin(t, runs[0], time.Minute); err != nil { // running
			t.Fatal(err)
		}
		if res := result(t, runs[0]); res.State != comfy.Cancelled || time.Since(began) > 100*time.Millisecond {
			t.Errorf("running: %s after %v", res.State, time.Since(began))
		}
		before := len(f.requests())
		if err := cancelWithin(t, runs[0], time.Minute); err != nil || len(f.requests()) != before { // ended
			t.Errorf("ended: %v, %d requests", err, len(f.requests())-before)
		}
		if f.job(2).state != "pending" {
			t.Errorf("the third is %s", f.job(2).state)
		}
	})
}

// CLIENT-FAIL-8: the job begins between the delete and the look: it is interrupted, not given up.
func TestCancel_race(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		r := submit(t, f.client())
		moved := false
		move := func(w http.ResponseWriter, _ *http.Request) {
			if !moved {
				moved = true
				f.begin(f.job(0)) // it was pending when asked, it runs when answered
			}
			f.on("POST /queue", nil)
			f.on("POST /jobs/"+r.PromptID()+"/*", nil)
			if f.jobsAPI {
				reply(w, http.StatusOK, map[string]bool{"cancelled": false})
			}
		}
		f.on("POST /queue", move)
		f.on("POST /jobs/"+r.PromptID()+"/*", move)
		if err := cancelWithin(t, r, time.Minute); err != nil {
			t.Fatal(err)
		}
		if res := result(t, r); res.State != comfy.Cancelled || !moved {
			t.Errorf("%s", res.State)
		}
	})
}

// The job ends by itself before it can be stopped: it has that end.
func TestCancel_tooLate(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		r := submit(t, f.client())
		f.begin(f.job(0))
		f.record(f.job(0), "execution_success", picture("a.png"), nil)
		if err := cancelWithin(t, r, time.Minute); err != nil {
			t.Fatal(err)
		}
		if res := result(t, r); res.State != comfy.Succeeded || len(res.Outputs) != 1 {
			t.Errorf("%s", res.State)
		}
	})
}

// CLIENT-FAIL-7: a node that obeys nothing: three tries, then patience until the caller's deadline, and the run is still followed.
func TestCancel_stubborn(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		r := submit(t, f.client())
		f.begin(f.job(0))
		f.mu.Lock()
		f.jobs[0].stubborn = true
		f.mu.Unlock()
		if err := cancelWithin(t, r, time.Minute); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		route := map[bool]string{true: "/jobs/", false: "/interrupt"}[f.jobsAPI]
		if n := f.count("POST", route); n != 3 {
			t.Errorf("told %d times", n)
		}
		f.end(f.job(0), "execution_interrupted", nil)
		if res := result(t, r); res.State != comfy.Cancelled {
			t.Errorf("%s", res.State)
		}
	})
}

// The server is away: the cancel says so at its deadline, and holds: what is gone when the server comes back was cancelled.
func TestCancel_unreachable(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		r := submit(t, f.client())
		f.begin(f.job(0))
		f.pipes.turn(true)
		err := cancelWithin(t, r, 10*time.Second)
		if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, comfy.ErrUnreachable) {
			t.Errorf("%v", err)
		}
		f.forget()
		f.pipes.turn(false)
		if res := result(t, r); res.State != comfy.Cancelled {
			t.Errorf("%s", res.State)
		}
	})
}

// A server with the jobs API of before 0.26 has no cancel in it.
func TestCancel_oldJobsAPI(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		r := submit(t, f.client())
		f.on("POST /jobs/"+r.PromptID()+"/*", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusMethodNotAllowed) })
		f.begin(f.job(0))
		if err := cancelWithin(t, r, time.Minute); err != nil || result(t, r).State != comfy.Cancelled {
			t.Errorf("%v", err)
		}
		for _, s := range f.requests() {
			if s.path == "/interrupt" && !strings.Contains(s.body, r.PromptID()) {
				t.Errorf("interrupt %s", s.body)
			}
		}
	})
}

// Servers below the floor read no id in an interrupt and stop whatever runs: none is sent unless the run is the one.
func TestCancel_belowTheFloor(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		f.jobsAPI = false
		c := f.client()
		first, second := submit(t, c), submit(t, c)
		f.begin(f.job(0))
		f.on("POST /queue", func(http.ResponseWriter, *http.Request) {}) // it obeys late
		err := cancelWithin(t, second, 3*time.Second)
		if !errors.Is(err, context.DeadlineExceeded) || f.count("POST", "/interrupt") != 0 {
			t.Errorf("%v, %d interrupts", err, f.count("POST", "/interrupt"))
		}
		if p := first.Progress(); p.State != comfy.Running {
			t.Errorf("the other is %s", p.State)
		}
	})
}
