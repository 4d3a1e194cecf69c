package comfy

import (
	"encoding/json"
	"errors"
)

// A Graph is a workflow in ComfyUI's API format: node id → node.
type Graph map[string]Node

// A Node is one node of a [Graph]. Inputs hold JSON values; seeds are uint64 (CLIENT-GRAPH-5), links are [Link].
type Node struct {
	ClassType string         `json:"class_type"`
	Inputs    map[string]any `json:"inputs"`
	Meta      *NodeMeta      `json:"_meta,omitempty"`
}

// MarshalJSON writes inputs even where there are none, since ComfyUI wants the key.
func (n Node) MarshalJSON() ([]byte, error) {
	type plain Node
	if n.Inputs == nil {
		n.Inputs = map[string]any{}
	}
	return json.Marshal(plain(n))
}

// NodeMeta is what a node carries for people.
type NodeMeta struct {
	Title string `json:"title,omitempty"`
}

// A Link names an output of another node. It encodes as ["id", slot].
type Link struct {
	Node string
	Slot int
}

// MarshalJSON writes ["id", slot].
func (l Link) MarshalJSON() ([]byte, error) { return json.Marshal([2]any{l.Node, l.Slot}) }

// UnmarshalJSON reads ["id", slot].
func (l *Link) UnmarshalJSON(data []byte) error {
	var pair []json.RawMessage
	if err := json.Unmarshal(data, &pair); err != nil {
		return errors.New(`a link is ["node id", slot]`)
	}
	if len(pair) != 2 || json.Unmarshal(pair[0], &l.Node) != nil || json.Unmarshal(pair[1], &l.Slot) != nil || l.Slot < 0 {
		return errors.New(`a link is ["node id", slot]`)
	}
	return nil
}
