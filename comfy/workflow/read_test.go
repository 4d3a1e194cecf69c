package workflow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
)

func TestReadGraph(t *testing.T) {
	t.Parallel()
	want := comfy.Graph{
		"1": {ClassType: "A", Inputs: map[string]any{"seed": json.Number("18446744073709551615"), "x": json.Number("1.50")}},
		"2": {
			ClassType: "B", Meta: &comfy.NodeMeta{Title: "Zwei"},
			Inputs: map[string]any{"in": comfy.Link{Node: "1", Slot: 2}, "no": []any{json.Number("1"), json.Number("2")}, "s": "ä", "n": nil, "b": true},
		},
	}
	plain := `{"1": {"class_type": "A", "inputs": {"seed": 18446744073709551615, "x": 1.50}},
		"2": {"class_type": "B", "inputs": {"in": ["1", 2], "no": [1, 2], "s": "ä", "n": null, "b": true}, "_meta": {"title": "Zwei"}, "is_changed": [3]}}`
	for name, doc := range map[string]string{
		"plain":                      plain,
		"as the body of POST prompt": `{"client_id": "x", "prompt": ` + plain + `}`,
	} {
		g, err := workflow.ReadGraph([]byte(doc))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, g); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	g, err := workflow.ReadGraph([]byte(`{"prompt": {"class_type": "A", "inputs": {}}}`))
	if err != nil || g["prompt"].ClassType != "A" {
		t.Errorf("a node called prompt: %v, %v", g, err)
	}
	back, err := json.Marshal(want)
	if err != nil || !strings.Contains(string(back), `"in":["1",2]`) || !strings.Contains(string(back), "18446744073709551615") {
		t.Errorf("written back: %s, %v", back, err)
	}
}

func TestReadGraph_refuses(t *testing.T) {
	t.Parallel()
	many := make([]string, workflow.MaxGraphNodes+1)
	for i := range many {
		many[i] = fmt.Sprintf(`"%d": {"class_type": "A", "inputs": {}}`, i)
	}
	for name, tt := range map[string]struct{ doc, want string }{
		"empty":                    {"", "not JSON"},
		"no object":                {"[]", "a graph is an object"},
		"a text":                   {`"x"`, "a graph is an object"},
		"no nodes":                 {"{}", "no nodes"},
		"cut":                      {`{"1": {"class_type": "A"`, "not JSON"},
		"more behind":              {`{"1": {"class_type": "A", "inputs": {}}} {}`, "more after"},
		"comma too many":           {`{"1": {"class_type": "A", "inputs": {}},}`, "not JSON"},
		"doubled node":             {`{"1": {"class_type": "A", "inputs": {}}, "1": {"class_type": "B", "inputs": {}}}`, `"1" is there twice`},
		"doubled input":            {`{"1": {"class_type": "A", "inputs": {"a": 1, "a": 2}}}`, `"a" is there twice`},
		"doubled, written anew":    {`{"1": {"class_type": "A", "inputs": {"a": 1, "\u0061": 2}}}`, `"a" is there twice`},
		"node that is a number":    {`{"1": 5}`, `node "1" is not an object`},
		"no class":                 {`{"1": {"inputs": {}}}`, "no class_type"},
		"class that is no text":    {`{"1": {"class_type": 5, "inputs": {}}}`, "no class_type"},
		"no inputs":                {`{"1": {"class_type": "A"}}`, "no inputs"},
		"inputs that are a list":   {`{"1": {"class_type": "A", "inputs": []}}`, "no inputs"},
		"not UTF-8":                {"{\"\xff\": 1}", "UTF-8"},
		"too deep":                 {`{"1": {"class_type": "A", "inputs": {"x": ` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}}}`, "nested more than"},
		"too deep, objects":        {strings.Repeat(`{"a":`, 70), "nested more than"},
		"too many nodes":           {"{" + strings.Join(many, ",") + "}", "more than 10000 nodes"},
		"too large":                {strings.Repeat(" ", workflow.MaxGraphBytes+1), "larger than"},
		"an evil key, safe to say": {"{\"\\u001b[2J\\u202e\": 5}", `"\x1b[2J\u202e" is not`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, err := workflow.ReadGraph([]byte(tt.doc))
			if _, ours := errors.AsType[*workflow.GraphError](err); !ours || g != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v; want %q", g, err, tt.want)
			}
		})
	}
}

// CLIENT-GRAPH-1: the editor's format is told apart.
func TestReadGraph_GRAPH1_editorFormat(t *testing.T) {
	t.Parallel()
	for _, doc := range []string{
		`{"nodes": [], "links": [], "version": 0.4}`,
		`{"id": "x", "nodes": [{"id": 1, "type": "KSampler"}], "links": [[1, 1, 0, 2, 0, "MODEL"]], "definitions": {"subgraphs": []}}`,
		`{"prompt": {"nodes": [], "links": []}}`,
	} {
		if _, err := workflow.ReadGraph([]byte(doc)); !errors.Is(err, workflow.ErrUIFormat) {
			t.Errorf("%s: %v", doc, err)
		}
	}
	if g, err := workflow.ReadGraph([]byte(`{"nodes": {"class_type": "A", "inputs": {}}, "links": {"class_type": "A", "inputs": {}}}`)); err != nil || len(g) != 2 {
		t.Errorf("nodes called nodes and links: %v, %v", g, err)
	}
}

func FuzzReadGraph(f *testing.F) {
	f.Add([]byte(base))
	f.Add([]byte(`{"nodes": [], "links": []}`))
	f.Add([]byte(`{"1": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}}}`))
	f.Add([]byte(`{"1": {"class_type": "KSampler", "inputs": {"seed": 1e999, "cfg": "nan", "steps": {"__value__": [1]}, "model": ["1", -9]}}}`))
	f.Add([]byte(`{"1": {"class_type": "SaveImage", "inputs": {"images": [[["1"]]]}}}`))
	info := recorded(f, "v0.33.0")
	f.Fuzz(func(t *testing.T, data []byte) {
		g, err := workflow.ReadGraph(data)
		if err != nil {
			return
		}
		filled := workflow.Fill(g, info)
		faults, filledFaults := workflow.Fit(g, info), workflow.Fit(filled, info)
		if len(filledFaults) > len(faults) {
			t.Errorf("filling made faults: %+v, then %+v", faults, filledFaults)
		}
		for _, fault := range faults {
			if fault.Problem == "" || len([]rune(fault.Got)) > 100 {
				t.Errorf("fault %+v", fault)
			}
		}
		if len(workflow.Nodes(g, info)) != len(g) {
			t.Error("nodes are missing")
		}
		workflow.Models(g, nil)
		written, err := json.Marshal(g)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		again, err := workflow.ReadGraph(written)
		if err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
		if diff := cmp.Diff(g, again); diff != "" {
			t.Errorf("a graph changes on its way: %s", diff)
		}
	})
}
