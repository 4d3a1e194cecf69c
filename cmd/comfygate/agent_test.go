package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// An agent is an MCP client of a running comfygate.
type agent struct {
	*proc

	c     *client.Client
	hello *mcp.InitializeResult

	mu       sync.Mutex
	progress map[string][]float64 // by progress token
}

// stdio starts comfygate as Claude Desktop does and connects to it. args are further ones of serve.
func (w *world) stdio(t *testing.T, args ...string) *agent {
	t.Helper()
	return w.start(t, append([]string{"serve"}, args...)...).overPipes(t)
}

func (p *proc) overPipes(t *testing.T) *agent {
	t.Helper()
	return p.connect(t, p.pipes())
}

// pipes is a client at the process' stdin and stdout.
func (p *proc) pipes() *client.Client {
	return client.NewClient(transport.NewIO(p.out.reader(), p.stdin, io.NopCloser(strings.NewReader(""))))
}

// A site is a comfygate that listens.
type site struct {
	*proc

	url string // without path
}

// http starts comfygate over HTTP, on a free port unless env names one.
func (w *world) http(t *testing.T) *site {
	t.Helper()
	free := &world{w.home, append([]string{"COMFYGATE_HTTP__PORT=0"}, w.env...)}
	p := free.start(t, "serve", "--transport", "http")
	return &site{p, "http://" + p.err.await(t, `listening\s.*"address": "([^"]+)"`)[1]}
}

// streamable connects over Streamable HTTP with a header, if any is given: name, value.
func (s *site) streamable(t *testing.T, header ...string) *agent {
	t.Helper()
	c, err := client.NewStreamableHttpClient(s.url+"/mcp", transport.WithHTTPHeaders(pairs(header)))
	if err != nil {
		t.Fatal(err)
	}
	return s.connect(t, c)
}

// sse connects over HTTP+SSE, else as streamable does.
func (s *site) sse(t *testing.T, header ...string) *agent {
	t.Helper()
	c, err := client.NewSSEMCPClient(s.url+"/sse", client.WithHeaders(pairs(header)))
	if err != nil {
		t.Fatal(err)
	}
	return s.connect(t, c)
}

func pairs(list []string) map[string]string {
	m := make(map[string]string)
	for i := 0; i+1 < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m
}

func (p *proc) connect(t *testing.T, c *client.Client) *agent {
	t.Helper()
	return p.connectAs(t, c, mcp.LATEST_LEGACY_PROTOCOL_VERSION)
}

// connectAs connects in a revision of MCP.
func (p *proc) connectAs(t *testing.T, c *client.Client, revision string) *agent {
	t.Helper()
	a := &agent{proc: p, c: c, progress: make(map[string][]float64)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() {
		cancel()
		_ = c.Close() // the server may have gone
	})
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	c.OnNotification(a.hear)
	var hello mcp.InitializeRequest
	hello.Params.ProtocolVersion = revision
	hello.Params.ClientInfo = mcp.Implementation{Name: "front-door", Version: "1"}
	var err error
	if a.hello, err = c.Initialize(soon(t), hello); err != nil {
		t.Fatal(err)
	}
	return a
}

func (a *agent) hear(n mcp.JSONRPCNotification) {
	if n.Method != "notifications/progress" {
		return
	}
	token, _ := n.Params.AdditionalFields["progressToken"].(string)
	done, _ := n.Params.AdditionalFields["progress"].(float64)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.progress[token] = append(a.progress[token], done)
}

// told is the progress told for a token so far.
func (a *agent) told(token string) []float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]float64(nil), a.progress[token]...)
}

type args = map[string]any

// An answer is what a tool said.
type answer struct {
	raw      string // all of it, as JSON
	text     string
	pictures [][]byte
	links    []string // ids of the pictures that resource links name
	fault    *fault
}

type fault struct {
	Code        string   `json:"code"`
	Message     string   `json:"message"`
	Suggestions []string `json:"suggestions"`
	Retryable   bool     `json:"retryable"`
	CallID      string   `json:"call_id"`
}

