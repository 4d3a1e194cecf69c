package mcpserver_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// A trial is one call through a list of stages, with everything it left.
type trial struct {
	*set
	logs  *observer.ObservedLogs
	work  *work
	ctx   context.Context //nolint:containedctx // a test's
	args  string
	order []int

	err     error
	escaped any // a panic that no stage caught
	reached bool
	began   time.Time
}

// newTrial is a call that everything allows. A scenario changes it before run.
func newTrial(t *testing.T, order []int, change func(*trial)) *trial {
	t.Helper()
	tr := &trial{order: order, args: `{"prompt":"x","wait_seconds":100}`}
	tr.work = &work{
		cost:    tools.Cost{Tokens: 3, Place: true, Work: 2.5},
		params:  map[string]any{"prompt": tools.Digest("a secret wish"), "width": 512},
		request: policy.Request{Width: 512},
	}
	tr.ctx = auth.NewContext(t.Context(), person("alice", policy.Operator))
	tr.set = newSet(t, nil, func(s *set) {
		obs, logs := observer.New(zap.InfoLevel)
		tr.logs = logs
		s.cfg.Log = zap.New(obs)
		tr.set = s
		if change != nil {
			change(tr)
		}
	})
	return tr
}

func (tr *trial) run() {
	inner := tr.work.run
	tr.work.run = func(ctx context.Context, c tools.Caller) (tools.Result, error) {
		tr.reached = true
		if inner == nil {
			return tools.Result{Text: "done"}, nil
		}
		return inner(ctx, c)
	}
	defer func() { tr.escaped = recover() }()
	tr.began = time.Now()
	_, tr.err = tr.server.CallInOrder(tr.ctx, tr.order, makeTool("generate", tr.work), tr.args, tr.began)
}

func (tr *trial) code() string {
	if tr.err == nil {
		return ""
	}
	return mcpserver.Explain(tr.err).Code
}

// A scenario sends one call and returns what is wrong with how it went.
type scenario struct {
	name string
	try  func(t *testing.T, order []int) string
}

func is(tr *trial, code string, reached bool, records ...string) string {
	switch {
	case tr.escaped != nil:
		return fmt.Sprintf("a panic escaped: %v", tr.escaped)
	case tr.code() != code:
		return fmt.Sprintf("code %q (%v), want %q", tr.code(), tr.err, code)
	case tr.reached != reached:
		return fmt.Sprintf("reached = %v", tr.reached)
	case !slices.Equal(tr.record.kinds(), records):
		return fmt.Sprintf("records %q, want %q", tr.record.kinds(), records)
	case tr.places.taken() != 0:
		return "a place is still held"
	}
	return ""
}

