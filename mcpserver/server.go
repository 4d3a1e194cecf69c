package mcpserver

import (
	"context"
	"errors"
	"io"
	"net/http"
)

// A Server serves the tools to any number of clients. It is safe for concurrent use.
// Who calls is read from the context, where [auth.NewContext] put it: by web for HTTP, by the program for stdio.
type Server struct{ cfg Config }

// New checks cfg and returns a server. It starts nothing and asks ComfyUI nothing (MCP-32).
func New(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.Bounds = cfg.Bounds.orDefaults()
	return &Server{cfg: cfg}, nil
}

// ServeStdio serves one client over a pair of streams, one message a line, until in ends (nil) or ctx does (its error).
// Calls that run then are given a moment to answer; their outcomes are recorded in any case. Nothing but messages is written to out.
func (s *Server) ServeStdio(ctx context.Context, in io.Reader, out io.Writer) error {
	return errors.New("not yet")
}

// Streamable is the handler of /mcp: Streamable HTTP, revisions 2024-11-05 to 2026-07-28.
func (s *Server) Streamable() http.Handler { return http.NotFoundHandler() }

// SSE is the handler of /sse, the older transport's stream; its clients post to the path that [Server.Message] serves.
func (s *Server) SSE() http.Handler { return http.NotFoundHandler() }

// Message is the handler of /message.
func (s *Server) Message() http.Handler { return http.NotFoundHandler() }

// Drain refuses new calls and waits until the running ones have ended, or ctx has.
func (s *Server) Drain(ctx context.Context) error { return nil }

// CloseSessions ends all streams and sessions.
func (s *Server) CloseSessions(ctx context.Context) {}
