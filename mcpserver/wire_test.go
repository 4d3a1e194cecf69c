package mcpserver_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/policy"
)

func newReader(b []byte) io.ReadSeeker { return bytes.NewReader(b) }

const (
	legacyVersion = "2025-11-25"
	modernVersion = "2026-07-28"
	patience      = 30 * time.Second // the machine may be busy
)

// site serves the set's handlers; the header X-Test-User says who calls, as web would have found out.
func (s *set) site(tb testing.TB) *httptest.Server {
	tb.Helper()
	mux := http.NewServeMux()
	mux.Handle("/mcp", s.server.Streamable())
	mux.Handle("/sse", s.server.SSE())
	mux.Handle("/message", s.server.Message())
	base, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	ts := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Header.Get("X-Test-User")
		if name == "" {
			name = "alice"
		}
		role := policy.Operator
		if name == "viewer" {
			role = policy.Viewer
		}
		if name == "admin" {
			role = policy.Admin
		}
		mux.ServeHTTP(w, r.WithContext(auth.NewContext(r.Context(), person(name, role))))
	}))
	ts.Config.BaseContext = func(net.Listener) context.Context { return base }
	ts.Start()
	tb.Cleanup(func() {
		cancel()
		s.server.CloseSessions(context.WithoutCancel(tb.Context()))
		ts.Client().CloseIdleConnections()
		ts.Close()
	})
	return ts
}

// A reply is an HTTP answer, read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

// messages are the JSON-RPC messages of an answer, events or not.
func (r reply) messages(tb testing.TB) []message {
	tb.Helper()
	var list []message
	for line := range strings.Lines(r.body) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "data: ")
		if !strings.HasPrefix(line, "{") {
			continue
		}
		var m message
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			tb.Fatalf("%v in %q", err, line)
		}
		list = append(list, m)
	}
	return list
}

// last is the final message.
func (r reply) last(tb testing.TB) message {
	tb.Helper()
	list := r.messages(tb)
	if len(list) == 0 {
		tb.Fatalf("no message in %d %q", r.status, r.body)
	}
	return list[len(list)-1]
}

type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Token    any     `json:"progressToken"`
		Progress float64 `json:"progress"`
		Total    float64 `json:"total"`
		Message  string  `json:"message"`
	} `json:"params"`
	Result *struct {
		IsError bool `json:"isError"`
		Content []struct {
			Type, Text, Data, MIMEType, URI string
		} `json:"content"`
		Contents []struct {
			URI, MIMEType, Blob string
		} `json:"contents"`
		Tools             []map[string]any `json:"tools"`
		StructuredContent any              `json:"structuredContent"`
		Instructions      string           `json:"instructions"`
		Capabilities      map[string]any   `json:"capabilities"`
		TTL               int64            `json:"ttlMs"`
		CacheScope        string           `json:"cacheScope"`
	} `json:"result"`
	Error *struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	} `json:"error"`
}

// fault is the tool's error that a message carries.
func (m message) fault(tb testing.TB) fault {
	tb.Helper()
	var f fault
	if m.Result == nil || !m.Result.IsError || len(m.Result.Content) != 1 {
		tb.Fatalf("no tool error: %+v", m)
	}
	if err := json.Unmarshal([]byte(m.Result.Content[0].Text), &f); err != nil {
		tb.Fatal(err)
	}
	return f
}

type fault struct {
	Code         string   `json:"code"`
	Message      string   `json:"message"`
	Suggestions  []string `json:"suggestions"`
	Retryable    bool     `json:"retryable"`
	RetryAfterMS int64    `json:"retry_after_ms"`
	CallID       string   `json:"call_id"`
}

// A client speaks raw HTTP as one user.
type client struct {
	t       testing.TB
	base    string
	user    string
	session string // of older revisions
	modern  bool
	http    *http.Client // gives up after the tests' patience
}

func (*set) client(tb testing.TB, ts *httptest.Server, user string) *client {
	tb.Helper()
	return &client{t: tb, base: ts.URL, user: user, http: ts.Client()}
}

func (c *client) request(ctx context.Context, method, path, body string, header ...string) *http.Request {
	c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("X-Test-User", c.user)
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i+1] == "" {
			req.Header.Del(header[i])
		} else {
			req.Header.Set(header[i], header[i+1])
		}
	}
	return req
}

