package workflow

import "github.com/comfygate/comfygate/comfy"

// Set returns a copy of g with a caller's values, by the names of offers. Offers that are not named keep what is in g, but seeds, which
// become seed. pictures tells the image id for each node that loads a picture by its id; the file's name is for whoever submits the graph.
// used is the seed that the graph has: the caller's where one was named. The error is [FieldErrors]: all faults at once.
func Set(g comfy.Graph, offers []Offer, values map[string]any, seed uint64) (g2 comfy.Graph, pictures map[string]string, used uint64, err error) {
	return nil, nil, 0, &GraphError{"not yet"}
}
