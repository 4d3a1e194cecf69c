package mcpserver

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"go.uber.org/zap"

	"github.com/comfygate/comfygate/auth"
)

// serveMCP is the way to mcp-go's Streamable HTTP handler. It lets through what that handler may see: messages of bounded size and strict
// form, in sessions of whoever sends them. Nothing behind it needs to doubt a session id.
func (s *Server) serveMCP(w http.ResponseWriter, r *http.Request) {
	req := &request{transport: "http", arrived: time.Now()}
	defer s.shielded(w, req)
	who, ok := auth.FromContext(r.Context())
	if !ok {
		s.answer(w, &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusUnauthorized, text: "who calls is not known"})
		return
	}
	version := r.Header.Get(mcp.HeaderProtocolVersion)
	switch {
	case r.Method == http.MethodPost:
		s.post(w, r, req, who)
	case r.Method != http.MethodGet && r.Method != http.MethodDelete:
		w.Header().Set("Allow", "GET, POST, DELETE")
		s.answer(w, &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusMethodNotAllowed, text: "use POST"})
	case mcp.IsModernProtocol(version): // MCP-13, T11
		w.Header().Set("Allow", "POST")
		s.answer(w, &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusMethodNotAllowed, text: "this revision has no sessions: use POST"})
	case version != "" && !mcp.IsValidProtocolVersion(version):
		s.reject(r.Context(), w, req, envelope{}, unsupported(version))
	default:
		s.inSession(w, r, req, who)
	}
}

// shielded ends a request whose handling panicked outside the pipeline: nothing of the panic is told (MCP-18, BUG-12).
func (s *Server) shielded(w http.ResponseWriter, req *request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler { //nolint:errorlint,err113 // net/http compares so too
		panic(v)
	}
	s.log.Error("request panicked", zap.String("transport", req.transport), zap.ByteString("stack", debug.Stack()))
	s.answer(w, &protocolError{code: mcp.INTERNAL_ERROR, status: http.StatusInternalServerError, text: "internal error"})
}

// reject answers with a refusal and records it.
func (s *Server) reject(ctx context.Context, w http.ResponseWriter, req *request, e envelope, fault *protocolError) {
	s.answer(w, fault)
	s.refuse(ctx, req, e, fault)
}

// answer writes e.
func (s *Server) answer(w http.ResponseWriter, e *protocolError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status)
	if err := json.NewEncoder(w).Encode(e); err != nil {
		s.log.Debug("refusal could not be sent", zap.Error(err))
	}
}

// unsupported refuses a version that does not exist (T10).
func unsupported(version string) *protocolError {
	return &protocolError{
		code: mcp.UNSUPPORTED_PROTOCOL_VERSION, status: http.StatusBadRequest, text: "unsupported protocol version",
		data: map[string]any{"requested": clean(version, 40), "supported": server.FilterSupportedVersions(allVersions{})},
	}
}

// allVersions supports whatever mcp-go does.
type allVersions struct{}

func (allVersions) SupportsProtocolVersion(v string) bool { return mcp.IsValidProtocolVersion(v) }

// body reads a message, or answers why not (MCP-03, BUG-05, T04, T05).
func (s *Server) body(w http.ResponseWriter, r *http.Request) ([]byte, *protocolError) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return nil, &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusUnsupportedMediaType, text: "Content-Type must be application/json"}
	}
	limit := s.cfg.Bounds.RequestBytes
	if r.ContentLength <= limit {
		var b bytes.Buffer
		b.Grow(int(min(max(r.ContentLength, 0), 64<<10)) + bytes.MinRead) // what is said is not yet believed beyond that
		if _, err = b.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err == nil {
			return b.Bytes(), nil
		}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok || r.ContentLength > limit {
		w.Header().Set("Connection", "close") // what is left of the body is not read
		return nil, &protocolError{
			code: mcp.INVALID_REQUEST, status: http.StatusRequestEntityTooLarge,
			text: "the message has more than " + strconv.FormatInt(limit, 10) + " bytes; bring pictures in by upload_image, not inside arguments",
		}
	}
	return nil, &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusBadRequest, text: "the body could not be read"}
}

