package main

import (
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/comfy/emulator"
)

// endsWithin is how long a process may take to end in order (design.md: 5 s, and a moment for a busy machine).
const endsWithin = 8 * time.Second

// A started is a call that its job keeps from ending.
type started struct {
	*agent

	job  string
	done chan parting
}

// A parting is how a call ended.
type parting struct {
	answer
	err error
}

// begin calls generate, waiting for a job that does not end by itself, and returns when the job runs.
func (a *agent) begin(t *testing.T) *started {
	t.Helper()
	s := &started{agent: a, done: make(chan parting, 1)}
	go func() {
		out, err := a.try(t.Context(), "generate", forever())
		s.done <- parting{out, err}
	}()
	s.job = a.running(t)
	return s
}

// slow is a ComfyUI whose jobs only a cancel ends.
func slow(t *testing.T) *comfyUI {
	t.Helper()
	return newComfyUI(t, emulator.Options{StepTime: never})
}

// TestShutdown: told to end in the middle of a job, a process ends in time, leaves or stops the job as the operator wants, and closes
// its record with a last line.
func TestShutdown(t *testing.T) {
	t.Parallel()
	ways := map[string]func(*testing.T, *agent){
		"SIGTERM": func(t *testing.T, a *agent) { t.Helper(); a.signal(t, syscall.SIGTERM) },
		"SIGINT":  func(t *testing.T, a *agent) { t.Helper(); a.signal(t, os.Interrupt) },
		"the end of stdin": func(t *testing.T, a *agent) {
			t.Helper()
			if err := a.stdin.Close(); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, way := range ways {
		for _, transport := range []string{"stdio", "http", "sse"} {
			if transport != "stdio" && name != "SIGTERM" {
				continue
			}
			for policy, end := range map[string]string{"detach": "detached", "cancel": "cancelled"} {
				t.Run(strings.Join([]string{name, transport, policy}, ", "), func(t *testing.T) {
					t.Parallel()
					u := slow(t)
					w := newWorld(t, append(unlimited(), u.on(), "COMFYGATE_JOBS__ON_DISCONNECT="+policy)...)
					s := w.by(t, transport).begin(t)
					began := time.Now()
					way(t, s.agent)
					if code := s.wait(t); code != exitOK {
						t.Errorf("exit code %d", code)
					}
					if took := time.Since(began); took > endsWithin {
						t.Errorf("it took %v to end", took)
					}
					if last := <-s.done; last.err != nil || !strings.Contains(last.text, s.job) && policy == "detach" {
						t.Errorf("the caller is left without an answer: %v, %s", last.err, last.text)
					}
					list := w.records(t)
					ends := where(list, func(r audit.Record) bool { return r.Kind == audit.JobEnd && r.JobID == s.job })
					if len(ends) != 1 || ends[0].Status != end {
						t.Errorf("the job's end: %+v, want %s", ends, end)
					}
					if last := list[len(list)-1]; last.Kind != audit.Stop {
						t.Errorf("the last record: %+v", last)
					}
					w.whole(t)
					if left := u.left(t); (left == 0) != (policy == "cancel") {
						t.Errorf("%d jobs are left at ComfyUI", left)
					}
				})
			}
		}
	}
}

// TestShutdown_idle: without work it ends at once.
func TestShutdown_idle(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"stdio", "http"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, embedded)
			a := w.by(t, transport)
			a.picture(t, "a cat")
			began := time.Now()
			a.signal(t, syscall.SIGTERM)
			if code := a.wait(t); code != exitOK {
				t.Errorf("exit code %d", code)
			}
			if took := time.Since(began); took > endsWithin/2 {
				t.Errorf("it took %v to end", took)
			}
			w.whole(t)
		})
	}
}

// TestShutdown_twice: a second signal ends it now. Nothing that was written is lost.
func TestShutdown_twice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, append(unlimited(), slow(t).on(), "COMFYGATE_JOBS__ON_DISCONNECT=cancel")...)
	site := w.http(t)
	s := site.streamable(t).begin(t)
	s.signal(t, syscall.SIGTERM)
	eventually(t, "the first signal is heard", func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(site.url, "http://"))
		if err == nil {
			_ = conn.Close() // nothing was sent
		}
		return err != nil
	})
	began := time.Now()
	s.signal(t, syscall.SIGTERM)
	if code := s.wait(t); code != exitNow {
		t.Errorf("exit code %d", code)
	}
	if took := time.Since(began); took > endsWithin/4 {
		t.Errorf("it took %v to end", took)
	}
	if out := w.run(t, "audit", "verify"); out.code != audit.ExitOK {
		t.Errorf("audit verify: %d: %s", out.code, out.err)
	}
}

// TestShutdown_killed: what a killed process left open, the next one closes, and says so.
func TestShutdown_killed(t *testing.T) {
	t.Parallel()
	u := slow(t)
	w := newWorld(t, u.on())
	s := w.stdio(t).begin(t)
	left := s.must(t, "generate", args{"prompt": "a dog", "wait_seconds": 0}).job(t)
	if err := s.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	s.wait(t)
	if out := w.run(t, "audit", "verify"); out.code != audit.ExitOK || !strings.Contains(out.out, "1 calls and 1 jobs open") {
		t.Errorf("audit verify after the kill: %d\n%s%s", out.code, out.out, out.err)
	}
	next := w.stdio(t)
	next.refused(t, "status", args{"job_id": s.job}, "JOB_NOT_FOUND")
	if code := next.leave(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	w.whole(t)
	crashed := where(w.records(t), func(r audit.Record) bool { return r.Status == audit.StatusCrashed })
	if !slices.ContainsFunc(crashed, func(r audit.Record) bool { return r.Kind == audit.Outcome && r.Tool == "generate" }) {
		t.Errorf("the call is not closed: %+v", crashed)
	}
	if !slices.ContainsFunc(crashed, func(r audit.Record) bool { return r.Kind == audit.JobEnd && r.JobID == left }) {
		t.Errorf("the job is not closed: %+v", crashed)
	}
}
