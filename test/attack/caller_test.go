package attack_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"

	trusted = "https://app.example.org" // an Origin that the operator allows
)

// everything is what an operator may.
var everything = []string{"image:generate", "image:read", "image:upload", "job:read", "job:cancel", "model:read", "workflow:read", "workflow:run", "workflow:write"}

// A caller sends raw HTTP as one principal, from one address. Every answer is put to the oracles.
type caller struct {
	t       *testing.T
	site    *site
	name    string
	token   string // "" and bad ones are to open nothing
	good    bool   // the token is
	ip      string
	session string        // of the older revisions
	within  time.Duration // an answer must come in this time
}

// nobody is a caller without a good credential.
func (s *site) nobody(t *testing.T, token string) *caller {
	t.Helper()
	return &caller{t: t, site: s, token: token, ip: address(s.people.Add(1)), within: patience}
}

// named is a principal who may what the scopes say, or everything.
func (s *site) named(t *testing.T, name string, scopes ...string) *caller {
	t.Helper()
	if len(scopes) == 0 {
		scopes = everything
	}
	c := s.nobody(t, s.provider.token(t, name, scopes...))
	c.name, c.good = name, true
	return c
}

// someone is a principal who has not called before: nothing of another test limits him.
func (s *site) someone(t *testing.T, scopes ...string) *caller {
	t.Helper()
	return s.named(t, fmt.Sprintf("p%d", s.people.Add(1)), scopes...)
}

// An answer is an HTTP answer, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
	took   time.Duration
}

func (a answer) String() string {
	return fmt.Sprintf("%d %s", a.status, a.body[:min(len(a.body), 600)])
}

// request makes one. Headers are name, value; an empty value takes one away.
func (c *caller) request(ctx context.Context, method, path string, body io.Reader, header ...string) *http.Request {
	c.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, c.site.url+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("X-Forwarded-For", c.ip)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if c.session != "" {
		req.Header.Set("Mcp-Session-Id", c.session)
	}
	for i := 0; i+1 < len(header); i += 2 {
		switch name, value := header[i], header[i+1]; {
		case name == "Host":
			req.Host = value
		case value == "":
			req.Header.Del(name)
		default:
			req.Header.Set(name, value)
		}
	}
	return req
}

// do sends a request and reads its answer.
func (c *caller) do(req *http.Request) answer {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(req.Context(), c.within)
	defer cancel()
	began := time.Now()
	res, err := direct.Do(req.WithContext(ctx))
	if err != nil {
		c.lost(req, err)
		return answer{}
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<20))
	if cerr := res.Body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		c.lost(req, err)
	}
	a := answer{res.StatusCode, res.Header, body, time.Since(began)}
	c.site.judge.answer(c, req, a)
	return a
}

// lost is told of requests without an answer.
func (c *caller) lost(req *http.Request, err error) {
	c.t.Helper()
	if req.Context().Err() != nil {
		return // the test cut it
	}
	if errors.Is(err, context.DeadlineExceeded) {
		c.site.judge.found(oracleHang, "%s %s: no answer in %s", req.Method, req.URL.Path, c.within)
	}
	c.t.Errorf("%s %s: %v", req.Method, req.URL.Path, err)
}

// direct follows no redirect, keeps no cookie and uses no proxy.
var direct = &http.Client{
	Transport:     &http.Transport{MaxIdleConnsPerHost: 64},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func (c *caller) send(method, path, body string, header ...string) answer {
	c.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	return c.do(c.request(c.t.Context(), method, path, r, header...))
}

// post sends a message to /mcp as it is.
func (c *caller) post(body string, header ...string) answer {
	c.t.Helper()
	return c.send(http.MethodPost, "/mcp", body, header...)
}

// meta is what each request of the newest revision carries.
const meta = `"io.modelcontextprotocol/protocolVersion":"` + modern + `","io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/clientInfo":{"name":"attack","version":"1"}`

// ask sends a request of the newest revision. params is a JSON object.
func (c *caller) ask(method, params string, header ...string) answer {
	c.t.Helper()
	body, names := asking(method, params, "")
	return c.post(body, append(names, header...)...)
}

func asking(method, params, progress string) (body string, header []string) {
	more := meta
	if progress != "" {
		more += `,"progressToken":"` + progress + `"`
	}
	params = strings.TrimSuffix(strings.TrimSpace(params), "}")
	if params != "{" {
		params += ","
	}
	body = `{"jsonrpc":"2.0","id":1,"method":"` + method + `","params":` + params + `"_meta":{` + more + `}}}`
	header = []string{"Mcp-Protocol-Version", modern, "Mcp-Method", method}
	var p struct{ Params struct{ Name, URI string } }
	_ = json.Unmarshal([]byte(body), &p) // what is broken on purpose has no name
	if name := p.Params.Name + p.Params.URI; name != "" && !strings.ContainsAny(name, "\r\n\x00") {
		header = append(header, "Mcp-Name", name)
	}
	return body, header
}

// args are a call's arguments.
type args map[string]any

// call calls a tool in the newest revision.
func (c *caller) call(tool string, in args) outcome {
	c.t.Helper()
	return c.raw(tool, c.json(in))
}

func (c *caller) json(v any) string {
	c.t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		c.t.Fatal(err)
	}
	if text := strings.TrimSpace(b.String()); text != "null" {
		return text
	}
	return "{}"
}

