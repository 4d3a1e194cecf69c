package mcpserver

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"

	"github.com/comfygate/comfygate/tools"
)

//go:embed icon.png
var iconPNG []byte

func icon() mcp.Icon {
	return mcp.Icon{Src: "data:image/png;base64," + base64.StdEncoding.EncodeToString(iconPNG), MIMEType: "image/png", Sizes: []string{"48x48"}}
}

// register publishes t and binds it to the pipeline. It is the one constructor of a tool (MCP-21): mcp-go's builders can fail
// silently (BUG-13, BUG-14), and only raw schemas are published as they are checked.
func (s *Server) register(t tools.Tool) error {
	if _, ok := s.scopes[t.Name]; ok {
		return fmt.Errorf("mcpserver: there are two tools %s", t.Name) // mcp-go would keep the last
	}
	bound, err := newTool(t)
	if err != nil {
		return err
	}
	m := mcp.NewToolWithRawSchema(t.Name, t.Description, t.Schema)
	m.Title = t.Title
	m.Annotations = mcp.ToolAnnotation{
		Title: t.Title, ReadOnlyHint: &t.Hints.ReadOnly, DestructiveHint: &t.Hints.Destructive,
		IdempotentHint: &t.Hints.Idempotent, OpenWorldHint: &t.Hints.OpenWorld,
	}
	m.RawOutputSchema = t.Output
	if _, err := json.Marshal(m); err != nil { // one that fails would empty the whole list
		return fmt.Errorf("mcpserver: publishing %s: %w", t.Name, err)
	}
	s.scopes[t.Name] = t.Scope
	s.tools[t.Name] = bound
	s.mcp.AddTool(m, func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		return s.callTool(ctx, bound, r.Params.RawArguments, r.Params.Meta), nil // an error would be shown word for word (MCP-19, BUG-17)
	})
	return nil
}

func (s *Server) callTool(ctx context.Context, t *tool, args json.RawMessage, meta *mcp.Meta) *mcp.CallToolResult {
	req := requestFrom(ctx)
	p := newProgress(ctx, req, meta)
	c := &call{
		tool: t, raw: args, arrived: req.arrived, transport: req.transport, session: req.session,
		notify: p.report,
	}
	res, err := s.pass(ctx, c)
	p.close() // the last step leaves before the answer (MCP-14)
	if err != nil {
		return s.signed(ctx, s.failed(c, err))
	}
	return s.result(ctx, c, res)
}

// pass sends a call through the pipeline.
func (s *Server) pass(ctx context.Context, c *call) (tools.Result, error) {
	s.begin()
	defer s.end()
	return s.serve(ctx, c)
}

// A publicFault is the one form of error that callers read.
type publicFault struct {
	Code         string   `json:"code"`
	Message      string   `json:"message"`
	Suggestions  []string `json:"suggestions,omitempty"`
	Retryable    bool     `json:"retryable"`
	RetryAfterMS int64    `json:"retry_after_ms,omitempty"`
	CallID       string   `json:"call_id"`
}

func (s *Server) public(c *call, err error) publicFault {
	f := s.explain(c, err)
	return publicFault{
		Code: f.Code, Message: s.cfg.Clean(f.Message), Suggestions: f.Suggestions, Retryable: f.Retryable,
		RetryAfterMS: f.RetryAfter.Milliseconds(), CallID: c.id,
	}
}

func (s *Server) failed(c *call, err error) *mcp.CallToolResult {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // models read it
	if err := enc.Encode(s.public(c, err)); err != nil {
		return mcp.NewToolResultError(`{"code":"INTERNAL","message":"Something went wrong inside comfygate.","retryable":false}`)
	}
	return mcp.NewToolResultError(strings.TrimSpace(b.String()))
}

// Inline budgets: characters of a whole result, pictures in base64 included (MCP-35).
const (
	budget      = 150_000   // claude.ai and connectors
	budgetStdio = 1_000_000 // Claude Desktop over stdio: 1 MiB with the envelope
)

// result makes an answer of res. What does not fit into the client's budget is left out, and the text says so: a result that a client
// refuses as a whole helps nobody.
func (s *Server) result(ctx context.Context, c *call, res tools.Result) *mcp.CallToolResult {
	left := budget
	if c.transport == "stdio" {
		left = budgetStdio
	}
	left -= len(res.Text) + len(res.Note) + 300*len(res.Links)
	pictures := make([]mcp.Content, 0, len(res.Pictures))
	for _, p := range res.Pictures {
		if left -= base64.StdEncoding.EncodedLen(len(p.Data)) + 100; left < 0 {
			break
		}
		pictures = append(pictures, mcp.NewImageContent(base64.StdEncoding.EncodeToString(p.Data), p.MIME))
	}
	content := []mcp.Content{mcp.NewTextContent(res.Text)}
	note := res.Note
	if n := len(res.Pictures) - len(pictures); n > 0 {
		note += fmt.Sprintf("%d more previews do not fit into one answer: ask get_image for them by id.", n)
	}
	if note != "" { // in a block of its own: the text may be JSON
		content = append(content, mcp.NewTextContent(strings.TrimSpace(note)))
	}
	out := &mcp.CallToolResult{Content: append(content, pictures...)}
	for _, l := range res.Links {
		link := mcp.NewResourceLink(l.URI, l.Name, "", l.MIME)
		link.Title = l.Title
		if l.Size > 0 {
			link.Size = &l.Size
		}
		out.Content = append(out.Content, link)
	}
	if c.tool.Output != nil || s.structured(ctx) {
		out.StructuredContent = res.Structured
	}
	return s.signed(ctx, out)
}

// signed names the server in a result of the newer revisions, in short: left to mcp-go, every result would carry the icon.
func (s *Server) signed(ctx context.Context, r *mcp.CallToolResult) *mcp.CallToolResult {
	if server.IsModernRequest(ctx) {
		r.EnsureResultMeta().SetServerInfo(mcp.Implementation{Name: s.cfg.Name, Version: s.cfg.Version})
	}
	return r
}

// structured tells whether tools without an output schema send structured content to this client.
func (s *Server) structured(ctx context.Context) bool {
	switch s.cfg.Structured {
	case Always:
		return true
	case Auto:
		return clientName(ctx) != "claude-code" // which drops the picture when it sees structured content
	case Never:
	}
	return false
}

// clientName is what the client calls itself, of either era; never a ground for trust.
func clientName(ctx context.Context) string {
	if info := server.RequestProtocolInfoFromContext(ctx); info != nil && info.ClientInfo != nil {
		return info.ClientInfo.Name
	}
	if session, ok := server.ClientSessionFromContext(ctx).(server.SessionWithClientInfo); ok {
		return session.GetClientInfo().Name
	}
	return ""
}
