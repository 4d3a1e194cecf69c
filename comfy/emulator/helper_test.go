package emulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/color"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/comfygate/comfygate/comfy/emulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitLong bounds every wait of a test: nothing that works takes so long.
const waitLong = 20 * time.Second

// testServer is an emulator with a client beside it, which reaches it in memory.
type testServer struct {
	*emulator.Server
	t      testing.TB
	client *http.Client
}

func start(tb testing.TB, opts emulator.Options) *testServer {
	tb.Helper()
	s, err := emulator.New(opts)
	if err != nil {
		tb.Fatal(err)
	}
	tr := &http.Transport{DialContext: s.Dial, DisableCompression: true}
	tb.Cleanup(func() {
		tr.CloseIdleConnections()
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return &testServer{Server: s, t: tb, client: &http.Client{Transport: tr}}
}

// answer is a response with its body read.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

func (s *testServer) do(method, path string, body io.Reader, header http.Header) answer {
	ctx, cancel := context.WithTimeout(s.t.Context(), waitLong)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost:8188"+path, body)
	if err != nil {
		s.t.Error(err)
		return answer{err: err}
	}
	maps.Copy(req.Header, header)
	if h := header.Get("Host"); h != "" {
		req.Host = h
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, data, err}
}

func (s *testServer) get(path string) answer { return s.do(http.MethodGet, path, nil, nil) }

func (s *testServer) post(path string, body any) answer {
	text, ok := body.(string)
	if !ok {
		data, err := json.Marshal(body)
		if err != nil {
			s.t.Fatal(err)
		}
		text = string(data)
	}
	return s.do(http.MethodPost, path, strings.NewReader(text), nil)
}

func (s *testServer) getJSON(path string, into any) {
	s.t.Helper()
	a := s.get(path)
	if a.err != nil || a.status != http.StatusOK {
		s.t.Fatalf("GET %s: %d %v %s", path, a.status, a.err, a.body)
	}
	decode(s.t, a.body, into)
}

func decode(tb testing.TB, data []byte, into any) {
	tb.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		tb.Fatalf("%v in %.300s", err, data)
	}
}

// message is one frame of a WebSocket.
type message struct {
	binary []byte
	text   []byte
	err    error
}

// testSocket reads a WebSocket into a queue that never fills.
type testSocket struct {
	t    testing.TB
	conn *websocket.Conn
	mu   sync.Mutex
	got  []message
	more chan struct{}
	done chan struct{}
}

// dialWS opens a WebSocket; flags says whether to ask for previews with metadata.
func (s *testServer) dialWS(clientID string, flags bool) *testSocket {
	s.t.Helper()
	return s.dialLimited(clientID, flags, 0)
}

// dialLimited is dialWS with a bound on frames, 0 for none.
func (s *testServer) dialLimited(clientID string, flags bool, limit int64) *testSocket {
	s.t.Helper()
	d := websocket.Dialer{NetDialContext: s.Dial, HandshakeTimeout: waitLong}
	conn, resp, err := d.Dial("ws://localhost:8188/api/ws?clientId="+clientID, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = resp.Body.Close()
	conn.SetReadLimit(limit)
	w := &testSocket{t: s.t, conn: conn, more: make(chan struct{}, 1), done: make(chan struct{})}
	go w.read()
	s.t.Cleanup(w.close)
	if flags {
		w.send(`{"type":"feature_flags","data":{"supports_preview_metadata":true}}`)
	}
	return w
}

func (w *testSocket) send(text string) {
	w.t.Helper()
	if err := w.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *testSocket) read() {
	defer close(w.done)
	for {
		kind, data, err := w.conn.ReadMessage()
		m := message{err: err}
		if kind == websocket.BinaryMessage {
			m.binary = data
		} else {
			m.text = data
		}
		w.mu.Lock()
		w.got = append(w.got, m)
		w.mu.Unlock()
		select {
		case w.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// next takes the next frame; false if none comes in time.
func (w *testSocket) next(wait time.Duration) (message, bool) {
	deadline := time.After(wait)
	for {
		w.mu.Lock()
		if len(w.got) > 0 {
			m := w.got[0]
			w.got = w.got[1:]
			w.mu.Unlock()
			return m, true
		}
		w.mu.Unlock()
		select {
		case <-w.more:
		case <-deadline:
			return message{}, false
		}
	}
}

func (w *testSocket) close() {
	_ = w.conn.Close()
	<-w.done
}

// event is a JSON frame.
type event struct {
	Type string
	Data map[string]any
}

// until reads frames up to the first event of a type, and returns all events.
func (w *testSocket) until(kind string) []event {
	w.t.Helper()
	var events []event
	for {
		m, ok := w.next(waitLong)
		if !ok || m.err != nil {
			w.t.Fatalf("no %s: %v, after %v", kind, m.err, events)
		}
		if m.binary != nil {
			continue
		}
		var e event
		decode(w.t, m.text, &e)
		events = append(events, e)
		if e.Type == kind {
			return events
		}
	}
}

// testPicture makes a picture in which every pixel differs from its neighbours.
func testPicture(w, h int) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetNRGBA(x, y, color.NRGBA{uint8(x), uint8(y), uint8(x ^ y), 255})
		}
	}
	return m
}