func (c *client) do(req *http.Request) reply {
	c.t.Helper()
	res, err := c.http.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // a test's
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

// post sends body as it is.
func (c *client) post(body string, header ...string) reply {
	c.t.Helper()
	return c.do(c.request(context.WithoutCancel(c.t.Context()), http.MethodPost, "/mcp", body, header...))
}

// initialize opens a session of the older revisions.
func (c *client) initialize() *client {
	c.t.Helper()
	r := c.post(initializeMessage)
	if c.session = r.header.Get("Mcp-Session-Id"); r.status != http.StatusOK || c.session == "" {
		c.t.Fatalf("initialize: %d %s", r.status, r.body)
	}
	return c
}

const initializeMessage = `{"jsonrpc":"2.0","id":"init","method":"initialize","params":{"protocolVersion":"` + legacyVersion +
	`","capabilities":{},"clientInfo":{"name":"test","version":"1"}}}`

// call is the message and the headers of a tool call in the client's era. token may be empty.
func (c *client) call(id, tool, args, token string) (body string, header []string) {
	meta := map[string]any{}
	if token != "" {
		meta["progressToken"] = token
	}
	if c.modern {
		meta["io.modelcontextprotocol/protocolVersion"] = modernVersion
		meta["io.modelcontextprotocol/clientCapabilities"] = map[string]any{}
		header = []string{"Mcp-Protocol-Version", modernVersion, "Mcp-Method", "tools/call", "Mcp-Name", tool, "Mcp-Session-Id", ""}
	}
	m, err := json.Marshal(meta)
	if err != nil {
		c.t.Fatal(err)
	}
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"` + tool + `","arguments":` + args + `,"_meta":` + string(m) + `}}`, header
}

func (c *client) tool(id, tool, args, token string) reply {
	c.t.Helper()
	body, header := c.call(id, tool, args, token)
	return c.post(body, header...)
}

// ask sends a request without a tool.
func (c *client) ask(method, params string) reply {
	c.t.Helper()
	if !c.modern {
		return c.post(`{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `}`)
	}
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modernVersion + `","io.modelcontextprotocol/clientCapabilities":{}}`
	if params = strings.TrimSuffix(params, "}"); params != "{" {
		params += ","
	}
	header := []string{"Mcp-Protocol-Version", modernVersion, "Mcp-Method", method}
	var p struct{ Name, URI string }
	_ = json.Unmarshal([]byte(params+meta+"}"), &p)
	if name := p.Name + p.URI; name != "" {
		header = append(header, "Mcp-Name", name)
	}
	return c.post(`{"jsonrpc":"2.0","id":1,"method":"`+method+`","params":`+params+meta+`}}`, header...)
}

// A pipe is a stdio client.
type pipe struct {
	t     testing.TB
	in    *io.PipeWriter
	lines chan string
	done  chan error
	stop  context.CancelFunc
}

// stdio starts the set's server on a pair of pipes.
func (s *set) stdio(tb testing.TB, who auth.Principal) *pipe {
	tb.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	ctx, cancel := context.WithCancel(auth.NewContext(context.WithoutCancel(tb.Context()), who))
	p := &pipe{t: tb, in: inW, lines: make(chan string, 1000), done: make(chan error, 1), stop: cancel}
	go func() {
		p.done <- s.server.ServeStdio(ctx, inR, outW)
		outW.Close() //nolint:errcheck // a pipe's
	}()
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(p.lines)
		sc := bufio.NewScanner(outR)
		sc.Buffer(nil, 64<<20)
		for sc.Scan() {
			p.lines <- sc.Text()
		}
	})
	tb.Cleanup(func() {
		inW.Close() //nolint:errcheck // a pipe's
		cancel()
		outR.Close() //nolint:errcheck // a pipe's
		wg.Wait()
	})
	return p
}

func (p *pipe) send(line string) {
	p.t.Helper()
	if _, err := io.WriteString(p.in, line+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

func (p *pipe) next() message {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatal("output ended")
		}
		var m message
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			p.t.Fatalf("%v in %q", err, line)
		}
		return m
	case <-time.After(patience):
		p.t.Fatal("no answer")
	}
	return message{}
}

// ask sends a line and returns the next message.
func (p *pipe) ask(line string) message {
	p.t.Helper()
	p.send(line)
	return p.next()
}

func (p *pipe) initialize() *pipe {
	p.t.Helper()
	if m := p.ask(initializeMessage); m.Error != nil {
		p.t.Fatalf("initialize: %+v", m.Error)
	}
	return p
}

// steps checks one call's messages: steps that increase from the first to the last, and then the answer. A machine that is slow enough
// sends those between as well.
func steps(tb testing.TB, last float64, next func() message) {
	tb.Helper()
	before := 0.0
	for {
		m := next()
		if m.Method != "notifications/progress" {
			if before != last || m.Result == nil {
				tb.Fatalf("the last step was %v, the answer %+v", before, m)
			}
			return
		}
		if m.Params.Progress <= before || before == 0 && m.Params.Progress != 1 {
			tb.Fatalf("step %v after %v", m.Params.Progress, before)
		}
		before = m.Params.Progress
	}
}

// waitFor polls until ok, within the tests' patience.
func waitFor(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			tb.Fatalf("waited for %s in vain", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
