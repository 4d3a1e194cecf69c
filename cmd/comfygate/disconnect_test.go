package main

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/comfygate/comfygate/audit"
)

// TestT14_drop: when the stream to a waiting caller is cut, the job runs on or is cancelled, as the operator wants.
func TestT14_drop(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"http", "sse"} {
		for _, policy := range []string{"detach", "cancel"} {
			t.Run(by+", "+policy, func(t *testing.T) {
				t.Parallel()
				u := slow(t)
				w := newWorld(t, append(unlimited(), u.on(), "COMFYGATE_JOBS__ON_DISCONNECT="+policy)...)
				s := w.http(t)
				watcher := s.streamable(t) // of the same principal
				cut := s.dropping(t, by)
				id := watcher.running(t)
				cut()
				if policy == "cancel" {
					eventually(t, "the job is cancelled", func() bool { return watcher.job(t, id).State == "cancelled" })
					if left := u.left(t); left != 0 {
						t.Errorf("%d jobs are left at ComfyUI", left)
					}
				} else {
					eventually(t, "the call has its outcome", func() bool {
						return len(where(w.records(t), func(r audit.Record) bool { return r.Kind == audit.Outcome && r.Tool == "generate" })) == 1
					})
					if j := watcher.job(t, id); j.State != "running" {
						t.Errorf("the job: %+v", j)
					}
					watcher.must(t, "cancel", args{"job_id": id})
				}
				s.bury(t)
				w.whole(t)
			})
		}
	}
}

// dropping calls generate over a stream of its own and returns what cuts that, without a word.
func (s *site) dropping(t *testing.T, by string) (cut func()) {
	t.Helper()
	if by == "sse" {
		a := s.sse(t)
		ctx, cancel := context.WithCancel(t.Context())
		t.Cleanup(cancel)
		go func() { _, _ = a.try(ctx, "generate", forever()) }() // it is cut
		return func() { _ = a.c.Close() }                        // as above
	}
	session := s.get(t, http.MethodPost, "/mcp", hello).Header.Get("Mcp-Session-Id")
	s.get(t, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","method":"notifications/initialized"}`, "Mcp-Session-Id", session)
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/mcp", strings.NewReader(
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"generate","_meta":{"progressToken":"p"},"arguments":{"prompt":"a cat","width":64,"height":64,"wait_seconds":300}}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Mcp-Session-Id", session)
	heard := make(chan string, 1)
	go func() {
		res, err := http.DefaultClient.Do(req) //nolint:forbidigo // nothing of it is wanted but a connection
		if err != nil {
			heard <- err.Error()
			return
		}
		defer res.Body.Close()                                //nolint:errcheck // it is cut
		line, _ := bufio.NewReader(res.Body).ReadString('\n') // it is cut
		heard <- line
		<-ctx.Done()
	}()
	if line := <-heard; !strings.HasPrefix(line, "event:") {
		t.Fatalf("no stream but %q", line)
	}
	return cancel
}

// forever are the arguments of a call that waits as long as may be.
func forever() args {
	return args{"prompt": "a cat", "width": 64, "height": 64, "steps": 8, "wait_seconds": 300}
}

// running waits for a job to run and returns its id.
func (a *agent) running(t *testing.T) (id string) {
	t.Helper()
	eventually(t, "the job runs", func() bool {
		for _, j := range a.report(t).Jobs {
			if j.State == "running" {
				id = j.ID
			}
		}
		return id != ""
	})
	return id
}

// ask calls a tool in a request with an id of the test's, for [agent.takeBack]. Its answer is for who reads the channel.
func (a *agent) ask(t *testing.T, id, tool string, in args) <-chan error {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	answered := make(chan error, 1)
	go func() {
		_, err := a.c.GetTransport().SendRequest(ctx, transport.JSONRPCRequest{
			JSONRPC: mcp.JSONRPC_VERSION, ID: mcp.NewRequestId(id), Method: string(mcp.MethodToolsCall),
			Params: map[string]any{"name": tool, "arguments": in, "_meta": map[string]any{"progressToken": id}},
		})
		answered <- err
	}()
	return answered
}

// takeBack sends the notification that cancels a request.
func (a *agent) takeBack(t *testing.T, id string) {
	t.Helper()
	var n mcp.JSONRPCNotification
	n.JSONRPC, n.Method = mcp.JSONRPC_VERSION, string(mcp.MethodNotificationCancelled)
	n.Params.AdditionalFields = map[string]any{"requestId": id, "reason": "not wanted any more"}
	if err := a.c.GetTransport().SendNotification(soon(t), n); err != nil {
		t.Fatal(err)
	}
}

// TestT14_cancelled: who takes back the call that made a job stops the job, whatever happens to those of vanished callers. Who takes
// back a call of status stops waiting, and nothing else.
func TestT14_cancelled(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"stdio", "http", "sse"} {
		for _, policy := range []string{"detach", "cancel"} {
			t.Run(by+", "+policy, func(t *testing.T) {
				t.Parallel()
				u := slow(t)
				w := newWorld(t, append(unlimited(), u.on(), "COMFYGATE_JOBS__ON_DISCONNECT="+policy)...)
				a := w.by(t, by)
				answered := a.ask(t, "call-1", "generate", forever())
				id := a.running(t)
				a.ask(t, "call-2", "status", args{"job_id": id, "wait_seconds": 300})
				eventually(t, "status waits", func() bool { return len(a.told("call-2")) > 0 })
				a.takeBack(t, "call-2")
				a.outcome(t, w, "status")
				if j := a.job(t, id); j.State != "running" {
					t.Errorf("after status was taken back: %+v", j)
				}
				a.takeBack(t, "call-1")
				a.outcome(t, w, "generate")
				if j := a.job(t, id); j.State != "cancelled" {
					t.Errorf("after generate was taken back: %+v", j)
				}
				if left := u.left(t); left != 0 {
					t.Errorf("%d jobs are left at ComfyUI", left)
				}
				select {
				case err := <-answered:
					if err == nil {
						t.Error("a request that was taken back is answered")
					}
				default:
				}
				a.end(t)
				w.whole(t)
			})
		}
	}
}

// outcome waits for the outcome of a call that was taken back.
func (*agent) outcome(t *testing.T, w *world, tool string) {
	t.Helper()
	eventually(t, tool+" has its outcome", func() bool {
		return len(where(w.records(t), func(r audit.Record) bool {
			return r.Kind == audit.Outcome && r.Tool == tool && r.Code == "CANCELLED"
		})) == 1
	})
}

// unlimited is the environment in which a test may poll.
func unlimited() []string {
	return []string{
		"COMFYGATE_RATELIMIT__GENERATE_PER_MINUTE=off", "COMFYGATE_RATELIMIT__GLOBAL_PER_MINUTE=off", "COMFYGATE_RATELIMIT__STATUS_PER_MINUTE=off",
	}
}
