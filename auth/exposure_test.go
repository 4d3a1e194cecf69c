package auth_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/auth"
)

// names resolves like a resolver that knows these.
type names map[string][]string

func (n names) LookupNetIP(_ context.Context, _, host string) (list []netip.Addr, err error) {
	addrs, ok := n[host]
	if !ok {
		return nil, errors.New("no such host")
	}
	for _, a := range addrs {
		list = append(list, netip.MustParseAddr(a))
	}
	return list, nil
}

func TestSec_SC08_SC11_loopback(t *testing.T) {
	t.Parallel()
	resolver := names{"localhost": {"127.0.0.1", "::1"}, "pc.example": {"192.168.1.5"}, "both.example": {"127.0.0.1", "192.168.1.5"}, "mapped.example": {"::ffff:127.0.0.1"}, "empty.example": {}}
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.1.2.3": true, "::1": true, "localhost": true, "mapped.example": true, "::ffff:127.0.0.1": true,
		"": false, "0.0.0.0": false, "::": false, "192.168.1.5": false, "pc.example": false, "both.example": false, "empty.example": false,
	} {
		if got, err := auth.Loopback(t.Context(), resolver, host); err != nil || got != want {
			t.Errorf("%q: %v, %v", host, got, err)
		}
	}
	if _, err := auth.Loopback(t.Context(), resolver, "nowhere.example"); err == nil {
		t.Error("an unknown name passes")
	}
	for addr, want := range map[string]bool{"127.0.0.1:7861": true, "[::1]:7861": true, "0.0.0.0:7861": false, "[::]:7861": false, "192.168.1.5:1": false} {
		if got := auth.LoopbackAddr(net.TCPAddrFromAddrPort(netip.MustParseAddrPort(addr))); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if auth.LoopbackAddr(&net.UnixAddr{Name: "x"}) {
		t.Error("a socket that is no address passes")
	}
}

// TestSec_SC11_exposed: bind × authentication × override.
func TestSec_SC11_exposed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ loopback, required, open, warn, refuse bool }{
		{true, false, false, false, false},
		{true, true, false, false, false},
		{true, false, true, false, false},
		{true, true, true, false, false},
		{false, true, false, false, false},
		{false, true, true, false, false},
		{false, false, false, true, true},
		{false, false, true, true, false},
	} {
		e := auth.Expose(tc.loopback, tc.required, tc.open)
		if e.Warn != tc.warn || e.Refuse != tc.refuse || (e.Text != "") != tc.warn || strings.Contains(e.Text, "\n") {
			t.Errorf("%+v: %+v", tc, e)
		}
		for _, name := range []string{"COMFYGATE_HTTP__USERNAME", "COMFYGATE_HTTP__PASSWORD", "COMFY_HEADLESS_UI__USERNAME", "COMFY_HEADLESS_UI__PASSWORD"} {
			if tc.warn && !strings.Contains(e.Text, name) {
				t.Errorf("the text does not name %s", name)
			}
		}
	}
}

func TestPrincipal_context(t *testing.T) {
	t.Parallel()
	if _, ok := auth.FromContext(t.Context()); ok {
		t.Error("a principal out of nothing")
	}
	if p, ok := auth.FromContext(auth.NewContext(t.Context(), auth.Principal{Name: "a"})); !ok || p.Name != "a" {
		t.Errorf("%+v", p)
	}
}
