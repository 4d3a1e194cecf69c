package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/doctor"
)

// TestSec_SC22: a port that is open on another address of this machine is found, a closed one is not.
func TestSec_SC22_exposed(t *testing.T) {
	t.Parallel()
	addresses := func(list ...string) func() ([]netip.Addr, error) {
		return func() (addrs []netip.Addr, _ error) {
			for _, a := range list {
				addrs = append(addrs, netip.MustParseAddr(a))
			}
			return addrs, nil
		}
	}
	for _, tc := range []struct {
		name  string
		env   []string
		addrs []string
		open  ports
		sev   doctor.Severity // empty: not looked at
		parts []string
	}{
		{"all interfaces", nil, []string{"127.0.0.1", "192.0.2.7", "2001:db8::7"}, ports{"127.0.0.1:8188": true, "192.0.2.7:8188": true, "[2001:db8::7]:8188": true}, doctor.Warn, []string{"8188", "192.0.2.7, 2001:db8::7", "--listen", "firewall"}},
		{"loopback only", nil, []string{"127.0.0.1", "::1", "192.0.2.7"}, ports{"127.0.0.1:8188": true, "[::1]:8188": true}, doctor.OK, nil},
		{"another port is another's", []string{"COMFYGATE_COMFYUI__URL=http://localhost:9000"}, []string{"192.0.2.7"}, ports{"192.0.2.7:8188": true}, doctor.OK, []string{"9000"}},
		{"port of the scheme", []string{"COMFYGATE_COMFYUI__URL=https://127.0.0.1"}, []string{"192.0.2.7"}, ports{"192.0.2.7:443": true}, doctor.Warn, []string{"443"}},
		{"port of the other scheme", []string{"COMFYGATE_COMFYUI__URL=ws://127.0.0.1/x"}, []string{"192.0.2.7"}, ports{"192.0.2.7:80": true}, doctor.Warn, []string{"80"}},
		{"link-local is left out", nil, []string{"169.254.1.1", "fe80::1", "0.0.0.0"}, ports{"169.254.1.1:8188": true, "[fe80::1]:8188": true}, doctor.OK, nil},
		{"remote", []string{"COMFYGATE_COMFYUI__URL=https://comfy.example"}, []string{"192.0.2.7"}, ports{"192.0.2.7:443": true}, "", nil},
		{"embedded", []string{"COMFYGATE_COMFYUI__BACKEND=embedded"}, []string{"192.0.2.7"}, ports{"192.0.2.7:8188": true}, "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in := healthy(t, tc.env...)
			in.Machine.Addresses, in.Machine.Dial = addresses(tc.addrs...), tc.open.dial
			in.Machine.Resolver = resolver{"localhost": "127.0.0.1", "comfy.example": "192.0.2.9"}
			r := run(t, in)
			if tc.sev == "" {
				if has(r, "comfyui_port_exposed") {
					t.Errorf("%v", find(t, r, "comfyui_port_exposed"))
				}
				return
			}
			expect(t, r, "comfyui_port_exposed", tc.sev, tc.parts...)
		})
	}
	t.Run("addresses unknown", func(t *testing.T) {
		t.Parallel()
		in := healthy(t)
		in.Machine.Addresses = func() ([]netip.Addr, error) { return nil, errors.New("not allowed") }
		expect(t, run(t, in), "comfyui_port_exposed", doctor.Info, "not allowed")
	})
	t.Run("bounded", func(t *testing.T) {
		t.Parallel()
		in, asked := healthy(t), 0
		in.Machine.Addresses = func() (addrs []netip.Addr, _ error) {
			for a := netip.MustParseAddr("192.0.2.0"); len(addrs) < 200; a = a.Next() {
				addrs = append(addrs, a)
			}
			return addrs, nil
		}
		in.Machine.Dial = func(context.Context, string, string) (net.Conn, error) {
			asked++
			return nil, errors.New("refused")
		}
		run(t, in)
		if asked != 64 {
			t.Errorf("%d addresses were asked", asked)
		}
	})
}

