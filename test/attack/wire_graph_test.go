package attack_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

func graphWires() map[string]wire {
	return map[string]wire{"T34": deniedClasses, "T35": addresses}
}

// plain is a workflow that is allowed.
func plain() args {
	return args{
		"1": args{"class_type": "EmptyImage", "inputs": args{"width": 64, "height": 64, "batch_size": 1, "color": 0}},
		"2": args{"class_type": "SaveImage", "inputs": args{"images": []any{"1", 0}, "filename_prefix": "x"}},
	}
}

// loading is a workflow that loads a picture.
func loading(image string) args {
	g := plain()
	g["1"] = args{"class_type": "LoadImage", "inputs": args{"image": image}}
	return g
}

// with is an allowed workflow with one node more.
func with(class string, inputs args) args {
	g := plain()
	g["9"] = args{"class_type": class, "inputs": inputs}
	return g
}

func deniedClasses(t *testing.T, f *field) {
	subgraph := args{
		"nodes": []any{args{"id": 1, "type": "e5b1c3f0-0000-4000-8000-000000000001", "inputs": []any{}, "outputs": []any{}}}, "links": []any{}, "version": 0.4,
		"definitions": args{"subgraphs": []any{args{"id": "e5b1c3f0-0000-4000-8000-000000000001", "name": "x", "nodes": []any{args{"id": 2, "type": "CheckpointSave", "inputs": []any{}, "outputs": []any{}, "widgets_values": []any{"../x"}}}, "links": []any{}, "inputs": []any{}, "outputs": []any{}}}},
	}
	for name, g := range map[string]args{
		"unknown": with("NoSuchNode", args{}), "saves a model": with("CheckpointSave", args{"filename_prefix": "../../x"}), "runs code": with("PythonExec", args{"code": "import os"}),
		"fetches": with("LoadImageFromURL", args{"url": "http://127.0.0.1/"}), "paid": with("OpenAIDalle3", args{"prompt": "x"}), "a shell": with("ShellCommand", args{"cmd": "id"}),
		"within a subgraph": subgraph, "another spelling": with("saveimage", args{"images": []any{"1", 0}}),
	} {
		c := f.main.someone(t)
		c.isRefused(name, c.call("run_workflow", args{"graph": g}))
	}
	outside := plain() // taken, and saved where we want it
	outside["2"] = args{"class_type": "SaveImage", "inputs": args{"images": []any{"1", 0}, "filename_prefix": "../../../../tmp/x"}}
	f.main.someone(t).must("run_workflow", args{"graph": outside})
	for _, g := range f.main.comfy.posted(t, "") {
		for id, n := range g {
			if prefix, ok := n.Inputs["filename_prefix"].(string); ok && !strings.HasPrefix(prefix, "comfygate/") {
				t.Errorf("node %s saves below %q", id, prefix)
			}
			for _, bad := range []string{"NoSuchNode", "CheckpointSave", "PythonExec", "LoadImageFromURL", "OpenAIDalle3", "ShellCommand"} {
				if n.Class == bad {
					t.Errorf("%s reached ComfyUI", bad)
				}
			}
		}
	}
}

// A trap counts visits.
type trap struct {
	port   string
	visits atomic.Int64
}

func newTrap(t *testing.T) *trap {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(lis.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	tr := &trap{port: port}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "caught") })}
	srv.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			tr.visits.Add(1)
		}
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(lis) // it ends with the test
	}()
	t.Cleanup(func() {
		_ = srv.Close() // as above
		<-done
	})
	return tr
}

// addresses are spellings of the trap's address, and of others that must not be asked.
func (tr *trap) addresses() []string {
	var list []string
	for _, host := range []string{"127.0.0.1", "localhost", "0x7f000001", "2130706433", "0177.0.0.1", "127.1", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.0.0.1.nip.io", "evil.example@127.0.0.1"} {
		list = append(list, "http://"+host+":"+tr.port+"/x.png")
	}
	return append(list, "//127.0.0.1:"+tr.port+"/x.png", "ftp://127.0.0.1:"+tr.port+"/x", "gopher://127.0.0.1:"+tr.port+"/_x", "http://169.254.169.254/latest/meta-data/")
}

func addresses(t *testing.T, f *field) {
	for _, url := range some(f.trap.addresses()) {
		c := f.main.someone(t)
		for tool, in := range map[string]args{
			"get_image": {"image": url}, "generate": {"prompt": "address", "model": url}, "upscale": {"image": url},
		} {
			c.refused(tool, in)
		}
		for _, in := range []args{{"data": url}, {"path": url}, {"link": url}} {
			c.refused("upload_image", in)
		}
		for i, g := range []args{loading(url), with("LoadImageFromURL", args{"url": url}), with("PreviewAny", args{"source": url})} {
			if out := c.call("run_workflow", args{"graph": g, "wait_seconds": 0}); out.ok() && i < 2 {
				t.Errorf("%s: taken in a graph: %s", url, out.answer)
			}
		}
		c.ask("resources/read", fmt.Sprintf(`{"uri":%q}`, url))
	}
	if n := f.trap.visits.Load(); n > 0 {
		t.Errorf("%d visits at an address that callers named", n)
	}
}
