package mcpserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

func local() auth.Principal {
	p := person("local", policy.Operator)
	p.Method = "stdio"
	return p
}

func callLine(id, tool, args string) string {
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + args + `,"_meta":{"progressToken":"t` + strings.Trim(id, `"`) + `"}}}`
}

// TestStdio_MCP31_concurrent: 64 slow calls at once, a cancellation that is read meanwhile, and one call too many.
func TestStdio_MCP31_concurrent(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newSet(t, []tools.Tool{makeTool("generate", g.work()), readTool("status", &work{})}, nil)
	p := s.stdio(t, local()).initialize()
	for i := range 64 {
		p.send(callLine(fmt.Sprint(i), "generate", `{"prompt":"x"}`))
	}
	for range 64 {
		receive(t, "a call", g.began)
	}
	if m := p.ask(callLine("64", "status", `{}`)); m.Error == nil || string(m.ID) != "64" || !strings.Contains(m.Error.Message, "64 requests at once") {
		t.Errorf("one too many: %+v", m)
	}
	p.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`)
	if err := receive(t, "the cancelled call", g.ended); !errors.Is(err, tools.ErrCancelRequested) {
		t.Errorf("cause %v", err)
	}
	waitFor(t, "room", func() bool { _, _, _, n := s.server.Open(); return n == 63 })
	if m := p.ask(callLine("65", "status", `{}`)); string(m.ID) != "65" || m.Result == nil { // and 7 was not answered
		t.Errorf("after the cancellation: %+v", m)
	}
	if m := p.ask(callLine("8", "status", `{}`)); m.Error == nil || !strings.Contains(m.Error.Message, "still being served") {
		t.Errorf("an id in use: %+v", m)
	}
	close(g.open)
	seen := make(map[string]bool)
	for range 63 {
		seen[string(p.next().ID)] = true
	}
	if len(seen) != 63 || seen["7"] {
		t.Errorf("%d answers", len(seen))
	}
}

// TestStdio_order: a call's steps leave before its answer, the last one too (MCP-14).
func TestStdio_order(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{makeTool("generate", progressing(3))}, nil)
	p := s.stdio(t, local()).initialize()
	for i := range 300 {
		p.send(callLine(fmt.Sprint(i), "generate", `{"prompt":"x"}`))
		steps(t, 3, p.next)
	}
}

// TestStdio_beforeInitialize: no tool is served before initialize, except by revisions that have none.
func TestStdio_beforeInitialize(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{readTool("status", &work{})}, nil)
	p := s.stdio(t, local())
	if m := p.ask(callLine("1", "status", `{}`)); m.Error == nil || m.Error.Code != -32600 {
		t.Errorf("%+v", m)
	}
	if m := p.ask(`{"jsonrpc":"2.0","id":2,"method":"ping"}`); m.Error != nil {
		t.Errorf("ping: %+v", m.Error)
	}
	modern := `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"status","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`
	if m := p.ask(modern); m.Result == nil || m.Result.IsError {
		t.Errorf("modern: %+v", m)
	}
	if got := s.record.kinds(); !slices.Equal(got, []string{"decision denied -32600", "outcome ok"}) {
		t.Errorf("records %q", got)
	}
}

// TestStdio_pipelined: a client that does not wait for answers is served in order where order matters.
func TestStdio_pipelined(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{readTool("status", &work{})}, nil)
	in := strings.NewReader(initializeMessage + "\r\n\n" + `{"jsonrpc":"2.0","method":"notifications/initialized"}` + "\n" + callLine("1", "status", `{}`)) // and no end of the last line
	var out bytes.Buffer
	if err := s.server.ServeStdio(auth.NewContext(t.Context(), local()), in, &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[1], "done") {
		t.Errorf("%q", lines)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("not a message: %q", line)
		}
	}
}

