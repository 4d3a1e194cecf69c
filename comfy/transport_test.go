package comfy_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/config"
)

// everyCall is each way of asking the server something, by name.
func everyCall(c *comfy.Client) map[string]func(context.Context) error {
	file := comfy.Output{Filename: "a.png", Type: "output"}
	return map[string]func(context.Context) error{
		"Probe":      func(ctx context.Context) error { _, err := c.Probe(ctx); return err },
		"ObjectInfo": func(ctx context.Context) error { _, err := c.ObjectInfo(ctx); return err },
		"Class":      func(ctx context.Context) error { _, err := c.Class(ctx, "KSampler"); return err },
		"Models":     func(ctx context.Context) error { _, err := c.Models(ctx, "loras"); return err },
		"Embeddings": func(ctx context.Context) error { _, err := c.Embeddings(ctx); return err },
		"Metadata":   func(ctx context.Context) error { _, err := c.Metadata(ctx, "loras", "a"); return err },
		"Upload":     func(ctx context.Context) error { _, err := c.Upload(ctx, "a.png", strings.NewReader("x")); return err },
		"View":       func(ctx context.Context) error { _, err := c.View(ctx, file, io.Discard); return err },
		"Queue":      func(ctx context.Context) error { _, err := c.Queue(ctx); return err },
		"DeleteHistory": func(ctx context.Context) error {
			return c.DeleteHistory(ctx, "9f1b1a34-0000-4000-8000-000000000000")
		},
		"Free": c.Free,
		"Submit": func(ctx context.Context) error {
			_, err := c.Submit(ctx, comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
			return err
		},
	}
}

// SC-14, SC-47, CLIENT-AUTH-4, CLIENT-SEC-13: no redirect is followed, wherever it leads, and nothing is sent there.
func TestSec_SC14_redirects(t *testing.T) {
	t.Parallel()
	var there sync.Map
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { there.Store(r.URL.Path, true) }))
	t.Cleanup(other.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/stolen", status)
		}))
		t.Cleanup(server.Close)
		c, err := comfy.New(comfy.Config{URL: server.URL, APIKey: config.NewSecret("s3cret"), QueryToken: config.NewSecret("t0ken")})
		if err != nil {
			t.Fatal(err)
		}
		for name, call := range everyCall(c) {
			if err := call(t.Context()); !errors.Is(err, comfy.ErrRedirect) || secretIn(err) {
				t.Errorf("%s, %d: %v", name, status, err)
			}
		}
		_ = c.Close()
	}
	there.Range(func(path, _ any) bool { t.Errorf("followed to %v", path); return true })
}

func secretIn(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "t0ken"))
}

// SC-20, CLIENT-AUTH-1, CLIENT-AUTH-2: behind a proxy that wants TLS, a path prefix and a credential, every call and the socket
// carry it; without it every call is told so, and no error holds what was sent.
func TestSec_SC20_proxy(t *testing.T) {
	t.Parallel()
	secret := config.NewSecret("s3cret")
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("me:s3cret"))
	kinds := []struct {
		name string
		cfg  comfy.Config
		ok   func(*http.Request) bool
	}{
		{"basic", comfy.Config{Username: "me", Password: secret}, func(r *http.Request) bool { return r.Header.Get("Authorization") == basic }},
		{"bearer", comfy.Config{APIKey: secret}, func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer s3cret" }},
		{"header", comfy.Config{APIKey: secret, AuthHeader: "x-key"}, func(r *http.Request) bool { return r.Header.Get("X-Key") == "s3cret" }},
		{"query", comfy.Config{QueryToken: secret}, func(r *http.Request) bool { return r.URL.Query().Get("token") == "s3cret" }},
		{
			"headers",
			comfy.Config{Headers: map[string]config.Secret{"CF-Access-Client-Id": config.NewSecret("i"), "CF-Access-Client-Secret": secret}},
			func(r *http.Request) bool {
				return r.Header.Get("Cf-Access-Client-Id") == "i" && r.Header.Get("Cf-Access-Client-Secret") == "s3cret"
			},
		},
	}
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, "/comfy/ui")
			var sockets sync.Map
			proxy := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !k.ok(r) {
					w.WriteHeader(http.StatusUnauthorized)
					return
				}
				if strings.HasSuffix(r.URL.Path, "/ws") {
					sockets.Store(r.URL.Path, true)
				}
				r.URL.RawQuery = ""
				f.ServeHTTP(w, r)
			}))
			t.Cleanup(proxy.Close)
			f.placed = func(j *fakeJob) { f.record(j, "execution_success", nil, nil) }
			with := k.cfg
			with.URL, with.CAFile = proxy.URL+"/comfy/ui/", caFile(t, proxy.Certificate())
			c := newClient(t, with)
			for name, call := range everyCall(c) {
				if err := call(t.Context()); errors.Is(err, comfy.ErrAuth) || errors.Is(err, comfy.ErrUnreachable) || secretIn(err) {
					t.Errorf("with the credential, %s: %v", name, err)
				}
			}
			if _, ok := sockets.Load("/comfy/ui/api/ws"); !ok {
				t.Error("no socket") // SC-16
			}
			without := newClient(t, comfy.Config{URL: with.URL, CAFile: with.CAFile})
			for name, call := range everyCall(without) {
				if err := call(t.Context()); !errors.Is(err, comfy.ErrAuth) {
					t.Errorf("without, %s: %v", name, err)
				}
			}
		})
	}
}

