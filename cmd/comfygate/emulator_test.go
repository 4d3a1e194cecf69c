package main

import (
	"strings"
	"syscall"
	"testing"
)

// TestEmulator: the embedded ComfyUI alone is one to which comfygate connects like to any other, and its faults happen.
func TestEmulator(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.start(t, "emulator", "--listen", "127.0.0.1:0", "--as", "0.3.64", "--fault", "oom@1*2", "--fault", "slow-start@1ms")
	url := p.out.await(t, `^ComfyUI 0\.3\.64 \(embedded\) at (http://127\.0\.0\.1:\d+)\n`)[1]
	p.out.await(t, `(?m)^fault in force: oom@1\*2$`)
	p.out.await(t, `(?m)^fault in force: slow-start@1ms$`)
	a := w.with("COMFYGATE_COMFYUI__URL=" + url).stdio(t)
	a.refused(t, "generate", small("a cat"), "INSUFFICIENT_VRAM") // twice, for memory is freed and it is tried again
	a.picture(t, "a cat")
	if a.end(t); strings.Contains(a.err.String(), "embedded") {
		t.Error("it was taken for the one inside")
	}
	p.signal(t, syscall.SIGTERM)
	if code := p.wait(t); code != exitOK {
		t.Errorf("exit code %d: %s", code, p.err)
	}
}
