package emulator

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
)

const (
	hubBacklog   = 4096             // frames that wait to be sent; more are lost
	writeTimeout = 60 * time.Second // a client that takes nothing for so long is cut off
	maxClientMsg = 4 << 20          // aiohttp's own bound
	maxSeen      = 10_000           // sids remembered after their sockets ended
)

// Kinds of binary frames.
const (
	framePreview     = 1
	framePreviewMeta = 4
)

// socket is one WebSocket.
type socket struct {
	sid  string
	line net.Conn        // below conn
	mu   sync.Mutex      // one writer at a time
	conn *websocket.Conn // nil where the handshake failed
	old  bool            // its sid was connected before
}

func (s *socket) write(kind int, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn == nil {
		return net.ErrClosed
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails only with the connection
	return s.conn.WriteMessage(kind, data)
}

func (s *socket) writeJSON(event string, data any) {
	if frame, err := eventFrame(event, data); err == nil {
		_ = s.write(websocket.TextMessage, frame) // a cut socket is noticed by its reader
	}
}

func eventFrame(event string, data any) ([]byte, error) {
	return encodePython(obj(pair{"type", event}, pair{"data", data}))
}

// frame is one message on its way to the sockets.
type frame struct {
	kind int
	data []byte
	to   client
}

// hub knows the sockets and sends them events, one after the other in one
// goroutine, as ComfyUI does: a client that takes nothing keeps all others waiting.
type hub struct {
	faults *faultSet
	stop   <-chan struct{}
	frames chan frame

	mu      sync.Mutex
	sockets map[string]*socket
	meta    map[string]bool // by sid: wants previews with metadata
	open    map[*socket]struct{}
	seen    map[string]struct{} // sids that were connected before
	stalled bool
}

func newHub(faults *faultSet, stop <-chan struct{}) *hub {
	return &hub{
		faults:  faults,
		stop:    stop,
		frames:  make(chan frame, hubBacklog),
		sockets: map[string]*socket{},
		meta:    map[string]bool{},
		open:    map[*socket]struct{}{},
		seen:    map[string]struct{}{},
	}
}

// publish sends frames until the server stops.
func (h *hub) publish() {
	for {
		select {
		case <-h.stop:
			return
		case f := <-h.frames:
			for _, s := range h.targets(f.to) {
				_ = s.write(f.kind, f.data) // a cut socket is noticed by its reader
			}
		}
	}
}

// targets are the sockets of a client, or all of them for a job without one.
func (h *hub) targets(to client) []*socket {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.stalled {
		return nil
	}
	var list []*socket
	for sid, s := range h.sockets {
		if (to.known && sid != to.id) || (s.old && h.faults.on(faultDeaf)) {
			continue
		}
		list = append(list, s)
	}
	return list
}

// send queues an event. It never waits: with too many frames unsent, because a
// client takes none, the event is lost.
func (h *hub) send(event string, data any, to client) {
	if f, err := eventFrame(event, data); err == nil {
		h.push(frame{websocket.TextMessage, f, to})
	}
}

func (h *hub) sendBinary(data []byte, to client) { h.push(frame{websocket.BinaryMessage, data, to}) }

func (h *hub) push(f frame) {
	select {
	case h.frames <- f:
	default:
	}
}

// listens says whether a client has a socket, and whether it wants previews with
// metadata. A job without a client is listened to by everybody, without.
func (h *hub) listens(to client) (heard, withMeta bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !to.known {
		return len(h.sockets) > 0, false
	}
	_, ok := h.sockets[to.id]
	return ok, h.meta[to.id]
}

// stall makes the hub send nothing any more.
func (h *hub) stall() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stalled = true
}

// cut ends every WebSocket without a close frame.
func (h *hub) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.open {
		_ = s.line.Close() // it is gone either way
	}
}

// join registers a socket. Under an sid that is still connected it takes the
// other's place, and the other is never closed.
func (h *hub) join(s *socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, s.old = h.seen[s.sid]
	if len(h.seen) >= maxSeen {
		clear(h.seen)
	}
	h.seen[s.sid] = struct{}{}
	h.open[s] = struct{}{}
	h.sockets[s.sid] = s
	h.meta[s.sid] = false
}

// leave takes a socket's sid out, whoever stands there by now: that is the real
// servers' bug by which a socket goes deaf when its lingering predecessor ends.
func (h *hub) leave(s *socket) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.open, s)
	if h.sockets[s.sid] != s && h.faults.on(faultMended) {
		return
	}
	delete(h.sockets, s.sid)
	delete(h.meta, s.sid)
}

