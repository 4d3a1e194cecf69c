// Package images handles the bytes of pictures: it sniffs, bounds, strips, marks, scales and stores them.
// Nothing is decoded before its size is known to be within bounds (IMG-01).
package images

import (
	"context"
	"errors"
	"io"
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

// A TypeError says that bytes are not a picture of an accepted format (UNEXPECTED_OUTPUT_TYPE).
type TypeError struct{ Got string } // sniffed media type

func (e *TypeError) Error() string { return "not a PNG, JPEG or WebP picture but " + e.Got }

// A BoundsError says that a picture passes a bound.
type BoundsError struct {
	What     string // width, height, pixels, bytes, frames
	Got, Max int64
}

func (e *BoundsError) Error() string { return "picture's " + e.What + " out of bounds" }

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
	SHA256  string    `json:"sha256"` // of the stored bytes, lower-case hex
	Seed    *uint64   `json:"seed,omitempty"`
	Model   string    `json:"model,omitempty"`
	Backend string    `json:"backend,omitempty"` // comfyui or embedded
	Made    time.Time `json:"made"`
	Saved   string    `json:"saved,omitempty"` // path of the copy in OUTPUT__DIR
}

// Bounds are what a picture is held to; zero fields do not bound.
type Bounds struct {
	Bytes         int64
	Pixels        int64
	Width, Height int // exact size wanted; 0 = any
}

// StoreConfig of a [Store]. Dir is required; it is made with mode 0700 and refused if it is a link or open to others (SC-33).
type StoreConfig struct {
	Dir          string
	OutputDir    string        // full pictures are copied here and never cleaned; empty = off
	MaxAge       time.Duration // default 7 days
	MaxBytes     int64         // default 5 GiB
	KeepMetadata bool          // leave text chunks in (SC-53)
	Generator    string        // name and version for our own mark (IMG-09)
	DecodeBytes  int64         // decoded pictures in memory at most, all calls together; default 256 MiB (SC-55)
}

// A Store keeps pictures on disk: the disk decides what exists, so several processes share one (decision 5 of the plan).
// It is safe for concurrent use.
type Store struct{}

// OpenStore returns the store below cfg.Dir.
func OpenStore(cfg StoreConfig) (*Store, error) { panic("todo") }

// Put reads a picture as a server made it: sniffed, bounded, stripped by chunk without re-encoding (IMG-05),
// marked, stored under a new id, copied to the output folder. im gives Owner, CallID, JobID, Origin, Seed, Model, Backend.
// A failed copy is no error; Saved is then empty and saveErr tells why.
func (s *Store) Put(ctx context.Context, im Image, b Bounds, src io.Reader) (out Image, saveErr, err error) {
	panic("todo")
}

// PutUpload reads a picture from a caller: decoded whole and encoded anew as PNG (IMG-06, SC-49).
func (s *Store) PutUpload(ctx context.Context, im Image, b Bounds, src io.Reader) (Image, error) {
	panic("todo")
}

// Get returns the record of owner's picture id, or [ErrNotFound].
func (s *Store) Get(owner, id string) (Image, error) { panic("todo") }

// Open opens the stored bytes of owner's picture id.
func (s *Store) Open(owner, id string) (io.ReadSeekCloser, Image, error) { panic("todo") }

// A Rendition is a picture encoded for a caller.
type Rendition struct {
	Data          []byte
	Format        Format
	Width, Height int
}

// Preview returns a rendition of at most maxSide pixels a side and maxBytes encoded bytes (JPEG, or PNG where alpha matters), from a cache.
func (s *Store) Preview(ctx context.Context, owner, id string, maxSide, maxBytes int) (Rendition, error) {
	panic("todo")
}

// Render returns owner's picture scaled to at most maxSide (0 = as it is) in format f ("" = as stored), within maxBytes
// of encoded bytes: it is a *BoundsError when no quality of that format fits.
func (s *Store) Render(ctx context.Context, owner, id string, maxSide int, f Format, maxBytes int) (Rendition, error) {
	panic("todo")
}

// Clean removes pictures by age, then by quota, oldest first, and leftovers of crashed writes. It touches only files of the store (SC-34).
func (s *Store) Clean(ctx context.Context, now time.Time) (CleanReport, error) { panic("todo") }

// A CleanReport counts what Clean did.
type CleanReport struct {
	Removed, Kept int
	Bytes         int64 // freed
}