func (s *Server) post(w http.ResponseWriter, r *http.Request, req *request, who auth.Principal) {
	var e envelope
	leave := func() {}
	b, fault := s.body(w, r)
	if fault == nil {
		e, fault = readEnvelope(b)
		req.id = e.id
	}
	if fault == nil {
		s.align(r, e)
		leave, fault = s.admit(w, r, req, e, who)
	}
	if fault != nil {
		fault.id = req.id
		s.reject(r.Context(), w, req, e, fault)
		return
	}
	defer leave()
	if e.method == string(mcp.MethodNotificationCancelled) { // MCP-05, BUG-01: never to mcp-go, which finds the call by its number alone
		if req.session != "" {
			s.running.cancel(req.session, e.target)
		}
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if s.steppedUp(w, r, req, e) {
		return
	}
	if e.method == string(mcp.MethodToolsCall) { // it has ended when its answer is out
		s.begin()
		defer s.end()
	}
	s.forward(w, r, req, e, b)
}

// align makes the headers of a request say what its body says, where they name an older revision: a known proxy sends those of its own
// connection (MCP-29). Nothing is believed that was not before: who calls is known by now, and what is judged and run is the body.
func (s *Server) align(r *http.Request, e envelope) {
	said := r.Header.Get(mcp.HeaderProtocolVersion)
	if !s.cfg.AlignHeaders || !e.modern() || said == e.version || !mcp.IsValidProtocolVersion(said) {
		return
	}
	r.Header = r.Header.Clone()
	r.Header.Set(mcp.HeaderProtocolVersion, e.version)
	r.Header.Set(mcp.HeaderMethod, e.method)
	r.Header.Set(mcp.HeaderName, cmp.Or(e.tool, e.uri))
	s.log.Info("headers of another revision aligned with the message", zap.String("header", said), zap.String("message", e.version))
}

// admit decides in which session a message is served, if in any; leave is called when it has been.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, req *request, e envelope, who auth.Principal) (leave func(), fault *protocolError) {
	version := r.Header.Get(mcp.HeaderProtocolVersion)
	modern := e.modern() || mcp.IsModernProtocol(version)
	switch {
	case version != "" && !mcp.IsValidProtocolVersion(version):
		return nil, unsupported(version)
	case modern && e.method == string(mcp.MethodSubscriptionsListen):
		release, err := s.sessions.stream(who.Name)
		if err != nil {
			return nil, full(w, err)
		}
		return release, nil
	case modern:
		return func() {}, nil
	case e.method != string(mcp.MethodInitialize):
		return s.enter(r, req, who)
	}
	id, err := s.sessions.issue(who.Name)
	if err != nil {
		return nil, full(w, err)
	}
	req.session = id
	return func() {
		if w.Header().Get(server.HeaderKeySessionID) == "" {
			s.sessions.forget(id) // it was refused: nobody knows of the session
		}
	}, nil
}

// forward lets mcp-go serve the message.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, req *request, e envelope, b []byte) {
	ctx, cancel, release := callsOf(r.Context())
	defer release()
	answered := func() {}
	if req.id != nil && req.session != "" {
		answered = s.running.add(req.session, req.id, cancel)
		defer answered()
	}
	out := newStream(w, r, req, s.cfg.Bounds)
	out.answered = answered // before the answer is out: who has it may use the id again
	defer out.close()
	req.send = out.notify
	ctx = withRequest(ctx, req)
	if req.session != "" && e.id != nil && e.method == string(mcp.MethodToolsCall) && !asksClients(e.tool) {
		s.direct(ctx, out, req, e, b)
		return
	}
	s.http.Handle(out, &server.HTTPRequest{Method: r.Method, URL: r.URL, Header: r.Header, Body: b, Context: ctx})
}

// enter checks the request's session (MCP-08): there must be one, and it must be the caller's.
func (s *Server) enter(r *http.Request, req *request, who auth.Principal) (leave func(), fault *protocolError) {
	id := r.Header.Get(server.HeaderKeySessionID)
	if id == "" {
		return nil, invalid("the header Mcp-Session-Id is missing: initialize first, or use revision 2026-07-28")
	}
	leave, err := s.sessions.enter(who.Name, id)
	if err != nil {
		return nil, &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusNotFound, text: "no such session: initialize again"}
	}
	req.session = id
	return leave, nil
}

// inSession serves GET and DELETE of older revisions (BUG-03).
func (s *Server) inSession(w http.ResponseWriter, r *http.Request, req *request, who auth.Principal) {
	leave, fault := s.enter(r, req, who)
	if fault != nil {
		s.reject(r.Context(), w, req, envelope{}, fault)
		return
	}
	defer leave()
	if r.Method == http.MethodGet {
		release, err := s.sessions.stream(who.Name)
		if err != nil {
			s.reject(r.Context(), w, req, envelope{}, full(w, err))
			return
		}
		defer release()
	}
	s.forward(w, r, req, envelope{}, nil)
}

// full refuses because a cap is reached (MCP-09).
func full(w http.ResponseWriter, err error) *protocolError {
	w.Header().Set("Retry-After", "30")
	text := "too much is open already"
	if c, ok := errors.AsType[*capError](err); ok {
		text = "too many " + c.what + ": at most " + strconv.Itoa(c.max) + " may be open"
	}
	return &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusTooManyRequests, text: text}
}
