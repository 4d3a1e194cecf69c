package mcpserver

import (
	"context"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/comfygate/comfygate/tools"
)

// progressEvery is how often at most one call reports (MCP-15).
const progressEvery = 100 * time.Millisecond

// A progress sends one call's progress: strictly increasing, coalesced to one in [progressEvery], the last one always, none afterwards.
type progress struct {
	send func(params map[string]any, must bool) error

	mu      sync.Mutex
	token   any
	begun   bool
	done    float64 // of the last one sent
	sent    time.Time
	pending *tools.Progress
	timer   *time.Timer
	closed  bool
}

// newProgress returns nil where the caller gave no token and so wants none.
func newProgress(ctx context.Context, r *request, meta *mcp.Meta) *progress {
	if meta == nil || meta.ProgressToken == nil {
		return nil
	}
	return &progress{
		token: meta.ProgressToken,
		send: func(params map[string]any, must bool) error {
			return r.send(ctx, string(mcp.MethodNotificationProgress), params, must)
		},
	}
}

// report takes one step. It is safe for concurrent use and does nothing on nil.
func (p *progress) report(u tools.Progress) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || p.begun && u.Done <= p.done {
		return
	}
	if p.pending != nil && u.Done <= p.pending.Done {
		return
	}
	p.pending = &u
	p.offer()
}

// offer sends the pending step if it is time, and otherwise when it will be. mu is held.
func (p *progress) offer() {
	wait := progressEvery - time.Since(p.sent)
	switch {
	case !p.begun || wait <= 0:
		p.flush(false)
	case p.timer == nil:
		p.timer = time.AfterFunc(wait, p.due)
	}
}

func (p *progress) due() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = nil
	if !p.closed && p.pending != nil {
		p.offer() // a step may have left in the meantime
	}
}

// close sends what is still pending. The answer follows it.
func (p *progress) close() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.flush(true)
	p.closed = true
}

// flush sends the pending step. mu is held, so that steps leave in order.
func (p *progress) flush(must bool) {
	if p.pending == nil {
		return
	}
	params := map[string]any{"progressToken": p.token, "progress": p.pending.Done}
	if p.pending.Total > 0 {
		params["total"] = p.pending.Total
	}
	if p.pending.Message != "" {
		params["message"] = clean(p.pending.Message, 200)
	}
	p.sent = time.Now()
	if err := p.send(params, must); err != nil && !must {
		return // stays pending: the next step, or the end, tries again
	}
	p.begun, p.done, p.pending = true, p.pending.Done, nil
}
