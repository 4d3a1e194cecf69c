package mcpserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/tools"
)

// bare is mcp-go with one tool and nothing of ours: what everything here is measured against.
func bare() *server.MCPServer {
	s := server.NewMCPServer("bare", "1", server.WithToolCapabilities(false))
	s.AddTool(mcp.NewTool("status"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText("done"), nil
	})
	return s
}

func ours(b *testing.B) *set {
	b.Helper()
	return newSet(b, []tools.Tool{readTool("status", &work{})}, func(s *set) { s.cfg.Log, s.cfg.Audit, s.cfg.Denials = nopLog(), forgetful{}, forgetful{} })
}

// forgetful is a log that costs nothing: what fsync costs is measured where it is done.
type forgetful struct{ *record }

func (forgetful) Append(context.Context, audit.Record) error         { return nil }
func (forgetful) AppendReserved(context.Context, audit.Record) error { return nil }
func (forgetful) Denied(context.Context, audit.Record) error         { return nil }
func (forgetful) Healthy() error                                     { return nil }

// BenchmarkStdio keeps so many calls in flight over stdio.
func BenchmarkStdio(b *testing.B) {
	serve := map[string]func(ctx context.Context, in io.Reader, out io.Writer){
		"ours": func(ctx context.Context, in io.Reader, out io.Writer) {
			ours(b).server.ServeStdio(auth.NewContext(ctx, local()), in, out) //nolint:errcheck // ends with its input
		},
		"bare": func(ctx context.Context, in io.Reader, out io.Writer) {
			s := server.NewStdioServer(bare())
			s.Listen(ctx, in, out) //nolint:errcheck // ends with its input
		},
	}
	for _, name := range []string{"bare", "ours"} {
		for _, flight := range []int{1, 16} {
			b.Run(fmt.Sprintf("%s/%d", name, flight), func(b *testing.B) {
				inR, inW := io.Pipe()
				outR, outW := io.Pipe()
				done := make(chan struct{})
				go func() {
					defer close(done)
					serve[name](b.Context(), inR, outW)
				}()
				out := bufio.NewReader(outR)
				io.WriteString(inW, initializeMessage+"\n") //nolint:errcheck // a pipe's
				out.ReadString('\n')                        //nolint:errcheck // a pipe's
				lines := make(chan string, 2*flight)
				go func() {
					for line := range lines {
						io.WriteString(inW, line) //nolint:errcheck // a pipe's
					}
				}()
				b.ReportAllocs()
				b.ResetTimer()
				sent := 0
				send := func() {
					sent++
					lines <- fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"status","arguments":{}}}`+"\n", sent)
				}
				for range min(flight, b.N) {
					send()
				}
				for range b.N {
					if line, err := out.ReadString('\n'); err != nil || !strings.Contains(line, "done") {
						b.Fatal(line, err)
					}
					if sent < b.N {
						send()
					}
				}
				b.StopTimer()
				close(lines)
				inW.Close()  //nolint:errcheck // a pipe's
				outR.Close() //nolint:errcheck // a pipe's
				<-done
			})
		}
	}
}

// BenchmarkHTTP calls over 50 connections in sessions of the older revisions.
func BenchmarkHTTP(b *testing.B) {
	for _, name := range []string{"bare", "ours"} {
		b.Run(name, func(b *testing.B) {
			var ts *httptest.Server
			if name == "ours" {
				ts = ours(b).site(b)
			} else {
				ts = httptest.NewServer(server.NewStreamableHTTPServer(bare(), server.WithStateful(true)))
				defer ts.Close()
			}
			hc := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}
			defer hc.CloseIdleConnections()
			base := &client{t: b, base: ts.URL, user: "alice", http: hc}
			if name == "bare" {
				base.base = strings.TrimSuffix(ts.URL, "/mcp")
			}
			var id atomic.Int64
			b.SetParallelism(25)
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				c := *base
				c.initialize()
				for pb.Next() {
					r := c.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"status","arguments":{}}}`, id.Add(1)))
					if !strings.Contains(r.body, "done") {
						b.Error(r.body)
					}
				}
			})
		})
	}
}
