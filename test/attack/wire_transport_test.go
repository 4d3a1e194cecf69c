package attack_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func transportWires() map[string]wire {
	return map[string]wire{
		"T01": hosts, "T02": origins, "T03": trustedOrigins, "T04": contentTypes, "T05": largeBodies, "T06": deepJSON, "T07": spelledKeys,
		"T08": badText, "T09": mismatches, "T10": versions, "T11": methods, "T12": slowSenders, "T13": batches, "T15": securityHeaders,
	}
}

// routes are those of the program that speak to callers.
func routes() []string { return []string{"/mcp", "/sse", "/message", "/healthz", "/metrics"} }

func hosts(t *testing.T, f *field) {
	c := f.main.someone(t)
	for _, host := range []string{"evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "169.254.169.254", "10.0.0.1", "pictures.example.org.evil.example", "[2001:db8::1]", "x@127.0.0.1"} {
		for _, path := range routes() {
			method, body := http.MethodGet, ""
			if path == "/mcp" || path == "/message" {
				method, body = http.MethodPost, hello
			}
			if a := c.send(method, path, body, "Host", host); a.status != http.StatusForbidden && a.status != http.StatusBadRequest {
				t.Errorf("Host %s at %s: %s", host, path, a)
			}
		}
	}
}

func origins(t *testing.T, f *field) {
	c := f.main.someone(t)
	for _, origin := range []string{"https://evil.example", "null", "http://127.0.0.1.evil.example", "file://", "https://pictures.example.org.evil.example", "http://app.example.org", "https://app.example.org:444", "chrome-extension://abcdef"} {
		for _, path := range routes() {
			method, body := http.MethodGet, ""
			if path == "/mcp" || path == "/message" {
				method, body = http.MethodPost, hello
			}
			if a := c.send(method, path, body, "Origin", origin); a.status != http.StatusForbidden {
				t.Errorf("Origin %s at %s: %s", origin, path, a)
			}
		}
	}
}

func trustedOrigins(t *testing.T, f *field) {
	c := f.main.someone(t)
	if a := c.ask("tools/list", "{}", "Origin", trusted); a.status != http.StatusOK {
		t.Errorf("the trusted one: %s", a)
	}
	for _, origin := range []string{trusted + ".evil.example", trusted + ":8443", "http" + strings.TrimPrefix(trusted, "https"), trusted + "@evil.example", "https://xapp.example.org"} {
		if a := c.ask("tools/list", "{}", "Origin", origin); a.status != http.StatusForbidden {
			t.Errorf("%s: %s", origin, a)
		}
	}
}

func contentTypes(t *testing.T, f *field) {
	c := f.main.someone(t)
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/xml", "application/jsonp", "application/json-seq", ""} {
		if a := c.post(hello, "Content-Type", kind); a.status != http.StatusUnsupportedMediaType {
			t.Errorf("%q: %s", kind, a)
		}
	}
}

func largeBodies(t *testing.T, f *field) {
	c := f.main.someone(t)
	big := hello[:len(hello)-1] + strings.Repeat(" ", 6<<20) + "}"
	if a := c.post(big); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("with a length: %s", a)
	}
	req := c.request(t.Context(), http.MethodPost, "/mcp", io.MultiReader(strings.NewReader(big))) // chunked
	if a := c.do(req); a.status != http.StatusRequestEntityTooLarge {
		t.Errorf("chunked: %s", a)
	}
	conn := f.main.dial(t)
	if _, err := io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(io.LimitReader(conn, 4<<10))
	if err != nil || bytes.Contains(said, []byte(" 200 ")) {
		t.Errorf("HTTP/2: %q, %v", said, err)
	}
}

func deepJSON(t *testing.T, f *field) {
	c := f.main.someone(t)
	const deep = 20_000
	arrays := strings.Repeat("[", deep) + strings.Repeat("]", deep)
	objects := strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep)
	for name, body := range map[string]string{
		"arrays": arrays, "objects": objects,
		"arrays as params":  `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":` + arrays + `}}`,
		"objects as params": `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":` + objects + `}}`,
		"left open":         strings.Repeat("[", deep),
	} {
		if a := c.post(body); a.status != http.StatusBadRequest {
			t.Errorf("%s: %s", name, a)
		}
	}
	out := c.raw("run_workflow", `{"workflow":`+objects+`}`)
	c.isRefused("as arguments", out)
}

