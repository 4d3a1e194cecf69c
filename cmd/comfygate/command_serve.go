package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/web"
)

type serveCommand struct {
	ComfyuiURL string `name:"comfyui-url" placeholder:"URL" help:"Where ComfyUI is; as COMFYGATE_COMFYUI__URL."`
	Backend    string `placeholder:"comfyui|embedded" help:"Which ComfyUI: yours, or the embedded one; as COMFYGATE_COMFYUI__BACKEND."`
	Transport  string `placeholder:"stdio|http" help:"How clients connect; as COMFYGATE_SERVER__TRANSPORT."`
}

// shutdownTime bounds the whole way down: running calls, jobs, the final record.
const shutdownTime = 10 * time.Second

// Run serves until stdin ends, the listener fails, or the process is told to end.
func (s *serveCommand) Run(p *process) error {
	cfg, warnings, err := load(p, s.overrides())
	if err != nil {
		return err
	}
	if cfg.Server.Transport == config.TransportHTTP {
		return serveHTTP(p, cfg, warnings)
	}
	return serveStdio(p, cfg, warnings)
}

func (s *serveCommand) overrides() map[string]string {
	set := make(map[string]string)
	for name, value := range map[string]string{
		"COMFYGATE_COMFYUI__URL": s.ComfyuiURL, "COMFYGATE_COMFYUI__BACKEND": s.Backend, "COMFYGATE_SERVER__TRANSPORT": s.Transport,
	} {
		if value != "" {
			set[name] = value
		}
	}
	return set
}

func serveStdio(p *process, cfg config.Config, warnings []string) error {
	h, err := build(p.ctx, p, cfg, nil)
	if err != nil {
		return err
	}
	h.announce(warnings)
	who, err := auth.New(auth.Config{Roles: roles(cfg)})
	if err != nil {
		return errors.Join(usageError{err}, h.end(p.ctx))
	}
	ctx := auth.NewContext(p.ctx, who.Stdio(cfg.Auth.StdioPrincipal))
	err = h.mcp.ServeStdio(ctx, p.stdin, p.stdout)
	if p.ctx.Err() != nil || errors.Is(err, syscall.EPIPE) {
		err = nil // told to end, or left by the client: that is no failure
	}
	return errors.Join(err, h.end(p.ctx))
}

func serveHTTP(p *process, cfg config.Config, warnings []string) error {
	ctx := p.ctx
	loopback, err := auth.Loopback(ctx, net.DefaultResolver, cfg.HTTP.Host)
	if err != nil {
		return usageError{fmt.Errorf("COMFYGATE_HTTP__HOST: %w", err)}
	}
	private := loopback && !published(cfg)
	id, err := openIdentity(cfg, private)
	if err != nil {
		return usageError{err}
	}
	exposure := auth.Expose(private, id.who.Required(), cfg.HTTP.AllowUnauthenticated)
	if exposure.Refuse { // before anything is bound, and on the record
		return refuseExposed(p, cfg, exposure)
	}
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(cfg.HTTP.Host, strconv.Itoa(cfg.HTTP.Port)))
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	if bound := auth.LoopbackAddr(lis.Addr()); bound != loopback { // judge what is really bound (SC-08)
		return errors.Join(fmt.Errorf("listening: %s is not what COMFYGATE_HTTP__HOST=%s promised", lis.Addr(), cfg.HTTP.Host), lis.Close())
	}
	h, err := build(ctx, p, cfg, linkURL(cfg, lis.Addr(), loopback))
	if err != nil {
		return errors.Join(err, lis.Close())
	}
	h.announce(warnings)
	if exposure.Warn {
		h.exposed(exposure)
	}
	h.identity = id
	id.follow(ctx, h)
	return errors.Join(h.serveWeb(ctx, lis), h.end(ctx))
}