// The real dialer and the real list of addresses, over loopback.
func TestSec_SC22_realPort(t *testing.T) {
	t.Parallel()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in := healthy(t, fmt.Sprintf("COMFYGATE_COMFYUI__URL=http://%s", lis.Addr()))
	in.Machine.Dial, in.Machine.Addresses = nil, nil
	expect(t, run(t, in), "comfyui_port_exposed", doctor.OK)
	in.Server = &server{err: comfy.ErrUnreachable}
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	expect(t, run(t, in), "comfyui_port_exposed", doctor.OK)
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name     string
		env      []string
		insecure bool
		id       string // empty: comfyui_credentials is not there
		sev      doctor.Severity
		parts    []string
	}{
		{"local without", nil, false, "", "", nil},
		{"local with", []string{"COMFYGATE_COMFYUI__API_KEY=key-1", "COMFYGATE_COMFYUI__AUTH_HEADER=X-Key"}, false, "comfyui_credentials", doctor.OK, []string{"a key in the header X-Key"}},
		{"remote without", []string{"COMFYGATE_COMFYUI__URL=https://comfy.example"}, false, "comfyui_credentials", doctor.Warn, []string{"deploy/nginx.conf"}},
		{"remote with", []string{"COMFYGATE_COMFYUI__URL=https://comfy.example", "COMFYGATE_COMFYUI__USERNAME=u", "COMFYGATE_COMFYUI__PASSWORD=xyzzy"}, false, "comfyui_credentials", doctor.OK, []string{"user name and password"}},
		{"SC-15 clear text", []string{"COMFYGATE_COMFYUI__URL=http://comfy.example", "COMFYGATE_WEBSOCKET__ALLOW_INSECURE=true"}, true, "insecure_transport", doctor.Warn, []string{"clear text", "https"}},
		{"token in the query", []string{"COMFYGATE_COMFYUI__QUERY_TOKEN=q-tok"}, false, "query_token", doctor.Info, []string{"COMFYGATE_COMFYUI__API_KEY"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in := healthy(t, tc.env...)
			in.Server.(*server).insecure = tc.insecure //nolint:errcheck // a panic fails the test as well
			r := run(t, in)
			if tc.id == "" {
				if has(r, "comfyui_credentials") || has(r, "insecure_transport") {
					t.Error(r.Findings)
				}
				return
			}
			expect(t, r, tc.id, tc.sev, tc.parts...)
		})
	}
}

func TestSec_SC11_listener(t *testing.T) {
	t.Parallel()
	const token = "COMFYGATE_HTTP__TOKEN=0123456789abcdef"
	for _, tc := range []struct {
		name  string
		env   []string
		sev   doctor.Severity
		parts []string
	}{
		{"loopback", nil, doctor.OK, []string{"every program"}},
		{"loopback with token", []string{token}, doctor.OK, []string{"asks for credentials"}},
		{"open", []string{"COMFYGATE_HTTP__HOST=0.0.0.0"}, doctor.Fail, []string{"COMFYGATE_HTTP__TOKEN"}},
		{"open on purpose", []string{"COMFYGATE_HTTP__HOST=0.0.0.0", "COMFYGATE_HTTP__ALLOW_UNAUTHENTICATED=true"}, doctor.Warn, []string{"viewer"}},
		{"without TLS", []string{"COMFYGATE_HTTP__HOST=0.0.0.0", token}, doctor.Warn, []string{"TLS", "deploy/comfygate-nginx.conf"}},
		{"behind TLS", []string{"COMFYGATE_HTTP__HOST=0.0.0.0", token, "COMFYGATE_HTTP__PUBLIC_URL=https://gate.example"}, doctor.OK, nil},
		{"basic", []string{"COMFYGATE_HTTP__USERNAME=a", "COMFYGATE_HTTP__PASSWORD=xyzzy"}, doctor.OK, []string{"asks for credentials"}},
		{"name of this machine", []string{"COMFYGATE_HTTP__HOST=localhost"}, doctor.OK, nil},
		{"name of nothing", []string{"COMFYGATE_HTTP__HOST=nowhere.example"}, doctor.Fail, []string{"COMFYGATE_HTTP__HOST"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in := healthy(t, append(tc.env, "COMFYGATE_SERVER__TRANSPORT=http")...)
			in.Machine.Resolver = resolver{"localhost": "127.0.0.1"}
			expect(t, run(t, in), "listener", tc.sev, tc.parts...)
		})
	}
	if has(run(t, healthy(t)), "listener") {
		t.Error("stdio has no listener")
	}
}

// No credential and nothing that commands a terminal comes out, whatever a server calls its files.
func TestSec_SC36_report(t *testing.T) {
	t.Parallel()
	in := healthy(t, "COMFYGATE_COMFYUI__API_KEY=s3cr3t-canary")
	s := in.Server.(*server) //nolint:errcheck // a panic fails the test as well
	s.files["upscale_models"] = []string{"\x1b[2J4x\u202e.pth\nok    all is well"}
	s.files["loras"] = []string{"denied\x1b]0;x\x07.pt"}
	s.objects["X"] = "custom_nodes.\x1b[31mred"
	in.Catalog = &catalog{families: []workflow.FamilyState{{Title: "T", Model: "m", Missing: []workflow.MissingFile{{Name: "\x1b[1m", Folder: "f", Repository: "r"}}}}}
	in.Audit = func(context.Context) (string, error) {
		return "", errors.New("GET https://u:p@h/?token=x1y2z3 with s3cr3t-canary")
	}
	r := run(t, in)
	var text, js strings.Builder
	if err := errors.Join(r.WriteText(&text), r.WriteJSON(&js)); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"\x1b", "\u202e", `\u001b`, "s3cr3t-canary", "u:p@", "x1y2z3", "\nok    all is well"} {
		if strings.Contains(text.String(), bad) || strings.Contains(js.String(), bad) {
			t.Errorf("%q comes out", bad)
		}
	}
}
