package comfy

// A Graph is a workflow in ComfyUI's API format: node id → node.
type Graph map[string]Node

// A Node is one node of a [Graph]. Inputs hold JSON values; seeds are uint64 (CLIENT-GRAPH-5), links are [Link].
type Node struct {
	ClassType string         `json:"class_type"`
	Inputs    map[string]any `json:"inputs"`
	Meta      *NodeMeta      `json:"_meta,omitempty"`
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
