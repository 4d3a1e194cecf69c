package workflow

import "github.com/comfygate/comfygate/comfy"

// Read reads a workflow in either format: ...
func Read(data []byte) (*Document, error) { return nil, errNotYet }

// Convert returns the document as a graph for a server that has info.
func (d *Document) Convert(info *comfy.ObjectInfo) (Converted, error) { return Converted{}, errNotYet }