func newClient(t *testing.T, cfg comfy.Config) *comfy.Client {
	t.Helper()
	c, err := comfy.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func caFile(t *testing.T, cert *x509.Certificate) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// SC-16: the socket goes where the URL says, over TLS where that does, whatever the host is called.
func TestSec_SC16_socketURL(t *testing.T) {
	t.Parallel()
	ca, cert := authority(t, "ws.example.com")
	for url, want := range map[string]string{
		"https://ws.example.com":             "/api/ws",
		"https://ws.example.com/comfy":       "/comfy/api/ws",
		"wss://ws.example.com:8443/ws/http/": "/ws/http/api/ws",
	} {
		heard := make(chan *http.Request, 10)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			heard <- r
			up := websocket.Upgrader{}
			if conn, err := up.Upgrade(w, r, nil); err == nil {
				_, _, _ = conn.ReadMessage()
				_ = conn.Close()
			}
		}))
		server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		server.StartTLS()
		t.Cleanup(server.Close)
		c := newClient(t, comfy.Config{URL: url, CAFile: ca, Dial: to(server)})
		_, err := c.Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
		r := <-heard
		if r.URL.Path != want || r.TLS == nil || !strings.HasPrefix(r.Host, "ws.example.com") || r.URL.Query().Get("clientId") == "" {
			t.Errorf("%s: %s on %s", url, r.URL.Path, r.Host)
		}
		if r.Header.Get("Sec-Websocket-Extensions") != "" {
			t.Error("compression is offered") // CLIENT-WS-15
		}
		_ = err // the server knows nothing but the socket
	}
}

// to makes every dial reach one server.
func to(server *httptest.Server) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, server.Listener.Addr().String())
	}
}

