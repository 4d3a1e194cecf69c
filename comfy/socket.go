package comfy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/gorilla/websocket"
	"go.uber.org/zap"
)

const (
	pingEvery   = 15 * time.Second // CLIENT-WS-2
	pongWithin  = 10 * time.Second
	idleFor     = time.Minute // a socket that nobody listens to costs the server a send to each event
	settled     = 10 * time.Second
	hardFrame   = 256 << 20 // past it the connection is cut (CLIENT-WS-14); a frame between the limits is read and dropped
	redialFirst = 250 * time.Millisecond
	redialMost  = 3 * time.Second // CLIENT-TIME-3; as long as a run needs it, since a run outlasts any number of attempts
)

// A socket keeps one WebSocket to the server while runs need it. Each connection has a client id of its own, and the id of the
// next is fixed before it is dialled, so that what is submitted meanwhile is heard of when it stands. A server that saw the same
// id twice may send nothing ever again (CLIENT-WS-11); a run of an earlier connection is polled.
type socket struct {
	c *Client

	mu      sync.Mutex
	users   int
	looping bool
	id      string // of the present connection or the next one
	conn    *websocket.Conn
	tried   chan struct{} // closed once the first attempt since the loop began has ended, either way
	idle    *time.Timer
	heard   time.Time // of the last message
}

func newSocket(c *Client) *socket { return &socket{c: c, id: NewPromptID()} }

// join declares a run's interest and returns the client id to submit it with. It waits until the socket stands or has failed
// once (CLIENT-WS-8), which its dialler bounds, or until ctx ends.
func (s *socket) join(ctx context.Context) (string, error) {
	s.mu.Lock()
	s.users++
	if s.idle != nil {
		s.idle.Stop()
	}
	if !s.looping {
		s.tried = make(chan struct{})
		if err := s.c.background(ctx, s.loop); err != nil {
			s.users--
			s.mu.Unlock()
			return "", err
		}
		s.looping = true
	}
	tried := s.tried
	s.mu.Unlock()
	select {
	case <-tried:
	case <-ctx.Done():
		s.leave()
		return "", ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.id, nil
}

// leave takes back what join declared.
func (s *socket) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users--; s.users > 0 {
		return
	}
	if s.idle == nil {
		s.idle = time.AfterFunc(idleFor, s.closeIdle)
		return
	}
	s.idle.Reset(idleFor)
}

func (s *socket) closeIdle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 && s.conn != nil {
		s.bye(s.conn)
	}
}

// listening reports whether messages of client id are being received, and when the last one of any kind came.
func (s *socket) listening(id string) (bool, time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn != nil && s.id == id, s.heard
}

// distrust ends the connection of id: it said nothing of a run that has ended, so it is deaf (CLIENT-FAIL-1).
func (s *socket) distrust(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil && s.id == id {
		s.c.log.Warn("comfyui's websocket is deaf, opening another")
		s.bye(s.conn)
	}
}

// bye closes conn properly, so that the server forgets the id (CLIENT-WS-11).
func (*socket) bye(conn *websocket.Conn) {
	_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	_ = conn.Close()
}

// loop holds the connection until nobody wants it.
func (s *socket) loop(ctx context.Context) {
	wait := &backoff.ExponentialBackOff{InitialInterval: redialFirst, RandomizationFactor: 0.3, Multiplier: 2, MaxInterval: redialMost}
	wait.Reset()
	for {
		conn, err := s.open(ctx)
		if err == nil {
			began := time.Now()
			err = s.read(ctx, conn)
			if time.Since(began) >= settled {
				wait.Reset()
			}
			s.closed(conn)
		}
		if s.done(ctx) {
			return
		}
		s.c.log.Debug("comfyui's websocket is not there", zap.Error(err))
		sleep(ctx, wait.NextBackOff())
		if s.done(ctx) {
			return
		}
	}
}

// done ends the loop where nobody needs it.
func (s *socket) done(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users > 0 && ctx.Err() == nil {
		return false
	}
	s.looping = false
	if s.idle != nil {
		s.idle.Stop()
	}
	return true
}

// open dials and shakes hands; either end lets those in join go on.
func (s *socket) open(ctx context.Context) (*websocket.Conn, error) {
	s.mu.Lock()
	id, tried := s.id, s.tried
	s.mu.Unlock()
	conn, err := s.dial(ctx, id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.conn, s.heard = conn, time.Now()
	}
	select {
	case <-tried:
	default:
		close(tried)
	}
	return conn, err
}

func (s *socket) dial(ctx context.Context, id string) (*websocket.Conn, error) {
	u := s.c.base.socket(url.Values{"clientId": {id}})
	header := make(http.Header)
	header.Set("User-Agent", s.c.agent)
	s.c.creds.fill(header, u, s.c.creds.socketQuery)
	ctx, cancel := context.WithTimeout(ctx, s.c.dialer.HandshakeTimeout)
	defer cancel()
	conn, resp, err := s.c.dialer.DialContext(ctx, u.String(), header)
	if err != nil {
		if resp != nil {
			defer func() { _ = resp.Body.Close() }()
			return nil, handshakeError(resp)
		}
		if op := (*net.OpError)(nil); !errors.As(err, &op) || op.Op != "dial" {
			s.renew() // the server may have half of the connection
		}
		return nil, failure(ctx, err, s.c.dialer.HandshakeTimeout)
	}
	conn.SetReadLimit(hardFrame)
	hello := `{"type":"feature_flags","data":{"supports_preview_metadata":true}}` // first of all messages (CLIENT-WS-1)
	_ = conn.SetWriteDeadline(time.Now().Add(pongWithin))
	if err := conn.WriteMessage(websocket.TextMessage, []byte(hello)); err != nil {
		_ = conn.Close()
		s.renew()
		return nil, failure(ctx, err, pongWithin)
	}
	return conn, nil
}