func scenarios() []scenario {
	simple := func(name, code string, reached bool, change func(*trial), records ...string) scenario {
		return scenario{name, func(t *testing.T, order []int) string {
			t.Helper()
			tr := newTrial(t, order, change)
			tr.run()
			return is(tr, code, reached, records...)
		}}
	}
	list := []scenario{
		simple("allowed", "", true, nil, "intent", "outcome ok"),
		simple("rate limited", "RATE_LIMITED", false, func(tr *trial) { tr.rates.left = 0 }, "decision denied RATE_LIMITED"),
		simple("rate limited, not even looked at", "RATE_LIMITED", false, func(tr *trial) {
			tr.rates.left, tr.args = 0, `{`
		}, "decision denied RATE_LIMITED"),
		simple("rate limited before the scope is asked", "RATE_LIMITED", false, func(tr *trial) {
			tr.rates.left = 0
			tr.ctx = auth.NewContext(tr.ctx, person("v", policy.Viewer))
		}, "decision denied RATE_LIMITED"),
		simple("out of scope learns nothing of its arguments", "POLICY_DENIED", false, func(tr *trial) {
			tr.args = `{`
			tr.ctx = auth.NewContext(tr.ctx, person("v", policy.Viewer))
		}, "decision denied POLICY_DENIED"),
		simple("invalid", "INVALID_PARAMETER", false, func(tr *trial) { tr.args = `{"prompt":"x","nope":1}` }, "outcome error INVALID_PARAMETER"),
		simple("denied", "POLICY_DENIED", false, func(tr *trial) {
			tr.cfg.Policy = rules{deny: func(policy.Request) bool { return true }}
		}, "decision denied POLICY_DENIED"),
		simple("queue full", "QUEUE_FULL", false, func(tr *trial) { tr.places.max = 0 }, "decision denied QUEUE_FULL"),
		simple("log full before the intent", "AUDIT_UNAVAILABLE", false, func(tr *trial) { tr.record.failAfter = 0 }),
		simple("log full after the intent", "AUDIT_UNAVAILABLE", true, func(tr *trial) { tr.record.failAfter = 1 }, "intent"),
		simple("log down", "AUDIT_UNAVAILABLE", false, func(tr *trial) { tr.record.sick = errTest }),
		simple("panic in the run", "INTERNAL", true, func(tr *trial) {
			tr.work.keep = true // and never gives its place back
			tr.work.run = func(context.Context, tools.Caller) (tools.Result, error) { panic("boom") }
		}, "intent", "outcome error INTERNAL"),
		simple("panic in resolve", "INTERNAL", false, func(tr *trial) {
			tr.work.resolve = func(context.Context, tools.Caller) error { panic("boom") }
		}, "outcome error INTERNAL"),
		simple("resolve fails", "MODEL_NOT_ALLOWED", false, func(tr *trial) {
			tr.work.resolve = func(context.Context, tools.Caller) error {
				return &tools.Fault{Code: "MODEL_NOT_ALLOWED", Message: "no"}
			}
		}, "outcome error MODEL_NOT_ALLOWED"),
		simple("caller gone before", "CANCELLED", false, func(tr *trial) {
			ctx, cancel := context.WithCancelCause(tr.ctx)
			cancel(tools.ErrCallerGone)
			tr.ctx = ctx
		}, "outcome error CANCELLED"),
		simple("caller gone while it runs", "CANCELLED", true, func(tr *trial) {
			ctx, cancel := context.WithCancel(tr.ctx)
			tr.ctx = ctx
			tr.work.run = func(ctx context.Context, _ tools.Caller) (tools.Result, error) {
				cancel()
				<-ctx.Done()
				return tools.Result{}, ctx.Err()
			}
		}, "intent", "outcome error CANCELLED"),
	}
	return append(list, detailed()...)
}