func (h *hub) wantMeta(sid string, yes bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.meta[sid] = yes
}

// greeting is what a new socket is told: always the queue, and the running node
// if the job is its own.
type greeting struct {
	remaining int
	node      string // "" if none
	features  json.RawMessage
}

// serve runs one WebSocket until it ends.
func (h *hub) serve(w http.ResponseWriter, r *http.Request, greet func(sid string) greeting) {
	up := websocket.Upgrader{
		WriteBufferSize: 64 << 10,
		CheckOrigin:     func(*http.Request) bool { return true }, // the origin was looked at before
		Error: func(w http.ResponseWriter, _ *http.Request, _ int, _ error) {
			writeText(w, http.StatusBadRequest, "No WebSocket UPGRADE hdr: None\n Can \"Upgrade\" only to \"WebSocket\".")
		},
	}
	sid := r.URL.Query().Get("clientId")
	if sid == "" {
		id := uuid.New()
		sid = hexString(id[:])
	}
	s := &socket{sid: sid}
	j := &joining{ResponseWriter: w, hub: h, socket: s, greet: greet}
	open := j.shake(r, up)
	if s.line != nil {
		defer h.leave(s)
	}
	if open {
		defer s.conn.Close() //nolint:errcheck // nothing can be done about it
		h.listen(s, j.hello.features)
	}
}

// joining has a socket join, and takes down its greeting, just before its client is told that it is open: whoever knows that
// misses nothing any more, and nothing that it does then is in the greeting. With ComfyUI one thread does all this.
type joining struct {
	http.ResponseWriter
	hub    *hub
	socket *socket
	greet  func(sid string) greeting
	hello  greeting
}

func (j *joining) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	line, rw, err := http.NewResponseController(j.ResponseWriter).Hijack()
	if err == nil {
		j.hello = j.greet(j.socket.sid)
		j.socket.line = line
		j.hub.join(j.socket)
	}
	return line, rw, err //nolint:wrapcheck // stands for the server's
}

// shake shakes hands and sends the greeting; what is published meanwhile comes after it. False if there was nobody to greet.
func (j *joining) shake(r *http.Request, up websocket.Upgrader) bool {
	s := j.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	conn, err := up.Upgrade(j, r, nil)
	if err != nil {
		return false
	}
	conn.SetReadLimit(maxClientMsg)
	s.conn = conn
	sayHello(s, j.hello)
	return true
}

func sayHello(s *socket, hello greeting) {
	status := obj(
		pair{"status", obj(pair{"exec_info", obj(pair{"queue_remaining", hello.remaining})})},
		pair{"sid", s.sid},
	)
	frames := [][]any{{"status", status}}
	if hello.node != "" {
		frames = append(frames, []any{"executing", obj(pair{"node", hello.node})})
	}
	_ = s.conn.SetWriteDeadline(time.Now().Add(writeTimeout)) // fails only with the connection
	for _, f := range frames {
		event, _ := f[0].(string)
		if data, err := eventFrame(event, f[1]); err == nil {
			_ = s.conn.WriteMessage(websocket.TextMessage, data) // the reader notices a cut socket
		}
	}
}

// listen reads what the client says: only feature flags, and only at first.
func (h *hub) listen(s *socket, features json.RawMessage) {
	for first := true; ; {
		kind, data, err := s.conn.ReadMessage()
		if err != nil {
			return
		}
		if kind != websocket.TextMessage {
			continue
		}
		var msg struct {
			Type string `json:"type"`
			Data struct {
				Previews bool `json:"supports_preview_metadata"`
			} `json:"data"`
		}
		if json.Unmarshal(data, &msg) != nil {
			continue
		}
		if first && msg.Type == "feature_flags" {
			h.wantMeta(s.sid, msg.Data.Previews)
			s.writeJSON("feature_flags", features)
		}
		first = false
	}
}

// previewFrame packs a picture as the client wants it; mime is image/jpeg or
// image/png.
func previewFrame(meta *object, mime string, picture []byte) []byte {
	var b []byte
	if meta == nil {
		format := uint32(1)
		if mime == "image/png" {
			format = 2
		}
		b = binary.BigEndian.AppendUint32(b, framePreview)
		b = binary.BigEndian.AppendUint32(b, format)
		return append(b, picture...)
	}
	meta.set("image_type", mime)
	head, err := encodePython(meta)
	if err != nil {
		head = []byte("{}")
	}
	b = binary.BigEndian.AppendUint32(b, framePreviewMeta)
	b = binary.BigEndian.AppendUint32(b, uint32(len(head)))
	b = append(b, head...)
	return append(b, picture...)
}
