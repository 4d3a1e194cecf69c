package mcpserver

import (
	"context"
	"encoding/json"
	"errors"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"go.uber.org/zap"

	"github.com/comfygate/comfygate/tools"
)

// A conn is one client's connection that lives as long as its stream: stdio, or an HTTP+SSE stream. mcp-go's own transports of these kinds
// are not used: the one has a single session for the process and no bound on a line, the other lets calls run on when the stream has
// gone (BUG-09), serves tools before initialize, and neither keeps a notification before the answer it belongs to.
//
// Everything for the client goes through one queue, in order. A conn is mcp-go's session of the client.
type conn struct {
	server    *Server
	id        string
	transport string
	out       chan []byte                  // messages to write
	gone      chan struct{}                // closed when nothing is written any more
	notes     chan mcp.JSONRPCNotification // what mcp-go sends on its own
	mu        sync.Mutex                   // guards ended, and so that no call is added once it is
	ended     bool
	calls     sync.WaitGroup                 // requests being served
	busy      atomic.Int32                   // their number
	ready     atomic.Bool                    // initialized
	client    atomic.Pointer[implementation] // what it said of itself
}

type implementation struct {
	info         mcp.Implementation
	capabilities mcp.ClientCapabilities
}

func (s *Server) newConn(transport, id string) *conn {
	return &conn{
		server: s, id: id, transport: transport,
		out:   make(chan []byte, 64),
		gone:  make(chan struct{}),
		notes: make(chan mcp.JSONRPCNotification, 64),
	}
}

// SessionID returns the connection's id. With the methods below it makes a conn a session to mcp-go.
func (c *conn) SessionID() string { return c.id }

// NotificationChannel takes what mcp-go sends on its own.
func (c *conn) NotificationChannel() chan<- mcp.JSONRPCNotification { return c.notes }

// Initialize notes that the client has said who it is.
func (c *conn) Initialize() { c.ready.Store(true) }

// Initialized reports whether it has.
func (c *conn) Initialized() bool { return c.ready.Load() }

// GetClientInfo returns what the client calls itself: not to be trusted.
func (c *conn) GetClientInfo() mcp.Implementation { return c.said().info }

// SetClientInfo notes it.
func (c *conn) SetClientInfo(info mcp.Implementation) {
	said := c.said()
	said.info = info
	c.client.Store(&said)
}

// GetClientCapabilities returns what the client can do.
func (c *conn) GetClientCapabilities() mcp.ClientCapabilities { return c.said().capabilities }

// SetClientCapabilities notes it.
func (c *conn) SetClientCapabilities(capabilities mcp.ClientCapabilities) {
	said := c.said()
	said.capabilities = capabilities
	c.client.Store(&said)
}

func (c *conn) said() implementation {
	if said := c.client.Load(); said != nil {
		return *said
	}
	return implementation{}
}

// receive takes one message. Requests are served on goroutines of their own, at most Bounds.Calls at once, so that a cancellation is
// read while they run; initialize is served at once, because what follows depends on it. A refusal is returned, and has been recorded.
func (c *conn) receive(ctx context.Context, message []byte) *protocolError {
	req := &request{transport: c.transport, session: c.id, arrived: time.Now(), send: c.notify}
	e, fault := readEnvelope(message)
	req.id = e.id
	if fault == nil {
		fault = c.admit(e)
	}
	if fault != nil {
		c.server.refuse(ctx, req, e, fault)
		return fault
	}
	switch {
	case e.response(): // we ask nothing, so nothing was answered
	case e.method == string(mcp.MethodNotificationCancelled):
		c.server.running.cancel(c.id, e.target)
	case e.id == nil:
		c.server.handle(c.server.mcp.WithContext(withRequest(ctx, req), c), e, message)
	case e.method == string(mcp.MethodInitialize):
		c.answer(ctx, c.serve(ctx, req, e, message))
	default:
		return c.begin(ctx, req, e, message)
	}
	return nil
}

// begin serves a request on a goroutine of its own.
func (c *conn) begin(ctx context.Context, req *request, e envelope, message []byte) *protocolError {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return invalid("the connection has ended")
	}
	ctx, cancel := context.WithCancelCause(ctx)
	remove := c.server.running.add(c.id, e.id, cancel)
	c.busy.Add(1)
	ended := func() {}
	if e.method == string(mcp.MethodToolsCall) { // it has ended when its answer is in the queue, which is emptied before the connection ends
		c.server.begin()
		ended = c.server.end
	}
	c.calls.Go(func() {
		defer ended()
		defer cancel(nil)
		b := c.serve(ctx, req, e, message)
		remove() // before the answer is out: who has it may use the id again
		c.busy.Add(-1)
		c.answer(ctx, b)
	})
	return nil
}

