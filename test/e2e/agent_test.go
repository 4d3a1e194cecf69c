package e2e_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
)

// An agent is an MCP client of one principal.
type agent struct {
	c *client.Client

	mu       sync.Mutex
	progress map[string][]float64 // by progress token
}

// overStdio starts the binary as Claude Desktop does: a command and an environment.
func overStdio(t *testing.T, env []string) *agent {
	t.Helper()
	return newAgent(t, client.NewClient(transport.NewStdioWithOptions(binary(t), env, []string{"serve"}, transport.WithCommandStderrWriter(logTo{t}))))
}

// overHTTP connects to a listening server with a bearer token.
func overHTTP(t *testing.T, url, token string) *agent {
	t.Helper()
	c, err := client.NewStreamableHttpClient(url+"/mcp", transport.WithHTTPHeaders(map[string]string{"Authorization": "Bearer " + token}))
	if err != nil {
		t.Fatal(err)
	}
	return newAgent(t, c)
}

func newAgent(t *testing.T, c *client.Client) *agent {
	t.Helper()
	a := &agent{c: c, progress: make(map[string][]float64)}
	c.OnNotification(a.hear)
	if err := c.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	hello := mcp.InitializeRequest{}
	hello.Params.ProtocolVersion = mcp.LATEST_LEGACY_PROTOCOL_VERSION
	hello.Params.ClientInfo = mcp.Implementation{Name: "e2e", Version: "1"}
	if _, err := c.Initialize(t.Context(), hello); err != nil {
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

// heard is the progress told for a token so far.
func (a *agent) heard(token string) []float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]float64(nil), a.progress[token]...)
}

type args = map[string]any

// An answer is what a tool said.
type answer struct {
	text     string
	pictures [][]byte
	links    []string // ids of the pictures that resource links name
	fault    *fault
}

type fault struct {
	Code        string   `json:"code"`
	Message     string   `json:"message"`
	Suggestions []string `json:"suggestions"`
	CallID      string   `json:"call_id"`
}

// call calls a tool. The answer may be a tool error; a protocol error fails the test.
func (a *agent) call(t *testing.T, tool string, in args) answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := a.try(ctx, tool, "", in)
	if err != nil {
		t.Fatalf("%s: %v", tool, err)
	}
	return out
}

func (a *agent) try(ctx context.Context, tool, token string, in args) (answer, error) {
	req := mcp.CallToolRequest{}
	req.Params.Name, req.Params.Arguments = tool, in
	if token != "" {
		req.Params.Meta = &mcp.Meta{ProgressToken: token}
	}
	res, err := a.c.CallTool(ctx, req)
	if err != nil {
		return answer{}, err
	}
	var out answer
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
		if err := json.Unmarshal([]byte(out.text), out.fault); err != nil {
			return answer{}, err
		}
	}
	return out, nil
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

// A job is what status tells of one.
type job struct {
	ID          string `json:"job_id"`
	State       string `json:"state"`
	Stage       string `json:"stage"`
	Step        int    `json:"step"`
	Percent     int    `json:"percent"`
	Unreachable bool   `json:"server_unreachable"`
	Seed        any    `json:"seed"`
	Pictures    []struct {
		ID            string `json:"image"`
		Width, Height int
	} `json:"pictures"`
	Error   *fault `json:"error"`
	preview bool   // a picture came along
}

func (j job) over() bool { return j.State != "queued" && j.State != "running" }

func (a *agent) status(t *testing.T, id string, wait int) job {
	t.Helper()
	out := a.must(t, "status", args{"job_id": id, "wait_seconds": wait})
	var j job
	dec := json.NewDecoder(strings.NewReader(out.text))
	dec.UseNumber()
	if err := dec.Decode(&j); err != nil {
		t.Fatalf("status: %v in %s", err, out.text)
	}
	j.preview = len(out.pictures) > 0
	return j
}

// until polls a job until a condition holds, and fails the test after two minutes.
func (a *agent) until(t *testing.T, id, what string, holds func(job) bool) job {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for {
		j := a.status(t, id, 0)
		if holds(j) {
			return j
		}
		if time.Now().After(deadline) {
			t.Fatalf("job %s is not %s after two minutes: %+v", id, what, j)
		}
		<-tick.C
	}
}

// logTo sends a server's log to a test's.
type logTo struct{ t *testing.T }

func (l logTo) Write(p []byte) (int, error) {
	if testing.Verbose() {
		l.t.Logf("server: %s", strings.TrimSpace(string(p)))
	}
	return len(p), nil
}
