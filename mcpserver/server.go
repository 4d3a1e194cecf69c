package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// A Server serves the tools to any number of clients. It is safe for concurrent use.
// Who calls is read from the context, where [auth.NewContext] put it: by web for HTTP, by the program for stdio.
type Server struct {
	cfg      Config
	log      *zap.Logger
	mcp      *server.MCPServer
	http     *server.StreamableHTTPServer
	pipeline *pipeline
	serve    handler
	scopes   map[string]policy.Scope // by tool, for what tools/list shows
	tools    map[string]*tool
	sessions *sessions
	conns    *conns
	running  *running
	upload   *tool // what upload links call

	mu      sync.Mutex
	closing bool
	calls   int
	idle    chan struct{} // closed when closing and no call runs
}

// New checks cfg and returns a server. It starts nothing and asks ComfyUI nothing (MCP-32).
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Bounds = cfg.Bounds.orDefaults()
	if cfg.Denials == nil {
		cfg.Denials = single{cfg.Audit}
	}
	if cfg.Clean == nil {
		cfg.Clean = func(text string) string { return text }
	}
	if cfg.Structured == "" {
		cfg.Structured = Never
	}
	s := &Server{
		cfg: cfg, log: cfg.Log, scopes: make(map[string]policy.Scope), tools: make(map[string]*tool), running: newRunning(),
		conns: &conns{open: make(map[string]*sseConn)}, idle: make(chan struct{}),
	}
	s.pipeline = &pipeline{
		policy: cfg.Policy, limiter: cfg.Limiter, places: cfg.Places, budgets: cfg.Budgets, calls: cfg.Calls, seen: cfg.Seen, audit: cfg.Audit, denials: cfg.Denials,
		explain: s.explain,
		log:     cfg.Log, bounds: cfg.Bounds, newID: newID, closing: s.isClosing, observed: cfg.Observe, exhausted: cfg.Exhausted,
	}
	s.serve = chain(s.pipeline.run, s.pipeline.stages()...)
	var err error
	s.mcp = server.NewMCPServer(cfg.Name, cfg.Version, s.options()...)
	for _, t := range cfg.Tools {
		if err := s.register(t); err != nil {
			return nil, err
		}
	}
	if cfg.Images != nil {
		if err := s.registerPictures(); err != nil {
			return nil, err
		}
	}
	if s.upload, err = uploadTool(); err != nil {
		return nil, err
	}
	s.sessions = newSessions(cfg.Bounds, s.endSession)
	s.http = server.NewStreamableHTTPServer(s.mcp,
		server.WithSessionIdManagerResolver(s.sessions),
		server.WithStreamableHTTPLogger(sdkLogger(cfg.Log)))
	s.extend()
	return s, nil
}

func (s *Server) options() []server.ServerOption {
	hooks := &server.Hooks{}
	hooks.AddOnError(s.unreached)
	hooks.AddAfterListTools(s.showAllowed)
	hooks.AddAfterInitialize(func(ctx context.Context, _ any, r *mcp.InitializeRequest, _ *mcp.InitializeResult) {
		s.sessions.greet(requestFrom(ctx).session, r.Params.ClientInfo)
	})
	opts := []server.ServerOption{
		server.WithHooks(hooks),
		server.WithToolCapabilities(false), // the list is the same for as long as the process lives
		server.WithTitle(cfgOr(s.cfg.Title, s.cfg.Name)),
		server.WithWebsiteURL(s.cfg.WebsiteURL),
		server.WithInstructions(s.cfg.Instructions),
		server.WithIcons(icon()),
		server.WithCacheHints(cacheFor, mcp.CacheScopePrivate), // MCP-28
	}
	if s.cfg.Images != nil {
		opts = append(opts, server.WithResourceCapabilities(false, false)) // MCP-17: what is not delivered is not promised
	}
	if s.cfg.Traces != nil {
		opts = append(opts, server.WithTracer(tracer{s.cfg.Traces}))
	}
	return append(opts, extraOptions()...)
}

// cacheFor is how long a client may keep a list, in milliseconds.
const cacheFor = 60_000

