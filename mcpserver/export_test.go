package mcpserver

import (
	"context"
	"encoding/json"
	"time"

	"github.com/comfygate/comfygate/tools"
)

// StageNames are the pipeline's stages in their order.
func (s *Server) StageNames() []string {
	var names []string
	for _, st := range s.pipeline.stages() {
		names = append(names, st.name)
	}
	return names
}

// SetNewID replaces what names calls.
func (s *Server) SetNewID(f func() string) { s.pipeline.newID = f }

// CallInOrder sends a call through the stages that order lists by their numbers.
func (s *Server) CallInOrder(ctx context.Context, order []int, t tools.Tool, raw string, arrived time.Time) (tools.Result, error) {
	bound, err := newTool(t)
	if err != nil {
		return tools.Result{}, err
	}
	all := s.pipeline.stages()
	var stages []stage
	for _, i := range order {
		stages = append(stages, all[i])
	}
	return chain(s.pipeline.run, stages...)(ctx, &call{tool: bound, raw: json.RawMessage(raw), arrived: arrived, transport: "stdio"})
}

// Clean and Foreign are the sanitisers.
func Clean(text string, limit int) string   { return clean(text, limit) }
func Foreign(text string, limit int) string { return foreign(text, limit) }

// ExplainTo is explain.
func ExplainTo(err error, upstream string) *tools.Fault { return explain(err, upstream) }

// ReadEnvelope reports what was read, or the refusal's code.
func ReadEnvelope(b []byte) (id, method, version, tool string, code int) {
	e, fault := readEnvelope(b)
	if fault != nil {
		return string(fault.id), "", "", "", fault.code
	}
	return string(e.id), e.method, e.version, e.tool, 0
}

// CheckArguments is what the decode stage does before the tool's own Decode.
func CheckArguments(t tools.Tool, raw string) (string, error) {
	bound, err := newTool(t)
	if err != nil {
		return "", err
	}
	_, clean, err := bound.check(json.RawMessage(raw))
	return string(clean), err
}

// Plant opens a session of owner under an id that was made for another, or for nobody, with no MAC that fits.
func (s *Server) Plant(owner, madeFor string) string {
	id, err := s.sessions.issue(madeFor)
	if err != nil {
		return ""
	}
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	s.sessions.open[id].owner = owner
	return id
}

// Forget ends a session, as DELETE does.
func (s *Server) Forget(id string) {
	s.endSession(id)
	s.sessions.forget(id)
}

// Age makes every session look unused for so long, and sweeps.
func (s *Server) Age(by time.Duration) {
	s.sessions.mu.Lock()
	for _, one := range s.sessions.open {
		one.used = one.used.Add(-by)
	}
	s.sessions.mu.Unlock()
	s.sessions.sweep()
}

// EnterWhileEnding reports whether a session can be entered while it is being ended for having been idle.
func EnterWhileEnding() (entered bool) {
	var s *sessions
	s = newSessions(Bounds{Idle: time.Hour}.orDefaults(), func(id string) {
		_, err := s.enter("alice", id)
		entered = err == nil
	})
	id, _ := s.issue("alice")
	s.open[id].used = time.Now().Add(-2 * time.Hour)
	s.sweep()
	s.close()
	return entered
}

// Open counts the sessions and streams that are open.
func (s *Server) Open() (sessions, streams, conns, running int) {
	s.sessions.mu.Lock()
	sessions, streams = len(s.sessions.open), s.sessions.flowing
	s.sessions.mu.Unlock()
	s.conns.mu.Lock()
	conns = len(s.conns.open)
	s.conns.mu.Unlock()
	s.running.mu.Lock()
	running = len(s.running.calls)
	s.running.mu.Unlock()
	return sessions, streams, conns, running
}

// Schema compiles a tool's schema.
func Schema(t tools.Tool) error {
	_, err := compile(t.Schema)
	return err
}

// Rows are what the error table is made of.
func Rows() []string {
	var from []string
	for _, r := range table() {
		from = append(from, r.from)
	}
	return from
}
