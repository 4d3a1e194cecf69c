package main

import (
	"strings"
	"testing"
)

// TestToolsets: a toolset that has no tools is an error at start that says which have; nobody starts a server that offers nothing.
func TestToolsets(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"images":           "",
		"images,workflows": "",
		"video":            "COMFYGATE_TOOLSETS__ENABLED: this version has no tools in video; use images or workflows",
		"images,video":     "COMFYGATE_TOOLSETS__ENABLED: this version has no tools in video; use images or workflows",
	} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			out := newWorld(t, embedded, "COMFYGATE_TOOLSETS__ENABLED="+value).run(t, "serve")
			if wantCode := map[bool]int{true: exitOK, false: exitUsage}[want == ""]; out.code != wantCode || !strings.Contains(out.err, want) {
				t.Errorf("exit code %d: %s", out.code, out.err)
			}
		})
	}
}