func spelledKeys(t *testing.T, f *field) {
	c := f.main.someone(t)
	c.initialize()
	call := func(params string) string {
		return `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":` + params + `}`
	}
	for name, body := range map[string]string{
		"METHOD":           `{"jsonrpc":"2.0","id":1,"METHOD":"tools/list"}`,
		"method twice":     `{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/list"}`,
		"PARAMS":           `{"jsonrpc":"2.0","id":1,"method":"tools/call","PARAMS":{"name":"status","arguments":{}}}`,
		"JSONRPC":          `{"JSONRPC":"2.0","id":1,"method":"tools/list"}`,
		"Id beside id":     `{"jsonrpc":"2.0","id":1,"Id":2,"method":"tools/list"}`,
		"NAME":             call(`{"NAME":"status","arguments":{}}`),
		"name twice":       call(`{"name":"status","name":"list_models","arguments":{}}`),
		"ARGUMENTS":        call(`{"name":"status","arguments":{},"ARGUMENTS":{"job_id":"x"}}`),
		"arguments twice":  call(`{"name":"status","arguments":{},"arguments":{"job_id":"x"}}`),
		"escaped and not":  call(`{"name":"status","n\u0061me":"list_models","arguments":{}}`),
		"argument twice":   call(`{"name":"generate","arguments":{"prompt":"a","prompt":"b"}}`),
		"argument in case": call(`{"name":"generate","arguments":{"prompt":"a","Prompt":"b"}}`),
		"long s":           call(`{"name":"generate","arguments":{"prompt":"a","ſteps":9}}`), // folds to steps
	} {
		out := read(c.post(body))
		c.isRefused(name, out)
	}
	if graphs := f.main.comfy.posted(t, "b"); len(graphs) > 0 {
		t.Error("a doubled argument reached ComfyUI")
	}
}

func badText(t *testing.T, f *field) {
	c := f.main.someone(t)
	c.initialize()
	for name, body := range map[string]string{
		"NUL, escaped":       `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"cursor":"a\u0000"}}`,
		"NUL as it is":       "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":\"a\x00\"}}",
		"invalid UTF-8":      "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":\"\xff\"}}",
		"an overlong slash":  "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":\"\xc0\xaf\"}}",
		"a lone surrogate":   "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{\"cursor\":\"\xed\xa0\x80\"}}",
		"NUL in a tool name": `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"status\u0000","arguments":{}}}`,
		"a byte order mark":  "\xef\xbb\xbf" + `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`,
	} {
		if a := c.post(body); a.status != http.StatusBadRequest {
			t.Errorf("%s: %s", name, a)
		}
	}
}

func mismatches(t *testing.T, f *field) {
	c := f.main.someone(t)
	body, good := asking("tools/call", `{"name":"status","arguments":{}}`, "")
	for name, header := range map[string][]string{
		"another revision": {"Mcp-Protocol-Version", legacy}, "no revision": {"Mcp-Protocol-Version", ""},
		"another method": {"Mcp-Method", "tools/list"}, "another tool": {"Mcp-Name", "generate"}, "no tool": {"Mcp-Name", ""},
	} {
		if out := read(c.post(body, append(slices.Clone(good), header...)...)); out.status != http.StatusBadRequest || out.code != -32020 {
			t.Errorf("%s: %s", name, out.answer)
		}
	}
}

func versions(t *testing.T, f *field) {
	c := f.main.someone(t)
	for _, v := range []string{"2099-01-01", "x", "2026-07-28 ", "-1"} {
		body, header := asking("tools/list", "{}", "")
		body = strings.Replace(body, modern, v, 1)
		out := read(c.post(body, append(header, "Mcp-Protocol-Version", v)...))
		if out.status != http.StatusBadRequest || out.code != -32022 && out.code != -32020 {
			t.Errorf("%q: %s", v, out.answer)
		}
	}
}

