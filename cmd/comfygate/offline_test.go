package main

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// answersWithin is how long a call may take where nothing listens at ComfyUI's address.
const answersWithin = 2 * time.Second

// TestOffline: with nothing at the URL everything starts, and every tool that needs ComfyUI tells at once what was tried, why it
// failed, and the two ways on (MCP-32).
func TestOffline(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"stdio", "http", "sse"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			before := w.with(embedded).stdio(t)
			picture := before.picture(t, "a cat")
			before.end(t)
			addr := freeAddr(t)
			w = w.with("COMFYGATE_COMFYUI__URL=http://" + addr)
			a := w.by(t, transport)
			list, err := a.c.ListTools(soon(t), mcp.ListToolsRequest{})
			if err != nil || len(list.Tools) < 6 {
				t.Fatalf("tools/list: %v, %v", list, err)
			}
			if r := a.report(t); r.Status != "unhealthy" || r.Server.Reachable || r.Server.Error == nil {
				t.Errorf("status: %+v", r)
			}
			for name, call := range map[string]tool{
				"generate": {"generate", args{"prompt": "a cat"}}, "upscale": {"upscale", args{"image": picture}},
				"list_models": {"list_models", nil}, "list_models of a kind": {"list_models", args{"kind": "loras"}},
			} {
				began := time.Now()
				out := a.call(t, call.name, call.in)
				if took := time.Since(began); took > answersWithin {
					t.Errorf("%s took %v", name, took)
				}
				offline(t, name, out, addr, transport == "stdio")
			}
			a.must(t, "get_image", args{"image": picture}) // which needs no ComfyUI
		})
	}
}

// offline checks what is said of a ComfyUI that is not there.
func offline(t *testing.T, name string, out answer, addr string, trusted bool) {
	t.Helper()
	f := out.fault
	if f == nil || f.Code != "COMFYUI_OFFLINE" && f.Code != "CIRCUIT_OPEN" || !f.Retryable {
		t.Fatalf("%s: %s", name, out.text)
	}
	if strings.Contains(out.text, addr) != trusted || !strings.Contains(f.Message, "connection refused") {
		t.Errorf("%s does not tell what was tried and why it failed, or tells strangers where: %s", name, f.Message)
	}
	ways := strings.Join(f.Suggestions, "\n")
	if !strings.Contains(ways, "Start ComfyUI") || !strings.Contains(ways, "--backend=embedded") {
		t.Errorf("%s does not tell the two ways on: %s", name, ways)
	}
}

// TestOffline_recovery: when ComfyUI comes, the next calls work, without a restart of ours.
func TestOffline_recovery(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	w := newWorld(t, append(unlimited(), "COMFYGATE_COMFYUI__URL=http://"+addr)...)
	a := w.stdio(t)
	for range 6 { // SC-39: the breaker opens
		offline(t, "generate", a.call(t, "generate", small("a cat")), addr, true)
	}
	a.refused(t, "generate", small("a cat"), "CIRCUIT_OPEN")
	srv, err := emulator.New(emulator.Options{})
	if err != nil {
		t.Fatal(err)
	}
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- srv.Serve(lis) }()
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	began := time.Now()
	eventually(t, "generate works", func() bool { return a.call(t, "generate", small("a cat")).fault == nil })
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %v to see that ComfyUI is there", took)
	}
	if r := a.report(t); !r.Server.Reachable || r.Status != "healthy" {
		t.Errorf("status: %+v", r)
	}
}

// TestOffline_flags: the way on that the error names is one.
func TestOffline_flags(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	a := newWorld(t, "COMFYGATE_COMFYUI__URL=http://"+addr).stdio(t, "--backend=embedded")
	a.picture(t, "a cat")
	if r := a.report(t); r.Server.URL != "" || strings.Contains(a.err.String(), addr) {
		t.Errorf("the embedded ComfyUI is said to be at %s: %s", r.Server.URL, a.err)
	}
	u := newComfyUI(t, emulator.Options{})
	newWorld(t, embedded).stdio(t, "--backend=comfyui", "--comfyui-url="+u.url).picture(t, "a cat")
	if len(u.requests()) == 0 {
		t.Error("the flags were not heard")
	}
}
