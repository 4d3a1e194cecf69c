package mcpserver

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// A call is one tool call on its way through the pipeline. Each stage fills in what the later ones need; nobody keeps it.
type call struct {
	tool      *tool
	raw       json.RawMessage // arguments as sent; empty when there were none
	arrived   time.Time
	transport string // stdio, http, sse
	session   string
	via       string // protocol method, where it is not tools/call
	notify    func(tools.Progress)

	id        string                                                      // identify
	principal auth.Principal                                              // identify
	doc       map[string]any                                              // decode: the checked arguments
	args      tools.Args                                                  // decode
	running   func(context.Context) (context.Context, context.CancelFunc) // deadline: the context of the run
	plan      tools.Plan                                                  // resolve
	params    map[string]any                                              // resolve: what the record keeps
	decision  policy.Decision                                             // scope, authorize
	release   func()                                                      // admit: gives the place back, at most once
	settle    func(work float64)                                          // admit: tells what of the plan's cost was taken; the first call counts
	intended  bool                                                        // intent: it is durable
	started   bool                                                        // run
}

func (c *call) caller() tools.Caller {
	return tools.Caller{Principal: c.principal, CallID: c.id, Arrived: c.arrived, Transport: c.transport, Notify: c.notify, Settle: c.settle}
}

// cancels reports whether the call takes work away, which must be possible even when the log's disk is full (AUD-04).
func (c *call) cancels() bool { return c.tool.Scope == policy.JobCancel }

// A handler serves a call.
type handler func(ctx context.Context, c *call) (tools.Result, error)

// A stage is one named step around a handler.
type stage struct {
	name string
	wrap func(next handler) handler
}

// chain wraps last in stages; the first stage listed runs first.
func chain(last handler, stages ...stage) handler {
	for _, s := range slices.Backward(stages) {
		last = s.wrap(last)
	}
	return last
}

// A pipeline is what every call passes.
type pipeline struct {
	policy  Policy
	limiter Limiter
	places  Places
	budgets Budgets // nil: there are none
	calls   Calls   // likewise
	seen    func(auth.Principal)
	audit   Audit
	denials Denials
	log     *zap.Logger
	bounds  Bounds
	newID   func() string
	explain func(*call, error) *tools.Fault
	closing func() bool

	observed  func(Ended)  // may be nil
	exhausted func() error // likewise
}

// stages lists every stage of a call, in the order in which they run. The order is held by TestPipelineOrder, not by this comment.
func (p *pipeline) stages() []stage {
	return []stage{
		{"recover", p.recovered},   // outermost: no panic of any stage ends the process or tells its value
		{"identify", p.identify},   // who, and a name for the call, before anything is said about it
		{"observe", p.observe},     // one log line, outside outcome: it tells what the caller really got
		{"outcome", p.outcome},     // one durable record, or no result
		{"rateLimit", p.rateLimit}, // before any work, also for calls that turn out invalid or denied
		{"scope", p.scope},         // who may not use the tool learns nothing about its arguments
		{"decode", p.decode},       // all faults at once; nothing behind it sees an invalid document
		{"deadline", p.deadline},   // everything from here on is bounded, and wait_seconds is known
		{"resolve", p.resolve},     // the whole of what would happen; reads only
		{"authorize", p.authorize}, // judges that whole
		{"admit", p.admit},         // reserves for it; given back when it does not start
		{"intent", p.intent},       // written down before anything is done: what was judged is what runs
	}
}

// run is behind the last stage.
func (*pipeline) run(ctx context.Context, c *call) (tools.Result, error) {
	if c.running != nil {
		var cancel context.CancelFunc
		ctx, cancel = c.running(ctx)
		defer cancel()
	}
	c.started = true
	returned := false
	defer func() {
		if !returned && c.release != nil {
			c.release() // the plan panicked: nobody else will
		}
	}()
	res, err := c.plan.Run(ctx, c.caller(), c.release)
	returned = true
	if c.settle != nil && res.JobID == "" { // no job will tell
		c.settle(0)
	}
	return res, err
}
