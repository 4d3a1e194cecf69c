package main

import (
	"os"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/audit"
)

// TestShutdown_deafClient: a client that dies takes both its ends along. Answering it must not kill the server, which would leave its
// record open.
func TestShutdown_deafClient(t *testing.T) {
	t.Parallel()
	u := slow(t)
	w := newWorld(t, append(unlimited(), u.on())...)
	r, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := w.startWith(t, out, "comfygate", "serve")
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	lines := []string{
		hello, `{"jsonrpc":"2.0","method":"notifications/initialized"}`,
		`{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"generate","arguments":{"prompt":"a cat","width":64,"height":64,"wait_seconds":300}}}`,
	}
	if _, err := p.stdin.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job runs", func() bool { return u.left(t) == 1 })
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	list := w.records(t)
	if last := list[len(list)-1]; last.Kind != audit.Stop {
		t.Errorf("the last record: %+v", last)
	}
	w.whole(t)
}
