package mcpserver

import (
	"encoding/json"
	"errors"
	"io"
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
		s.refuse(r.Context(), req, envelope{}, s.answer(w, unsupported(version, nil)))
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

// answer writes e and returns it.
func (s *Server) answer(w http.ResponseWriter, e *protocolError) *protocolError {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status)
	if err := json.NewEncoder(w).Encode(e); err != nil {
		s.log.Debug("refusal could not be sent", zap.Error(err))
	}
	return e
}

// unsupported refuses a version that does not exist (T10).
func unsupported(version string, id json.RawMessage) *protocolError {
	return &protocolError{
		code: mcp.UNSUPPORTED_PROTOCOL_VERSION, status: http.StatusBadRequest, id: id, text: "unsupported protocol version",
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
		var b []byte
		if b, err = io.ReadAll(http.MaxBytesReader(w, r.Body, limit)); err == nil {
			return b, nil
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
	b, fault := s.body(w, r)
	if fault != nil {
		s.refuse(r.Context(), req, envelope{}, s.answer(w, fault))
		return
	}
	e, fault := readEnvelope(b)
	req.id = e.id
	if fault != nil {
		s.refuse(r.Context(), req, e, s.answer(w, fault))
		return
	}
	version := r.Header.Get(mcp.HeaderProtocolVersion)
	if version != "" && !mcp.IsValidProtocolVersion(version) {
		s.refuse(r.Context(), req, e, s.answer(w, unsupported(version, e.id)))
		return
	}
	modern := e.modern() || mcp.IsModernProtocol(version)
	initialize := !modern && e.method == string(mcp.MethodInitialize)
	if !modern && !initialize {
		leave, fault := s.enter(r, req, who)
		if fault != nil {
			fault.id = e.id
			s.refuse(r.Context(), req, e, s.answer(w, fault))
			return
		}
		defer leave()
	}
	if e.method == string(mcp.MethodNotificationCancelled) { // MCP-05, BUG-01: never to mcp-go, which finds the call by its number alone
		if !modern {
			s.running.cancel(req.session, e.target)
		}
		w.WriteHeader(http.StatusAccepted)
		return
	}
	if initialize {
		id, err := s.sessions.issue(who.Name)
		if err != nil {
			s.refuse(r.Context(), req, e, s.full(w, e.id, err))
			return
		}
		req.session = id
	}
	if e.method == string(mcp.MethodSubscriptionsListen) {
		release, err := s.sessions.stream(who.Name)
		if err != nil {
			s.refuse(r.Context(), req, e, s.full(w, e.id, err))
			return
		}
		defer release()
	}
	s.forward(w, r, req, e, b)
	if initialize && w.Header().Get(server.HeaderKeySessionID) == "" {
		s.sessions.forget(req.session) // it was refused: nobody knows of the session
	}
}

// forward lets mcp-go serve the message.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, req *request, e envelope, b []byte) {
	ctx, cancel, release := callsOf(r.Context())
	defer release()
	if e.id != nil && req.session != "" {
		defer s.running.add(req.session, e.id, cancel)()
	}
	out := newStream(w, r, req, s.cfg.Bounds)
	defer out.close()
	req.send = out.notify
	s.http.Handle(out, &server.HTTPRequest{Method: r.Method, URL: r.URL, Header: r.Header, Body: b, Context: withRequest(ctx, req)})
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
		s.refuse(r.Context(), req, envelope{}, s.answer(w, fault))
		return
	}
	defer leave()
	if r.Method == http.MethodGet {
		release, err := s.sessions.stream(who.Name)
		if err != nil {
			s.refuse(r.Context(), req, envelope{}, s.full(w, nil, err))
			return
		}
		defer release()
	}
	s.forward(w, r, req, envelope{}, nil)
}

// full answers that a cap is reached (MCP-09).
func (s *Server) full(w http.ResponseWriter, id json.RawMessage, err error) *protocolError {
	w.Header().Set("Retry-After", "30")
	text := "too much is open already"
	if c, ok := errors.AsType[*capError](err); ok {
		text = "too many " + c.what + ": at most " + strconv.Itoa(c.max) + " may be open"
	}
	return s.answer(w, &protocolError{code: mcp.INVALID_REQUEST, status: http.StatusTooManyRequests, id: id, text: text})
}