// call calls a tool. The answer may be a tool error; a protocol error fails the test.
func (a *agent) call(t *testing.T, tool string, in args) answer {
	t.Helper()
	out, err := a.try(soon(t), tool, in)
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return out
}

// try calls a tool; its progress token is the tool's name.
func (a *agent) try(ctx context.Context, tool string, in args) (answer, error) {
	req := mcp.CallToolRequest{}
	req.Params.Name, req.Params.Arguments = tool, in
	req.Params.Meta = &mcp.Meta{ProgressToken: tool}
	res, err := a.c.CallTool(ctx, req)
	if err != nil {
		return answer{}, err
	}
	return read(res)
}

func read(res *mcp.CallToolResult) (out answer, err error) {
	raw, err := json.Marshal(res)
	if err != nil {
		return answer{}, err
	}
	out.raw = string(raw)
	for _, c := range res.Content {
		switch c := c.(type) {
		case mcp.TextContent:
			out.text += c.Text
		case mcp.ImageContent:
			data, err := base64.StdEncoding.DecodeString(c.Data)
			if err != nil {
				return answer{}, err
			}
			out.pictures = append(out.pictures, data)
		case mcp.ResourceLink:
			out.links = append(out.links, strings.TrimPrefix(c.URI, "comfygate://images/"))
		}
	}
	if res.IsError {
		out.fault = new(fault)
		err = json.Unmarshal([]byte(out.text), out.fault)
	}
	return out, err
}

// must calls a tool and fails the test where the tool does.
func (a *agent) must(t *testing.T, tool string, in args) answer {
	t.Helper()
	out := a.call(t, tool, in)
	if out.fault != nil {
		t.Fatalf("%s %v: %s", tool, in, out.text)
	}
	return out
}

// refused calls a tool and fails the test unless the tool refuses with that code.
func (a *agent) refused(t *testing.T, tool string, in args, code string) *fault {
	t.Helper()
	out := a.call(t, tool, in)
	if out.fault == nil || out.fault.Code != code {
		t.Fatalf("%s %v: %s; want %s", tool, in, out.text, code)
	}
	return out.fault
}

// small is a picture that is quickly made.
func small(prompt string) args {
	return args{"prompt": prompt, "width": 64, "height": 64, "steps": 2}
}

// picture makes a small picture and returns its id.
func (a *agent) picture(t *testing.T, prompt string) string {
	t.Helper()
	out := a.must(t, "generate", small(prompt))
	if len(out.links) != 1 {
		t.Fatalf("generate: no picture in %s", out.text)
	}
	return out.links[0]
}

var jobLine = regexp.MustCompile(`(?m)^Job: ([a-z2-7]{26})$`)

// job is the job id in an answer's text.
func (o answer) job(t *testing.T) string {
	t.Helper()
	m := jobLine.FindStringSubmatch(o.text)
	if m == nil {
		t.Fatalf("no job id in: %s", o.text)
	}
	return m[1]
}

// A report is what status tells without a job.
type report struct {
	Status  string `json:"status"`
	Version string `json:"version"`
	Server  struct {
		Reachable bool   `json:"reachable"`
		URL       string `json:"url"`
		Error     *fault `json:"error"`
	} `json:"server"`
	Jobs     []job `json:"jobs"`
	Security struct {
		InsecureTransport bool `json:"insecure_transport"`
	} `json:"security"`
}

// A job is what status tells of one.
type job struct {
	ID    string `json:"job_id"`
	State string `json:"state"`
}

func (a *agent) report(t *testing.T) report {
	t.Helper()
	var r report
	if out := a.must(t, "status", nil); json.Unmarshal([]byte(out.text), &r) != nil {
		t.Fatalf("status: %s", out.text)
	}
	return r
}

func (a *agent) job(t *testing.T, id string) job {
	t.Helper()
	var j job
	if out := a.must(t, "status", args{"job_id": id, "wait_seconds": 0}); json.Unmarshal([]byte(out.text), &j) != nil {
		t.Fatalf("status: %s", out.text)
	}
	return j
}

// leave closes the agent's side, as a client that ends does, and returns the server's exit code.
func (a *agent) leave(t *testing.T) int {
	t.Helper()
	if err := a.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	return a.wait(t)
}
