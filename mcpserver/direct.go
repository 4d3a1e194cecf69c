package mcpserver

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/mark3labs/mcp-go/mcp"
	"go.uber.org/zap"

	"github.com/comfygate/comfygate/tools"
)

// direct has mcp-go's core serve a tool call that came in a session, without its transport: what that checks the guard has checked, and
// what it tells during a call does not go its way (see [stream]). It is most of what is sent over HTTP, and a quarter cheaper so.
func (s *Server) direct(ctx context.Context, out *stream, req *request, e envelope, message []byte) {
	answer := s.handle(s.mcp.WithContext(ctx, s.sessions.guest(req.session)), e, message)
	if answer == nil || errors.Is(context.Cause(ctx), tools.ErrCancelRequested) {
		return // a cancelled request is not answered
	}
	b, err := json.Marshal(answer)
	if err != nil {
		s.log.Error("answer could not be encoded", zap.Error(err))
		b = encode(&protocolError{code: mcp.INTERNAL_ERROR, id: req.id, text: "internal error"})
	}
	out.Header().Set("Content-Type", "application/json")
	out.WriteHeader(http.StatusOK)
	_, _ = out.Write(append(b, '\n')) // the stream keeps its first error
}

// plain serves a tools/call of the older revisions that names a tool of ours and nothing that mcp-go would have a part in, as nearly all
// are, and reports whether the message is one. mcp-go would read the message four times more, and its answer twice.
func (s *Server) plain(ctx context.Context, e envelope) (answer any, ok bool) {
	t := s.tools[e.tool]
	if t == nil || e.method != string(mcp.MethodToolsCall) || e.id == nil || e.more || e.version != "" || s.cfg.Traces != nil {
		return nil, false
	}
	var meta *mcp.Meta
	if e.progress {
		if err := json.Unmarshal(e.meta, &meta); err != nil {
			return nil, false // mcp-go finds words for it
		}
	}
	r := s.callTool(ctx, t, e.args, meta)
	return callAnswer{"2.0", e.id, callResult{r.Content, r.StructuredContent, r.IsError}}, true
}

// A callAnswer is the answer to a tools/call of the older revisions.
type callAnswer struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  callResult      `json:"result"`
}

// A callResult is what of [mcp.CallToolResult] the older revisions have. That makes a map of itself first, and JSON of it twice.
type callResult struct {
	Content    []mcp.Content `json:"content"`
	Structured any           `json:"structuredContent,omitempty"`
	IsError    bool          `json:"isError,omitempty"`
}

// A guest is a session to mcp-go for one call: who it is, and no way to send it anything. Its methods are those of mcp-go's sessions.
type guest struct {
	id   string
	info mcp.Implementation
}

func (g guest) SessionID() string                                 { return g.id }
func (guest) NotificationChannel() chan<- mcp.JSONRPCNotification { return nil }
func (guest) Initialize()                                         {}
func (guest) Initialized() bool                                   { return true }
func (g guest) GetClientInfo() mcp.Implementation                 { return g.info }
func (guest) SetClientInfo(mcp.Implementation)                    {}
func (guest) GetClientCapabilities() mcp.ClientCapabilities       { return mcp.ClientCapabilities{} }
func (guest) SetClientCapabilities(mcp.ClientCapabilities)        {}
