package images

import "time"

// A Kind says what a stored file that is no picture is for people.
type Kind string

// Kinds of files.
const (
	Animation Kind = "animation" // WebP, PNG or GIF of several frames
	Video     Kind = "video"
	Audio     Kind = "audio"
	Document  Kind = "file" // anything else that is passed on: a 3D model
)

// A File is the record of a stored file that is no picture (id.json beside the file). It shares store, quota, age and ownership with
// pictures, and holds no prompt. Its type is what its bytes say, never what a server said.
type File struct {
	ID      string    `json:"id"` // as an [Image]'s; no id is of both
	Owner   string    `json:"owner"`
	CallID  string    `json:"call_id"`
	JobID   string    `json:"job_id,omitempty"`
	Kind    Kind      `json:"kind"`
	Type    string    `json:"type"` // media type
	Ext     string    `json:"ext"`  // of the stored file, without a dot
	Name    string    `json:"name"` // for people: made here, letters and digits, ends as the type demands
	Width   int       `json:"width,omitempty"`
	Height  int       `json:"height,omitempty"` // of an animation, as Width and Frames; 0 = not known
	Frames  int       `json:"frames,omitempty"`
	Bytes   int64     `json:"bytes"`
	SHA256  string    `json:"sha256"` // of the stored bytes, lower-case hex
	Model   string    `json:"model,omitempty"`
	Backend string    `json:"backend,omitempty"` // comfyui or embedded
	Made    time.Time `json:"made"`
	Saved   string    `json:"saved,omitempty"` // path of the copy in OUTPUT__DIR
}

// A Result is one output of a run, as it is kept: exactly one of the two is set.
type Result struct {
	Image *Image
	File  *File
}
