// Package web is the HTTP face: listener, body limit, Host and Origin, authentication, security headers, health, and signed picture links.
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/images"
)

// MCP is what serves the protocol; *mcpserver.Server is one.
type MCP interface {
	Streamable() http.Handler
	SSE() http.Handler
	Message() http.Handler
	Drain(ctx context.Context) error
	CloseSessions(ctx context.Context)
}

// Links opens pictures by signed links, which are credentials of their own.
type Links interface {
	// Open returns the picture that token names, or an error for a token that is not ours, expired, or of a picture that is gone.
	Open(token string) (io.ReadSeekCloser, images.Image, error)
}

// Audit records refused sign-ins.
type Audit interface {
	Append(ctx context.Context, r audit.Record) error
}

// Config of a [Server]. MCP, Auth, Audit and Log are required.
type Config struct {
	MCP            MCP
	Auth           *auth.Authenticator
	Audit          Audit
	Links          Links          // nil: no picture links
	SSE            bool           // HTTP__SSE: serve /sse and /message
	AllowedOrigins []string       // HTTP__ALLOWED_ORIGINS
	AllowedHosts   []string       // HTTP__ALLOWED_HOSTS
	PublicURL      string         // HTTP__PUBLIC_URL
	TrustedProxies []netip.Prefix // HTTP__TRUSTED_PROXIES
	Contact        string         // HTTP__SECURITY_CONTACT
	Built          time.Time      // security.txt expires a year after it
	RequestBytes   int64          // LIMITS__REQUEST_BYTES; default 6 MiB
	Connections    int            // open ones at once; default 4096
	HeaderBytes    int            // default 32 KiB
	HeaderTimeout  time.Duration  // default 5 s
	BodyTimeout    time.Duration  // default 30 s
	IdleTimeout    time.Duration  // default 2 min
	Log            *zap.Logger
}

// A Server is the HTTP face of the program.
type Server struct{ cfg Config }

// New checks cfg and returns a server that listens nowhere yet.
func New(cfg Config) (*Server, error) {
	var errs []error
	for name, missing := range map[string]bool{"MCP": cfg.MCP == nil, "Auth": cfg.Auth == nil, "Audit": cfg.Audit == nil, "Log": cfg.Log == nil} {
		if missing {
			errs = append(errs, fmt.Errorf("web: Config.%s is required", name))
		}
	}
	return &Server{cfg: cfg}, errors.Join(errs...)
}

// Serve serves on ln until Shutdown, and returns nil then. It closes ln.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error { return errors.New("not yet") }

// Shutdown stops in order (MCP-30): no new connections, running calls end, streams end, the rest is closed when ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { return nil }