// TestStdio_MCP31_longLine: of a line of 1 GiB only the limit is ever held, and the next line is served.
func TestStdio_MCP31_longLine(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{readTool("status", &work{})}, func(s *set) { s.cfg.Bounds.RequestBytes = 1 << 20 })
	p := s.stdio(t, local()).initialize()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	chunk := bytes.Repeat([]byte("a"), 1<<20)
	for range 1024 {
		if _, err := p.in.Write(chunk); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 512<<20 { // half the line: tests beside this one take memory too
		t.Errorf("the heap grew by %d MiB", grown>>20)
	}
	if m := p.ask(""); m.Error == nil || !strings.Contains(m.Error.Message, "more than 1048576 bytes") {
		t.Errorf("%+v", m)
	}
	if m := p.ask(callLine("1", "status", `{}`)); m.Result == nil {
		t.Errorf("after it: %+v", m)
	}
	if got := s.record.kinds(); !slices.Equal(got, []string{"decision denied -32600", "outcome ok"}) {
		t.Errorf("records %q", got)
	}
}

// TestStdio_refusals: each is answered, with the id where it could be read, and recorded once.
func TestStdio_refusals(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{readTool("status", &work{})}, nil)
	p := s.stdio(t, local()).initialize()
	for line, want := range map[string]struct {
		code int
		id   string
	}{
		`nonsense`: {-32700, ""},
		`[{"jsonrpc":"2.0","id":1,"method":"ping"}]`:                                       {-32600, ""},
		`{"jsonrpc":"2.0","id":5,"METHOD":"ping"}`:                                         {-32600, "5"},
		`{"jsonrpc":"2.0","id":6,"method":"tasks/get","params":{"taskId":"x"}}`:            {-32601, "6"},
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a b"}}`:           {-32602, "7"},
		`{"jsonrpc":"2.0","id":null,"method":"ping"}`:                                      {-32600, ""},
		`{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}`:                          {-32600, ""},
		`{"jsonrpc":"2.0","id":1.5,"method":"ping"}`:                                       {-32600, ""},
		`{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"x","Name":"y"}}`:  {-32600, "8"},
		`{"jsonrpc":"2.0","id":9,"method":"tools/call","params":[]}`:                       {-32600, "9"},
		`{"jsonrpc":"2.0","id":10,"method":"tools/call","params":{"name":"no_such_tool"}}`: {-32602, "10"},
	} {
		if m := p.ask(line); m.Error == nil || m.Error.Code != want.code || string(m.ID) != want.id && string(m.ID) != "null" {
			t.Errorf("%s: %+v", line, m)
		}
	}
	if n := len(s.record.records()); n != 11 {
		t.Errorf("%d records, want 11: %q", n, s.record.kinds())
	}
	// Answers to questions that were never asked, and notifications of nobody, are passed over.
	p.send(`{"jsonrpc":"2.0","id":1,"result":{}}`)
	p.send(`{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}`)
	p.send(`{"jsonrpc":"2.0","method":"notifications/no/such"}`)
	if m := p.ask(`{"jsonrpc":"2.0","id":"end","method":"ping"}`); string(m.ID) != `"end"` {
		t.Errorf("%+v", m)
	}
}

// TestStdio_end: when the client closes its side, quick calls still answer, slow ones are ended, and each leaves its outcome.
func TestStdio_end(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newSet(t, []tools.Tool{makeTool("generate", g.work())}, nil)
	p := s.stdio(t, local()).initialize()
	p.send(callLine("1", "generate", `{"prompt":"x"}`))
	receive(t, "the call", g.began)
	p.in.Close() //nolint:errcheck // a pipe's
	if err := receive(t, "the server", p.done); err != nil {
		t.Errorf("end: %v", err)
	}
	if err := receive(t, "the call's end", g.ended); !errors.Is(err, tools.ErrCallerGone) {
		t.Errorf("cause %v", err)
	}
	if got := s.record.kinds(); !slices.Equal(got, []string{"intent", "outcome error CANCELLED"}) {
		t.Errorf("records %q", got)
	}
}

