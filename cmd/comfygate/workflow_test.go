package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// TestWorkflows: an agent finds a workflow that the server ships, checks it, and runs it by its name with its own prompt and its own
// picture; from the list to the result it takes two calls. Over each transport and from both ComfyUIs.
func TestWorkflows(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"stdio", "http", "sse"} {
		for _, version := range []string{emulator.V0364, emulator.V0330} {
			t.Run(by+", ComfyUI "+version, func(t *testing.T) {
				t.Parallel()
				u := newComfyUI(t, emulator.Options{Version: version})
				w := newWorld(t, u.on(), "COMFYGATE_HTTP__TOKEN=the-right-token-0123", "COMFYGATE_OUTPUT__DIR=~/pictures")
				a := w.by(t, by, "Authorization", "Bearer the-right-token-0123")
				sent := a.must(t, "upload_image", args{"data": base64.StdEncoding.EncodeToString(blank(t, 96, 64))})
				picture := sent.links[0]

				// Two calls.
				found := a.must(t, "list_workflows", args{"search": "paints anew", "installed": true})
				var list struct {
					Workflows []struct {
						Name   string
						Inputs map[string]string
					}
				}
				if err := json.Unmarshal([]byte(found.text), &list); err != nil || len(list.Workflows) != 1 {
					t.Fatalf("%s: %v", found.text, err)
				}
				one := list.Workflows[0]
				inputs := args{"steps": 2}
				for name, kind := range one.Inputs {
					switch kind {
					case "text":
						inputs[name] = "a secret garden in winter"
					case "picture":
						inputs[name] = picture
					}
				}
				made := a.must(t, "run_workflow", args{"workflow": one.Name, "inputs": inputs})
				a.progressed(t, "run_workflow")
				if len(made.pictures) != 1 || len(made.links) != 1 {
					t.Fatalf("%s", made.text)
				}
				if _, _, err := image.Decode(bytes.NewReader(a.resource(t, made.links[0]))); err != nil {
					t.Errorf("the resource: %v", err)
				}

				// What is checked first answers the same.
				if checked := a.must(t, "check_workflow", args{"workflow": one.Name, "inputs": inputs}); !strings.Contains(checked.text, `"runnable":true`) {
					t.Errorf("%s", checked.text)
				}
				a.refused(t, "run_workflow", args{"workflow": one.Name, "inputs": args{"steps": 0}}, "INVALID_PARAMETER")
				a.refused(t, "run_workflow", args{"workflow": "picture_to_video"}, "WORKFLOW_NOT_FOUND")
				a.refused(t, "save_workflow", args{"name": "a", "graph": args{"1": args{"class_type": "EmptyImage", "inputs": args{}}}}, "WORKFLOWS_OFF")
				a.end(t)
				w.whole(t)
				w.told(t, made.job(t))
				if record := w.record(t); strings.Contains(record, "secret garden") || !strings.Contains(record, "graph_sha256") {
					t.Errorf("the record: %s", record)
				}
			})
		}
	}
}

// record is everything in the audit log.
func (w *world) record(t *testing.T) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(w.data(), "slots", "*", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	err = filepath.WalkDir(w.data(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "pictures") {
			return err
		}
		data, err := os.ReadFile(path)
		all.Write(data)
		return err
	})
	if err != nil {
		t.Fatal(err, files)
	}
	return all.String()
}

// blank is a PNG of one's own.
func blank(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewNRGBA(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestWorkflows_saved: what is saved is there at once, for agents and on the disk; what a person changes on the disk is seen without a restart;
// and after a restart it is a tool of its own.
func TestWorkflows_saved(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded)
	dir := filepath.Join(w.home, "flows")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	w = w.with("COMFYGATE_WORKFLOWS__DIR="+dir, "COMFYGATE_WORKFLOWS__AS_TOOLS=true")
	graph := args{
		"1": args{"class_type": "EmptyImage", "inputs": args{"width": 96, "height": 64, "batch_size": 1, "color": 255}},
		"2": args{"class_type": "SaveImage", "inputs": args{"images": []any{"1", 0}, "filename_prefix": "x"}},
	}
	save := args{"name": "blue", "title": "Blue", "graph": graph, "inputs": []any{args{"name": "breadth", "node": "1", "input": "width", "min": 64, "max": 256}}}
	a := w.stdio(t)
	a.must(t, "save_workflow", save)
	a.refused(t, "save_workflow", save, "WORKFLOW_EXISTS")
	if out := a.must(t, "run_workflow", args{"workflow": "blue", "inputs": args{"breadth": 128}}); !strings.Contains(out.text, "128×64") {
		t.Errorf("%s", out.text)
	}
	sheet := filepath.Join(dir, "blue.yaml")
	data, err := os.ReadFile(sheet)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sheet, []byte(strings.Replace(string(data), "256", "100", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	a.refused(t, "run_workflow", args{"workflow": "blue", "inputs": args{"breadth": 128}}, "INVALID_PARAMETER")
	if err := os.WriteFile(sheet, []byte("title: [\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a.refused(t, "run_workflow", args{"workflow": "blue"}, "WORKFLOW_BROKEN")
	if out := a.must(t, "list_workflows", args{"search": "blue"}); !strings.Contains(out.text, `"fault"`) {
		t.Errorf("%s", out.text)
	}
	if err := os.WriteFile(sheet, data, 0o600); err != nil {
		t.Fatal(err)
	}
	a.end(t)

	a = w.stdio(t)
	list, err := a.c.ListTools(soon(t), mcp.ListToolsRequest{})
	if err != nil || !slices.ContainsFunc(list.Tools, func(tool mcp.Tool) bool { return tool.Name == "workflow_blue" }) {
		t.Fatalf("%v", err)
	}
	if out := a.must(t, "workflow_blue", args{"breadth": 128}); !strings.Contains(out.text, "128×64") {
		t.Errorf("%s", out.text)
	}
	a.refused(t, "workflow_blue", args{"breadth": 300}, "INVALID_PARAMETER")
	a.end(t)
	w.whole(t)
}

// T34: a class that is denied is refused by its rule, and nothing is submitted; where the list of tools is concerned it is as small as ever.
func TestWorkflows_T34_denied(t *testing.T) {
	t.Parallel()
	u := newComfyUI(t, emulator.Options{})
	a := newWorld(t, u.on(), "COMFYGATE_LIMITS__GRAPH_NODES=1").stdio(t)
	f := a.refused(t, "run_workflow", args{"workflow": "join_words"}, "POLICY_DENIED")
	if !strings.Contains(f.Message, "node-count") {
		t.Errorf("%s", f.Message)
	}
	if out := a.must(t, "check_workflow", args{"workflow": "join_words"}); !strings.Contains(out.text, `"rule":"node-count"`) || strings.Contains(out.text, `"runnable":true`) {
		t.Errorf("%s", out.text)
	}
	list, err := a.c.ListTools(soon(t), mcp.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(list)
	if err != nil || len(text) > 40_000 { // D05
		t.Errorf("tools/list takes %d bytes, %v", len(text), err)
	}
	a.end(t)
}
