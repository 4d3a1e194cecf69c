package web

import (
	"encoding/json"
	"net/http"

	"go.uber.org/zap"
)

// MetadataPath is where RFC 9728 has clients look.
const MetadataPath = "/.well-known/oauth-protected-resource"

// A Resource tells clients of an OpenID provider where they get a token for this server (RFC 9728, AUT-01, T20). It is public.
type Resource struct {
	Resource string   `json:"resource"` // the audience that tokens need
	Servers  []string `json:"authorization_servers"`
	Scopes   []string `json:"scopes_supported"`
	Methods  []string `json:"bearer_methods_supported"`
	Name     string   `json:"resource_name"`
}

// metadata may be read by pages of any origin: it is no secret, and clients in a browser start with it.
func (s *Server) metadata(w http.ResponseWriter, _ *http.Request) {
	data, err := json.Marshal(s.cfg.Resource)
	if err != nil {
		s.cfg.Log.Error("resource metadata", zap.Error(err))
		s.refuse(w, http.StatusInternalServerError, "internal error")
		return
	}
	w.Header().Set("Access-Control-Allow-Origin", "*")
	s.text(w, "application/json", string(data)+"\n")
}
