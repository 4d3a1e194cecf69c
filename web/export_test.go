package web

import (
	"net/http"
	"net/netip"
)

// A Route is one of the table.
type Route struct {
	Pattern string
	Public  bool
}

// Routes are the routes of s.
func (s *Server) Routes() (list []Route) {
	for _, r := range s.routes() {
		list = append(list, Route{r.pattern, r.public})
	}
	return list
}

// Client is whom s takes a request to be of.
func (s *Server) Client(r *http.Request) netip.Addr { return s.client(r) }

// Handler is the whole chain.
func (s *Server) Handler() http.Handler { return s.http.Handler }
