package mcpserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A record is an audit log in memory whose disk may fail.
type record struct {
	mu        sync.Mutex
	list      []audit.Record
	reserved  int  // how many went by AppendReserved
	failAfter int  // appends that succeed before every one fails; -1 is never
	reserve   bool // AppendReserved still works then
	sick      error
}

func newRecord() *record { return &record{failAfter: -1} }

func (r *record) Append(_ context.Context, rec audit.Record) error { return r.add(rec, false) }

func (r *record) AppendReserved(_ context.Context, rec audit.Record) error { return r.add(rec, true) }

func (r *record) Denied(ctx context.Context, rec audit.Record) error { return r.Append(ctx, rec) }

func (r *record) add(rec audit.Record, reserved bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.failAfter >= 0 && len(r.list) >= r.failAfter && (!reserved || !r.reserve) {
		return fmt.Errorf("%w: disk full", audit.ErrUnwritable)
	}
	if reserved {
		r.reserved++
	}
	r.list = append(r.list, rec)
	return nil
}

func (r *record) Healthy() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sick
}

func (*record) Digest(_, text string) map[string]any {
	return map[string]any{"hmac": "digest", "chars": len([]rune(text))}
}

func (r *record) records() []audit.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]audit.Record(nil), r.list...)
}

func (r *record) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.list)
}

// kinds is the log in short: kind, status and code of each record.
func (r *record) kinds() []string {
	var list []string
	for _, rec := range r.records() {
		s := string(rec.Kind)
		if rec.Status != "" {
			s += " " + rec.Status
		}
		if rec.Code != "" {
			s += " " + rec.Code
		}
		list = append(list, s)
	}
	return list
}

// ofTool are the records that name a tool.
func (r *record) ofTool(name string) []audit.Record {
	var list []audit.Record
	for _, rec := range r.records() {
		if rec.Tool == name {
			list = append(list, rec)
		}
	}
	return list
}

// rules deny what deny says, and allow all else.
type rules struct {
	deny func(policy.Request) bool
}

func (r rules) Decide(_ context.Context, req policy.Request) policy.Decision {
	if r.deny != nil && r.deny(req) {
		return policy.Decision{Rule: "test-deny", Reason: "the test says no"}
	}
	return policy.Decision{Allowed: true, Rule: "test-allow"}
}

func (rules) Offers(req policy.Request) bool { return slices.Contains(req.Scopes, req.Scope) }

func (rules) RoleOf(string) (policy.Role, bool) { return "", false }

func (rules) ScopesOf(role policy.Role) []policy.Scope { return policy.ScopesOf(role) }

func (rules) Hash() string { return "hash" }

// rates have so many tokens; -1 is endless.
type rates struct {
	mu    sync.Mutex
	left  int
	taken int
}

func (r *rates) Take(_ string, c limits.Class, n int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left >= 0 && n > r.left {
		return &limits.RateError{Limit: string(c) + "_per_minute", RetryAfter: 1500 * time.Millisecond}
	}
	if r.left >= 0 {
		r.left -= n
	}
	r.taken += n
	return nil
}

func (r *rates) Refund(_ string, _ limits.Class, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left >= 0 {
		r.left += n
	}
	r.taken -= n
}

func (r *rates) spent() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.taken
}

// places count what is held.
type places struct {
	mu   sync.Mutex
	max  int
	held int
}

func (p *places) Take(string) (func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.held >= p.max {
		return nil, &limits.QueueFullError{Limit: "pending", Waiting: p.held, Max: p.max}
	}
	p.held++
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.held--
	}, nil
}

func (p *places) taken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

// A work is a tool's arguments and plan in one, made of functions.
type work struct {
	resolve func(ctx context.Context, c tools.Caller) error
	request policy.Request
	cost    tools.Cost
	params  map[string]any
	run     func(ctx context.Context, c tools.Caller) (tools.Result, error)
	keep    bool // do not give the place back: as if it were handed on
}