func methods(t *testing.T, f *field) {
	c := f.main.someone(t)
	for _, method := range []string{http.MethodPut, http.MethodPatch, http.MethodTrace, "PROPFIND", "BREW", http.MethodOptions, http.MethodConnect} {
		if a := c.send(method, "/mcp", ""); a.status != http.StatusMethodNotAllowed && a.status != http.StatusNotFound && a.status != http.StatusBadRequest {
			t.Errorf("%s: %s", method, a)
		}
	}
	for _, method := range []string{http.MethodGet, http.MethodDelete} {
		if a := c.send(method, "/mcp", "", "Mcp-Protocol-Version", modern); a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s of the newest revision: %s", method, a)
		}
	}
	for _, method := range []string{http.MethodPost, http.MethodDelete, http.MethodPut} {
		if a := c.send(method, "/healthz", "{}"); a.status != http.StatusMethodNotAllowed {
			t.Errorf("%s /healthz: %s", method, a)
		}
	}
}

// slowSenders open connections that trickle; each must be cut by the other side.
func slowSenders(t *testing.T, f *field) {
	head := "POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\n"
	for name, begin := range map[string]string{
		"nothing":           "",
		"a header":          head,
		"no end of a line":  head + "X-Slow: ",
		"a body, anonymous": head + "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{",
		"chunks, anonymous": head + "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
	} {
		if strings.HasSuffix(name, "anonymous") && !*whole {
			continue // half a minute
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := f.main.dial(t)
			if _, err := io.WriteString(conn, begin); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if said, err := io.ReadAll(io.LimitReader(conn, 64<<10)); err != nil && strings.Contains(err.Error(), "timeout") || bytes.Contains(said, []byte(" 200 ")) {
				t.Errorf("still open after %s: %q, %v", patience, said, err)
			}
		})
	}
	t.Run("smuggled", func(t *testing.T) { // two lengths, or a length and chunks: nothing behind them is a request
		t.Parallel()
		for _, header := range []string{"Content-Length: 4\r\nContent-Length: 5\r\n", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding : chunked\r\n"} {
			conn := f.main.dial(t)
			if _, err := io.WriteString(conn, head+header+"\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err == nil && res.StatusCode < http.StatusBadRequest {
				t.Errorf("%q: %s", header, res.Status)
			}
			if err == nil {
				_ = res.Body.Close() // of a connection that is given up
			}
		}
	})
}

func batches(t *testing.T, f *field) {
	c := f.main.someone(t)
	list := `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	for _, body := range []string{"[]", "[" + list + "]", "[" + list + "," + list + "]", "[" + strings.Repeat(list+",", 1000) + list + "]", "[[]]"} {
		if a := c.post(body); a.status != http.StatusBadRequest {
			t.Errorf("%.60s: %s", body, a)
		}
	}
}

func securityHeaders(t *testing.T, f *field) {
	c, stranger := f.main.someone(t), f.main.nobody(t, "")
	preflight := []string{"Origin", "https://evil.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "authorization"}
	answers := map[string]answer{
		"tools/list": c.ask("tools/list", "{}"), "hello": c.post(hello), "a bad message": c.post("{"), "not signed in": stranger.post(hello),
		"health": stranger.send(http.MethodGet, "/healthz", ""), "metrics": c.send(http.MethodGet, "/metrics", ""), "no route": c.send(http.MethodGet, "/none", ""),
		"a foreign Origin": c.post(hello, "Origin", "https://evil.example"), "a preflight": c.send(http.MethodOptions, "/mcp", "", preflight...),
		"a preflight, anonymous": stranger.send(http.MethodOptions, "/mcp", "", preflight...), "a trusted Origin": c.post(hello, "Origin", trusted),
		"a bad picture link": stranger.send(http.MethodGet, "/images/x", ""), "security.txt": stranger.send(http.MethodGet, "/.well-known/security.txt", ""),
		"a foreign Host": c.post(hello, "Host", "evil.example"),
	}
	for name, a := range answers {
		for header, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer"} {
			if got := a.header.Get(header); got != want {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		if csp := a.header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") {
			t.Errorf("%s: Content-Security-Policy is %q", name, csp)
		}
		if cors := a.header.Get("Access-Control-Allow-Origin"); cors == "*" || strings.Contains(cors, "evil") {
			t.Errorf("%s: Access-Control-Allow-Origin is %q", name, cors)
		}
		if server := fmt.Sprint(a.header["Server"], a.header["X-Powered-By"]); server != "[] []" {
			t.Errorf("%s: tells its server: %s", name, server)
		}
	}
}
