package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A stream is the answer to one HTTP request, between mcp-go and the network.
//
// mcp-go sends a request's notifications through a channel of the session, from which any request of the session may take them, and drops
// the one that was taken when the answer comes (BUG-07, BUG-08). So our notifications do not go that way: notify writes them here, onto the
// request's own response, which it turns into an event stream first. mcp-go does not see that and writes its answer as JSON; the stream
// makes an event of it. What mcp-go itself sends as events passes.
type stream struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	request  *request
	accepts  bool   // the client takes event streams
	answered func() // called before the answer leaves, perhaps more than once
	bounds   Bounds

	mu       sync.Mutex
	header   http.Header // what mcp-go sets; copied when the status is written
	written  bool        // the status is out
	events   bool        // as an event stream
	ours     bool        // turned into one by notify
	replaced bool        // the answer is the request's override
	closed   bool
	err      error // of the first write that failed
	answer   bytes.Buffer
	keeper   *time.Timer
}

func newStream(w http.ResponseWriter, r *http.Request, req *request, b Bounds) *stream {
	accept := r.Header.Get("Accept")
	return &stream{
		w: w, control: http.NewResponseController(w), request: req, bounds: b, header: make(http.Header), answered: func() {},
		accepts: accept == "" || strings.Contains(accept, "text/event-stream") || strings.Contains(accept, "*/*"),
	}
}

// CanStream tells mcp-go that Flush works.
func (*stream) CanStream() bool { return true }

// Header returns mcp-go's headers, not yet those of the response.
func (s *stream) Header() http.Header { return s.header }

// WriteHeader sends the status, unless notify has.
func (s *stream) WriteHeader(code int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written || s.closed {
		return
	}
	events := strings.HasPrefix(s.header.Get("Content-Type"), "text/event-stream")
	if o := s.request.override; o != nil && !events {
		s.replaced = true
		s.header.Set("Content-Type", "application/json")
		s.head(o.status)
		return
	}
	if events {
		s.beginEvents()
		return
	}
	s.head(code)
}

// head sends the status and headers. mu is held.
func (s *stream) head(code int) {
	s.written = true
	maps.Copy(s.w.Header(), s.header)
	s.extend(0)
	s.w.WriteHeader(code)
}

// beginEvents opens an event stream and keeps it alive (MCP-16, BUG-20). mu is held.
func (s *stream) beginEvents() {
	s.events = true
	s.header.Set("Content-Type", "text/event-stream")
	s.header.Set("Cache-Control", "no-cache")
	s.header.Set("X-Accel-Buffering", "no")
	s.head(http.StatusOK)
	s.keeper = time.AfterFunc(s.bounds.KeepAlive, s.comment)
}

// extend bounds the next write: a client that does not read must not hold a goroutine for good. mu is held.
func (s *stream) extend(size int) {
	err := s.control.SetWriteDeadline(time.Now().Add(s.bounds.Write + time.Duration(size/s.bounds.WriteRate)*time.Second))
	if err != nil && !errors.Is(err, http.ErrNotSupported) && s.err == nil {
		s.err = err
	}
}

// put writes b. mu is held.
func (s *stream) put(b []byte) error {
	if s.err != nil {
		return s.err
	}
	s.extend(len(b))
	if _, err := s.w.Write(b); err != nil { //nolint:gosec // JSON or events, never a page
		s.err = err
	}
	if s.keeper != nil && !s.closed {
		s.keeper.Reset(s.bounds.KeepAlive)
	}
	return s.err
}

// event writes one event and flushes it. mu is held.
func (s *stream) event(message []byte) error {
	b := make([]byte, 0, len(message)+24)
	b = append(append(append(b, "event: message\ndata: "...), message...), "\n\n"...)
	if err := s.put(b); err != nil {
		return err
	}
	s.err = s.control.Flush()
	return s.err
}

// open begins the event stream of the older transport: its first event says where to post.
func (s *stream) open(endpoint string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beginEvents()
	if err := s.put([]byte("event: endpoint\ndata: " + endpoint + "\n\n")); err != nil {
		return err
	}
	s.err = s.control.Flush()
	return s.err
}

// message sends one message as an event.
func (s *stream) message(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.event(b)
}

func (s *stream) comment() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.put([]byte(":\n\n")) != nil {
		return
	}
	s.err = s.control.Flush()
}

// Write takes what mcp-go answers: as it is, or to be made an event of.
func (s *stream) Write(b []byte) (int, error) {
	s.mu.Lock()
	implicit := !s.written && !s.closed
	s.mu.Unlock()
	if implicit {
		s.WriteHeader(http.StatusOK)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return 0, http.ErrHandlerTimeout
	case s.replaced:
		return len(b), nil
	case s.ours:
		return s.answer.Write(b)
	case !s.events:
		s.answered()
	}
	return len(b), s.put(b)
}

// Flush sends what was written.
func (s *stream) Flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.written && !s.closed && s.err == nil {
		s.err = s.control.Flush()
	}
}

// notify sends a notification on this stream, in order with everything else there.
func (s *stream) notify(_ context.Context, method string, params map[string]any, _ bool) error {
	b, err := json.Marshal(notification{"2.0", method, params})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed || !s.accepts || s.written && !s.events:
		return nil
	case !s.written:
		s.ours = true
		s.beginEvents()
	}
	return s.event(b)
}

type notification struct {
	JSONRPC string         `json:"jsonrpc"`
	Method  string         `json:"method"`
	Params  map[string]any `json:"params"`
}

// close writes the answer where it was held back, and ends the stream.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	if s.keeper != nil {
		s.keeper.Stop()
	}
	message := bytes.TrimSpace(s.answer.Bytes())
	if o := s.request.override; o != nil && (s.ours || s.replaced) {
		o.id = s.request.id
		message = encode(o)
	}
	s.answered()
	switch {
	case len(message) == 0:
	case s.ours:
		s.err = s.event(message)
	default:
		s.err = s.put(append(message, '\n'))
	}
}
