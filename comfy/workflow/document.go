package workflow

import (
	"fmt"
	"strings"

	"github.com/comfygate/comfygate/comfy"
)

// A Document is a workflow as it was read: a graph that a server runs, or one as ComfyUI's editor saves it. Exactly one is set.
type Document struct {
	Graph comfy.Graph
	UI    *UI
}

// A Converted is a document as a graph that a server runs, with what else the document says.
type Converted struct {
	Graph  comfy.Graph
	Offers []Offer         // the inputs that a caller may set, the most telling first
	Files  []ModelFileHint // the model files that its author named, without doubles, by folder and name
	Notes  []string        // what a reader should know: what was left out, and why. Safe to show
}

// A ModelFileHint is a model file that a workflow's author says it needs. All of it is the author's claim, not checked.
type ModelFileHint struct {
	Name   string // file name
	Folder string // below models/
	URL    string // where the author had it from; may be empty
}

// An UnknownClassError says which node classes a server lacks, at most 50. No part of the workflow was converted.
type UnknownClassError struct{ Classes []UnknownClass }

// An UnknownClass is a node class that a server does not have. Texts are the author's, cut short.
type UnknownClass struct {
	Class   string
	Node    string // id of the first node of that class
	Package string // where the file says that it comes from; empty when it does not
}

func (e *UnknownClassError) Error() string {
	const most = 10
	names := make([]string, 0, len(e.Classes))
	for _, c := range e.Classes[:min(len(e.Classes), most)] {
		names = append(names, short(c.Class))
	}
	if more := len(e.Classes) - most; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return "this ComfyUI lacks nodes of the workflow: " + strings.Join(names, ", ")
}

// Read reads a workflow: a graph in the API format, as [ReadGraph] does, or one as ComfyUI's editor saves it. It is strict and bounded
// in bytes, depth, values and nodes, also in those that its subgraphs come to; a subgraph that contains itself is refused. Keys that are
// not known are not looked at. The error is a *GraphError.
func Read(data []byte) (*Document, error) {
	doc, err := readDocument(data)
	if err != nil {
		return nil, err
	}
	if !isUI(doc) {
		g, err := nodesOf(doc)
		if err != nil {
			return nil, err
		}
		return &Document{Graph: g}, nil
	}
	ui, err := readUI(doc)
	if err != nil {
		return nil, err
	}
	return &Document{UI: ui}, nil
}

// cut bounds a word of the document that will be shown.
func cut(word string) string {
	const most = 100
	if runes := []rune(word); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return word
}