// detailed scenarios look at more than the records.
func detailed() []scenario {
	return []scenario{
		{"panic in identify", func(t *testing.T, order []int) string {
			t.Helper()
			tr := newTrial(t, order, nil)
			tr.server.SetNewID(func() string { panic("no randomness") })
			tr.run()
			if tr.escaped != nil || tr.code() != "INTERNAL" || tr.reached {
				return fmt.Sprintf("escaped %v, code %q", tr.escaped, tr.code())
			}
			return ""
		}},
		{"what is said of a call is what its caller got", func(t *testing.T, order []int) string {
			t.Helper()
			tr := newTrial(t, order, func(tr *trial) { tr.record.failAfter = 1 })
			tr.run()
			lines := tr.logs.FilterMessage("tool call finished").All()
			if len(lines) != 1 {
				return fmt.Sprintf("%d lines", len(lines))
			}
			f := lines[0].ContextMap()
			if f["code"] != "AUDIT_UNAVAILABLE" || f["call_id"] == "" || f["principal"] != "alice" {
				return fmt.Sprintf("line says %v", f)
			}
			return ""
		}},
		{"bounds", func(t *testing.T, order []int) string {
			t.Helper()
			var resolving, running time.Time
			tr := newTrial(t, order, func(tr *trial) {
				tr.work.resolve = func(ctx context.Context, _ tools.Caller) error {
					resolving, _ = ctx.Deadline()
					return nil
				}
				tr.work.run = func(ctx context.Context, _ tools.Caller) (tools.Result, error) {
					running, _ = ctx.Deadline()
					return tools.Result{}, nil
				}
			})
			tr.run()
			if d := resolving.Sub(tr.began); d != 10*time.Second {
				return fmt.Sprintf("resolve has %v", d)
			}
			if d := running.Sub(tr.began); d != (10+100+60)*time.Second {
				return fmt.Sprintf("the run has %v", d)
			}
			return ""
		}},
		{"what is judged is whole, and nothing is taken for it before", func(t *testing.T, order []int) string {
			t.Helper()
			wrong := "not judged"
			tr := newTrial(t, order, func(tr *trial) {
				tr.cfg.Policy = rules{deny: func(r policy.Request) bool {
					wrong = ""
					if r.Width != 512 || r.Principal != "alice" || r.Tool != "generate" || r.Scope != policy.ImageGenerate || r.Role != policy.Operator {
						wrong = fmt.Sprintf("judged %+v", r)
					}
					if tr.rates.spent() != 1 || tr.places.taken() != 0 || len(tr.record.records()) != 0 {
						wrong = fmt.Sprintf("taken before: %d tokens, %d places, %d records", tr.rates.spent(), tr.places.taken(), len(tr.record.records()))
					}
					return false
				}}
			})
			tr.run()
			return wrong
		}},
		{"ComfyUI is reached only behind a durable intent that says what runs", func(t *testing.T, order []int) string {
			t.Helper()
			wrong := "not reached"
			tr := newTrial(t, order, func(tr *trial) {
				tr.work.run = func(_ context.Context, c tools.Caller) (tools.Result, error) {
					wrong = ""
					r := tr.record.records()
					if len(r) != 1 || r[0].Kind != audit.Intent || r[0].CallID != c.CallID || r[0].Decision != "allow" || r[0].Rule != "test-allow" ||
						r[0].PolicyHash != "hash" || r[0].Cost != 2.5 || r[0].Principal != "alice" || r[0].Params["width"] != 512 {
						wrong = fmt.Sprintf("before the run: %+v", r)
					}
					if tr.rates.spent() != 3 || tr.places.taken() != 1 {
						wrong = fmt.Sprintf("reserved %d tokens, %d places", tr.rates.spent(), tr.places.taken())
					}
					return tools.Result{}, nil
				}
			})
			tr.run()
			return wrong
		}},
		{"given back when it does not come to run", func(t *testing.T, order []int) string {
			t.Helper()
			for name, change := range map[string]func(*trial){
				"no place":  func(tr *trial) { tr.places.max = 0 },
				"no intent": func(tr *trial) { tr.record.failAfter = 0 },
			} {
				tr := newTrial(t, order, change)
				tr.run()
				if tr.rates.spent() != 1 || tr.places.taken() != 0 {
					return fmt.Sprintf("%s: %d tokens and %d places stay taken", name, tr.rates.spent(), tr.places.taken())
				}
			}
			return ""
		}},
		{"invalid calls cost a token", func(t *testing.T, order []int) string {
			t.Helper()
			tr := newTrial(t, order, func(tr *trial) { tr.args = `{}` })
			tr.run()
			if tr.rates.spent() != 1 {
				return fmt.Sprintf("%d tokens", tr.rates.spent())
			}
			return ""
		}},
	}
}

// TestSec_SC60_pipelineInvariants holds style.md 8.3: whatever fails, ComfyUI is reached only behind a durable intent, every call leaves
// exactly one outcome or decision, and nothing stays reserved.
func TestSec_SC60_pipelineInvariants(t *testing.T) {
	t.Parallel()
	names := newSet(t, nil, nil).server.StageNames()
	want := []string{
		"recover", "identify", "observe", "outcome", "rateLimit", "scope", "decode", "deadline", "resolve", "authorize", "admit", "intent",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Fatal(diff)
	}
	for _, sc := range scenarios() {
		t.Run(sc.name, func(t *testing.T) {
			t.Parallel()
			if wrong := sc.try(t, natural(len(names))); wrong != "" {
				t.Error(wrong)
			}
		})
	}
}

// TestPipelineOrder pins the order by behaviour: every other order, and every list with a stage missing, breaks some scenario.
func TestPipelineOrder(t *testing.T) {
	t.Parallel()
	n := len(newSet(t, nil, nil).server.StageNames())
	all := scenarios()
	for _, order := range variants(n) {
		if !slices.ContainsFunc(all, func(sc scenario) bool { return sc.try(t, order) != "" }) {
			t.Errorf("nothing tells %v from the right order", order)
		}
	}
}

func natural(n int) []int {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	return order
}

