package images

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"
)

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

// commitFile is commit for what is no picture.
func (s *Store) commitFile(d *draft, f File) (out File, saveErr, err error) {
	if f.Owner == "" {
		return File{}, nil, errors.New("images: a file without an owner")
	}
	f.Bytes, f.SHA256, f.Made = d.n, d.sha256(), time.Now()
	ext := f.Ext
	if ext == "apng" {
		ext = "png" // what opens one opens the other
	}
	f.Name = f.ID + "." + ext
	stored := f.ID + "." + f.Ext
	if err := d.rename(stored); err != nil {
		return File{}, nil, err
	}
	f.Saved, saveErr = s.save(saving{id: f.ID, stored: stored, ext: ext, made: f.Made})
	if err := s.writeRecord(stored, f.Bytes, f, s.recording(f.ID)); err != nil {
		return File{}, nil, err
	}
	return f, saveErr, nil
}

// GetFile returns the record of owner's file id, or [ErrNotFound]; pictures are not files.
func (s *Store) GetFile(owner, id string) (File, error) {
	if !validID(id) {
		return File{}, ErrNotFound
	}
	b, err := s.readFile(id + ".json")
	if errors.Is(err, fs.ErrNotExist) {
		return File{}, ErrNotFound
	}
	if err != nil {
		return File{}, fmt.Errorf("opening file: %w", err)
	}
	var f File
	if json.Unmarshal(b, &f) != nil || f.ID != id || f.Owner != owner || !f.known() {
		return File{}, ErrNotFound
	}
	fi, err := s.root.Lstat(id + "." + f.Ext)
	if err != nil || !fi.Mode().IsRegular() || fi.Size() != f.Bytes {
		return File{}, ErrNotFound
	}
	return f, nil
}

// known reports whether f is of a type that a Store writes: nothing else from the disk becomes part of a path or is served.
func (f File) known() bool {
	for _, t := range fileTypes {
		if t.ext == f.Ext && t.mime == f.Type && t.kind == f.Kind {
			return true
		}
	}
	for _, t := range animations {
		if t.ext == f.Ext && t.mime == f.Type && t.kind == f.Kind {
			return true
		}
	}
	return false
}

// OpenFile opens the stored bytes of owner's file id.
func (s *Store) OpenFile(owner, id string) (io.ReadSeekCloser, File, error) {
	f, err := s.GetFile(owner, id)
	if err != nil {
		return nil, File{}, err
	}
	r, err := s.regular(id + "." + f.Ext)
	if errors.Is(err, fs.ErrNotExist) { // cleaned meanwhile
		return nil, File{}, ErrNotFound
	}
	if err != nil {
		return nil, File{}, fmt.Errorf("opening file: %w", err)
	}
	return r, f, nil
}

// A Served is a picture or file as it is handed out.
type Served struct {
	ID, Name, Type string // Name is for people: its end fits Type, a media type
	Picture        bool   // a browser may show it; anything else is to be saved (IMG-04)
	Bytes          int64
	SHA256         string
	Made           time.Time
}

// OpenAny opens the stored bytes of owner's picture or file id. Its errors are those of [Store.Open].
func (s *Store) OpenAny(owner, id string) (io.ReadSeekCloser, Served, error) {
	r, im, err := s.Open(owner, id)
	if err == nil {
		return r, Served{im.ID, im.ID + "." + string(im.Format), im.Format.MIME(), true, im.Bytes, im.SHA256, im.Made}, nil
	}
	if !errors.Is(err, ErrNotFound) {
		return nil, Served{}, err
	}
	r, f, err := s.OpenFile(owner, id)
	if err != nil {
		return nil, Served{}, err
	}
	return r, Served{f.ID, f.Name, f.Type, false, f.Bytes, f.SHA256, f.Made}, nil
}
