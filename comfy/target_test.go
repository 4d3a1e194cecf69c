package comfy_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/config"
)

// The URL gate's table, both columns, word for word and beyond (SC-13); nothing is dialled for a URL that does not pass (SC-14).
func TestSec_SC13_SC14_table(t *testing.T) {
	t.Parallel()
	const (
		allowed  = "allowed"
		blocked  = "blocked"  // clear text to a remote host
		rejected = "rejected" // not a URL of a server
	)
	rows := []struct{ url, byDefault, insecure string }{
		{"http://localhost:8188", allowed, allowed},
		{"ws://localhost:8188", allowed, allowed},
		{"http://127.0.0.1:8188", allowed, allowed},
		{"ws://127.0.0.1:8188", allowed, allowed},
		{"http://[::1]:8188", allowed, allowed},
		{"http://127.8.9.1:8188", allowed, allowed},
		{"https://comfyui.example.com", allowed, allowed},
		{"wss://comfyui.example.com", allowed, allowed},
		{"http://comfyui.example.com", blocked, allowed},
		{"ws://comfyui.example.com", blocked, allowed},
		{"http://0.0.0.0:8188", blocked, allowed},
		{"http://192.168.1.5:8188", blocked, allowed},
		{"http://host.docker.internal:8188", blocked, allowed},
		{"http://localhost:x@evil.com:8188", blocked, rejected},
		{"http://localhost.evil.com", blocked, allowed},
		{"http://127.0.0.1.evil.com", blocked, allowed},
		{"file:///etc/passwd", rejected, rejected},
		{"javascript:alert(1)", rejected, rejected},
		{"unix:/x", rejected, rejected},
		{"", rejected, rejected},
		{"127.0.0.1:8188", rejected, rejected},
		{"localhost", rejected, rejected},
		{"//localhost:8188", rejected, rejected},
		// Cases and forms of the same.
		{"HTTP://EVIL.COM", blocked, allowed},
		{"HTTP://LOCALHOST:8188", allowed, allowed},
		{"WsS://Comfyui.Example.Com", allowed, allowed},
		{"http://localhost.:8188", allowed, allowed},
		{"http://[::1]", allowed, allowed},
		{"http://[::1%25lo]:8188", allowed, allowed},
		{"http://[::ffff:127.0.0.1]:8188", allowed, allowed},
		{"http://[fe80::1%25eth0]:8188", blocked, allowed},
		{"http://[::]:8188", blocked, allowed},
		{"http://0x7f.1:8188", blocked, allowed},
		{"http://2130706433:8188", blocked, allowed},
		{"http://127.1:8188", blocked, allowed},
		{"http://ws.example.com", blocked, allowed},
		{"https://ws.example.com/comfy/", allowed, allowed},
		{"http://localhost:0", rejected, rejected},
		{"http://localhost:99999", rejected, rejected},
		{"http://:8188", rejected, rejected},
		{"https://me:pw@comfyui.example.com", rejected, rejected},
		{"http://localhost:8188/?token=s3cret", rejected, rejected},
		{"http://localhost:8188/#x", rejected, rejected},
		{"http://localhost:8188\x00", rejected, rejected},
		{"http://[::1", rejected, rejected},
	}
	for _, r := range rows {
		for _, column := range []struct {
			insecure bool
			want     string
		}{{false, r.byDefault}, {true, r.insecure}} {
			c, err := comfy.New(comfy.Config{URL: r.url, AllowInsecure: column.insecure, Dial: noDial(t)})
			got := allowed
			switch {
			case errors.Is(err, comfy.ErrInsecure):
				got = blocked
			case errors.Is(err, comfy.ErrURL):
				got = rejected
			case err != nil:
				got = err.Error()
			default:
				_ = c.Close()
			}
			if got != column.want {
				t.Errorf("%q, insecure %v: %s, want %s (%v)", r.url, column.insecure, got, column.want, err)
			}
			if err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "pw")) {
				t.Errorf("the error repeats a credential: %v", err)
			}
		}
	}
}

func noDial(t *testing.T) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	return func(context.Context, string, string) (net.Conn, error) {
		t.Error("dialled")
		return nil, errors.New("no")
	}
}

// SC-15: a credential of whatever kind never goes to a remote host in clear text; over https and to this machine it does.
func TestSec_SC15_noCredentialInClear(t *testing.T) {
	t.Parallel()
	secret := config.NewSecret("s3cret")
	kinds := map[string]comfy.Config{
		"username":    {Username: "me"},
		"password":    {Username: "me", Password: secret},
		"key":         {APIKey: secret},
		"header":      {APIKey: secret, AuthHeader: "X-Key"},
		"query token": {QueryToken: secret},
		"headers":     {Headers: map[string]config.Secret{"CF-Access-Client-Secret": secret}},
	}
	for name, cfg := range kinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for url, ok := range map[string]bool{
				"http://comfyui.example.com": false, "https://comfyui.example.com": true, "http://127.0.0.1:8188": true,
			} {
				cfg.URL, cfg.AllowInsecure = url, true
				c, err := comfy.New(cfg)
				if ok != (err == nil) || err != nil && !errors.Is(err, comfy.ErrInsecure) {
					t.Errorf("%s: %v", url, err)
				}
				if err == nil {
					_ = c.Close()
				}
			}
		})
	}
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	secret := config.NewSecret("s3cret")
	for name, cfg := range map[string]comfy.Config{
		"a negative timeout":        {Timeouts: comfy.Timeouts{Read: -1}}, // SC-56
		"a negative limit":          {Limits: comfy.Limits{JSONBytes: -1}},
		"a frame past any use":      {Limits: comfy.Limits{TextFrame: 1 << 40}},
		"no connections":            {Limits: comfy.Limits{Connections: -1}},
		"a negative delay":          {Retry: comfy.Retry{Base: -1}},
		"a header that is no word":  {APIKey: secret, AuthHeader: "X Key"},
		"the Origin header":         {APIKey: secret, AuthHeader: "origin"},
		"a Sec-Fetch header":        {Headers: map[string]config.Secret{"sec-fetch-site": secret}},
		"the Host header":           {APIKey: secret, AuthHeader: "Host"},
		"a key with a line break":   {APIKey: config.NewSecret("s3cret\r\nX: y")},
		"two ways of Authorization": {APIKey: secret, Username: "me"},
		"a colon in the username":   {Username: "a:b"},
		"a CA file that is not":     {CAFile: "testdata/none.pem"},
		"a CA file without roots":   {CAFile: "testdata/recorded/v0.33.0/view.json"},
		"half a client certificate": {CertFile: "testdata/none.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg.URL = "http://127.0.0.1:8188"
			if _, err := comfy.New(cfg); err == nil || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestRedacted(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"WS://LocalHost:8188/":              "http://localhost:8188",
		"wss://ws.example.com/comfy//ui/":   "https://ws.example.com/comfy/ui",
		"http://127.0.0.1:8188/a/../b":      "http://127.0.0.1:8188/b",
		"  http://127.0.0.1:8188  ":         "http://127.0.0.1:8188",
		"http://[::1]:8188/with%20space/x/": "http://[::1]:8188/with%20space/x",
	} {
		c, err := comfy.New(comfy.Config{URL: url})
		if err != nil || c.Redacted() != want || c.Insecure() {
			t.Errorf("%q: %v, %v", url, c, err)
			continue
		}
		_ = c.Close()
	}
}
