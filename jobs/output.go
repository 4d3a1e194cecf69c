package jobs

import "github.com/comfygate/comfygate/images"

// A Kind says what an [Output] is.
type Kind string

// Kinds of outputs.
const (
	Picture   Kind = "picture"   // Image is set
	Animation Kind = "animation" // File is set, as for the next three
	Video     Kind = "video"
	Audio     Kind = "audio"
	File      Kind = "file"
	Text      Kind = "text"
	Refused   Kind = "refused" // Note says what was not passed on
)

// An Output is one result of a job. At most [MaxOutputs] come of one job; of the rest a single refused one tells.
type Output struct {
	Node  string // empty for a refusal that concerns the whole job
	Title string // the node's, given by whoever made the graph: cleaned, at most 100 characters, may be empty
	Class string
	Kind  Kind
	Image *images.Image
	File  *images.File
	Text  string // cleaned of control characters (T41), at most [MaxText] bytes
	Note  string // what people should know of it; safe to show
}

// Bounds of what one job gives.
const (
	MaxOutputs = 64
	MaxText    = 16 << 10 // bytes of one text
)