// variants are lists that are not the natural one: each stage left out, each pair swapped, each stage moved, and some shuffled.
func variants(n int) [][]int {
	var list [][]int
	add := func(order []int) {
		if !slices.Equal(order, natural(n)) {
			list = append(list, order)
		}
	}
	for i := range n {
		without := slices.Delete(natural(n), i, i+1)
		add(without)
		for j := range n {
			add(slices.Insert(slices.Clone(without), j, i))
			swapped := natural(n)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			add(swapped)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 100 {
		add(r.Perm(n))
	}
	return list
}

func TestPipelineReadOnly(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, nil)
	ctx := auth.NewContext(t.Context(), person("v", policy.Viewer))
	all := natural(len(s.server.StageNames()))
	if _, err := s.server.CallInOrder(ctx, all, readTool("status", &work{}), ``, time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := s.record.kinds(); !slices.Equal(got, []string{"outcome ok"}) || s.record.reserved != 0 {
		t.Errorf("records %q, %d by the reserve", got, s.record.reserved)
	}
}

// TestPipelineAuditDown: every new call is refused, reads too; only cancel may use the reserve (AUD-04).
func TestPipelineAuditDown(t *testing.T) {
	t.Parallel()
	cancel := readTool("cancel", &work{})
	cancel.Scope, cancel.Hints = policy.JobCancel, tools.Hints{Destructive: true}
	for _, tc := range []struct {
		tool tools.Tool
		args string
		want string
		left []string
	}{
		{readTool("status", &work{}), "", "AUDIT_UNAVAILABLE", nil},
		{makeTool("generate", &work{}), `{"prompt":"x"}`, "AUDIT_UNAVAILABLE", nil},
		{cancel, "", "", []string{"intent", "outcome ok"}},
	} {
		t.Run(tc.tool.Name, func(t *testing.T) {
			t.Parallel()
			s := newSet(t, nil, func(s *set) {
				s.record.sick, s.record.failAfter, s.record.reserve = errTest, 0, true
			})
			ctx := auth.NewContext(t.Context(), person("alice", policy.Operator))
			_, err := s.server.CallInOrder(ctx, natural(12), tc.tool, tc.args, time.Now())
			if code := codeOf(err); code != tc.want {
				t.Errorf("code %q, want %q", code, tc.want)
			}
			if got := s.record.kinds(); !slices.Equal(got, tc.left) || s.record.reserved != len(tc.left) {
				t.Errorf("records %q, %d by the reserve", got, s.record.reserved)
			}
		})
	}
}

// TestPipelineOwed: the outcome of a call that has an intent is owed, and may use the reserve.
func TestPipelineOwed(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, func(s *set) { s.record.failAfter, s.record.reserve = 1, true })
	ctx := auth.NewContext(t.Context(), person("alice", policy.Operator))
	_, err := s.server.CallInOrder(ctx, natural(12), makeTool("generate", &work{}), `{"prompt":"x"}`, time.Now())
	if err != nil || !slices.Equal(s.record.kinds(), []string{"intent", "outcome ok"}) {
		t.Errorf("%v, records %q", err, s.record.kinds())
	}
}

// TestPipelineRecord: what a record holds of a call, and what not (AUD-12, AUD-17).
func TestPipelineRecord(t *testing.T) {
	t.Parallel()
	w := &work{params: map[string]any{"prompt": tools.Digest("a secret wish"), "steps": 20}}
	w.run = func(context.Context, tools.Caller) (tools.Result, error) {
		return tools.Result{JobID: "job1", Accepted: true, Outputs: []string{"aa"}}, nil
	}
	s := newSet(t, nil, nil)
	ctx := auth.NewContext(t.Context(), person("alice", policy.Operator))
	if _, err := s.server.CallInOrder(ctx, natural(12), makeTool("generate", w), `{"prompt":"x"}`, time.Now()); err != nil {
		t.Fatal(err)
	}
	r := s.record.records()
	if len(r) != 2 || r[0].CallID != r[1].CallID || len(r[0].CallID) != 26 {
		t.Fatalf("records %+v", r)
	}
	out := r[1]
	digest := map[string]any{"hmac": "digest", "chars": 13}
	if diff := cmp.Diff(map[string]any{"prompt": digest, "steps": 20}, out.Params); diff != "" {
		t.Error(diff)
	}
	if out.Status != "accepted" || out.JobID != "job1" || !slices.Equal(out.Outputs, []string{"aa"}) || out.Method != "token" || out.Transport != "stdio" {
		t.Errorf("outcome %+v", out)
	}
	if _, ok := w.params["prompt"].(tools.Digest); !ok {
		t.Error("the plan's own map was changed")
	}
}

// TestPipelineTimeout: a resolve that never ends is ended after its time, and said to be late rather than cancelled.
func TestPipelineTimeout(t *testing.T) {
	t.Parallel()
	w := &work{resolve: func(ctx context.Context, _ tools.Caller) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	s := newSet(t, nil, func(s *set) { s.cfg.Bounds.Resolve = 20 * time.Millisecond })
	ctx := auth.NewContext(t.Context(), person("alice", policy.Operator))
	_, err := s.server.CallInOrder(ctx, natural(12), makeTool("generate", w), `{"prompt":"x"}`, time.Now())
	if code := codeOf(err); code != "TIMEOUT" {
		t.Errorf("code %q of %v", code, err)
	}
}

// TestPipelineWait: wait_seconds is bounded whatever the schema lets pass, and defaults to the schema's.
func TestPipelineWait(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]time.Duration{
		`{"prompt":"x"}`:                     45 * time.Second,
		`{"prompt":"x","wait_seconds":0}`:    0,
		`{"prompt":"x","wait_seconds":2.5}`:  2500 * time.Millisecond,
		`{"prompt":"x","wait_seconds":3e2}`:  300 * time.Second,
		`{"prompt":"x","wait_seconds":0.25}`: 250 * time.Millisecond,
	} {
		var left time.Time
		w := &work{run: func(ctx context.Context, _ tools.Caller) (tools.Result, error) {
			left, _ = ctx.Deadline()
			return tools.Result{}, nil
		}}
		s := newSet(t, nil, nil)
		ctx := auth.NewContext(t.Context(), person("alice", policy.Operator))
		began := time.Now()
		if _, err := s.server.CallInOrder(ctx, natural(12), makeTool("generate", w), args, began); err != nil {
			t.Fatal(err)
		}
		if got := left.Sub(began) - 70*time.Second; got != want {
			t.Errorf("%s waits %v, want %v", args, got, want)
		}
	}
}

// TestPipelineClosing: a server that is draining takes no call, and says so.
func TestPipelineClosing(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, nil)
	if err := s.server.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := auth.NewContext(t.Context(), person("alice", policy.Operator))
	_, err := s.server.CallInOrder(ctx, natural(12), readTool("status", &work{}), ``, time.Now())
	if f := mcpserver.Explain(err); f == nil || f.Code != "SHUTTING_DOWN" || !f.Retryable {
		t.Errorf("fault %+v", f)
	}
	if got := s.record.kinds(); !slices.Equal(got, []string{"outcome error SHUTTING_DOWN"}) {
		t.Errorf("records %q", got)
	}
}

