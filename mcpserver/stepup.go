package mcpserver

import (
	"net/http"
	"slices"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/policy"
)

// steppedUp answers a call for which the caller's token lacks a scope that its provider could give: 403 with a challenge that names all that
// is needed at once, what the token holds included, so that nothing is lost by asking anew (T23, MCP-11). The refusal is recorded. It
// reports whether it answered; whose role lacks the scope, and who has no provider, is judged by the pipeline.
func (s *Server) steppedUp(w http.ResponseWriter, r *http.Request, req *request, e envelope) bool {
	if s.cfg.Challenge == nil || e.method != string(mcp.MethodToolsCall) {
		return false
	}
	need, known := s.scopes[e.tool]
	who := caller(r.Context(), s.cfg.Policy)
	if !known || who.Can(need) || !slices.Contains(s.cfg.Policy.ScopesOf(who.Role), need) { // a new token would not hold it either
		return false
	}
	scopes := append(slices.Clone(who.Scopes), need)
	slices.Sort(scopes)
	challenge, ok := s.cfg.Challenge(who, scopes)
	if !ok {
		return false
	}
	w.Header().Set("WWW-Authenticate", challenge)
	s.answer(w, &protocolError{
		id: req.id, code: mcp.INVALID_REQUEST, status: http.StatusForbidden, text: "the token lacks the scope " + string(need),
	})
	s.denied(r.Context(), req, audit.Record{Tool: e.tool, Rule: "scope:" + string(need), Code: "POLICY_DENIED"})
	return true
}

// A Challenge words what a caller should ask its provider for; false for callers who have none. [auth.Authenticator.StepUp] is one.
type Challenge func(who auth.Principal, need []policy.Scope) (string, bool)
