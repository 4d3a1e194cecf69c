package doctor

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/monitor"
)

// portTime bounds one look at one port: an address of this machine answers at once or is closed off.
const portTime = time.Second

// maxAddresses bounds how many of this machine's addresses are looked at.
const maxAddresses = 64

func (m Machine) filled() Machine {
	if m.Addresses == nil {
		m.Addresses = interfaceAddresses
	}
	if m.Dial == nil {
		m.Dial = (&net.Dialer{Timeout: portTime}).DialContext
	}
	if m.Free == nil {
		m.Free = monitor.FreeSpace
	}
	if m.Resolver == nil {
		m.Resolver = net.DefaultResolver
	}
	return m
}

func interfaceAddresses() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var addrs []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, p.Addr().Unmap())
		}
	}
	return addrs, nil
}

// open reports whether something accepts connections at address.
func (v *visit) open(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, portTime)
	defer cancel()
	conn, err := v.Machine.Dial(ctx, "tcp", address)
	if err != nil {
		return false
	}
	_ = conn.Close() // nothing was sent
	return true
}

func (v *visit) loopback(ctx context.Context, host string) bool {
	ok, err := auth.Loopback(ctx, v.Machine.Resolver, host)
	return err == nil && ok
}

// exposure looks whether a ComfyUI that is meant for this machine alone can be reached from others (SC-22).
func (v *visit) exposure(ctx context.Context) {
	host, port, ok := v.target()
	if v.embedded() || !ok || !v.loopback(ctx, host) {
		return
	}
	addrs, err := v.Machine.Addresses()
	if err != nil {
		v.add(Finding{ID: "comfyui_port_exposed", Severity: Info, Text: "this machine's addresses cannot be told: " + err.Error()})
		return
	}
	var open []string
	for _, a := range outer(addrs) {
		if v.open(ctx, net.JoinHostPort(a.String(), port)) {
			open = append(open, a.String())
		}
	}
	if len(open) == 0 {
		v.add(Finding{ID: "comfyui_port_exposed", Severity: OK, Text: "port " + port + " is closed on this machine's other addresses"})
		return
	}
	v.add(Finding{
		ID: "comfyui_port_exposed", Severity: Warn,
		Text: "ComfyUI's port " + port + " is open on " + strings.Join(open, ", ") + ": others can reach it there, around comfygate",
		Fix:  "start ComfyUI without --listen, publish no port of its container, or close port " + port + " in the firewall",
	})
}

// outer returns the addresses that other machines could use. Link-local ones need an interface's name, and their owner has
// others.
func outer(addrs []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, a := range addrs {
		if !a.IsLoopback() && !a.IsLinkLocalUnicast() && !a.IsMulticast() && !a.IsUnspecified() && len(out) < maxAddresses && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	return out
}

// credentials looks at how comfygate shows itself to ComfyUI. It is asked after ComfyUI answered, so none were refused.
func (v *visit) credentials() {
	if v.embedded() {
		return
	}
	c := v.Config.ComfyUI
	var kinds []string
	if c.Password.IsSet() {
		kinds = append(kinds, "user name and password")
	}
	if c.APIKey.IsSet() {
		kinds = append(kinds, "a key in the header "+c.AuthHeader)
	}
	if c.QueryToken.IsSet() {
		kinds = append(kinds, "a token in the query")
	}
	host, _, ok := v.target()
	local := ok && hostIsLocal(host)
	switch {
	case v.Server.Insecure():
		v.add(Finding{
			ID: "insecure_transport", Severity: Warn, Text: "prompts and pictures go in clear text to " + v.Server.Redacted(),
			Fix: "put TLS in front of ComfyUI (deploy/nginx.conf shows how) and use its https address",
		})
	case len(kinds) > 0:
		v.add(Finding{ID: "comfyui_credentials", Severity: OK, Text: "ComfyUI takes the credentials: " + strings.Join(kinds, ", ")})
	case !local:
		v.add(Finding{
			ID: "comfyui_credentials", Severity: Warn, Text: "ComfyUI answers without asking who calls: whoever reaches " + v.Server.Redacted() + " can use it around comfygate",
			Fix: "put a proxy with sign-in in front (deploy/nginx.conf shows how) and set COMFYGATE_COMFYUI__USERNAME and COMFYGATE_COMFYUI__PASSWORD",
		})
	}
	if c.QueryToken.IsSet() {
		v.add(Finding{
			ID: "query_token", Severity: Info, Text: "a token in the query can end in the logs of proxies",
			Fix: "use COMFYGATE_COMFYUI__API_KEY if the host takes it",
		})
	}
}

// hostIsLocal asks no resolver: whether a server should ask for credentials does not hang on one.
func hostIsLocal(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.Unmap().IsLoopback()
}

// listener looks at comfygate's own HTTP door (SC-11).
func (v *visit) listener(ctx context.Context) {
	if v.Config.Server.Transport != config.TransportHTTP {
		return
	}
	h := v.Config.HTTP
	loopback, err := auth.Loopback(ctx, v.Machine.Resolver, h.Host)
	if err != nil {
		v.add(Finding{ID: "listener", Severity: Fail, Text: err.Error(), Fix: "give an address of this machine in COMFYGATE_HTTP__HOST"})
		return
	}
	required, private := len(v.signIn()) > 0, loopback && !v.Published
	switch e := auth.Expose(private, required, h.AllowUnauthenticated); {
	case e.Refuse:
		v.add(Finding{ID: "listener", Severity: Fail, Text: e.Text, Fix: "set one of them; comfygate does not start without"})
	case e.Warn:
		v.add(Finding{ID: "listener", Severity: Warn, Text: e.Text, Fix: "take COMFYGATE_HTTP__ALLOW_UNAUTHENTICATED away and set a token"})
	case !loopback && h.TLSCert == "" && !strings.HasPrefix(h.PublicURL, "https://"):
		v.add(Finding{
			ID: "listener", Severity: Warn, Text: "comfygate listens on " + h.Host + " without TLS: tokens and pictures go in clear text",
			Fix: "put TLS in front (deploy/comfygate-nginx.conf shows how), listen on 127.0.0.1, and set COMFYGATE_HTTP__PUBLIC_URL to the https address",
		})
	case !required:
		v.add(Finding{ID: "listener", Severity: OK, Text: "comfygate listens on this machine only; every program of it may call without a token"})
	default:
		v.add(Finding{ID: "listener", Severity: OK, Text: "comfygate's listener asks for credentials"})
	}
}

// signIn lists the ways in which callers over HTTP prove who they are.
func (v *visit) signIn() []string {
	h, a := v.Config.HTTP, v.Config.Auth
	var ways []string
	for _, w := range []struct {
		set  bool
		name string
	}{
		{h.Token.IsSet(), "a token"},
		{h.Password.IsSet(), "user name and password"},
		{a.Tokens.IsSet() || v.StoredTokens, "tokens by name"},
		{a.OIDC.Issuer != "", "OpenID"},
		{len(a.Certificates) > 0, "certificates"},
	} {
		if w.set {
			ways = append(ways, w.name)
		}
	}
	return ways
}