// TestStdio_told: a process that is told to end does not make it look as if the person had cancelled.
func TestStdio_told(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newSet(t, []tools.Tool{makeTool("generate", g.work())}, nil)
	p := s.stdio(t, local()).initialize()
	p.send(callLine("1", "generate", `{"prompt":"x"}`))
	receive(t, "the call", g.began)
	p.stop()
	if err := receive(t, "the server", p.done); !errors.Is(err, context.Canceled) {
		t.Errorf("end: %v", err)
	}
	if err := receive(t, "the call's end", g.ended); !errors.Is(err, tools.ErrCallerGone) {
		t.Errorf("cause %v", err)
	}
}

// TestStdio_clientStopsReading: a client that reads no more ends the service, and hangs nothing.
func TestStdio_clientStopsReading(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{readTool("status", &work{})}, nil)
	inR, inW := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- s.server.ServeStdio(auth.NewContext(context.WithoutCancel(t.Context()), local()), inR, brokenPipe{})
	}()
	_, _ = io.WriteString(inW, initializeMessage+"\n")
	if err := receive(t, "the server", done); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("end: %v", err)
	}
	inW.Close() //nolint:errcheck // a pipe's
}

// TestStdio_clientGone: many calls whose answers nobody takes any more do not hold up the end.
func TestStdio_clientGone(t *testing.T) {
	t.Parallel()
	g := newGate()
	s := newSet(t, []tools.Tool{makeTool("generate", g.work())}, func(s *set) { s.cfg.Bounds.Calls = 200 })
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- s.server.ServeStdio(auth.NewContext(context.WithoutCancel(t.Context()), local()), inR, outW)
	}()
	_, _ = io.WriteString(inW, initializeMessage+"\n")
	if _, err := outR.Read(make([]byte, 4096)); err != nil {
		t.Fatal(err)
	}
	for i := range 90 { // more than the queue holds
		_, _ = io.WriteString(inW, callLine(fmt.Sprint(i), "generate", `{"prompt":"x"}`)+"\n")
		receive(t, "a call", g.began)
	}
	outR.Close() //nolint:errcheck // a pipe's
	close(g.open)
	began := time.Now()
	if err := receive(t, "the server", done); err == nil || time.Since(began) > patience/2 {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	inW.Close() //nolint:errcheck // a pipe's
}

type brokenPipe struct{}

func (brokenPipe) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestStdio_noPrincipal(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, nil)
	if err := s.server.ServeStdio(t.Context(), strings.NewReader(""), io.Discard); err == nil {
		t.Error("served nobody")
	}
}

// TestStdio_MCP32_start: a server answers its first tools/list within 60 ms of being made, ComfyUI or not: nothing is asked of it.
func TestStdio_MCP32_start(t *testing.T) {
	t.Parallel()
	w := &work{resolve: func(context.Context, tools.Caller) error { t.Error("resolved"); return nil }}
	best := time.Hour
	for range 5 { // the machine may be busy
		began := time.Now()
		s := newSet(t, []tools.Tool{makeTool("generate", w), readTool("status", w)}, nil)
		p := s.stdio(t, local()).initialize()
		if m := p.ask(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); len(m.Result.Tools) != 2 {
			t.Fatalf("%+v", m)
		}
		best = min(best, time.Since(began))
	}
	if best > 60*time.Millisecond {
		t.Errorf("took %v", best)
	}
}

// TestStdio_two: two servers in one process, as two in two, have nothing in common: mcp-go's own has one session for all.
func TestStdio_two(t *testing.T) {
	t.Parallel()
	one := newSet(t, []tools.Tool{makeTool("generate", progressing(2))}, nil).stdio(t, local()).initialize()
	two := newSet(t, []tools.Tool{readTool("status", &work{})}, nil).stdio(t, local())
	if m := two.ask(callLine("1", "status", `{}`)); m.Error == nil {
		t.Error("initialized by its neighbour")
	}
	two.initialize()
	for range 50 {
		one.send(callLine("1", "generate", `{"prompt":"x"}`))
		steps(t, 2, one.next)
	}
	if m := two.ask(callLine("2", "status", `{}`)); m.Result == nil {
		t.Errorf("heard its neighbour: %+v", m)
	}
}
