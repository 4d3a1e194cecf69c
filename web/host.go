package web

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// A hostRule tells which names this server answers to, and which pages may ask it. Without it a page that has rebound its own
// name to this address could drive the server through the visitor's browser (SC-12, T01, T02).
type hostRule struct {
	hosts   []string // host or host:port, lower case
	origins []string // scheme://host[:port], lower case
}

func newHostRule(cfg Config) (hostRule, error) {
	var rule hostRule
	var errs []error
	for _, h := range cfg.AllowedHosts {
		if h == "" || strings.ContainsAny(h, "/*@ ") {
			errs = append(errs, fmt.Errorf("HTTP__ALLOWED_HOSTS: %q is no host: write example.org or example.org:8443", h))
		}
		rule.hosts = append(rule.hosts, strings.ToLower(h))
	}
	for _, o := range cfg.AllowedOrigins {
		origin, ok := parseOrigin(o)
		if !ok {
			errs = append(errs, fmt.Errorf("HTTP__ALLOWED_ORIGINS: %q is no origin: write https://example.org", o))
		}
		rule.origins = append(rule.origins, origin)
	}
	if cfg.PublicURL != "" {
		u, err := url.Parse(cfg.PublicURL)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			errs = append(errs, errors.New("HTTP__PUBLIC_URL: not an http or https address"))
			return rule, errors.Join(errs...)
		}
		rule.hosts = append(rule.hosts, strings.ToLower(u.Hostname()))
		rule.origins = append(rule.origins, strings.ToLower(u.Scheme+"://"+u.Host))
	}
	return rule, errors.Join(errs...)
}

// parseOrigin returns an origin in one spelling. null, which a sandboxed page of anybody's has, is none.
func parseOrigin(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", false
	}
	return strings.ToLower(u.Scheme + "://" + u.Host), true
}

// host reports whether a request for the name in its Host header is meant for us, on a listener of the given kind.
func (h hostRule) host(name string, loopback bool) bool {
	name = strings.ToLower(name)
	bare := hostOf(name)
	if slices.Contains(h.hosts, name) || slices.Contains(h.hosts, bare) {
		return true
	}
	if loopbackName(bare) {
		return true
	}
	_, err := netip.ParseAddr(bare)
	return err == nil && !loopback // nobody can rebind an address
}

// origin reports whether a page of that origin may ask.
func (h hostRule) origin(text string, loopback bool) bool {
	origin, ok := parseOrigin(text)
	if !ok {
		return false
	}
	if slices.Contains(h.origins, origin) {
		return true
	}
	scheme, host, _ := strings.Cut(origin, "://")
	return loopback && (scheme == "http" || scheme == "https") && loopbackName(hostOf(host))
}

// hostOf is a Host header's name without port and brackets.
func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return strings.TrimSuffix(strings.TrimPrefix(hostport, "["), "]")
}

func loopbackName(host string) bool {
	if host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// onLoopback tells which kind of address the connection came in by.
func onLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return true // the stricter rule
	}
	if tcp, ok := addr.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().IsLoopback()
	}
	ap, err := netip.ParseAddrPort(addr.String())
	return err != nil || ap.Addr().Unmap().IsLoopback()
}

// hostOrigin checks both headers on every path and method, and answers preflights (MCP-01, 02, 04).
func (s *Server) hostOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		loopback := onLoopback(r)
		if !s.hosts.host(r.Host, loopback) {
			s.refuse(w, http.StatusForbidden, "this server does not answer to that Host; the operator can add it to COMFYGATE_HTTP__ALLOWED_HOSTS")
			return
		}
		origins := r.Header.Values("Origin")
		if len(origins) == 0 {
			next.ServeHTTP(w, r)
			return
		}
		if len(origins) > 1 || !s.hosts.origin(origins[0], loopback) {
			s.refuse(w, http.StatusForbidden, "pages of that Origin may not use this server; the operator can add it to COMFYGATE_HTTP__ALLOWED_ORIGINS")
			return
		}
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", origins[0]) // never *
		h.Add("Vary", "Origin")
		h.Set("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate, Retry-After")
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
			h.Set("Access-Control-Allow-Headers",
				"Content-Type, Authorization, Mcp-Protocol-Version, Mcp-Method, Mcp-Name, Mcp-Session-Id, Last-Event-ID")
			h.Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		next.ServeHTTP(w, r)
	})
}
