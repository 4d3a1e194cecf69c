package workflow

import "github.com/comfygate/comfygate/comfy"

// Check returns every fault of a caller's graph at a server that has info: all that [Fit] finds. A graph without faults is one that
// the server takes; whether it may run is policy's to say, and whether its files and pictures are ours to give is [Secure]'s.
func Check(g comfy.Graph, info *comfy.ObjectInfo) []Fault { return Fit(g, info) }
