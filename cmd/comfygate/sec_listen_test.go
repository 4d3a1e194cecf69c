package main

import (
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/audit"
)

// listening are the local addresses, in the kernel's notation, of the sockets on which a process listens.
func (p *proc) listening(t *testing.T) []string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	proc := "/proc/" + strconv.Itoa(p.cmd.Process.Pid)
	fds, err := filepath.Glob(proc + "/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	own := make(map[string]bool)
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil { // it may have been closed meanwhile
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				own[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	const listens, local, state, inode = "0A", 1, 3, 9
	var found []string
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile(proc + "/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if f := strings.Fields(line); len(f) > inode && f[state] == listens && own[f[inode]] {
				found = append(found, f[local])
			}
		}
	}
	return found
}

// outside is an address of this machine that others could use, or "".
func outside(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return ""
}

// TestSec_SC08_defaultBind: nothing listens over stdio, and over HTTP 127.0.0.1:7861 and no other address does.
func TestSec_SC08_defaultBind(t *testing.T) {
	t.Parallel()
	t.Run("stdio", func(t *testing.T) {
		t.Parallel()
		a := newWorld(t, embedded).stdio(t)
		a.picture(t, "a cat") // the embedded ComfyUI has no port either (decision 15)
		if found := a.listening(t); len(found) > 0 {
			t.Errorf("it listens on %v", found)
		}
	})
	t.Run("the default of HTTP", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, embedded)
		show := w.run(t, "config", "show")
		for _, line := range []string{"  transport: stdio  # default\n", "  host: 127.0.0.1  # default\n", "  port: 7861  # default\n"} {
			if !strings.Contains(show.out, line) {
				t.Errorf("config show has no line %q", line)
			}
		}
		// The port may be taken on this machine. Then the refusal names it.
		w.with("COMFYGATE_SERVER__TRANSPORT=http").start(t).err.await(t, `listen.*127\.0\.0\.1:7861\b`)
	})
	t.Run("loopback only", func(t *testing.T) {
		t.Parallel()
		s := newWorld(t, embedded).http(t)
		host, port, err := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
		if err != nil || host != "127.0.0.1" {
			t.Fatalf("it listens on %s", s.url)
		}
		if other := outside(t); other != "" {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", net.JoinHostPort(other, port))
			if err == nil {
				_ = conn.Close()
				t.Errorf("it can be reached at %s", other)
			}
		}
		for _, local := range s.listening(t) {
			if !strings.HasPrefix(local, "0100007F:") {
				t.Errorf("it listens on %s too", local)
			}
		}
	})
}

// TestSec_SC09_host: a host with credentials is bound as it was said, and the alias and the port count.
func TestSec_SC09_host(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"setting": {"COMFYGATE_HTTP__HOST=0.0.0.0", "COMFYGATE_HTTP__USERNAME=ada", "COMFYGATE_HTTP__PASSWORD=lovelace"},
		"alias":   {"COMFY_HEADLESS_UI__HOST=0.0.0.0", "COMFY_HEADLESS_UI__USERNAME=ada", "COMFY_HEADLESS_UI__PASSWORD=lovelace"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, port, err := net.SplitHostPort(freeAddr(t))
			if err != nil {
				t.Fatal(err)
			}
			s := newWorld(t, embedded).with(env...).with("COMFYGATE_HTTP__PORT=" + port).http(t)
			if got := strings.TrimPrefix(s.url, "http://"); got != "0.0.0.0:"+port && got != "[::]:"+port {
				t.Errorf("it listens on %s", got)
			}
		})
	}
	t.Run("a port that is taken", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, embedded)
		s := w.http(t)
		_, port, err := net.SplitHostPort(strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		out := w.with("COMFYGATE_HTTP__PORT="+port).run(t, "serve", "--transport", "http")
		if out.code != exitError || !strings.Contains(out.err, "127.0.0.1:"+port) {
			t.Errorf("exit code %d: %s", out.code, out.err)
		}
		s.streamable(t).report(t)
	})
	t.Run("no flag goes round the policy", func(t *testing.T) {
		t.Parallel()
		if out := newWorld(t).run(t, "serve", "--transport", "http", "--host", "0.0.0.0"); out.code != exitUsage {
			t.Errorf("exit code %d", out.code)
		}
		if out := newWorld(t, "COMFYGATE_HTTP__HOST=0.0.0.0").run(t, "serve", "--transport", "http"); out.code == exitOK || !strings.Contains(out.err, "refusing") {
			t.Errorf("the flag of the transport: exit code %d: %s", out.code, out.err)
		}
	})
}

// A reply is an HTTP response that was read.
type reply struct {
	StatusCode int
	Status     string
	Header     http.Header
}

