package mcpserver_test

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	mcpclient "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"go.uber.org/zap"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/tools"
)

func nopLog() *zap.Logger { return zap.NewNop() }

// connect opens mcp-go's own client over each transport.
func (s *set) connect(tb testing.TB, ts *httptest.Server, kind string) *mcpclient.Client {
	tb.Helper()
	var (
		c   *mcpclient.Client
		err error
	)
	switch kind {
	case "stdio":
		inR, inW := io.Pipe()
		outR, outW := io.Pipe()
		served := make(chan struct{})
		go func() {
			defer close(served)
			s.server.ServeStdio(auth.NewContext(context.WithoutCancel(tb.Context()), local()), inR, outW) //nolint:errcheck // ends with its input
			outW.Close()                                                                                  //nolint:errcheck // a pipe's
		}()
		c = mcpclient.NewClient(transport.NewIO(outR, inW, io.NopCloser(eof{})))
		tb.Cleanup(func() {
			inW.Close()  //nolint:errcheck // a pipe's
			outR.Close() //nolint:errcheck // a pipe's
			<-served
		})
	case "http":
		c, err = mcpclient.NewStreamableHttpClient(ts.URL+"/mcp", transport.WithHTTPBasicClient(ts.Client()))
	case "sse":
		c, err = mcpclient.NewSSEMCPClient(ts.URL+"/sse", transport.WithHTTPClient(ts.Client()))
	}
	if err != nil {
		tb.Fatal(err)
	}
	if err := c.Start(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() }) //nolint:errcheck // a test's
	req := mcp.InitializeRequest{}
	req.Params.ProtocolVersion, req.Params.ClientInfo = legacyVersion, mcp.Implementation{Name: "test", Version: "1"}
	if _, err := c.Initialize(tb.Context(), req); err != nil {
		tb.Fatal(err)
	}
	return c
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }

// TestClient runs the main job with mcp-go's own client over all three transports: list, call with progress, error, resource, cancel.
func TestClient(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"stdio", "http", "sse"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			g := newGate()
			owner := map[bool]string{true: "local", false: "alice"}[kind == "stdio"]
			s := newSet(t, []tools.Tool{makeTool("generate", progressing(3)), makeTool("upscale", g.work()), readTool("status", &work{})}, func(s *set) {
				s.cfg.Images = shelf{owner + "/" + pictureID: []byte("picture")}
			})
			c := s.connect(t, s.site(t), kind)
			notes := make(chan mcp.JSONRPCNotification, 100)
			c.OnNotification(func(n mcp.JSONRPCNotification) { notes <- n })

			list, err := c.ListTools(t.Context(), mcp.ListToolsRequest{})
			if err != nil || len(list.Tools) != 3 {
				t.Fatalf("%v, %+v", err, list)
			}
			call := mcp.CallToolRequest{}
			call.Params.Name, call.Params.Arguments = "generate", map[string]any{"prompt": "x"}
			call.Params.Meta = &mcp.Meta{ProgressToken: "tok"}
			res, err := c.CallTool(t.Context(), call)
			if err != nil || res.IsError {
				t.Fatalf("%v, %+v", err, res)
			}
			for want := 1.0; want < 3; {
				n, ok := receive(t, "a step", notes).Params.AdditionalFields["progress"].(float64)
				if !ok || n < want {
					t.Fatalf("step %v after %v", n, want)
				}
				want = n
			}
			call.Params.Arguments, call.Params.Meta = map[string]any{"promt": "x"}, nil
			if res, err := c.CallTool(t.Context(), call); err != nil || !res.IsError {
				t.Errorf("%v, %+v", err, res)
			}
			read := mcp.ReadResourceRequest{}
			read.Params.URI = "comfygate://images/" + pictureID
			if res, err := c.ReadResource(t.Context(), read); err != nil || len(res.Contents) != 1 {
				t.Errorf("%v, %+v", err, res)
			}
			ctx, cancel := context.WithCancel(t.Context())
			call.Params.Name, call.Params.Arguments = "upscale", map[string]any{"prompt": "x"}
			var wg sync.WaitGroup
			wg.Go(func() { c.CallTool(ctx, call) }) //nolint:errcheck // cancelled
			receive(t, "the call", g.began)
			cancel()
			wg.Wait()
			if kind == "sse" { // where this client says nothing when it gives up
				c.Close() //nolint:errcheck // a test's
			}
			if err := receive(t, "its end", g.ended); err == nil {
				t.Error("not cancelled")
			}
		})
	}
}

// TestClient_thousand: clients that connect, call and drop without a word leave nothing behind: no session, stream or
// call; goroutines are TestMain's to find.
func TestClient_thousand(t *testing.T) {
	t.Parallel()
	s := newSet(t, []tools.Tool{readTool("status", &work{})}, func(s *set) { s.cfg.Bounds.Idle = 300 * time.Millisecond })
	ts := s.site(t)
	const clients, each = 50, 20
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			for k := range each {
				if (i+k)%2 == 0 {
					c := s.client(t, ts, "alice").initialize()
					c.tool("1", "status", "{}", "")
					continue
				}
				l := listen(t, s.client(t, ts, "alice"))
				l.ask(initializeMessage)
				l.ask(callLine("1", "status", "{}"))
				l.hangUp()
			}
		})
	}
	wg.Wait()
	if n := len(s.record.records()); n != clients*each {
		t.Errorf("%d calls recorded", n)
	}
	waitFor(t, "everything to end", func() bool {
		sessions, streams, conns, running := s.server.Open()
		return sessions+streams+conns+running == 0
	})
}

// TestResource_largestEvent: over HTTP+SSE a picture whose event would pass 1 MiB is refused in words, where the official Python client
// would drop the connection; elsewhere it is read (MCP-35).
func TestResource_largestEvent(t *testing.T) {
	t.Parallel()
	const size = 800_000
	s := newSet(t, nil, func(s *set) { s.cfg.Images = shelf{"alice/" + pictureID: make([]byte, size)} })
	ts := s.site(t)
	for kind, fits := range map[string]bool{"http": true, "sse": false} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			req := mcp.ReadResourceRequest{}
			req.Params.URI = "comfygate://images/" + pictureID
			_, err := s.connect(t, ts, kind).ReadResource(t.Context(), req)
			if fits && err != nil || !fits && (err == nil || !strings.Contains(err.Error(), "bytes is 800000")) {
				t.Errorf("%v", err)
			}
		})
	}
}
