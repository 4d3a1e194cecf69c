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

// An Output is one result of a job. Of more than [MaxOutputs] a single refused one tells.
type Output struct {
	Node  string // empty for a refusal that concerns the whole job
	Title string // the node's, given by whoever made the graph: cleaned, at most 100 bytes, may be empty
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
	maxTitle   = 100      // bytes of a node's title
)

// hashes are those of all that the job stored, in the order of its results (AUD-17). A text has none: it is stored nowhere, and a plain
// hash of a short text tells it.
func (j Job) hashes() (list []string) {
	if j.Outputs == nil {
		for _, im := range j.Images {
			list = append(list, im.SHA256)
		}
		return list
	}
	for _, o := range j.Outputs {
		switch {
		case o.Image != nil:
			list = append(list, o.Image.SHA256)
		case o.File != nil:
			list = append(list, o.File.SHA256)
		}
	}
	return list
}

// contents are those hashes of the pictures that stay when their metadata goes, each where [Job.hashes] has the picture; nil where none has one.
func (j Job) contents() (list []string) {
	found := false
	add := func(im *images.Image) {
		content := ""
		if im != nil {
			content = im.Content
		}
		list, found = append(list, content), found || content != ""
	}
	if j.Outputs == nil {
		for i := range j.Images {
			add(&j.Images[i])
		}
	}
	for _, o := range j.Outputs {
		if o.Image != nil || o.File != nil {
			add(o.Image)
		}
	}
	if !found {
		return nil
	}
	return list
}
