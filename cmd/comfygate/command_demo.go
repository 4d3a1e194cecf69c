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
	"path/filepath"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

type demoCommand struct {
	Prompt string `arg:"" optional:"" default:"a lighthouse on a cliff at sunset, calm sea, warm light" help:"What to draw."`
	Out    string `default:"demo-out" type:"path" help:"Folder for the pictures; the demo's data lies below it too."`
}

const (
	demoTimeout = 2 * time.Minute
	demoWait    = 100 // seconds, for one picture on a slow machine
)

// Run is an MCP client: it starts this very program over stdio with the embedded ComfyUI, as Claude Desktop would, and uses its tools.
func (d *demoCommand) Run(p *process) error {
	ctx, cancel := context.WithTimeout(p.ctx, demoTimeout)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	env := demoEnv(p.environ, d.Out)
	var log bytes.Buffer
	c := client.NewClient(transport.NewStdioWithOptions(self, env, []string{"serve"}, transport.WithCommandFunc(
		func(ctx context.Context, command string, env, args []string) (*exec.Cmd, error) {
			cmd := exec.CommandContext(ctx, command, args...) //nolint:gosec // it is this very program
			cmd.Env, cmd.Stderr = env, &log                   // that and no more: mcp-go would add this process' own environment
			return cmd, nil
		})))
	s := &demoSession{client: c, out: p.stdout}
	c.OnNotification(s.progress)
	if err := c.Start(ctx); err != nil {
		return fmt.Errorf("starting the server: %w", err)
	}
	err = s.play(ctx, d.Prompt)
	if cerr := c.Close(); err == nil && cerr != nil {
		err = fmt.Errorf("ending the server: %w", cerr)
	}
	if err != nil {
		return fmt.Errorf("%w\nthe server's log:\n%s", err, log.String())
	}
	fmt.Fprintln(p.stdout, "\nThe record of all this:")
	if code := run(ctx, []string{"audit", "verify"}, env, nil, p.stdout, p.stderr); code != exitOK {
		return exitCode(code)
	}
	fmt.Fprintf(p.stdout, "\nPictures are in %s\n", d.Out)
	return nil
}

// demoEnv is the environment less every setting of ours, so that the demo never touches the person's own data.
func demoEnv(environ []string, out string) []string {
	var env []string
	for _, kv := range environ {
		if !strings.HasPrefix(kv, "COMFYGATE_") && !strings.HasPrefix(kv, "COMFY_HEADLESS_") {
			env = append(env, kv)
		}
	}
	return append(env,
		"COMFYGATE_COMFYUI__BACKEND=embedded",
		"COMFYGATE_STORAGE__DIR="+filepath.Join(out, ".comfygate"),
		"COMFYGATE_OUTPUT__DIR="+out,
		"COMFYGATE_LOGGING__LEVEL=warn",
	)
}

type demoSession struct {
	client *client.Client
	out    io.Writer
	bar    *mpb.Bar
}

func (s *demoSession) play(ctx context.Context, prompt string) error {
	hello := mcp.InitializeRequest{}
	hello.Params.ProtocolVersion = mcp.LATEST_LEGACY_PROTOCOL_VERSION
	hello.Params.ClientInfo = mcp.Implementation{Name: "comfygate-demo", Version: version}
	server, err := s.client.Initialize(ctx, hello)
	if err != nil {
		return fmt.Errorf("initialize: %w", err)
	}
	fmt.Fprintf(s.out, "Connected to %s %s over stdio (MCP %s).\n", server.ServerInfo.Name, server.ServerInfo.Version, server.ProtocolVersion)
	list, err := s.client.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		return fmt.Errorf("tools/list: %w", err)
	}
	names := make([]string, len(list.Tools))
	for i, t := range list.Tools {
		names[i] = t.Name
	}
	fmt.Fprintf(s.out, "Its tools: %s.\n", strings.Join(names, ", "))

	made, err := s.call(ctx, "generate", map[string]any{"prompt": prompt, "wait_seconds": demoWait})
	if err != nil {
		return err
	}
	id, ok := imageID(made)
	if !ok {
		return errors.New("generate gave no picture")
	}
	if _, err = s.call(ctx, "upscale", map[string]any{"image": id, "factor": 2, "wait_seconds": demoWait}); err != nil {
		return err
	}
	_, err = s.call(ctx, "status", nil)
	return err
}

// call runs one tool with a progress bar and prints what an agent would read.
func (s *demoSession) call(ctx context.Context, tool string, args map[string]any) (*mcp.CallToolResult, error) {
	fmt.Fprintf(s.out, "\n> %s %s\n", tool, sortedArgs(args))
	bars := mpb.NewWithContext(ctx, mpb.WithOutput(s.out), mpb.WithWidth(60)) // nothing where out is no terminal
	s.bar = bars.AddBar(100,
		mpb.PrependDecorators(decor.Name(tool+" ")),
		mpb.AppendDecorators(decor.Percentage()),
		mpb.BarRemoveOnComplete(),
	)
	req := mcp.CallToolRequest{}
	req.Params.Name, req.Params.Arguments = tool, args
	req.Params.Meta = &mcp.Meta{ProgressToken: tool}
	res, err := s.client.CallTool(ctx, req)
	s.bar.Abort(true)
	bars.Wait()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", tool, err)
	}
	for _, c := range res.Content {
		if t, ok := c.(mcp.TextContent); ok {
			fmt.Fprintln(s.out, forPeople(t.Text))
		}
	}
	if res.IsError {
		return nil, fmt.Errorf("%s was refused", tool)
	}
	return res, nil
}

// forPeople is what status says, which is JSON for agents, in a few lines; other texts are for people already.
func forPeople(text string) string {
	var status struct {
		Status string `json:"status"`
		Server struct{ Backend, Version string }
		Queue  struct{ Queued, Running int }
		Rates  []struct {
			Limit string
			Left  int
			Burst int
		}
		Jobs []struct {
			Tool, State string
			Seconds     float64
		}
	}
	if json.Unmarshal([]byte(text), &status) != nil {
		return text
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s ComfyUI %s, %d jobs running, %d waiting", status.Status, status.Server.Backend, status.Server.Version, status.Queue.Running, status.Queue.Queued)
	for _, r := range status.Rates {
		fmt.Fprintf(&b, "\n  limit %s: %d of %d left", r.Limit, r.Left, r.Burst)
	}
	for _, j := range status.Jobs {
		fmt.Fprintf(&b, "\n  job %s: %s in %.1f s", j.Tool, j.State, j.Seconds)
	}
	return b.String()
}

func (s *demoSession) progress(n mcp.JSONRPCNotification) {
	if n.Method != "notifications/progress" || s.bar == nil {
		return
	}
	done, ok1 := n.Params.AdditionalFields["progress"].(float64)
	total, ok2 := n.Params.AdditionalFields["total"].(float64)
	if ok1 && ok2 && total > 0 {
		s.bar.SetCurrent(int64(100 * done / total))
	}
}

func sortedArgs(args map[string]any) string {
	var b strings.Builder
	for _, k := range []string{"prompt", "image", "factor"} {
		if v, ok := args[k]; ok {
			fmt.Fprintf(&b, "%s=%q ", k, fmt.Sprint(v))
		}
	}
	return strings.TrimSpace(b.String())
}

// imageID finds the picture's id in the result's resource link.
func imageID(res *mcp.CallToolResult) (string, bool) {
	for _, c := range res.Content {
		if l, ok := c.(mcp.ResourceLink); ok {
			return strings.CutPrefix(l.URI, "comfygate://images/")
		}
	}
	return "", false
}
