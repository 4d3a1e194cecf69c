package mcpserver

import (
	"context"
	"encoding/json"
	"time"

	"github.com/comfygate/comfygate/tools"
)

// A request is what is known of one protocol request besides its message. It rides in the context from the transport to the handler.
type request struct {
	transport string
	session   string
	id        json.RawMessage // as written; nil where it is not known
	arrived   time.Time
	// send puts a notification on the request's own stream, before its answer and never on another's (BUG-02, BUG-07, BUG-08).
	// Where must is false it may be left out rather than waited for.
	send func(ctx context.Context, method string, params map[string]any, must bool) error
	// override, when a handler sets it, is the answer instead of the handler's result (MCP-20).
	override *protocolError
}

type requestKey struct{}

func withRequest(ctx context.Context, r *request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// requestFrom returns the request that ctx belongs to; one that leads nowhere when there is none.
func requestFrom(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{
		arrived: time.Now(),
		send:    func(context.Context, string, map[string]any, bool) error { return nil },
	}
}

// callsOf returns the context of a caller's calls: it ends when the caller's own does, and then says that the caller has gone; cancel ends
// it for another reason. release ends the watch and, if it still goes on, the context.
func callsOf(ctx context.Context) (calls context.Context, cancel context.CancelCauseFunc, release func()) {
	calls, cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { cancel(tools.ErrCallerGone) })
	return calls, cancel, func() {
		stop()
		cancel(tools.ErrCallerGone)
	}
}
