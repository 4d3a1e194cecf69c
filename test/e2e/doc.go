// Package e2e is the live suite: the built binary, driven by an MCP client, in front of a ComfyUI. The same tests run against the
// embedded server in both its dialects (go test) and against any real one (make e2e COMFYGATE_COMFYUI__URL=…).
package e2e