// TestPipelineLogs: no argument and no panic's value in any line at info and above (SC-37, T65).
func TestPipelineLogs(t *testing.T) {
	t.Parallel()
	obs, logs := observer.New(zap.InfoLevel)
	s := newSet(t, nil, func(s *set) { s.cfg.Log = zap.New(obs) })
	ctx := auth.NewContext(t.Context(), person("alice", policy.Operator))
	const canary = "canary-7d1f"
	for _, run := range []func(context.Context, tools.Caller) (tools.Result, error){
		nil,
		func(context.Context, tools.Caller) (tools.Result, error) { panic(canary) },
		func(context.Context, tools.Caller) (tools.Result, error) { return tools.Result{}, errors.New(canary) },
	} {
		_, _ = s.server.CallInOrder(ctx, natural(12), makeTool("generate", &work{run: run}), `{"prompt":"`+canary+`"}`, time.Now())
		_, _ = s.server.CallInOrder(ctx, natural(12), makeTool("generate", &work{run: run}), `{"prompt":5,"`+canary+`":1}`, time.Now())
	}
	if logs.Len() < 6 {
		t.Fatalf("%d lines", logs.Len())
	}
	for _, line := range logs.All() {
		if text := fmt.Sprint(line.Message, line.ContextMap()); strings.Contains(text, canary) {
			t.Errorf("a line holds the canary: %s", text)
		}
	}
}

func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return mcpserver.Explain(err).Code
}
