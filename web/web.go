// Package web is the HTTP face: listener, body limit, Host and Origin, authentication, security headers, health, and signed picture links.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/limits"
)

// MCP is what serves the protocol; *mcpserver.Server is one.
type MCP interface {
	Streamable() http.Handler
	SSE() http.Handler
	Message() http.Handler
	Drain(ctx context.Context) error
	CloseSessions(ctx context.Context)
}

// Links opens pictures and files by signed links, which are credentials of their own.
type Links interface {
	// Open returns the picture or file that token names, or an error for a token that is not ours, expired, or of one that is gone.
	Open(token string) (io.ReadSeekCloser, images.Served, error)
}

// Audit records refused sign-ins.
type Audit interface {
	Append(ctx context.Context, r audit.Record) error
}

// Denials records refused sign-ins, floods of them as one record with a count.
type Denials interface {
	Denied(ctx context.Context, r audit.Record) error
}

// Config of a [Server]. MCP, Auth, Audit and Log are required; zero bounds take the defaults given.
type Config struct {
	MCP            MCP
	Auth           *auth.Authenticator
	Audit          Audit
	Denials        Denials        // default: each refused sign-in is a record of its own
	Links          Links          // nil: no picture links
	Uploads        Uploads        // nil: no upload links
	SSE            bool           // HTTP__SSE: serve /sse and /message
	AllowedOrigins []string       // HTTP__ALLOWED_ORIGINS, each scheme://host[:port]
	AllowedHosts   []string       // HTTP__ALLOWED_HOSTS, each host[:port]
	PublicURL      string         // HTTP__PUBLIC_URL
	Metrics        http.Handler   // nil: no /metrics
	Resource       *Resource      // nil: callers have no OpenID provider
	TLS            *tls.Config    // nil: plain HTTP
	TrustedProxies []netip.Prefix // HTTP__TRUSTED_PROXIES
	Contact        string         // HTTP__SECURITY_CONTACT; default the project's private advisory page
	Built          time.Time      // security.txt expires a year after it; default now
	RequestBytes   int64          // LIMITS__REQUEST_BYTES; default 6 MiB
	UploadBytes    int64          // UPLOAD__MAX_BYTES; default 20 MiB
	BodyBytes      int64          // LIMITS__BODY_BYTES: of large requests that are being served; default 8 × RequestBytes
	BodyWait       time.Duration  // for some of them; default 5 s
	Connections    int            // open ones at once; default 4096
	HeaderBytes    int            // default 32 KiB
	HeaderTimeout  time.Duration  // default 5 s
	BodyTimeout    time.Duration  // to send a whole body; default 30 s
	IdleTimeout    time.Duration  // default 2 min
	WriteTimeout   time.Duration  // one write to a client that does not read; default 30 s
	Log            *zap.Logger
}

func (c Config) withDefaults() Config {
	c.RequestBytes = orElse(c.RequestBytes, 6<<20)
	c.BodyBytes = orElse(c.BodyBytes, 8*c.RequestBytes)
	c.BodyWait = orElse(c.BodyWait, bodyWait)
	c.UploadBytes = orElse(c.UploadBytes, 20<<20)
	c.Connections = orElse(c.Connections, 4096)
	c.HeaderBytes = orElse(c.HeaderBytes, 32<<10)
	c.HeaderTimeout = orElse(c.HeaderTimeout, 5*time.Second)
	c.BodyTimeout = orElse(c.BodyTimeout, 30*time.Second)
	c.IdleTimeout = orElse(c.IdleTimeout, 2*time.Minute)
	c.WriteTimeout = orElse(c.WriteTimeout, 30*time.Second)
	if c.Contact == "" {
		c.Contact = "https://github.com/comfygate/comfygate/security/advisories/new"
	}
	if c.Built.IsZero() {
		c.Built = time.Now()
	}
	return c
}

func orElse[T int | int64 | time.Duration](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}

// A Server is the HTTP face of the program.
type Server struct {
	cfg    Config
	hosts  hostRule
	bodies *limits.Memory
	http   *http.Server
	end    chan struct{} // closed to end every request's context
	down   chan struct{} // closed when Shutdown has ended
	ended  sync.Once
	gone   sync.Once
}

// New checks cfg and returns a server that listens nowhere yet.
func New(cfg Config) (*Server, error) {
	var errs []error
	for name, missing := range map[string]bool{"MCP": cfg.MCP == nil, "Auth": cfg.Auth == nil, "Audit": cfg.Audit == nil, "Log": cfg.Log == nil} {
		if missing {
			errs = append(errs, fmt.Errorf("web: Config.%s is required", name))
		}
	}
	cfg = cfg.withDefaults()
	hosts, err := newHostRule(cfg)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	quiet, err := zap.NewStdLogAt(cfg.Log, zap.DebugLevel)
	if err != nil {
		return nil, fmt.Errorf("web: %w", err)
	}
	s := &Server{cfg: cfg, hosts: hosts, bodies: limits.NewMemory(cfg.BodyBytes, cfg.RequestBytes), end: make(chan struct{}), down: make(chan struct{})}
	s.http = &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: cfg.HeaderTimeout,
		IdleTimeout:       cfg.IdleTimeout,
		MaxHeaderBytes:    cfg.HeaderBytes,
		ErrorLog:          quiet,
		// No WriteTimeout: streams last. Each write has a deadline of its own instead (MCP-30).
	}
	return s, nil
}

// Serve serves on ln until [Server.Shutdown] has ended, and returns nil then. Every request's context is ctx's child. It closes ln, and is called once.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	base, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.end:
			cancel()
		case <-base.Done():
		}
	}()
	s.http.BaseContext = func(net.Listener) context.Context { return base }
	ln = limitConnections(ln, s.cfg.Connections)
	if s.cfg.TLS != nil {
		ln = tls.NewListener(ln, s.cfg.TLS) // HTTP/1.1: streams of MCP need no more, and there is less to attack
	}
	if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-s.down // the contexts of requests that still run are children of ours
	return nil
}

// Shutdown stops in order (MCP-30): no new connections, running calls end, streams end. Whatever is left when ctx ends is cut off.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.gone.Do(func() { close(s.down) })
	stopped := make(chan error, 1)
	go func() { stopped <- s.http.Shutdown(ctx) }() // closes the listener at once, then waits
	drained := s.drain(ctx)
	s.ended.Do(func() { close(s.end) }) // streams of mcp-go end by their contexts alone (BUG-11)
	s.cfg.MCP.CloseSessions(ctx)
	if err := <-stopped; err != nil {
		return errors.Join(drained, err, s.http.Close())
	}
	return drained
}

// drain lets running calls end, for most of the time there is: cutting the rest off takes some of it.
func (s *Server) drain(ctx context.Context) error {
	if at, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(at)*4/5)
		defer cancel()
	}
	if err := s.cfg.MCP.Drain(ctx); err != nil {
		return fmt.Errorf("waiting for running calls: %w", err)
	}
	return nil
}
