package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// A selfClient speaks MCP over stdio to this very program, as any client would: what a person does in the terminal passes the same policy
// and gets into the same record.
type selfClient struct {
	*client.Client
	hello *mcp.InitializeResult
	out   io.Writer // of the progress bar
	log   *bytes.Buffer
	bar   atomic.Pointer[mpb.Bar] // of the call that runs; progress comes on another goroutine
}

// startSelf starts the program with env and greets it. Close the client when done.
func startSelf(ctx context.Context, env []string, name string, out io.Writer) (*selfClient, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	s := &selfClient{out: out, log: &bytes.Buffer{}}
	s.Client = client.NewClient(transport.NewStdioWithOptions(self, env, []string{"serve"}, transport.WithCommandFunc(
		func(ctx context.Context, command string, env, args []string) (*exec.Cmd, error) {
			cmd := exec.CommandContext(ctx, command, args...) //nolint:gosec // it is this very program
			cmd.Env, cmd.Stderr = env, s.log                  // that and no more: mcp-go would add this process' own environment
			return cmd, nil
		})))
	s.OnNotification(s.progress)
	if err := s.Start(ctx); err != nil {
		return nil, fmt.Errorf("starting the server: %w", err)
	}
	hello := mcp.InitializeRequest{}
	hello.Params.ProtocolVersion = mcp.LATEST_LEGACY_PROTOCOL_VERSION
	hello.Params.ClientInfo = mcp.Implementation{Name: name, Version: version}
	if s.hello, err = s.Initialize(ctx, hello); err != nil {
		return nil, s.ended(fmt.Errorf("the server did not start: %w", err))
	}
	return s, nil
}

// ended closes the client and adds to err, if there is one, what the server said.
func (s *selfClient) ended(err error) error {
	if cerr := s.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("ending the server: %w", cerr)
	}
	if log := strings.TrimSpace(s.log.String()); err != nil && log != "" {
		err = fmt.Errorf("%w\n%s", err, log)
	}
	return err
}

// call runs one tool, with a progress bar where out is a terminal. Its error is what the tool refused, in the tool's words.
func (s *selfClient) call(ctx context.Context, tool string, args map[string]any) (*mcp.CallToolResult, error) {
	bars := mpb.NewWithContext(ctx, mpb.WithOutput(s.out), mpb.WithWidth(60)) // nothing where out is no terminal
	bar := bars.AddBar(100,
		mpb.PrependDecorators(decor.Name(tool+" ")),
		mpb.AppendDecorators(decor.Percentage()),
		mpb.BarRemoveOnComplete(),
	)
	s.bar.Store(bar)
	req := mcp.CallToolRequest{}
	req.Params.Name, req.Params.Arguments = tool, args
	req.Params.Meta = &mcp.Meta{ProgressToken: tool}
	res, err := s.CallTool(ctx, req)
	bar.Abort(true)
	bars.Wait()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tool, err)
	}
	if res.IsError {
		return nil, refusal(textOf(res))
	}
	return res, nil
}

// refusal words a tool's error for a person.
func refusal(text string) error {
	var fault struct {
		Code        string
		Message     string
		Suggestions []string
	}
	if json.Unmarshal([]byte(text), &fault) != nil || fault.Message == "" {
		return errors.New(text)
	}
	return errors.New(strings.Join(append([]string{fault.Message}, fault.Suggestions...), "\n  "))
}

// textOf is the first text of a result.
func textOf(res *mcp.CallToolResult) string {
	for _, c := range res.Content {
		if t, ok := c.(mcp.TextContent); ok {
			return t.Text
		}
	}
	return ""
}

func (s *selfClient) progress(n mcp.JSONRPCNotification) {
	bar := s.bar.Load()
	if n.Method != "notifications/progress" || bar == nil {
		return
	}
	done, ok1 := n.Params.AdditionalFields["progress"].(float64)
	total, ok2 := n.Params.AdditionalFields["total"].(float64)
	if ok1 && ok2 && total > 0 {
		bar.SetCurrent(int64(100 * done / total))
	}
}