// renew makes the next connection one of another id.
func (s *socket) renew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id = NewPromptID()
}

func handshakeError(resp *http.Response) error {
	if err := statusError(resp); err != nil {
		return err
	}
	return fmt.Errorf("%w: no WebSocket there", ErrProtocol)
}

// closed forgets conn and tells all runs to look for themselves. Connections kept alive to a server that just went away are
// dropped too, lest the next POST is written into one of them.
func (s *socket) closed(conn *websocket.Conn) {
	s.bye(conn)
	s.mu.Lock()
	s.conn, s.id = nil, NewPromptID()
	s.mu.Unlock()
	s.c.http.CloseIdleConnections()
	s.c.wake(func(*Run) bool { return true })
}

// read takes messages until the connection ends. It waits for nothing but the server (CLIENT-WS-12), and not for ever for that.
func (s *socket) read(ctx context.Context, conn *websocket.Conn) error {
	stop := context.AfterFunc(ctx, func() { s.bye(conn) })
	defer stop()
	alive := func(string) error { return conn.SetReadDeadline(time.Now().Add(pingEvery + pongWithin)) }
	conn.SetPongHandler(alive)
	quit := make(chan struct{})
	defer close(quit)
	if err := s.c.background(ctx, func(ctx context.Context) { ping(ctx, conn, quit) }); err != nil {
		return err
	}
	frames := frameReader{text: s.c.limits.TextFrame, preview: s.c.limits.PreviewFrame}
	for {
		if err := alive(""); err != nil {
			return err
		}
		kind, r, err := conn.NextReader()
		if err != nil {
			return err
		}
		s.mu.Lock()
		s.heard = time.Now()
		s.mu.Unlock()
		data, err := frames.read(kind, r)
		switch {
		case errors.Is(err, errDropped):
			s.c.log.Warn("comfyui sent a frame over the limit, dropped", zap.Bool("text", kind == websocket.TextMessage))
		case err != nil:
			return err
		case kind == websocket.TextMessage:
			s.c.onText(data)
		default:
			s.c.onBinary(data)
		}
	}
}

func ping(ctx context.Context, conn *websocket.Conn, quit <-chan struct{}) {
	t := time.NewTicker(pingEvery)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(pongWithin)) != nil {
				return // the reader will see it
			}
		case <-quit:
			return
		case <-ctx.Done():
			return
		}
	}
}

// A frameReader reads messages into a buffer of its own, which the next read overwrites.
type frameReader struct {
	text, preview int64
	buf           []byte
}

var errDropped = errors.New("frame dropped") //nolint:gochecknoglobals // an error value

// read returns a whole message, or errDropped for one over its limit, which it drains without keeping it: a picture too large is
// no reason to lose the connection and with it the progress of every run (CLIENT-FAIL-2).
func (f *frameReader) read(kind int, r io.Reader) ([]byte, error) {
	limit := f.text
	if kind != websocket.TextMessage {
		limit = max(f.preview, 0)
	}
	f.buf = f.buf[:0]
	for {
		if len(f.buf) == cap(f.buf) {
			f.buf = append(f.buf, make([]byte, max(4096, len(f.buf)))...)[:len(f.buf)]
		}
		n, err := r.Read(f.buf[len(f.buf):cap(f.buf)])
		f.buf = f.buf[:len(f.buf)+n]
		switch {
		case int64(len(f.buf)) > limit:
			f.buf = nil
			if _, err := io.Copy(io.Discard, r); err != nil {
				return nil, err
			}
			if f.preview < 0 && kind != websocket.TextMessage {
				return nil, nil // previews are off: nothing to warn of
			}
			return nil, errDropped
		case errors.Is(err, io.EOF):
			return f.buf, nil
		case err != nil:
			return nil, err
		}
	}
}

// onText hands a message to its run. A status message says that the queue has changed: whoever waits in it may look, and whoever
// has seen its end finds it in the history now.
func (c *Client) onText(data []byte) {
	e, ok := parseEvent(data)
	switch {
	case !ok:
	case e.kind == "status":
		c.wake((*Run).inQueue)
	default:
		if r := c.run(e.prompt); r != nil {
			r.hear(e)
		}
	}
}

func (c *Client) onBinary(data []byte) {
	if p, ok := parsePreview(data); ok {
		if r := c.run(p.prompt); r != nil {
			r.see(p)
		}
	}
}

func (c *Client) run(prompt string) *Run {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.runs[prompt]
}

// wake lets those runs that want it look at once.
func (c *Client) wake(want func(*Run) bool) {
	c.mu.Lock()
	all := make([]*Run, 0, len(c.runs))
	for _, r := range c.runs {
		all = append(all, r)
	}
	c.mu.Unlock()
	for _, r := range all {
		if want(r) {
			r.poke()
		}
	}
}
