package web

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// A route is one path. All but public ones and upload links demand a principal (SC-10).
type route struct {
	pattern string
	public  bool
	upload  bool // the path is a credential of its own, and what is sent there is large
	handler http.Handler
}

// routes lists every path there is.
func (s *Server) routes() []route {
	list := []route{
		{pattern: "/mcp", handler: s.cfg.MCP.Streamable()},
		{pattern: "/healthz", public: true, handler: http.HandlerFunc(s.health)},
		{pattern: "/.well-known/security.txt", public: true, handler: http.HandlerFunc(s.securityText)},
	}
	if s.cfg.Metrics != nil {
		list = append(list, route{pattern: "/metrics", handler: s.bounded(s.cfg.Metrics)})
	}
	if s.cfg.Resource != nil {
		for _, path := range []string{"", "/mcp"} {
			list = append(list, route{pattern: MetadataPath + path, public: true, handler: http.HandlerFunc(s.metadata)})
		}
	}
	if s.cfg.SSE {
		list = append(list, route{pattern: "/sse", handler: s.cfg.MCP.SSE()}, route{pattern: "/message", handler: s.cfg.MCP.Message()})
	}
	if s.cfg.Links != nil {
		list = append(list, route{pattern: "/images/{token}", public: true, handler: http.HandlerFunc(s.picture)}) // the token is a credential of its own
	}
	if s.cfg.Uploads != nil {
		list = append(list, route{pattern: uploadPath + "{token}", upload: true, handler: http.HandlerFunc(s.upload)})
	}
	return list
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		h := r.handler
		switch {
		case r.upload:
		case r.public:
			h = s.bounded(h)
		default:
			h = s.authenticate(s.weigh(h))
		}
		mux.Handle(r.pattern, h)
	}
	return s.headers(s.limitBody(s.hostOrigin(mux)))
}

// headers go with every answer (T15). A handler may set others.
func (*Server) headers(next http.Handler) http.Handler {
	// Shared by all answers: whoever sets one replaces its list, and whoever adds to one copies it.
	always := http.Header{
		"X-Content-Type-Options":       {"nosniff"},
		"X-Frame-Options":              {"DENY"},
		"Referrer-Policy":              {"no-referrer"},
		"Content-Security-Policy":      {"default-src 'none'; frame-ancestors 'none'"},
		"Cross-Origin-Resource-Policy": {"same-origin"},
		"Cache-Control":                {"no-store"},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), always)
		// The connection may have had a request before, whose last write set a deadline.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // some writers of tests cannot
		next.ServeHTTP(w, r)
	})
}

// bounded gives a whole short answer its deadline.
func (s *Server) bounded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			s.refuse(w, http.StatusMethodNotAllowed, "use GET")
			return
		}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.cfg.WriteTimeout)) // some writers of tests cannot
		next.ServeHTTP(w, r)
	})
}

var jsonType = []string{"application/json"} // shared by all answers, as in headers

// refuse answers with a JSON-RPC error without id, which clients of MCP understand.
func (s *Server) refuse(w http.ResponseWriter, status int, text string) {
	message, err := json.Marshal(text)
	if err == nil {
		w.Header()["Content-Type"] = jsonType
		w.WriteHeader(status)
		_, err = w.Write(slices.Concat([]byte(`{"jsonrpc":"2.0","error":{"code":-32600,"message":`), message, []byte("}}\n"))) // an invalid request
	}
	if err != nil {
		s.cfg.Log.Debug("refusal could not be sent", zap.Error(err))
	}
}

// health says that the process serves, and nothing else.
func (s *Server) health(w http.ResponseWriter, _ *http.Request) {
	s.text(w, "application/json", `{"status":"ok"}`+"\n")
}

// securityText is RFC 9116's (SC-02).
func (s *Server) securityText(w http.ResponseWriter, _ *http.Request) {
	expires := s.cfg.Built.AddDate(1, 0, 0).UTC().Format(time.RFC3339)
	s.text(w, "text/plain; charset=utf-8", "Contact: "+s.cfg.Contact+"\nExpires: "+expires+"\nPreferred-Languages: en\n")
}

func (s *Server) text(w http.ResponseWriter, kind, text string) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	if _, err := w.Write([]byte(text)); err != nil {
		s.cfg.Log.Debug("answer could not be sent", zap.Error(err))
	}
}
