package web_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
	"github.com/comfygate/comfygate/web"
)

const patience = 30 * time.Second // the machine may be busy

// A record is an audit log in memory.
type record struct {
	mu   sync.Mutex
	list []audit.Record
}

func (r *record) Append(_ context.Context, rec audit.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, rec)
	return nil
}

func (r *record) AppendReserved(ctx context.Context, rec audit.Record) error {
	return r.Append(ctx, rec)
}
func (*record) Healthy() error                       { return nil }
func (*record) Digest(string, string) map[string]any { return nil }

func (r *record) events(name string) (list []audit.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.list {
		if rec.Name == name {
			list = append(list, rec)
		}
	}
	return list
}

type yes struct{}

func (yes) Offers(policy.Request) bool               { return true }
func (yes) RoleOf(string) (policy.Role, bool)        { return "", false }
func (yes) ScopesOf(role policy.Role) []policy.Scope { return policy.ScopesOf(role) }

func (yes) Decide(context.Context, policy.Request) policy.Decision {
	return policy.Decision{Allowed: true, Rule: "test"}
}
func (yes) Hash() string                         { return "" }
func (yes) Take(string, limits.Class, int) error { return nil }
func (yes) Refund(string, limits.Class, int)     {}

type places struct{}

func (places) Take(string) (func(), error) { return func() {}, nil }

// A plan is a tool's arguments and plan in one.
type plan struct {
	run func(ctx context.Context) error
}

func (p plan) Resolve(context.Context, tools.Caller) (tools.Plan, error) { return p, nil }
func (plan) Policy() policy.Request                                      { return policy.Request{} }
func (plan) Cost() tools.Cost                                            { return tools.Cost{Tokens: 1} }
func (plan) Record() map[string]any                                      { return nil }

func (p plan) Run(ctx context.Context, _ tools.Caller, release func()) (tools.Result, error) {
	release()
	return tools.Result{Text: "done"}, p.run(ctx)
}

func tool(name string, run func(ctx context.Context) error) tools.Tool {
	return tools.Tool{
		Name: name, Description: "A tool of the tests.", Scope: policy.JobRead, Class: limits.Status, Hints: tools.Hints{ReadOnly: true},
		Schema: json.RawMessage(`{"type":"object","additionalProperties":false}`),
		Decode: func(json.RawMessage) (tools.Args, error) { return plan{run}, nil },
	}
}

// A house is a server that listens, with everything around it.
type house struct {
	auth    auth.Config
	web     web.Config
	mcp     mcpserver.Config
	record  *record
	server  *web.Server
	url     string
	addr    string
	served  chan error
	clients *http.Client
}

// open starts a server on a free loopback port. change has the last word on its configuration.
func open(t *testing.T, change func(*house)) *house {
	t.Helper()
	h := &house{record: &record{}, served: make(chan error, 1), clients: &http.Client{Transport: &http.Transport{}, Timeout: patience}}
	h.auth = auth.Config{Loopback: true}
	h.mcp = mcpserver.Config{
		Name: "comfygate", Version: "0.0.0-test", Policy: yes{}, Limiter: yes{}, Places: places{}, Audit: h.record, Log: zap.NewNop(),
		Tools: []tools.Tool{tool("status", func(context.Context) error { return nil })},
	}
	h.web = web.Config{Audit: h.record, SSE: true, Log: zap.NewNop()}
	if change != nil {
		change(h)
	}
	who, err := auth.New(h.auth)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := mcpserver.New(h.mcp)
	if err != nil {
		t.Fatal(err)
	}
	h.web.MCP, h.web.Auth = srv, who
	if h.server, err = web.New(h.web); err != nil {
		t.Fatal(err)
	}
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = ln.Addr().String()
	h.url = "http://" + h.addr
	go func() { h.served <- h.server.Serve(context.WithoutCancel(t.Context()), ln) }()
	t.Cleanup(func() {
		h.clients.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := h.server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-h.served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return h
}

type reply struct {
	status int
	header http.Header
	body   string
}

func (h *house) do(t *testing.T, method, path, body string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, h.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		} else {
			req.Header.Add(header[i], header[i+1])
		}
	}
	res, err := h.clients.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // a test's
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{res.StatusCode, res.Header, string(b)}
}

func (r *record) of(tool string) (list []audit.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, rec := range r.list {
		if rec.Tool == tool {
			list = append(list, rec)
		}
	}
	return list
}
