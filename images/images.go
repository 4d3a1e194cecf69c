// Package images handles the bytes of pictures: it sniffs, bounds, strips, marks, scales and stores them.
// Nothing is decoded before its size is known to be within bounds (IMG-01).
package images

import (
	"errors"
	"fmt"
	"time"
)

// A Format is a picture format that may leave this program.
type Format string

// Formats.
const (
	PNG  Format = "png"
	JPEG Format = "jpeg"
	WebP Format = "webp"
)

// MIME returns the format's media type.
func (f Format) MIME() string { return "image/" + string(f) }

// ErrNotFound answers for a picture that is not there or is another's, alike (AUT-08, T26).
var ErrNotFound = errors.New("no such picture")

// ErrPending answers for a picture that an upload link still waits for (UPLOAD_PENDING).
var ErrPending = errors.New("the picture is not uploaded yet")

// ErrNotEncodable answers for a picture that the encoder of the format asked for cannot handle. Another format will do.
var ErrNotEncodable = errors.New("this picture cannot be encoded in that format; ask for png or jpeg")

// A TypeError says that bytes are of no accepted type (UNEXPECTED_OUTPUT_TYPE).
type TypeError struct {
	Got  string // sniffed media type
	Said string // what a result's name says that it is, where that is something else: image, video, audio, model, or unknown
}

func (e *TypeError) Error() string {
	if e.Said != "" {
		return "a file of type " + e.Got + " whose name says " + e.Said
	}
	return "not a PNG, JPEG or WebP picture but " + e.Got
}

// A CorruptError says that a picture or file of an accepted format is damaged or breaks the rules of its format.
// Its text holds nothing of the picture but names of chunks that are letters (T40, T41).
type CorruptError struct {
	Format Format
	Why    string
}

func (e *CorruptError) Error() string {
	what := " file: "
	switch e.Format {
	case PNG, JPEG, WebP:
		what = " picture: "
	}
	return "damaged " + string(e.Format) + what + e.Why
}

// A BoundsError says that a picture passes a bound.
type BoundsError struct {
	What     string // width, height, side, aspect, pixels, bytes, frames, scans, metadata bytes, memory bytes
	Got, Max int64  // for an exact width or height, Max is the one that was wanted; Got is at least what was seen
}

func (e *BoundsError) Error() string {
	return fmt.Sprintf("picture's %s out of bounds: %d, bound %d", e.What, e.Got, e.Max)
}

// Origin tells how a picture came here.
type Origin string

// Origins.
const (
	Made     Origin = "made"
	Uploaded Origin = "uploaded"
)

// An Image is a stored picture's record (id.json beside the file). It holds no prompt.
type Image struct {
	ID      string    `json:"id"` // 26 characters a–z, 2–7: 130 random bits (T27)
	Owner   string    `json:"owner"`
	CallID  string    `json:"call_id"`
	JobID   string    `json:"job_id,omitempty"`
	Origin  Origin    `json:"origin"`
	Format  Format    `json:"format"`
	Width   int       `json:"width"`
	Height  int       `json:"height"`
	Bytes   int64     `json:"bytes"`
	SHA256  string    `json:"sha256"`                   // of the stored bytes, lower-case hex
	Content string    `json:"content_sha256,omitempty"` // of its pixel data, [Info.Content]
	Seed    *uint64   `json:"seed,omitempty"`
	Model   string    `json:"model,omitempty"`
	Backend string    `json:"backend,omitempty"` // comfyui or embedded
	Made    time.Time `json:"made"`
	Saved   string    `json:"saved,omitempty"` // path of the copy in OUTPUT__DIR
	Name    string    `json:"name,omitempty"`  // what its owner calls an upload; for people only, never part of a path
}

// Bounds are what a picture is held to; zero fields do not bound.
type Bounds struct {
	Bytes         int64
	Pixels        int64
	Width, Height int // exact size wanted; 0 = any
}

// A Rendition is a picture encoded for a caller. Its Data may be shared: it must not be changed.
type Rendition struct {
	Data          []byte
	Format        Format
	Width, Height int
}
