package mcpserver

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/comfygate/comfygate/auth"
)

// conns are the open HTTP+SSE connections, each with its owner.
type conns struct {
	mu   sync.Mutex
	open map[string]*sseConn
}

type sseConn struct {
	*conn
	owner   string
	receive func(message []byte) *protocolError
	cancel  context.CancelCauseFunc
}

func (l *conns) add(c *sseConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c.id] = c
}

func (l *conns) remove(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, id)
}

// of returns owner's connection id: another's is nil like one that is not there (MCP-08).
func (l *conns) of(owner, id string) *sseConn {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.open[id]; c != nil && c.owner == owner {
		return c
	}
	return nil
}

func (l *conns) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.open {
		c.cancel(errClosing)
	}
}

// serveSSE opens a connection and writes what is for the client until it goes, which cancels its calls with it (MCP-12, BUG-09).
func (s *Server) serveSSE(w http.ResponseWriter, r *http.Request) {
	req := &request{transport: "sse", arrived: time.Now()}
	who, ok := auth.FromContext(r.Context())
	switch {
	case !ok:
		s.answer(w, &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusUnauthorized, text: "who calls is not known"})
		return
	case r.Method != http.MethodGet:
		w.Header().Set("Allow", "GET")
		s.answer(w, &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusMethodNotAllowed, text: "use GET"})
		return
	}
	release, err := s.sessions.stream(who.Name)
	if err != nil {
		s.reject(r.Context(), w, req, envelope{}, full(w, err))
		return
	}
	defer release()

	ctx, cancel, leave := callsOf(r.Context())
	c := &sseConn{conn: s.newConn("sse", newID()+newID()), owner: who.Name, cancel: cancel}
	c.receive = func(message []byte) *protocolError { return c.conn.receive(ctx, message) }
	s.conns.add(c)
	defer func() {
		s.conns.remove(c.id)
		leave()
		c.wait()
	}()

	out := newStream(w, r, req, s.cfg.Bounds)
	defer out.close()
	if out.open(strings.TrimSuffix(s.cfg.BasePath, "/")+"/message?sessionId="+c.id) != nil {
		return
	}
	_ = c.write(ctx.Done(), out.message) // a client that has gone is told by the deferred cancel
}

// serveMessage takes one message for a connection of the caller's; its answer leaves on that connection.
func (s *Server) serveMessage(w http.ResponseWriter, r *http.Request) {
	req := &request{transport: "sse", arrived: time.Now()}
	defer s.shielded(w, req)
	who, ok := auth.FromContext(r.Context())
	switch {
	case !ok:
		s.answer(w, &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusUnauthorized, text: "who calls is not known"})
		return
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		s.answer(w, &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusMethodNotAllowed, text: "use POST"})
		return
	}
	c := s.conns.of(who.Name, r.URL.Query().Get("sessionId"))
	if c == nil {
		fault := &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusNotFound, text: "no such session: open /sse again"}
		s.reject(r.Context(), w, req, envelope{}, fault)
		return
	}
	req.session = c.id
	b, fault := s.body(w, r)
	if fault != nil {
		s.reject(r.Context(), w, req, envelope{}, fault)
		return
	}
	if fault := c.receive(b); fault != nil {
		s.answer(w, fault)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}