// get asks with a header, if any is given: name, value. It is not for streams.
func (s *site) get(t *testing.T, method, path, body string, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	for name, value := range pairs(header) {
		req.Header.Set(name, value)
		if name == "Host" {
			req.Host = value
		}
	}
	res, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(io.Discard, res.Body)
	if cerr := res.Body.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	return reply{res.StatusCode, res.Status, res.Header}
}

// hello is what every client of MCP begins with.
const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"raw","version":"1"}}}`

func basic(password string) string {
	const user = "ada"
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

// TestSec_SC10_signIn: with a password set, nobody passes without it on any route but the two public ones.
func TestSec_SC10_signIn(t *testing.T) {
	t.Parallel()
	t.Run("routes", func(t *testing.T) {
		t.Parallel()
		s := newWorld(t, embedded, "COMFYGATE_HTTP__USERNAME=ada", "COMFYGATE_HTTP__PASSWORD=lovelace", "COMFYGATE_HTTP__AUTH_FAILURES_PER_MINUTE=100").http(t)
		for _, route := range []string{"POST /mcp", "GET /mcp", "DELETE /mcp", "GET /sse", "POST /message?sessionId=x"} {
			method, path, _ := strings.Cut(route, " ")
			for name, header := range map[string][]string{
				"none": nil, "wrong password": {"Authorization", basic("babbage")}, "bearer": {"Authorization", "Bearer lovelace"},
			} {
				res := s.get(t, method, path, hello, header...)
				if res.StatusCode != http.StatusUnauthorized || res.Header.Get("WWW-Authenticate") == "" {
					t.Errorf("%s, %s: %s, WWW-Authenticate %q", route, name, res.Status, res.Header.Get("WWW-Authenticate"))
				}
			}
		}
		for _, path := range []string{"/healthz", "/.well-known/security.txt"} {
			if res := s.get(t, http.MethodGet, path, ""); res.StatusCode != http.StatusOK {
				t.Errorf("%s: %s", path, res.Status)
			}
		}
	})
	t.Run("the right one", func(t *testing.T) {
		t.Parallel()
		s := newWorld(t, embedded, "COMFY_HEADLESS_UI__USERNAME=ada", "COMFY_HEADLESS_UI__PASSWORD=lovelace").http(t)
		if res := s.get(t, http.MethodPost, "/mcp", hello, "Authorization", basic("lovelace")); res.StatusCode != http.StatusOK {
			t.Errorf("initialize: %s", res.Status)
		}
		s.streamable(t, "Authorization", basic("lovelace")).report(t)
	})
	t.Run("failures are counted and recorded", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, embedded, "COMFYGATE_HTTP__TOKEN=the-right-token-0123")
		s := w.http(t)
		for n := range 10 {
			if res := s.get(t, http.MethodPost, "/mcp", hello, "Authorization", "Bearer wrong-token-0123"); res.StatusCode != http.StatusUnauthorized {
				t.Fatalf("failure %d: %s", n+1, res.Status)
			}
		}
		res := s.get(t, http.MethodPost, "/mcp", hello, "Authorization", "Bearer wrong-token-0123")
		if res.StatusCode != http.StatusTooManyRequests || res.Header.Get("Retry-After") == "" {
			t.Errorf("failure 11: %s, Retry-After %q", res.Status, res.Header.Get("Retry-After"))
		}
		if n := len(w.events(t, audit.AuthFailure)); n < 11 {
			t.Errorf("%d failures are on the record", n)
		}
	})
	t.Run("a flood of failures is no flood of records", func(t *testing.T) { // AUD-18
		t.Parallel()
		w := newWorld(t, embedded, "COMFYGATE_HTTP__TOKEN=the-right-token-0123")
		s := w.http(t)
		const flood = 400
		for range flood {
			s.get(t, http.MethodPost, "/mcp", hello, "Authorization", "Bearer wrong-token-0123")
		}
		s.bury(t)
		failures, counted := w.events(t, audit.AuthFailure), 0
		for _, r := range failures {
			counted += max(1, r.Count)
		}
		if len(failures) >= flood || counted != flood {
			t.Errorf("%d records tell of %d failures, of %d that were", len(failures), counted, flood)
		}
	})
	for missing, env := range map[string]string{
		"COMFYGATE_HTTP__PASSWORD": "COMFYGATE_HTTP__USERNAME=ada", "COMFYGATE_HTTP__USERNAME": "COMFYGATE_HTTP__PASSWORD=lovelace",
	} {
		t.Run("half of it, without "+missing, func(t *testing.T) {
			t.Parallel()
			out := newWorld(t, env).run(t, "serve", "--transport", "http")
			if out.code != exitUsage || !strings.Contains(out.err, missing+": missing") {
				t.Errorf("exit code %d: %s", out.code, out.err)
			}
		})
	}
}

// TestSec_SC11_exposed: a listener that others reach, without credentials, is warned of, recorded and refused.
func TestSec_SC11_exposed(t *testing.T) {
	t.Parallel()
	const override, credentials = "COMFYGATE_HTTP__ALLOW_UNAUTHENTICATED=true", "COMFYGATE_HTTP__TOKEN=0123456789abcdef0123"
	hosts := []string{"0.0.0.0", "::"}
	if other := outside(t); other != "" {
		hosts = append(hosts, other)
	}
	for _, host := range append(hosts, "127.0.0.1", "::1", "localhost") {
		loopback := host == "127.0.0.1" || host == "::1" || host == "localhost"
		for name, env := range map[string][]string{"nothing": nil, "override": {override}, "credentials": {credentials}} {
			t.Run(host+" with "+name, func(t *testing.T) {
				t.Parallel()
				if lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0")); err != nil {
					t.Skip("this machine has no such address")
				} else if err := lis.Close(); err != nil {
					t.Fatal(err)
				}
				w := newWorld(t, embedded, "COMFYGATE_HTTP__HOST="+host).with(env...)
				warned, refused := !loopback && name != "credentials", !loopback && name == "nothing"
				starts := 1
				if warned && !refused {
					starts = 2 // it is said at every start
				}
				for start := 1; start <= starts; start++ {
					text := w.serveOnce(t, refused)
					warnings := regexp.MustCompile(`(?m)^.*WARN.*exposed without authentication.*$`).FindAllString(text, -1)
					if warned != (len(warnings) == 1) || !warned && len(warnings) > 0 {
						t.Errorf("%d warnings: %s", len(warnings), text)
					}
					for _, name := range []string{"COMFYGATE_HTTP__USERNAME", "COMFYGATE_HTTP__PASSWORD", "COMFY_HEADLESS_UI__USERNAME", "COMFY_HEADLESS_UI__PASSWORD"} {
						if warned && !strings.Contains(warnings[0], name) {
							t.Errorf("the warning does not name %s", name)
						}
					}
					events, want := w.events(t, audit.ExposedWithoutAuth), 0
					if warned {
						want = start
					}
					if len(events) != want || want > 0 && events[0].Severity != audit.High {
						t.Errorf("start %d: events %+v", start, events)
					}
				}
				w.whole(t)
			})
		}
	}
}

// serveOnce serves over HTTP, or is refused to, and returns the log.
func (w *world) serveOnce(t *testing.T, refused bool) string {
	t.Helper()
	if refused {
		out := w.run(t, "serve", "--transport", "http")
		if out.code == exitOK {
			t.Errorf("it was not refused: %s", out.err)
		}
		return out.err
	}
	s := w.http(t)
	s.bury(t)
	return s.err.String()
}

// TestSec_SC12_rebinding: a page that rebinds its name to this machine, or is of another origin, gets nothing (T01, T02).
func TestSec_SC12_rebinding(t *testing.T) {
	t.Parallel()
	s := newWorld(t, embedded, "COMFYGATE_HTTP__ALLOWED_ORIGINS=https://app.example.com").http(t)
	for name, test := range map[string]struct {
		header []string
		want   int
	}{
		"neither said":                {nil, http.StatusOK},
		"Host of another":             {[]string{"Host", "evil.example"}, http.StatusForbidden},
		"Host that begins like ours":  {[]string{"Host", "localhost.evil.example"}, http.StatusForbidden},
		"Host localhost":              {[]string{"Host", "localhost:7861"}, http.StatusOK},
		"Host in upper case":          {[]string{"Host", "LOCALHOST"}, http.StatusOK},
		"Origin of another":           {[]string{"Origin", "https://evil.example"}, http.StatusForbidden},
		"Origin that begins like one": {[]string{"Origin", "https://app.example.com.evil.example"}, http.StatusForbidden},
		"Origin null":                 {[]string{"Origin", "null"}, http.StatusForbidden},
		"Origin on this machine":      {[]string{"Origin", "http://127.0.0.1:3000"}, http.StatusOK},
		"Origin that is listed":       {[]string{"Origin", "https://app.example.com"}, http.StatusOK},
		"Origin on another port":      {[]string{"Origin", "https://app.example.com:444"}, http.StatusForbidden},
	} {
		if res := s.get(t, http.MethodPost, "/mcp", hello, test.header...); res.StatusCode != test.want {
			t.Errorf("%s: %s", name, res.Status)
		}
	}
}