func cfgOr(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

// Streamable is the handler of /mcp: Streamable HTTP, revisions 2024-11-05 to 2026-07-28.
func (s *Server) Streamable() http.Handler { return http.HandlerFunc(s.serveMCP) }

// SSE is the handler of /sse, the older transport's stream; its clients post to /message, which [Server.Message] serves.
func (s *Server) SSE() http.Handler { return http.HandlerFunc(s.serveSSE) }

// Message is the handler of /message.
func (s *Server) Message() http.Handler { return http.HandlerFunc(s.serveMessage) }

// Drain refuses new calls and waits until the running ones have ended, or ctx has.
func (s *Server) Drain(ctx context.Context) error {
	s.mu.Lock()
	if !s.closing {
		s.closing = true
		if s.calls == 0 {
			close(s.idle)
		}
	}
	s.mu.Unlock()
	select {
	case <-s.idle:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// begin counts a call until end, so that Drain can wait for it.
func (s *Server) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls++
}

func (s *Server) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls--; s.closing && s.calls == 0 {
		select {
		case <-s.idle: // a call that came while closing, and was refused
		default:
			close(s.idle)
		}
	}
}

// CloseSessions ends all streams and sessions.
func (s *Server) CloseSessions(ctx context.Context) {
	s.conns.close()
	s.sessions.close()
	s.http.CloseSessions(ctx)
}

// endSession makes mcp-go forget an idle session: ending one by its id is the only way to that.
func (s *Server) endSession(id string) {
	h := make(http.Header)
	h.Set(server.HeaderKeySessionID, id)
	s.http.Handle(discard{make(http.Header)}, &server.HTTPRequest{Method: http.MethodDelete, Header: h})
}

// discard is a response that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) WriteHeader(int)             {}
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Flush()                      {}
func (discard) CanStream() bool             { return false }

// showAllowed leaves in tools/list what the caller may use (SC-59). The scope stage asks again at each call.
func (s *Server) showAllowed(ctx context.Context, _ any, _ *mcp.ListToolsRequest, result *mcp.ListToolsResult) {
	offered := s.offered(ctx)
	result.Tools = slices.DeleteFunc(slices.Clone(result.Tools), func(t mcp.Tool) bool { return !slices.Contains(offered, t.Name) })
}

// offered are the names of the tools that the caller may use, sorted.
func (s *Server) offered(ctx context.Context) (names []string) {
	who := caller(ctx, s.cfg.Policy)
	for name, scope := range s.scopes {
		if s.cfg.Policy.Offers(policy.Request{Principal: who.Name, Role: who.Role, Scopes: who.Scopes, Tool: name, Scope: scope}) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// unreached records calls that reach no tool: unknown ones and those that mcp-go cannot parse. It is the one place that does, and needs no
// join with the pipeline, because our handlers never return an error. What an unknown one may have meant is told.
func (s *Server) unreached(ctx context.Context, _ any, method mcp.MCPMethod, message any, err error) {
	if method != mcp.MethodToolsCall {
		return
	}
	req, name := requestFrom(ctx), ""
	if r, ok := message.(*mcp.CallToolRequest); ok {
		name = clean(r.Params.Name, 128)
	}
	if errors.Is(err, server.ErrToolNotFound) {
		req.override = &protocolError{code: mcp.INVALID_PARAMS, status: http.StatusOK, id: req.id, text: unknownTool(name, s.offered(ctx))}
	}
	s.denied(ctx, req, audit.Record{Tool: name, Rule: "tool:unknown", Code: "UNKNOWN_TOOL"})
}

// unknownTool says that there is no such tool, and which was meant or which there are.
func unknownTool(name string, offered []string) string {
	switch near := nearest(name, offered); {
	case near != "":
		return fmt.Sprintf("Tool not found: there is no %s; did you mean %s?", name, near)
	case len(offered) == 0:
		return fmt.Sprintf("Tool not found: there is no %s, nor any other that you may use.", name)
	}
	return fmt.Sprintf("Tool not found: there is no %s; there are %s.", name, strings.Join(offered, ", "))
}

// refuse records a message that was refused before mcp-go saw it.
func (s *Server) refuse(ctx context.Context, req *request, e envelope, fault *protocolError) {
	r := audit.Record{Rule: "protocol", Code: strconv.Itoa(fault.code)}
	if toolName.MatchString(e.tool) {
		r.Tool = e.tool
	}
	s.denied(ctx, req, r)
}

// known returns a tool's name, or nothing for one that there is not: figures do not grow with what callers make up.
func (s *Server) known(tool string) string {
	if _, is := s.scopes[tool]; is {
		return tool
	}
	return ""
}

func (s *Server) denied(ctx context.Context, req *request, r audit.Record) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.Bounds.Owed)
	defer cancel()
	who, _ := auth.FromContext(ctx)
	r.Kind, r.Status, r.Decision, r.CallID = audit.DecisionK, "denied", "deny", newID()
	r.Principal, r.Method, r.Transport, r.Session = who.Name, who.Method, req.transport, req.session
	r.PolicyHash = s.cfg.Policy.Hash()
	s.log.Info("message refused", zap.String("call_id", r.CallID), zap.String("principal", r.Principal),
		zap.String("transport", r.Transport), zap.String("rule", r.Rule), zap.String("code", r.Code))
	if s.cfg.Observe != nil {
		s.cfg.Observe(Ended{Principal: r.Principal, Tool: s.known(r.Tool), Code: r.Code, Rule: r.Rule})
	}
	if err := s.cfg.Denials.Denied(ctx, r); err != nil {
		s.log.Error("refusal could not be recorded", zap.String("call_id", r.CallID), zap.Error(err))
	}
}

// explain words err for the caller of c.
func (s *Server) explain(c *call, err error) *tools.Fault {
	if c.transport == "stdio" || c.principal.Can(policy.Operate) {
		return explain(err, s.cfg.Upstream)
	}
	return explain(err, "")
}
