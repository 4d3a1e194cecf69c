package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// bare serves one mcp-go tool that does nothing, over stdio or HTTP: the floor that no server on this library gets below; or refuses
// everything, as the least that net/http can do.
func bare(ctx context.Context, args []string) error {
	s := server.NewMCPServer("bare", "1")
	answer := strings.Repeat("x", 1500) // about what status answers
	s.AddTool(mcp.NewTool("status", mcp.WithDescription("nothing")), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return mcp.NewToolResultText(answer), nil
	})
	switch args[0] {
	case "bare-stdio":
		return server.NewStdioServer(s).Listen(ctx, os.Stdin, os.Stdout)
	case "bare-http":
		return serve(ctx, args[1], server.NewStreamableHTTPServer(s))
	case "bare-denial":
		return serve(ctx, args[1], http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","error":{"code":-32600,"message":"credentials are missing"}}`)
		}))
	default:
		return fmt.Errorf("unknown mode %q", args[0])
	}
}

func serve(ctx context.Context, addr string, h http.Handler) error {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	if err := srv.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
