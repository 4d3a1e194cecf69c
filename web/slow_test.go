package web_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/tools"
)

// TestWeb_T05_body: too large a body is refused before a byte of it is read, and within 100 ms; a chunked one at the limit (MCP-03).
func TestWeb_T05_body(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) { h.web.RequestBytes, h.mcp.Bounds.RequestBytes = 1000, 1000 })
	conn := h.dial(t)
	began := time.Now()
	conn.send(t, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 1073741824\r\n\r\n")
	status := conn.status(t)
	if status != http.StatusRequestEntityTooLarge || time.Since(began) > patience/2 {
		t.Errorf("%d after %v", status, time.Since(began))
	}
	conn = h.dial(t)
	conn.send(t, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n%s\r\n", strings.Repeat(" ", 1001))
	if status := conn.status(t); status != http.StatusRequestEntityTooLarge {
		t.Errorf("chunked: %d", status)
	}
}

// A wire is a raw connection.
type wire struct {
	net.Conn
	r *bufio.Reader
}

func (h *house) dial(t *testing.T) *wire {
	t.Helper()
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() }) //nolint:errcheck // a test's
	return &wire{conn, bufio.NewReader(conn)}
}

// send writes what a client would.
func (w *wire) send(t *testing.T, format string, args ...any) {
	t.Helper()
	if _, err := fmt.Fprintf(w, format, args...); err != nil {
		t.Fatal(err)
	}
}

