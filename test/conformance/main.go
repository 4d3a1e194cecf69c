//go:build conformance

// Command conformance serves the fixtures of the official MCP conformance suite on comfygate's own HTTP stack (MCP-33).
// It prints the address of /mcp and serves until its input ends.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/web"
)

func main() {
	if err := run(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, in io.Reader, out io.Writer) error {
	log := zap.NewNop()
	rules, err := policy.New(policy.Config{})
	if err != nil {
		return err
	}
	rates, err := limits.New(limits.Config{GeneratePerMinute: limits.Off, StatusPerMinute: limits.Off, GlobalPerMinute: limits.Off})
	if err != nil {
		return err
	}
	srv, err := mcpserver.New(mcpserver.Config{
		Name: "comfygate", Version: "0.0.0-conformance", Policy: offering{rules}, Limiter: rates, Places: limits.NewPlaces(16, 8), Audit: forgetful{}, Log: log,
	})
	if err != nil {
		return err
	}
	who, err := auth.New(auth.Config{Loopback: true})
	if err != nil {
		return err
	}
	face, err := web.New(web.Config{MCP: srv, Auth: who, Audit: forgetful{}, SSE: true, Log: log})
	if err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "http://%s/mcp\n", ln.Addr()); err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- face.Serve(ctx, ln) }()
	if _, err := io.Copy(io.Discard, in); err != nil {
		return err
	}
	down, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := face.Shutdown(down); err != nil {
		return err
	}
	return <-served
}

// offering offers whatever there is: the rules know the product's tools only, and fixtures are none.
type offering struct{ *policy.Rules }

func (offering) Offers(policy.Request) bool { return true }

// forgetful is an audit log for fixtures, which are no calls.
type forgetful struct{}

func (forgetful) Append(context.Context, audit.Record) error         { return nil }
func (forgetful) AppendReserved(context.Context, audit.Record) error { return nil }
func (forgetful) Healthy() error                                     { return nil }
func (forgetful) Digest(string, string) map[string]any               { return nil }
