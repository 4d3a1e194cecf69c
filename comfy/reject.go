package comfy

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
)

const (
	maxFaults   = 20
	faultText   = 300
	faultValue  = 100
	rejectBytes = 4 << 20 // validation names every option of a list it misses, for every node
)

// nodeFaults is one node's part of node_errors.
type nodeFaults struct {
	Class  string `json:"class_type"`
	Errors []struct {
		Type    string `json:"type"`
		Message string `json:"message"`
		Details string `json:"details"`
		Extra   struct {
			Input    string          `json:"input_name"`
			Received json.RawMessage `json:"received_value"`
		} `json:"extra_info"`
	} `json:"errors"`
}

// rejection reads a 400 of POST /prompt; Comfy Cloud has a shape of its own. An answer that is not understood is one all the same.
func rejection(resp *http.Response) *RejectedError {
	data, err := io.ReadAll(io.LimitReader(resp.Body, rejectBytes))
	if err != nil {
		data = nil
	}
	var said struct {
		Error struct {
			Type    string `json:"type"`
			Message string `json:"message"`
			Details string `json:"details"`
			Extra   struct {
				Node  string `json:"node_id"`
				Class string `json:"class_type"`
			} `json:"extra_info"`
		} `json:"error"`
		Nodes   map[string]nodeFaults `json:"node_errors"`
		Code    string                `json:"code"`
		Message string                `json:"message"`
	}
	if !isJSON(resp) || decode(data, &said) != nil && said.Error.Type == "" {
		return &RejectedError{Type: "rejected", Message: errorWords(resp, data)}
	}
	e := &RejectedError{
		Type:    clean(cmp.Or(said.Error.Type, said.Code, "rejected"), faultText),
		Message: clean(cmp.Or(said.Error.Message, said.Message), faultText),
		Details: clean(said.Error.Details, faultText),
		Nodes:   faults(said.Nodes),
	}
	if x := said.Error.Extra; len(e.Nodes) == 0 && x.Node != "" { // a class that the server does not have
		e.Nodes = []NodeFault{{Node: clean(x.Node, faultValue), Class: clean(x.Class, faultText), Type: e.Type, Message: e.Message}}
	}
	return e
}

func faults(nodes map[string]nodeFaults) []NodeFault {
	var list []NodeFault
	for _, id := range slices.SortedFunc(maps.Keys(nodes), byNumber) {
		for _, f := range nodes[id].Errors {
			if len(list) == maxFaults {
				return list
			}
			list = append(list, NodeFault{
				Node: clean(id, faultValue), Class: clean(nodes[id].Class, faultText), Input: clean(f.Extra.Input, faultText),
				Type: clean(f.Type, faultText), Message: clean(f.Message, faultText), Details: clean(f.Details, faultText),
				Received: clean(string(f.Extra.Received), faultValue),
			})
		}
	}
	return list
}
