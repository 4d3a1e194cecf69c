//go:build !conformance

package mcpserver

import "github.com/mark3labs/mcp-go/server"

// extraOptions and extend belong to the conformance build, whose fixtures need more of the protocol than the product offers.
func extraOptions() []server.ServerOption { return nil }

func (s *Server) extend() {}
