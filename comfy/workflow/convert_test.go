package workflow_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
)

var uiInfo struct {
	sync.Mutex
	*comfy.ObjectInfo
}

// someClasses are classes of a real 0.33.0, with what dynamic options bring in the server's own order.
func someClasses(tb testing.TB) *comfy.ObjectInfo {
	tb.Helper()
	uiInfo.Lock()
	defer uiInfo.Unlock()
	if uiInfo.ObjectInfo != nil {
		return uiInfo.ObjectInfo
	}
	r, err := gzip.NewReader(bytes.NewReader(readFile(tb, filepath.Join("testdata", "ui", "object_info.json.gz"))))
	if err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		tb.Fatal(err)
	}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(data)
	}))
	defer srv.Close()
	client, err := comfy.New(comfy.Config{URL: srv.URL})
	if err != nil {
		tb.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // of no meaning here
	if uiInfo.ObjectInfo, err = client.ObjectInfo(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return uiInfo.ObjectInfo
}

func readFile(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func convert(tb testing.TB, data []byte) workflow.Converted {
	tb.Helper()
	doc, err := workflow.Read(data)
	if err != nil {
		tb.Fatal(err)
	}
	converted, err := doc.Convert(someClasses(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return converted
}

// asJSON makes graphs comparable.
func asJSON(tb testing.TB, v any) any {
	tb.Helper()
	data, ok := v.([]byte)
	if !ok {
		var err error
		if data, err = json.Marshal(v); err != nil {
			tb.Fatal(err)
		}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var out any
	if err := d.Decode(&out); err != nil {
		tb.Fatal(err)
	}
	return out
}

// Each file of the editor's becomes the graph beside it, node by node. What runs without a model is run on real servers by e2e-templates.
func TestConvert_meaning(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "ui", "*.ui.json"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	for _, file := range files {
		base := strings.TrimSuffix(file, ".ui.json")
		t.Run(filepath.Base(base), func(t *testing.T) {
			t.Parallel()
			converted := convert(t, readFile(t, file))
			if diff := cmp.Diff(asJSON(t, readFile(t, base+".api.json")), asJSON(t, converted.Graph)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A document in the API format passes through, with what can be set in it.
func TestConvert_graph(t *testing.T) {
	t.Parallel()
	doc, err := workflow.Read([]byte(`{"1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
		"2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}}`))
	if err != nil || doc.UI != nil {
		t.Fatalf("%+v, %v", doc, err)
	}
	converted, err := doc.Convert(someClasses(t))
	if err != nil || len(converted.Graph) != 2 || len(converted.Offers) != 2 {
		t.Errorf("%+v, %v", converted, err)
	}
	if doc.Hints() != nil {
		t.Error("a graph names no files")
	}
}

func TestConvert_unknownClasses(t *testing.T) {
	t.Parallel()
	doc, err := workflow.Read([]byte(`{"nodes": [
		{"id": 1, "type": "KSampler"},
		{"id": 2, "type": "Splendid", "properties": {"cnr_id": "splendid-pack"}},
		{"id": 3, "type": "Splendid"},
		{"id": 4, "type": "Muted", "mode": 2},
		{"id": 5, "type": "s"}
	], "links": [], "definitions": {"subgraphs": [{"id": "s", "name": "S", "nodes": [{"id": 7, "type": "Inner", "properties": {"aux_id": "a/b"}}], "links": []}]}}`))
	if err != nil {
		t.Fatal(err)
	}
	converted, err := doc.Convert(someClasses(t))
	unknown, ok := errors.AsType[*workflow.UnknownClassError](err)
	if !ok || len(converted.Graph) > 0 {
		t.Fatalf("%+v, %v", converted, err)
	}
	want := []workflow.UnknownClass{{Class: "Splendid", Node: "2", Package: "splendid-pack"}, {Class: "Inner", Node: "5:7", Package: "a/b"}}
	if diff := cmp.Diff(want, unknown.Classes); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(err.Error(), `"Splendid", "Inner"`) {
		t.Errorf("error %v", err)
	}
}

// What falls away with a muted node is told, and so are the files that the author names, once each.
func TestConvert_notesAndFiles(t *testing.T) {
	t.Parallel()
	converted := convert(t, readFile(t, filepath.Join("testdata", "ui", "mute.ui.json")))
	if len(converted.Notes) != 1 || !strings.Contains(converted.Notes[0], "3 (ImageInvert), 4 (SaveImage)") {
		t.Errorf("notes %q", converted.Notes)
	}
	const models = `"properties": {"models": [
		{"name": "b.safetensors", "url": "https://example.org/b", "directory": "vae"}, {"name": "a.safetensors", "directory": "vae"}, {"name": "", "directory": "vae"}, 5]}`
	data := []byte(`{"nodes": [{"id": 1, "type": "VAELoader", ` + models + `}, {"id": 2, "type": "VAELoader", ` + models + `},
		{"id": 3, "type": "VAELoader", "mode": 2, "properties": {"models": [{"name": "c", "directory": "d"}]}}], "links": []}`)
	want := []workflow.ModelFileHint{{Name: "a.safetensors", Folder: "vae"}, {Name: "b.safetensors", Folder: "vae", URL: "https://example.org/b"}}
	if diff := cmp.Diff(want, convert(t, data).Files); diff != "" {
		t.Error(diff)
	}
	doc, err := workflow.Read(data)
	if err != nil {
		t.Fatal(err)
	}
	if all := doc.Hints(); len(all) != 3 || all[0].Folder != "d" {
		t.Errorf("hints %+v", all)
	}
}

func TestConvert_nothingLeft(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]string{
		"no nodes":  `{"nodes": [], "links": []}`,
		"all muted": `{"nodes": [{"id": 1, "type": "KSampler", "mode": 2}], "links": []}`,
		"all need what is muted": `{"nodes": [{"id": 1, "type": "EmptyImage", "mode": 2}, {"id": 2, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]}],
			"links": [[1, 1, 0, 2, 0, "IMAGE"]]}`,
	} {
		read, err := workflow.Read([]byte(doc))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, err = read.Convert(someClasses(t))
		if _, ok := errors.AsType[*workflow.GraphError](err); !ok || !strings.Contains(err.Error(), "nothing of the workflow runs") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// seeds adds every workflow of the tests, and small ones of each kind.
func seeds(f *testing.F) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "ui", "*.ui.json"))
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		var small bytes.Buffer
		if err := json.Compact(&small, readFile(f, file)); err != nil {
			f.Fatal(err)
		}
		f.Add(small.Bytes())
	}
	for _, tt := range hostile() {
		if len(tt.doc) < 2000 {
			f.Add([]byte(tt.doc))
		}
	}
}
