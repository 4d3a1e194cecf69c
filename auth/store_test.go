package auth_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/policy"
)

// AUT-04, T25: a token is made, used within its bounds, found by no other, and taken back; the file never holds it.
func TestStore_AUT04(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "tokens.yaml")
	s, err := auth.OpenStore(path)
	if err != nil || !s.Empty() {
		t.Fatal(err)
	}
	a, err := auth.New(auth.Config{Store: s, Roles: map[string]policy.Role{"boss": policy.Admin}})
	if err != nil {
		t.Fatal(err)
	}
	if a.Required() {
		t.Error("credentials are demanded, and there are none")
	}
	create := func(t2 auth.Stored) (string, auth.Stored) {
		t.Helper()
		value, kept, err := s.Create(t2)
		if err != nil {
			t.Fatal(err)
		}
		return value, kept
	}
	anna, kept := create(auth.Stored{Name: "anna"})
	reader, _ := create(auth.Stored{Name: "anna", Scopes: []policy.Scope{policy.JobRead}})
	viewer, _ := create(auth.Stored{Name: "vera", Role: policy.Viewer})
	boss, _ := create(auth.Stored{Name: "boss", Role: policy.Viewer}) // AUTH__ROLES says more
	old, _ := create(auth.Stored{Name: "olga", Expires: time.Now().Add(-time.Second)})
	home, _ := create(auth.Stored{Name: "hans", From: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}})
	if !a.Required() || !strings.HasPrefix(anna, "cg_"+kept.ID+"_") || len(anna) < 43+8 {
		t.Errorf("token %s", anna)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for _, value := range []string{anna, reader, viewer} {
		if strings.Contains(string(data), value) || strings.Contains(string(data), value[strings.LastIndex(value, "_")+1:]) {
			t.Error("the file holds a token")
		}
	}
	from := func(value, addr string) string {
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		r.Header.Set("Authorization", "Bearer "+value)
		who, err := a.Request(r, netip.MustParseAddr(addr))
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint(who.Name, " ", who.Role, " ", len(who.Scopes))
	}
	bad := auth.ErrBadCredentials.Error()
	for name, tt := range map[string]struct{ value, addr, want string }{
		"a token":                {anna, "192.0.2.1", "anna operator 9"},
		"of fewer scopes":        {reader, "192.0.2.1", "anna operator 1"},
		"of a role":              {viewer, "192.0.2.1", "vera viewer 4"},
		"of a role told besides": {boss, "192.0.2.1", "boss admin 10"},
		"expired":                {old, "192.0.2.1", bad},
		"from its network":       {home, "10.1.2.3", "hans operator 9"},
		"mapped into IPv6":       {home, "::ffff:10.1.2.3", "hans operator 9"},
		"from its IPv6 network":  {home, "2001:db8::1", "hans operator 9"},
		"from elsewhere":         {home, "192.0.2.1", bad},
		"another's secret":       {anna[:len("cg_12345678_")] + viewer[len("cg_12345678_"):], "192.0.2.1", bad},
		"unknown id":             {"cg_aaaaaaaa_" + anna[12:], "192.0.2.1", bad},
		"only the id":            {"cg_" + kept.ID + "_", "192.0.2.1", bad},
		"another product's":      {"gh" + anna[2:], "192.0.2.1", bad},
		"one letter more":        {anna + "A", "192.0.2.1", bad},
	} {
		if got := from(tt.value, tt.addr); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	if _, told := s.LastUsed(kept.ID); !told {
		t.Error("a token that was used is not known as such")
	}
	if err := s.WriteUsed(true); err != nil {
		t.Fatal(err)
	}
	elsewhere, err := auth.OpenStore(path)
	if err != nil {
		t.Fatal(err)
	}
	if at, told := elsewhere.LastUsed(kept.ID); !told || time.Since(at) > time.Minute {
		t.Errorf("another process hears of its last use: %v, %v", at, told)
	}
	if _, told := elsewhere.LastUsed("none"); told {
		t.Error("a token that there is not was used")
	}
	if err := s.Revoke(kept.ID); err != nil {
		t.Fatal(err)
	}
	if got := from(anna, "192.0.2.1"); got != bad {
		t.Errorf("a token that was revoked: %s", got)
	}
	if err := s.Revoke(kept.ID); !errors.Is(err, auth.ErrNoToken) {
		t.Errorf("revoked again: %v", err)
	}
	other, err := auth.OpenStore(path) // another process
	if err != nil || len(other.List()) != 5 {
		t.Fatalf("%d tokens, %v", len(other.List()), err)
	}
	late, _, err := other.Create(auth.Stored{Name: "late"})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err != nil || from(late, "192.0.2.1") != "late operator 9" {
		t.Errorf("a token that another process made: %v", err)
	}
	if err := os.WriteFile(path, []byte("tokens: [{id: a}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Reload(); err == nil || from(late, "192.0.2.1") != "late operator 9" {
		t.Errorf("a broken file takes tokens away: %v", err)
	}
}

func TestOpenStore_refuses(t *testing.T) {
	t.Parallel()
	sum := strings.Repeat("ab", 32)
	for text, want := range map[string]string{
		"tokens: [{id: a, principal: x, sha256: ab, created: 2026-01-01T00:00:00Z}]":                       "64 hexadecimal",
		"tokens: [{id: a, principal: x, sha256: " + sum + ", sha: 1}]":                                     "unknown field",
		"tokens: [{id: a_b, principal: x, sha256: " + sum + "}]":                                           "without _",
		"tokens: [{id: a, principal: anonymous, sha256: " + sum + "}]":                                     "neither anonymous",
		"tokens: [{id: a, principal: x, scopes: [\"image:paint\"], sha256: " + sum + "}]":                  "no scope",
		"tokens: [{id: a, principal: x, sha256: " + sum + "}, {id: a, principal: y, sha256: " + sum + "}]": "there twice",
		"tokens: [{id: a, principal: x, from: [nowhere], sha256: " + sum + "}]":                            "cannot be read",
		"tokens: 3": "cannot be read",
	} {
		path := filepath.Join(t.TempDir(), "tokens.yaml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := auth.OpenStore(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.70s: %v", text, err)
		}
	}
}

// AUT-05: a certificate is whose its names say, where they agree.
func TestCertificates_AUT05(t *testing.T) {
	t.Parallel()
	a, err := auth.New(auth.Config{Certificates: auth.Certificates{
		"URI:spiffe://example.org/anna": "anna", "DNS:anna.example.org": "anna", "DNS:ben.example.org": "ben", "EMAIL:ben@example.org": "ben",
	}})
	if err != nil {
		t.Fatal(err)
	}
	spiffe, err := url.Parse("spiffe://example.org/anna")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		cert     x509.Certificate
		verified bool
		want     string
	}{
		"by URI":              {x509.Certificate{URIs: []*url.URL{spiffe}}, true, "anna mtls"},
		"by DNS and URI":      {x509.Certificate{URIs: []*url.URL{spiffe}, DNSNames: []string{"anna.example.org", "x"}}, true, "anna mtls"},
		"by mail":             {x509.Certificate{EmailAddresses: []string{"ben@example.org"}}, true, "ben mtls"},
		"of two principals":   {x509.Certificate{DNSNames: []string{"anna.example.org", "ben.example.org"}}, true, auth.ErrBadCredentials.Error()},
		"of nobody":           {x509.Certificate{DNSNames: []string{"eve.example.org"}}, true, auth.ErrBadCredentials.Error()},
		"that is not checked": {x509.Certificate{DNSNames: []string{"anna.example.org"}}, false, auth.ErrNoCredentials.Error()},
	} {
		r := httptest.NewRequest(http.MethodPost, "/mcp", nil)
		r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{&tt.cert}}
		if tt.verified {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{&tt.cert}}
		}
		who, err := a.Request(r, netip.MustParseAddr("192.0.2.1"))
		got := who.Name + " " + who.Method
		if err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
	for san, name := range map[string]string{"anna": "anna", "CN:anna": "anna", "DNS:": "anna", "DNS:x": "a b", "DNS:y": "anonymous"} {
		if _, err := auth.New(auth.Config{Certificates: auth.Certificates{san: name}}); err == nil {
			t.Errorf("%s=%s is taken", san, name)
		}
	}
}
