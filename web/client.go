package web

import (
	"context"
	"errors"
	"math"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/limits"
)

// authenticate lets through who has a principal, and puts it into the context.
func (s *Server) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addr := s.client(r)
		who, err := s.cfg.Auth.Request(r, addr)
		if err == nil {
			next.ServeHTTP(w, r.WithContext(auth.NewContext(r.Context(), who)))
			return
		}
		s.cfg.Log.Info("sign-in refused", zap.Stringer("address", addr), zap.Error(err))
		if errors.Is(err, auth.ErrUnavailable) { // nothing is known of the caller, for or against
			w.Header().Set("Retry-After", "5")
			s.refuse(w, http.StatusServiceUnavailable, auth.ErrUnavailable.Error())
			return
		}
		if limit, ok := errors.AsType[*limits.RateError](err); ok {
			s.failure(r, addr, "RATE_LIMITED")
			seconds := max(1, int(math.Ceil(limit.RetryAfter.Seconds())))
			w.Header().Set("Retry-After", strconv.Itoa(seconds))
			s.refuse(w, http.StatusTooManyRequests, "too many failed sign-ins: wait "+strconv.Itoa(seconds)+" s")
			return
		}
		if errors.Is(err, auth.ErrBadCredentials) {
			s.failure(r, addr, "UNAUTHENTICATED")
		}
		for _, challenge := range s.cfg.Auth.Challenges(err) {
			w.Header().Add("WWW-Authenticate", challenge)
		}
		s.refuse(w, http.StatusUnauthorized, reason(err))
	})
}

// reason is what the caller reads: one of our own texts, never a verifier's (T28).
func reason(err error) string {
	for _, known := range []error{auth.ErrNoCredentials, auth.ErrBadCredentials, auth.ErrQueryToken} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return auth.ErrBadCredentials.Error()
}

// owed bounds what is written down after a refusal, for callers who do not wait for it.
const owed = 5 * time.Second

// failure records a refused sign-in (SC-10).
func (s *Server) failure(r *http.Request, addr netip.Addr, code string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), owed)
	defer cancel()
	rec := audit.Record{
		Kind: audit.Event, Name: "auth.failure", Severity: "medium", Transport: "http", Code: code,
		Detail: map[string]string{"address": addr.String()},
	}
	write := s.cfg.Audit.Append
	if s.cfg.Denials != nil {
		write = s.cfg.Denials.Denied
	}
	if err := write(ctx, rec); err != nil {
		s.cfg.Log.Error("refused sign-in could not be recorded", zap.Error(err))
	}
}

// client is the caller's address: the connection's, or, where that is a trusted proxy's, the right-most one in X-Forwarded-For that
// is not (SC-23). What stands to the left of it anybody may have written.
func (s *Server) client(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap()
	if !s.trusted(addr) {
		return addr
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, text := range slices.Backward(hops) {
		hop, ok := parseHop(strings.TrimSpace(text))
		if !ok {
			return addr
		}
		if addr = hop; !s.trusted(addr) {
			return addr
		}
	}
	return addr
}

func (s *Server) trusted(addr netip.Addr) bool {
	for _, p := range s.cfg.TrustedProxies {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// parseHop reads an address as proxies write it: with a port or without.
func parseHop(text string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap().WithZone(""), true
	}
	return netip.Addr{}, false
}
