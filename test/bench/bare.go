package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// bare serves one mcp-go tool that does nothing, over stdio or HTTP: the floor that no server on this library gets below.
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
		lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", args[1])
		if err != nil {
			return err
		}
		srv := &http.Server{Handler: server.NewStreamableHTTPServer(s), ReadHeaderTimeout: 5 * time.Second}
		context.AfterFunc(ctx, func() { _ = srv.Close() })
		if err := srv.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	default:
		return fmt.Errorf("unknown mode %q", args[0])
	}
}
