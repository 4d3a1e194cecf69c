package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
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
	env := demoEnv(p.environ, d.Out)
	c, err := startSelf(ctx, env, "comfygate-demo", p.stdout)
	if err != nil {
		return err
	}
	s := &demoSession{c, p.stdout}
	if err := c.ended(s.play(ctx, d.Prompt)); err != nil {
		return err
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
	*selfClient
	out io.Writer
}

func (s *demoSession) play(ctx context.Context, prompt string) error {
	server := s.hello
	fmt.Fprintf(s.out, "Connected to %s %s over stdio (MCP %s).\n", server.ServerInfo.Name, server.ServerInfo.Version, server.ProtocolVersion)
	list, err := s.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		return fmt.Errorf("tools/list: %w", err)
	}
	names := make([]string, len(list.Tools))
	for i, t := range list.Tools {
		names[i] = t.Name
	}
	fmt.Fprintf(s.out, "Its tools: %s.\n", strings.Join(names, ", "))

	made, err := s.show(ctx, "generate", map[string]any{"prompt": prompt, "wait_seconds": demoWait})
	if err != nil {
		return err
	}
	id, ok := imageID(made)
	if !ok {
		return errors.New("generate gave no picture")
	}
	if _, err = s.show(ctx, "upscale", map[string]any{"image": id, "factor": 2, "wait_seconds": demoWait}); err != nil {
		return err
	}
	_, err = s.show(ctx, "status", nil)
	return err
}

// show runs one tool and prints what an agent would read.
func (s *demoSession) show(ctx context.Context, tool string, args map[string]any) (*mcp.CallToolResult, error) {
	fmt.Fprintf(s.out, "\n> %s %s\n", tool, sortedArgs(args))
	res, err := s.call(ctx, tool, args)
	if err != nil {
		return nil, err
	}
	fmt.Fprintln(s.out, forPeople(textOf(res)))
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
