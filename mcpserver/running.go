package mcpserver

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/comfygate/comfygate/tools"
)

// running are the requests being served in sessions, so that each session can cancel its own and no other's.
// Ids are compared as they were written: 1 and "1" are two.
type running struct {
	mu    sync.Mutex
	calls map[string]context.CancelCauseFunc
}

func newRunning() *running { return &running{calls: make(map[string]context.CancelCauseFunc)} }

func runningKey(session string, id json.RawMessage) string { return session + "\x00" + string(id) }

// add notes a request until remove, which may be called again. A second one with the same id can't be told from the first and is not noted.
func (r *running) add(session string, id json.RawMessage, cancel context.CancelCauseFunc) (remove func()) {
	key := runningKey(session, id)
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.calls[key]; ok {
		return func() {}
	}
	r.calls[key] = cancel
	return sync.OnceFunc(func() { // once: by then the id may be another request's
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.calls, key)
	})
}

func (r *running) has(session string, id json.RawMessage) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.calls[runningKey(session, id)]
	return ok
}

// cancel ends a request of session, if it runs.
func (r *running) cancel(session string, id json.RawMessage) {
	r.mu.Lock()
	cancel := r.calls[runningKey(session, id)]
	r.mu.Unlock()
	if cancel != nil {
		cancel(tools.ErrCancelRequested)
	}
}
