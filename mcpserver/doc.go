// Package mcpserver serves the tools over MCP: transports, protocol, registration, and the pipeline that every call passes.
//
// Only this package knows mcp-go, and of mcp-go only its protocol core and its Streamable HTTP handler: they honour too much and limit
// too little on their own, so each hole has a cover here (guard.go, stream.go, conn.go), and each cover a test that fails without it.
package mcpserver