// status reads an answer's head and returns its status. The body is left to be read, or not.
func (w *wire) status(t *testing.T) int {
	t.Helper()
	res, err := http.ReadResponse(w.r, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := res.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode
}

// ends reports whether the other side closes the connection.
func (w *wire) ends() bool {
	_, err := io.Copy(io.Discard, w.r)
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

// TestWeb_T12_slow: headers and bodies that trickle are cut off, idle connections end, connections and headers are bounded.
func TestWeb_T12_slow(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) {
		h.web.HeaderTimeout, h.web.BodyTimeout, h.web.IdleTimeout = 200*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
		h.web.HeaderBytes = 8 << 10
	})
	slow := h.dial(t)
	slow.send(t, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
	if !slow.ends() {
		t.Error("a slow header is waited for")
	}
	body := h.dial(t)
	body.send(t, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
	if status := body.status(t); status != http.StatusBadRequest || !body.ends() {
		t.Errorf("a slow body: %d", status)
	}
	idle := h.dial(t)
	idle.send(t, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if status := idle.status(t); status != http.StatusOK || !idle.ends() {
		t.Error("an idle connection is kept")
	}
	large := h.dial(t)
	large.send(t, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Large: %s\r\n\r\n", strings.Repeat("x", 16<<10))
	if status := large.status(t); status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("large headers: %d", status)
	}
}

// TestWeb_bodyThenLongCall: the time a body may take does not end the call that it asks for.
func TestWeb_bodyThenLongCall(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) {
		h.web.BodyTimeout = 50 * time.Millisecond
		h.mcp.Tools = []tools.Tool{tool("slow", func(ctx context.Context) error {
			select {
			case <-time.After(300 * time.Millisecond):
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})}
	})
	session := h.do(t, http.MethodPost, "/mcp", initialize).header.Get("Mcp-Session-Id")
	got := h.do(t, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"slow"}}`, "Mcp-Session-Id", session)
	if got.status != http.StatusOK || !strings.Contains(got.body, "done") {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestWeb_T12_connections: at most so many at once; the next is served when one has gone.
func TestWeb_T12_connections(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) { h.web.Connections = 2 })
	ask := func(w *wire) { w.send(t, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") }
	one, two, three := h.dial(t), h.dial(t), h.dial(t)
	for _, w := range []*wire{one, two} {
		ask(w)
		w.status(t)
	}
	ask(three)
	if err := three.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := three.r.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a third connection is served: %v", err)
	}
	one.Close() //nolint:errcheck // a test's
	if err := three.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	three.r.Reset(three.Conn)
	if status := three.status(t); status != http.StatusOK {
		t.Errorf("%d", status)
	}
}

// TestWeb_clientStopsReading: who does not read holds nothing for good.
func TestWeb_clientStopsReading(t *testing.T) {
	t.Parallel()
	h := open(t, func(h *house) {
		h.web.Links, h.web.WriteTimeout = bigLinks{}, 100*time.Millisecond
	})
	w := h.dial(t)
	w.send(t, "GET /images/big HTTP/1.1\r\nHost: localhost\r\n\r\n")
	time.Sleep(300 * time.Millisecond) // and reads nothing meanwhile
	n, err := io.Copy(io.Discard, w.r)
	if n >= big || err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

const big = 256 << 20

type bigLinks struct{}

func (bigLinks) Open(string) (io.ReadSeekCloser, images.Served, error) {
	return closer{io.NewSectionReader(zeros{}, 0, big)}, images.Served{ID: "x", Name: "x.png", Type: "image/png", Picture: true}, nil
}

type zeros struct{}

func (zeros) ReadAt(p []byte, _ int64) (int, error) { return len(p), nil }

// TestWeb_MCP30_shutdown: with open streams of every kind and a running call, the way down is in order and in time (BUG-11).
func TestWeb_MCP30_shutdown(t *testing.T) {
	t.Parallel()
	began, finish := make(chan struct{}), make(chan struct{})
	h := open(t, func(h *house) {
		h.mcp.Tools = []tools.Tool{tool("slow", func(ctx context.Context) error {
			close(began)
			select {
			case <-finish:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})}
	})
	session := h.do(t, http.MethodPost, "/mcp", initialize).header.Get("Mcp-Session-Id")
	var streams []*wire
	for _, head := range []string{
		"GET /mcp HTTP/1.1\r\nHost: localhost\r\nMcp-Session-Id: " + session + "\r\n\r\n",
		"GET /sse HTTP/1.1\r\nHost: localhost\r\n\r\n",
	} {
		w := h.dial(t)
		w.send(t, "%s", head)
		if line, err := w.r.ReadString('\n'); err != nil || line != "HTTP/1.1 200 OK\r\n" {
			t.Fatalf("%q %v", line, err)
		}
		streams = append(streams, w)
	}
	answer := make(chan reply, 1)
	go func() {
		answer <- h.do(t, http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"slow"}}`, "Mcp-Session-Id", session)
	}()
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	down := make(chan error, 1)
	go func() { down <- h.server.Shutdown(ctx) }()
	for { // nobody gets in any more
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", h.addr)
		if err != nil {
			break
		}
		conn.Close() //nolint:errcheck // a test's
		time.Sleep(time.Millisecond)
	}
	close(finish)
	if got := <-answer; !strings.Contains(got.body, "done") {
		t.Errorf("the running call: %s", got.body)
	}
	h.clients.CloseIdleConnections()
	if err := <-down; err != nil {
		t.Error(err)
	}
	for _, w := range streams {
		if !w.ends() {
			t.Error("a stream goes on")
		}
	}
}

// TestWeb_MCP30_bounded: a call that does not end is cut off when the time is over, with its outcome recorded.
func TestWeb_MCP30_bounded(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	h := open(t, func(h *house) {
		h.mcp.Tools = []tools.Tool{tool("endless", func(ctx context.Context) error {
			close(began)
			<-ctx.Done()
			return context.Cause(ctx)
		})}
	})
	session := h.do(t, http.MethodPost, "/mcp", initialize).header.Get("Mcp-Session-Id")
	w := h.dial(t)
	body := `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"endless"}}`
	w.send(t, "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nMcp-Session-Id: %s\r\nContent-Length: %d\r\n\r\n%s", session, len(body), body)
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	at := time.Now()
	if err := h.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if d := time.Since(at); d > patience/2 {
		t.Errorf("took %v", d)
	}
	deadline := time.Now().Add(patience)
	for len(h.record.of("endless")) == 0 && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if list := h.record.of("endless"); len(list) != 1 || list[0].Code != "CANCELLED" {
		t.Errorf("records %+v", list)
	}
}
