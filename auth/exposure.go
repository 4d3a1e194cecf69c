package auth

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// A Resolver resolves host names; *net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// Loopback reports whether host is reached from this machine only: a loopback address, or a name all of whose
// addresses are loopback. The empty host, like 0.0.0.0 and ::, means every address of the machine.
func Loopback(ctx context.Context, resolver Resolver, host string) (bool, error) {
	if host == "" {
		return false, nil
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Unmap().IsLoopback(), nil
	}
	addrs, err := resolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return false, fmt.Errorf("resolving HTTP__HOST: %w", err)
	}
	for _, addr := range addrs {
		if !addr.Unmap().IsLoopback() {
			return false, nil
		}
	}
	return len(addrs) > 0, nil
}

// LoopbackAddr is [Loopback] for the address that a listener is really bound to (SC-08).
func LoopbackAddr(addr net.Addr) bool {
	ap, err := netip.ParseAddrPort(addr.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// An Exposure is the verdict on one listener (SC-11).
type Exposure struct {
	Warn   bool   // say Text once on stderr and record security.exposed_without_auth (high)
	Refuse bool   // and do not start
	Text   string // empty unless Warn
}

// Expose judges a listener: whether it is loopback only and no proxy brings others to it, whether credentials are demanded there
// ([Authenticator.Required]), and whether HTTP__ALLOW_UNAUTHENTICATED says that they need not be.
func Expose(loopback, required, open bool) Exposure {
	if loopback || required {
		return Exposure{}
	}
	const remedy = "make tokens with comfygate token create, or set COMFYGATE_HTTP__TOKEN, or COMFYGATE_HTTP__USERNAME and COMFYGATE_HTTP__PASSWORD " +
		"(also as COMFY_HEADLESS_UI__USERNAME and COMFY_HEADLESS_UI__PASSWORD)"
	if open {
		return Exposure{Warn: true, Text: "the listener can be reached from other machines and asks for no credentials: " +
			"everybody there is a viewer; " + remedy}
	}
	return Exposure{Warn: true, Refuse: true, Text: "the listener could be reached from other machines without credentials: " +
		remedy + ", or listen on 127.0.0.1 with no proxy in front; COMFYGATE_HTTP__ALLOW_UNAUTHENTICATED=true lets everybody in as a viewer"}
}