// authority makes a certificate for a host, with the file of its root.
func authority(t *testing.T, host string) (file string, cert tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return caFile(t, leaf), tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// SC-17: an unknown root is refused, the CA file makes it known, and TLS below 1.2 is refused.
func TestSec_SC17_certificates(t *testing.T) {
	t.Parallel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]any{"queue_running": []any{}, "queue_pending": []any{}})
	})
	good := httptest.NewTLSServer(handler)
	t.Cleanup(good.Close)
	good.Config.ErrorLog = nil
	old := httptest.NewUnstartedServer(handler)
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.StartTLS()
	t.Cleanup(old.Close)
	for _, row := range []struct {
		name   string
		server *httptest.Server
		ca     bool
		ok     bool
	}{{"unknown root", good, false, false}, {"own CA", good, true, true}, {"TLS 1.1", old, true, false}} {
		cfg := comfy.Config{URL: row.server.URL}
		if row.ca {
			cfg.CAFile = caFile(t, row.server.Certificate())
		}
		_, err := newClient(t, cfg).Queue(t.Context())
		if row.ok != (err == nil) || err != nil && !errors.Is(err, comfy.ErrUnreachable) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// SC-47: what an answer may cost.
func TestSec_SC47_bounds(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	rows := []struct {
		name   string
		answer http.HandlerFunc
		want   error // nil: a *TooLargeError
	}{
		{"a length over the bound", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", strconv.Itoa(1<<30))
			_, _ = w.Write([]byte("[1"))
		}, nil},
		{"no end", endless("application/json", "[1,"), nil},
		{"not JSON", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("{}"))
		}, comfy.ErrProtocol},
		{"too deep", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(deep))
		}, comfy.ErrProtocol},
		{"broken JSON", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"queue_running": `))
		}, comfy.ErrProtocol},
		{"an endless header", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
			reply(w, http.StatusOK, map[string]any{})
		}, comfy.ErrUnreachable},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(row.answer)
			t.Cleanup(server.Close)
			c := newClient(t, comfy.Config{URL: server.URL, Limits: comfy.Limits{JSONBytes: 1 << 20}})
			_, err := c.Queue(t.Context())
			var large *comfy.TooLargeError
			if tooLarge := errors.As(err, &large); tooLarge != (row.want == nil) || !tooLarge && !errors.Is(err, row.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func endless(kind, chunk string) http.HandlerFunc {
	data := []byte(strings.Repeat(chunk, 1000))
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		for range 1 << 30 / len(data) {
			if _, err := w.Write(data); err != nil {
				return
			}
		}
	}
}

// SC-47: a gigabyte costs less than twice the bound.
func TestSec_SC47_memory(t *testing.T) { //nolint:paralleltest // it measures the process
	server := httptest.NewServer(endless("application/json", "[1,"))
	t.Cleanup(server.Close)
	c := newClient(t, comfy.Config{URL: server.URL, Limits: comfy.Limits{JSONBytes: 16 << 20}})
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := c.Queue(t.Context())
	runtime.ReadMemStats(&after)
	var large *comfy.TooLargeError
	if !errors.As(err, &large) || large.Limit != 16<<20 {
		t.Errorf("error %v", err)
	}
	if grown := int64(after.Sys) - int64(before.Sys); grown > 32<<20 {
		t.Errorf("the process grew by %d bytes", grown)
	}
}

// design.md "ComfyUI is down": one dial, no repetition, and the cause is told.
func TestDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		f.pipes.turn(true)
		c := f.client(func(cfg *comfy.Config) { cfg.Retry = comfy.Retry{}; cfg.QueryToken = config.NewSecret("t0ken") })
		for name, call := range everyCall(c) {
			synctest.Wait() // for what the call before left behind
			f.pipes.mu.Lock()
			before := f.pipes.dials
			f.pipes.mu.Unlock()
			began := time.Now()
			err := call(t.Context())
			if !errors.Is(err, comfy.ErrUnreachable) || !strings.Contains(err.Error(), "connection refused") || secretIn(err) {
				t.Errorf("%s: %v", name, err)
			}
			f.pipes.mu.Lock()
			dials := f.pipes.dials - before
			f.pipes.mu.Unlock()
			if most := map[string]int{"Models": 2, "Submit": 2}[name]; dials > max(most, 1) || time.Since(began) > time.Second {
				t.Errorf("%s: %d dials in %v", name, dials, time.Since(began))
			}
		}
	})
}

// SC-39: a GET that is answered "later" is repeated, at most three times; a POST never; a refusal of the graph is no trouble.
func TestSec_SC39_retries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, code := range []int{429, 502, 503, 504} {
			f := newFake(t, "")
			busy := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
			f.on("GET /embeddings", busy)
			f.on("POST /free", busy)
			c := f.client(func(cfg *comfy.Config) { cfg.Retry = comfy.Retry{} })
			_, err := c.Embeddings(t.Context())
			var status *comfy.StatusError
			if !errors.As(err, &status) || status.Status != code || f.count("GET", "/embeddings") != 4 {
				t.Errorf("%d: %v after %d requests", code, err, f.count("GET", "/embeddings"))
			}
			if err := c.Free(t.Context()); !errors.As(err, &status) || f.count("POST", "/free") != 1 {
				t.Errorf("POST: %v after %d requests", err, f.count("POST", "/free"))
			}
			f.on("GET /embeddings", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
			before := f.count("GET", "/embeddings")
			if _, err := c.Embeddings(t.Context()); err == nil || f.count("GET", "/embeddings") != before+1 {
				t.Errorf("500 is not for later: %v", err)
			}
		}
	})
}

// CLIENT-FAIL-14: ComfyUI's 403 has no body, and the error says what it may be.
func TestForbidden(t *testing.T) {
	t.Parallel()
	f := newFake(t, "")
	f.on("GET /queue", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	_, err := f.client().Queue(t.Context())
	if !errors.Is(err, comfy.ErrAuth) || !strings.Contains(err.Error(), "Origin") {
		t.Errorf("%v", err)
	}
	f.on("GET /queue", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "token=abc", http.StatusForbidden) })
	_, err = f.client().Queue(t.Context())
	if !errors.Is(err, comfy.ErrAuth) || strings.Contains(err.Error(), "abc") {
		t.Errorf("%v", err)
	}
}

// SC-47: connections are bounded.
func TestSec_SC47_connections(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		hold := make(chan struct{})
		f.on("GET /view", func(http.ResponseWriter, *http.Request) { <-hold })
		c := f.client(func(cfg *comfy.Config) { cfg.Limits.Connections = 3 })
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { _, _ = c.View(t.Context(), comfy.Output{Filename: "a"}, &bytes.Buffer{}) })
		}
		synctest.Wait()
		f.pipes.mu.Lock()
		dials := f.pipes.dials
		f.pipes.mu.Unlock()
		if dials != 3 {
			t.Errorf("%d connections", dials)
		}
		close(hold)
		all.Wait()
	})
}