func (w *work) Resolve(ctx context.Context, c tools.Caller) (tools.Plan, error) {
	if w.resolve != nil {
		if err := w.resolve(ctx, c); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *work) Policy() policy.Request { return w.request }
func (w *work) Cost() tools.Cost       { return w.cost }
func (w *work) Record() map[string]any { return w.params }

func (w *work) Run(ctx context.Context, c tools.Caller, release func()) (tools.Result, error) {
	if !w.keep {
		defer release()
	}
	if w.run == nil {
		return tools.Result{Text: "done"}, nil
	}
	return w.run(ctx, c)
}

// makeTool returns a tool that makes something; its arguments are the schema's of generate in small.
func makeTool(name string, w *work) tools.Tool {
	return tools.Tool{
		Name: name, Title: "Test " + name, Description: "A tool of the tests.", Toolset: "images",
		Scope: policy.ImageGenerate, Class: limits.Generate, Hints: tools.Hints{OpenWorld: true}, Waits: true,
		Schema: makeSchema,
		Decode: func(json.RawMessage) (tools.Args, error) { return w, nil },
	}
}

// readTool returns a tool that only reads and takes no arguments.
func readTool(name string, w *work) tools.Tool {
	return tools.Tool{
		Name: name, Title: "Test " + name, Description: "A tool of the tests.", Toolset: "images",
		Scope: policy.JobRead, Class: limits.Status, Hints: tools.Hints{ReadOnly: true, Idempotent: true},
		Schema: json.RawMessage(`{"type":"object","additionalProperties":false}`),
		Decode: func(json.RawMessage) (tools.Args, error) { return w, nil },
	}
}

var makeSchema = json.RawMessage(`{
	"type": "object", "additionalProperties": false, "required": ["prompt"],
	"properties": {
		"prompt": {"type": "string", "minLength": 1, "maxLength": 50, "examples": ["a red fox in snow"]},
		"width": {"type": "integer", "minimum": 64, "maximum": 2048, "multipleOf": 8, "examples": [1024]},
		"height": {"type": "integer", "minimum": 64, "maximum": 2048, "multipleOf": 8, "examples": [1024]},
		"cfg": {"type": "number", "minimum": 1, "maximum": 30, "default": 7},
		"seed": {"type": "integer", "minimum": -1, "maximum": 18446744073709551615, "default": -1},
		"format": {"enum": ["png", "jpeg", "webp"]},
		"aspect_ratio": {"type": "string", "pattern": "^[0-9]{1,2}:[0-9]{1,2}$", "examples": ["16:9"]},
		"loras": {"type": "array", "maxItems": 2, "items": {"type": "object", "additionalProperties": false, "required": ["name"],
			"properties": {"name": {"type": "string", "maxLength": 20, "examples": ["film.safetensors"]}, "strength": {"type": "number", "minimum": -2, "maximum": 2, "default": 1}}}},
		"wait_seconds": {"type": "number", "minimum": 0, "maximum": 300, "default": 45}
	}
}`)

// A set is a server with its fakes.
type set struct {
	cfg    mcpserver.Config
	record *record
	rates  *rates
	places *places
	server *mcpserver.Server
}

// newSet returns a server for list; change, where not nil, has the last word on its configuration.
func newSet(tb testing.TB, list []tools.Tool, change func(*set)) *set {
	tb.Helper()
	s := &set{record: newRecord(), rates: &rates{left: -1}, places: &places{max: 4}}
	s.cfg = mcpserver.Config{
		Name: "comfygate", Title: "comfygate", Version: "0.0.0-test", Instructions: "Test.", Tools: list,
		Policy: rules{}, Limiter: s.rates, Places: s.places, Audit: s.record, Upstream: "http://127.0.0.1:8188",
		Log: zaptest.NewLogger(tb, zaptest.Level(zap.ErrorLevel)),
	}
	if change != nil {
		change(s)
	}
	var err error
	if s.server, err = mcpserver.New(s.cfg); err != nil {
		tb.Fatal(err)
	}
	return s
}

func person(name string, role policy.Role) auth.Principal {
	return auth.Principal{Name: name, Method: "token", Role: role, Scopes: policy.ScopesOf(role)}
}

// shelf holds pictures of owners, and videos.
type shelf map[string][]byte // owner/id

func (s shelf) OpenAny(owner, id string) (io.ReadSeekCloser, images.Served, error) {
	b, ok := s[owner+"/"+id]
	if !ok {
		return nil, images.Served{}, images.ErrNotFound
	}
	served := images.Served{ID: id, Type: "image/png", Picture: true, Bytes: int64(len(b))}
	if bytes.HasPrefix(b, []byte("video")) {
		served.Type, served.Picture = "video/mp4", false
	}
	return nopCloser{newReader(b)}, served, nil
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

var errTest = errors.New("test failure at /home/secret/path with token=abc")
