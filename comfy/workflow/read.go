package workflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/comfygate/comfygate/comfy"
)

// Bounds of a graph that is read.
const (
	MaxGraphBytes = 4 << 20
	MaxGraphNodes = 10_000
	maxGraphDepth = 64

	maxGraphValues = 150_000
)

// ErrUIFormat says that a document is a workflow as ComfyUI's editor saves it, which its server does not run (CLIENT-GRAPH-1).
var ErrUIFormat = errors.New("this is a workflow in the editor's format; export it in the API format")

// A GraphError says why a document is no graph. Its text may quote node ids and keys of the document, cut short and printable.
type GraphError struct{ Problem string }

func (e *GraphError) Error() string { return e.Problem }

func bad(format string, args ...any) error { return &GraphError{fmt.Sprintf(format, args...)} }

// ReadGraph reads a graph in the API format, or one wrapped as the body of POST /prompt. It is strict: valid UTF-8, no doubled keys, nothing
// after the document, and bounded in bytes, depth and nodes. Numbers are kept as written (json.Number), links become [comfy.Link].
// Whether a server takes the graph is for [Fit]. Errors are [ErrUIFormat] and *GraphError.
func ReadGraph(data []byte) (comfy.Graph, error) {
	doc, err := readDocument(data)
	if err != nil {
		return nil, err
	}
	if isUI(doc) {
		return nil, ErrUIFormat
	}
	return nodesOf(doc)
}

// readDocument reads the object that a workflow of either format is, without what it may be wrapped in.
func readDocument(data []byte) (map[string]any, error) {
	if len(data) > MaxGraphBytes {
		return nil, bad("the graph is larger than %d bytes", MaxGraphBytes)
	}
	if err := scan(data); err != nil {
		return nil, err
	}
	if !utf8.Valid(data) {
		return nil, bad("the graph is not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := readValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, bad("there is more after the graph")
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, bad("a graph is an object: node id → {class_type, inputs}")
	}
	if inner, ok := doc["prompt"].(map[string]any); ok && inner["class_type"] == nil {
		doc = inner
	}
	return doc, nil
}

// scan refuses a document of too many values before any is read: a few megabytes of brackets would come to a hundred times as many.
func scan(data []byte) error {
	values := 0
	for i := 0; i < len(data); i++ {
		switch data[i] {
		case '"':
			for i++; i < len(data) && data[i] != '"'; i++ {
				if data[i] == '\\' {
					i++
				}
			}
		case ',', '[', '{':
			values++
		}
	}
	if values > maxGraphValues {
		return bad("the graph has more than %d values", maxGraphValues)
	}
	return nil
}

// isUI reports whether a document is the editor's: lists of nodes and links.
func isUI(doc map[string]any) bool {
	_, nodes := doc["nodes"].([]any)
	_, links := doc["links"].([]any)
	return nodes && links
}

// readValue reads one JSON value of a document that is depth deep already.
func readValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxGraphDepth {
		return nil, bad("the graph is nested more than %d deep", maxGraphDepth)
	}
	t, err := d.Token()
	if err != nil {
		return nil, bad("the graph is not JSON, near byte %d", d.InputOffset())
	}
	switch t {
	case json.Delim('{'):
		return readObject(d, depth)
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := readValue(d, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, closing(d)
	}
	return t, nil
}

func readObject(d *json.Decoder, depth int) (any, error) {
	object := map[string]any{}
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			return nil, bad("the graph is not JSON, near byte %d", d.InputOffset())
		}
		if _, doubled := object[key]; doubled {
			return nil, bad("the key %s is there twice", short(key))
		}
		if object[key], err = readValue(d, depth+1); err != nil {
			return nil, err
		}
		if len(object) > MaxGraphNodes {
			return nil, bad("the graph has more than %d nodes", MaxGraphNodes)
		}
	}
	return object, closing(d)
}

// closing reads the bracket at the end of a list or an object.
func closing(d *json.Decoder) error {
	if _, err := d.Token(); err != nil {
		return bad("the graph is not JSON, near byte %d", d.InputOffset())
	}
	return nil
}

func nodesOf(doc map[string]any) (comfy.Graph, error) {
	if len(doc) == 0 {
		return nil, bad("the graph has no nodes")
	}
	g := make(comfy.Graph, len(doc))
	for _, id := range slices.SortedFunc(maps.Keys(doc), compareIDs) { // in order, so that the first fault is always the same
		n, err := nodeOf(id, doc[id])
		if err != nil {
			return nil, err
		}
		g[id] = n
	}
	return g, nil
}

func nodeOf(id string, v any) (comfy.Node, error) {
	object, isObject := v.(map[string]any)
	class, isText := object["class_type"].(string)
	inputs, isMap := object["inputs"].(map[string]any)
	switch {
	case !isObject:
		return comfy.Node{}, bad("node %s is not an object with class_type and inputs", short(id))
	case !isText || class == "":
		return comfy.Node{}, bad("node %s has no class_type", short(id))
	case !isMap:
		return comfy.Node{}, bad("node %s has no inputs; they may be empty, {}", short(id))
	}
	n := comfy.Node{ClassType: class, Inputs: inputs}
	for name, value := range inputs {
		if l, ok := asLink(value); ok {
			inputs[name] = l
		}
	}
	if meta, ok := object["_meta"].(map[string]any); ok {
		if title, ok := meta["title"].(string); ok {
			n.Meta = &comfy.NodeMeta{Title: title}
		}
	}
	return n, nil
}

// short quotes a word of the document so that it can be shown.
func short(word string) string {
	const most = 60
	if runes := []rune(word); len(runes) > most {
		word = string(runes[:most]) + "…"
	}
	return strconv.Quote(word)
}