// published reports whether others come in by a proxy in front, so that a listener of this machine's own is not theirs alone (SC-11).
func published(cfg config.Config) bool {
	if len(cfg.HTTP.TrustedProxies) > 0 {
		return true
	}
	u, err := url.Parse(cfg.HTTP.PublicURL)
	if cfg.HTTP.PublicURL == "" || err != nil || u.Hostname() == "localhost" { // the settings were checked
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	return err != nil || !addr.Unmap().IsLoopback()
}

func roles(cfg config.Config) map[string]policy.Role {
	roles := make(map[string]policy.Role, len(cfg.Auth.Roles))
	for name, role := range cfg.Auth.Roles {
		roles[name] = policy.Role(role)
	}
	return roles
}

// linkURL makes the URL of a link from its path: below PUBLIC_URL, or on a loopback listener itself; nil where there are no links.
func linkURL(cfg config.Config, addr net.Addr, loopback bool) func(path string) string {
	base := cfg.HTTP.PublicURL
	if base == "" && loopback {
		base = "http://" + addr.String()
		if cfg.HTTP.TLSCert != "" {
			base = "https://" + addr.String()
		}
	}
	if base == "" {
		return nil
	}
	return func(path string) string { return base + path }
}

func (h *house) serveWeb(ctx context.Context, lis net.Listener) error {
	id := h.identity
	cfg := web.Config{
		MCP: h.mcp, Auth: id.who, Resource: protected(h.cfg), Audit: h.record, Denials: h.denials, SSE: h.cfg.HTTP.SSE,
		AllowedOrigins: h.cfg.HTTP.AllowedOrigins, AllowedHosts: h.cfg.HTTP.AllowedHosts, PublicURL: h.cfg.HTTP.PublicURL,
		TrustedProxies: h.cfg.HTTP.TrustedProxies, RequestBytes: h.cfg.Limits.RequestBytes, BodyBytes: h.cfg.Limits.BodyBytes, Log: h.log.Named("web"),
	}
	if h.links != nil {
		cfg.Links = pictureLinks{links: h.links, store: h.store}
		cfg.Uploads, cfg.UploadBytes = h.mcp, h.cfg.Upload.MaxBytes
	}
	if h.cfg.Metrics.Enabled {
		cfg.Metrics = h.watch.metrics.Handler()
	}
	if id.certs != nil {
		cfg.TLS = id.certs.Config()
	}
	srv, err := web.New(cfg)
	if err != nil {
		return errors.Join(err, lis.Close())
	}
	h.log.Info("listening", zap.Stringer("address", lis.Addr()), zap.Bool("authentication", id.who.Required()), zap.Bool("tls", id.certs != nil))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(context.WithoutCancel(ctx), lis) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	if err := h.shutWeb(context.WithoutCancel(ctx), srv); err != nil { // told to end: that somebody was cut off is no failure
		h.log.Warn("calls were cut off", zap.Error(err))
	}
	return <-served
}

// shutWeb gives running calls a moment to end by themselves. Then their jobs are let go, so that those who wait for one are answered
// while there is a stream to answer on.
func (h *house) shutWeb(ctx context.Context, srv *web.Server) error {
	ctx, cancel := context.WithTimeout(ctx, shutdownTime/2)
	defer cancel()
	moment := time.AfterFunc(shutdownTime/5, func() { _ = h.jobs.Close(ctx) }) // it is closed again, and heard, when the house is
	defer moment.Stop()
	return srv.Shutdown(ctx)
}

// announce logs what was started, and what the settings left to say.
func (h *house) announce(warnings []string) {
	for _, w := range warnings {
		h.log.Warn("settings", zap.String("warning", w))
	}
	h.log.Info("started", zap.String("version", version), zap.String("transport", h.cfg.Server.Transport),
		zap.String("backend", h.cfg.ComfyUI.Backend), zap.String("comfyui", h.upstream()))
	if h.client.Insecure() { // SC-15: said, among the settings' warnings, and recorded at each start
		h.note(audit.InsecureTransport, nil)
	}
}

func (h *house) exposed(e auth.Exposure) {
	h.log.Warn("exposed without authentication", zap.String("advice", e.Text))
	h.note(audit.ExposedWithoutAuth, map[string]string{"host": h.cfg.HTTP.Host})
}

// note records an event of the program itself.
func (h *house) note(event string, detail map[string]string) {
	h.event(context.Background(), audit.Record{Name: event, Detail: detail}) //nolint:forbidigo // belongs to no call
}

// refuseExposed warns, records and refuses (SC-11).
func refuseExposed(p *process, cfg config.Config, e auth.Exposure) error {
	h := &house{cfg: cfg, log: newLog(p, cfg)}
	if err := h.openRecord(p.ctx); err != nil {
		return errors.Join(usageError{errors.New(e.Text)}, err)
	}
	h.exposed(e)
	return errors.Join(usageError{errors.New("refusing to listen: " + e.Text)}, h.close(context.WithoutCancel(p.ctx)))
}

// end closes the house within its time, whatever ended the serving.
func (h *house) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTime)
	defer cancel()
	h.log.Info("ending")
	return h.close(ctx)
}
