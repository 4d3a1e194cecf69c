package workflow

import "github.com/comfygate/comfygate/comfy"

// Check returns every fault of a caller's graph at a server that has info, all at once: missing classes, inputs and files, absent links and
// slots, circles, types, bounds and options; what the recorded servers refuse, it names, and what they take, it passes. It is what [Fit] is
// for our own graphs, and here so that the two can never differ. Whether a graph may run is policy's to say, and whether the files and
// pictures that it names are ours to give is [Secure]'s.
func Check(g comfy.Graph, info *comfy.ObjectInfo) []Fault { return Fit(g, info) }
