package workflow

import "github.com/comfygate/comfygate/comfy"

// An OfferKind is what an offered input takes.
type OfferKind string

// The kinds of offered inputs, each with the JSON value it takes.
const (
	OfferText    OfferKind = "text"    // a text
	OfferInteger OfferKind = "integer" // a whole number
	OfferNumber  OfferKind = "number"  // a number
	OfferBoolean OfferKind = "boolean" // true or false
	OfferChoice  OfferKind = "choice"  // one of the offer's options, a text
	OfferPicture OfferKind = "picture" // an image id
	OfferModel   OfferKind = "model"   // one of the offer's options: a model file of the server's
	OfferSeed    OfferKind = "seed"    // a whole number of 64 bits, not below zero
)

// A Target is an input of a node.
type Target struct{ Node, Input string }

// An Offer is one named input of a workflow that a caller may set.
type Offer struct {
	Name        string // snake_case, unique in a workflow, at most 64 characters
	Label       string // the author's, or empty
	Description string
	Kind        OfferKind
	Targets     []Target // where the value goes
	Default     any      // JSON value, numbers as json.Number; nil: it must be given
	Min, Max    *float64
	Options     []string
	Required    bool
}

// Offers returns the inputs of g that a caller may want to set, found from the samplers backwards.
func Offers(g comfy.Graph, info *comfy.ObjectInfo) []Offer { return nil }
