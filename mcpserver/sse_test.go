package mcpserver_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/comfygate/comfygate/tools"
)

// A listener is an open HTTP+SSE connection.
type listener struct {
	*client
	post   string // path to post to
	events chan message
	hangUp context.CancelFunc
}

func listen(tb testing.TB, c *client) *listener {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	res, err := c.http.Do(c.request(ctx, http.MethodGet, "/sse", ""))
	if err != nil {
		tb.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		tb.Fatalf("GET /sse: %d", res.StatusCode)
	}
	l := &listener{client: c, events: make(chan message, 1000), hangUp: cancel}
	sc := bufio.NewScanner(res.Body)
	sc.Buffer(nil, 16<<20)
	data := func() string {
		for sc.Scan() {
			if text, ok := strings.CutPrefix(sc.Text(), "data: "); ok {
				return text
			}
		}
		return ""
	}
	l.post = data()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(l.events)
		for text := data(); text != ""; text = data() {
			var m message
			if json.Unmarshal([]byte(text), &m) == nil {
				l.events <- m
			}
		}
	})
	tb.Cleanup(func() {
		cancel()
		res.Body.Close() //nolint:errcheck // a test's
		wg.Wait()
	})
	return l
}

func (l *listener) send(body string) reply {
	l.t.Helper()
	return l.do(l.request(l.t.Context(), http.MethodPost, l.post, body))
}

func (l *listener) ask(body string) message {
	l.t.Helper()
	if r := l.send(body); r.status != http.StatusAccepted {
		l.t.Fatalf("%d %s", r.status, r.body)
	}
	return receive(l.t, "the answer", l.events)
}

// TestSSE_MCP12_drop: a stream that drops ends the calls that run on it (BUG-09, T14), which learn that nobody asked for that.
func TestSSE_MCP12_drop(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newSet(t, []tools.Tool{makeTool("generate", g.work())}, nil)
	l := listen(t, s.client(t, s.site(t), "alice"))
	l.ask(initializeMessage)
	l.send(callLine("1", "generate", `{"prompt":"x"}`))
	receive(t, "the call", g.began)
	l.hangUp()
	if err := receive(t, "the call's end", g.ended); !errors.Is(err, tools.ErrCallerGone) {
		t.Errorf("cause %v", err)
	}
	waitFor(t, "the connection to be forgotten", func() bool {
		_, streams, conns, running := s.server.Open()
		return streams+conns+running == 0
	})
	if got := s.record.kinds(); len(got) != 2 || got[1] != "outcome error CANCELLED" {
		t.Errorf("records %q", got)
	}
}

// TestSSE_order: steps before answers, and no tool before initialize.
func TestSSE_order(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{makeTool("generate", progressing(3))}, nil)
	l := listen(t, s.client(t, s.site(t), "alice"))
	if r := l.send(callLine("1", "generate", `{"prompt":"x"}`)); r.status != http.StatusBadRequest || r.last(t).Error == nil {
		t.Errorf("before initialize: %d %s", r.status, r.body)
	}
	l.ask(initializeMessage)
	for i := range 100 {
		l.send(callLine(fmt.Sprint(i), "generate", `{"prompt":"x"}`))
		steps(t, 3, func() message { return receive(t, "an event", l.events) })
	}
}

// TestSSE_cancel: its own calls, by the notification.
func TestSSE_cancel(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newSet(t, []tools.Tool{makeTool("generate", g.work())}, nil)
	ts := s.site(t)
	alice, mallory := listen(t, s.client(t, ts, "alice")), listen(t, s.client(t, ts, "alice"))
	alice.ask(initializeMessage)
	mallory.ask(initializeMessage)
	alice.send(callLine("1", "generate", `{"prompt":"x"}`))
	receive(t, "the call", g.began)
	note := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}`
	mallory.send(note) // another connection, even of the same person, has other ids
	select {
	case err := <-g.ended:
		t.Fatalf("ended by another connection: %v", err)
	default:
	}
	alice.send(note)
	if err := receive(t, "the call's end", g.ended); !errors.Is(err, tools.ErrCancelRequested) {
		t.Errorf("cause %v", err)
	}
}

// TestSSE_MCP08_foreign: a connection's id is of use to its owner only, and answers like one that is not there.
func TestSSE_MCP08_foreign(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, func(s *set) { s.cfg.Bounds.RequestBytes = 1000 })
	ts := s.site(t)
	l := listen(t, s.client(t, ts, "alice"))
	if id := strings.TrimPrefix(l.post, "/message?sessionId="); len(id) != 52 {
		t.Errorf("endpoint %q", l.post)
	}
	mallory := s.client(t, ts, "mallory")
	send := func(path, body string, header ...string) reply {
		return mallory.do(mallory.request(t.Context(), http.MethodPost, path, body, header...))
	}
	foreign := send(l.post, initializeMessage)
	for _, path := range []string{"/message", "/message?sessionId=", "/message?sessionId=x"} {
		if r := send(path, initializeMessage); r.status != http.StatusNotFound || r.body != foreign.body || foreign.status != r.status {
			t.Errorf("%s: %d %s, another's: %d %s", path, r.status, r.body, foreign.status, foreign.body)
		}
	}
	for name, tc := range map[string]struct {
		body   string
		header []string
		want   int
	}{
		"too large":  {strings.Repeat(" ", 1001), nil, http.StatusRequestEntityTooLarge},
		"wrong type": {initializeMessage, []string{"Content-Type", "text/plain"}, http.StatusUnsupportedMediaType},
		"no JSON":    {"x", nil, http.StatusBadRequest},
		"batch":      {"[]", nil, http.StatusBadRequest},
	} {
		if r := l.do(l.request(t.Context(), http.MethodPost, l.post, tc.body, tc.header...)); r.status != tc.want {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
}

// TestSSE_basePath: behind a proxy that takes a prefix off, clients post below it.
func TestSSE_basePath(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, func(s *set) { s.cfg.BasePath = "/pictures/" })
	if l := listen(t, s.client(t, s.site(t), "alice")); !strings.HasPrefix(l.post, "/pictures/message?sessionId=") {
		t.Errorf("endpoint %q", l.post)
	}
}

// TestSSE_closing: a server that ends its sessions ends the streams.
func TestSSE_closing(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, nil)
	l := listen(t, s.client(t, s.site(t), "alice"))
	s.server.CloseSessions(t.Context())
	if _, ok := <-l.events; ok {
		t.Error("an event after the end")
	}
}