// raw calls a tool with arguments as they are written.
func (c *caller) raw(tool, arguments string) outcome {
	c.t.Helper()
	return read(c.ask("tools/call", `{"name":`+c.json(tool)+`,"arguments":`+arguments+`}`))
}

// initialize opens a session of the older revisions.
func (c *caller) initialize() *caller {
	c.t.Helper()
	a := c.post(hello)
	if c.session = a.header.Get("Mcp-Session-Id"); a.status != http.StatusOK || c.session == "" {
		c.t.Fatalf("initialize: %s", a)
	}
	c.post(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return c
}

const hello = `{"jsonrpc":"2.0","id":"hello","method":"initialize","params":{"protocolVersion":"` + legacy +
	`","capabilities":{},"clientInfo":{"name":"attack","version":"1"}}}`

// An outcome is what a call came to.
type outcome struct {
	answer

	messages []message
	text     string
	fault    fault // of the tool; its Code is "" where the call succeeded
	code     int   // of the protocol
	links    []string
}

type message struct {
	ID     json.RawMessage `json:"id"`
	Method string          `json:"method"`
	Params struct {
		Token    any     `json:"progressToken"`
		Progress float64 `json:"progress"`
		Total    float64 `json:"total"`
	} `json:"params"`
	Result *struct {
		IsError bool `json:"isError"`
		Content []struct {
			Type, Text, Data, URI string
			MIMEType              string `json:"mimeType"`
		} `json:"content"`
		Contents []struct{ Blob, Text string } `json:"contents"`
		Tools    []json.RawMessage             `json:"tools"`
	} `json:"result"`
	Error *struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
	} `json:"error"`
}

type fault struct {
	Code         string   `json:"code"`
	Message      string   `json:"message"`
	Suggestions  []string `json:"suggestions"`
	RetryAfterMS int64    `json:"retry_after_ms"`
	CallID       string   `json:"call_id"`
}

// read takes an answer apart, events or not.
func read(a answer) outcome {
	out := outcome{answer: a}
	for line := range bytes.Lines(a.body) {
		line = bytes.TrimPrefix(bytes.TrimSpace(line), []byte("data: "))
		var m message
		if bytes.HasPrefix(line, []byte("{")) && json.Unmarshal(line, &m) == nil {
			out.messages = append(out.messages, m)
		}
	}
	if len(out.messages) == 0 {
		return out
	}
	last := out.messages[len(out.messages)-1]
	if last.Error != nil {
		out.code = last.Error.Code
	}
	if last.Result == nil {
		return out
	}
	for _, part := range last.Result.Content {
		out.text += part.Text
		if id, ok := strings.CutPrefix(part.URI, "comfygate://images/"); ok {
			out.links = append(out.links, id)
		}
	}
	if last.Result.IsError {
		out.fault.Code = "?"
		_ = json.Unmarshal([]byte(out.text), &out.fault) // a fault that is none has no code that is wanted
	}
	return out
}

// ok reports whether the tool did what it was asked.
func (o outcome) ok() bool {
	return o.status == http.StatusOK && o.code == 0 && o.fault.Code == "" && len(o.messages) > 0
}

// must fails the test where a tool does not do its work.
func (c *caller) must(tool string, in args) outcome {
	c.t.Helper()
	out := c.call(tool, in)
	if !out.ok() {
		c.t.Fatalf("%s %v: %s", tool, in, out.answer)
	}
	return out
}

// refused fails the test unless a tool refuses, with one of the codes if any are given.
func (c *caller) refused(tool string, in args, codes ...string) outcome {
	c.t.Helper()
	out := c.call(tool, in)
	c.isRefused(fmt.Sprint(tool, " ", in), out, codes...)
	return out
}

func (c *caller) isRefused(what string, out outcome, codes ...string) {
	c.t.Helper()
	if out.ok() || out.status >= http.StatusInternalServerError {
		c.t.Errorf("%s: not refused: %s", what, out.answer)
		return
	}
	if len(codes) > 0 && !slices.Contains(codes, out.fault.Code) {
		c.t.Errorf("%s: %s, want %v", what, out.answer, codes)
	}
}

// small is a picture that is quickly made.
func small(prompt string) args { return args{"prompt": prompt, "width": 64, "height": 64, "steps": 1} }

// picture makes one and returns its id.
func (c *caller) picture(prompt string) string {
	c.t.Helper()
	out := c.must("generate", small(prompt))
	if len(out.links) != 1 {
		c.t.Fatalf("no picture: %s", out.answer)
	}
	return out.links[0]
}

// resource reads a picture whole.
func (c *caller) resource(id string) []byte {
	c.t.Helper()
	a := read(c.ask("resources/read", `{"uri":"comfygate://images/`+id+`"}`))
	if len(a.messages) == 0 || a.messages[0].Result == nil || len(a.messages[0].Result.Contents) != 1 {
		c.t.Fatalf("no picture: %s", a.answer)
	}
	return unbase64(c.t, a.messages[0].Result.Contents[0].Blob)
}

// offered are the names of the tools that are listed.
func (c *caller) offered() []string {
	c.t.Helper()
	var names []string
	for _, tool := range read(c.ask("tools/list", "{}")).messages[0].Result.Tools {
		var t struct{ Name string }
		if err := json.Unmarshal(tool, &t); err != nil {
			c.t.Fatal(err)
		}
		names = append(names, t.Name)
	}
	return names
}
