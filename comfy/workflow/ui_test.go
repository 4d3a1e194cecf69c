package workflow_test

import (
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/workflow"
)

// Read takes either format, and says which it was; ReadGraph's own tests hold for graphs.
func TestRead(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		doc string
		ui  bool
	}{
		"a graph":                    {`{"1": {"class_type": "A", "inputs": {}}}`, false},
		"a graph as a body":          {`{"prompt": {"1": {"class_type": "A", "inputs": {}}}, "client_id": "x"}`, false},
		"the editor's":               {`{"nodes": [], "links": [], "version": 0.4}`, true},
		"the editor's, as a body":    {`{"prompt": {"nodes": [], "links": []}}`, true},
		"links as objects":           {`{"nodes": [{"id": 1, "type": "A"}], "links": [{"id": 1, "origin_id": 1, "origin_slot": 0, "target_id": 1, "target_slot": 0, "type": "X"}]}`, true},
		"slots as texts":             {`{"nodes": [], "links": [[1, 2, "0", 3, "1", "X"]]}`, true},
		"definitions in definitions": {`{"nodes": [{"id": 1, "type": "b"}], "links": [], "definitions": {"subgraphs": [{"id": "a", "nodes": [], "links": [], "definitions": {"subgraphs": [{"id": "b", "nodes": [], "links": []}]}}]}}`, true},
		"nodes called nodes, links":  {`{"nodes": {"class_type": "A", "inputs": {}}, "links": {"class_type": "A", "inputs": {}}}`, false},
	} {
		doc, err := workflow.Read([]byte(tt.doc))
		if err != nil || (doc.UI != nil) != tt.ui || (doc.Graph != nil) == tt.ui {
			t.Errorf("%s: %+v, %v", name, doc, err)
		}
	}
	for name, doc := range map[string]string{"empty": "", "a list": "[]", "null": "null", "no nodes": "{}", "too large": strings.Repeat(" ", workflow.MaxGraphBytes+1)} {
		if read, err := workflow.Read([]byte(doc)); err == nil || read != nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func BenchmarkConvert(b *testing.B) {
	data, info := readFile(b, "testdata/ui/subgraph-nested.ui.json"), someClasses(b)
	for b.Loop() {
		if _, err := readAll(data, info); err != nil {
			b.Fatal(err)
		}
	}
}