// wait lets no further call begin and waits for those that run: each is bounded, and its record is owed.
func (c *conn) wait() {
	c.mu.Lock()
	c.ended = true
	c.mu.Unlock()
	c.calls.Wait()
}

// admit refuses what this connection may not ask now.
func (c *conn) admit(e envelope) *protocolError {
	if e.id == nil || e.response() {
		return nil
	}
	var fault *protocolError
	switch {
	case !e.modern() && !c.Initialized() && e.method != string(mcp.MethodInitialize) && e.method != string(mcp.MethodPing):
		fault = invalid("initialize first")
	case c.server.running.has(c.id, e.id):
		fault = invalid("a request with this id is still being served")
	case int(c.busy.Load()) >= c.server.cfg.Bounds.Calls:
		fault = invalid("more than " + strconv.Itoa(c.server.cfg.Bounds.Calls) + " requests at once: wait for an answer")
	default:
		return nil
	}
	fault.id = e.id
	return fault
}

// serve returns the answer to a request, nil for none.
func (c *conn) serve(ctx context.Context, req *request, e envelope, message []byte) []byte {
	ctx = c.server.mcp.WithContext(withRequest(ctx, req), c)
	answer := c.server.handle(ctx, e, message)
	if req.override != nil {
		req.override.id = req.id
		answer = req.override
	}
	if answer == nil || errors.Is(context.Cause(ctx), tools.ErrCancelRequested) {
		return nil // a cancelled request is not answered
	}
	b, err := json.Marshal(answer)
	if err != nil {
		c.server.log.Error("answer could not be encoded", zap.Error(err))
		b = encode(&protocolError{code: mcp.INTERNAL_ERROR, id: req.id, text: "internal error"})
	}
	return b
}

// answer queues an answer, if there is one; it is owed even where the request was cut short.
func (c *conn) answer(ctx context.Context, b []byte) {
	if b != nil {
		c.push(context.WithoutCancel(ctx), b)
	}
}

// encode makes a message of a refusal.
func encode(e *protocolError) []byte {
	b, err := json.Marshal(e)
	if err != nil {
		return []byte(`{"jsonrpc":"2.0","error":{"code":-32603,"message":"internal error"}}`)
	}
	return b
}

// push queues a message. A client that has not read for Bounds.Write loses it.
func (c *conn) push(ctx context.Context, message []byte) {
	select {
	case c.out <- message:
		return
	default:
	}
	t := time.NewTimer(c.server.cfg.Bounds.Write)
	defer t.Stop()
	select {
	case c.out <- message:
	case <-t.C:
	case <-c.gone:
	case <-ctx.Done():
	}
}

var errFull = errors.New("the queue to the client is full")

// notify queues a notification: it leaves before the answer that is queued after it.
func (c *conn) notify(ctx context.Context, method string, params map[string]any, must bool) error {
	b, err := json.Marshal(notification{"2.0", method, params})
	if err != nil {
		return err
	}
	if must {
		c.push(ctx, b)
		return nil
	}
	select {
	case c.out <- b:
		return nil
	default:
		return errFull
	}
}

// write hands messages to emit, in order, until ended is closed and nothing is left, or emit fails. It is called once.
func (c *conn) write(ended <-chan struct{}, emit func([]byte) error) error {
	defer close(c.gone)
	for {
		var err error
		select {
		case n := <-c.notes:
			err = emitNote(n, emit)
		case b := <-c.out:
			if err = c.drain(emit); err == nil { // what mcp-go sent before this was queued goes first
				err = emit(b)
			}
		case <-ended:
			return c.rest(emit)
		}
		if err != nil {
			return err
		}
	}
}

func (c *conn) drain(emit func([]byte) error) error {
	for {
		select {
		case n := <-c.notes:
			if err := emitNote(n, emit); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func (c *conn) rest(emit func([]byte) error) error {
	for {
		if err := c.drain(emit); err != nil {
			return err
		}
		select {
		case b := <-c.out:
			if err := emit(b); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func emitNote(n mcp.JSONRPCNotification, emit func([]byte) error) error {
	b, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return emit(b)
}

// handle serves a message, or has mcp-go serve it. A panic outside the pipeline tells nothing to the client (MCP-18).
func (s *Server) handle(ctx context.Context, e envelope, message []byte) (answer any) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("request panicked", zap.String("transport", requestFrom(ctx).transport), zap.ByteString("stack", debug.Stack()))
			answer = &protocolError{code: mcp.INTERNAL_ERROR, id: requestFrom(ctx).id, text: "internal error"}
		}
	}()
	if answer, ok := s.plain(ctx, e); ok {
		return answer
	}
	if m := s.mcp.HandleMessage(ctx, message); m != nil {
		return m
	}
	return nil
}
