package images

import (
	"context"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// maxFrames bounds an animation: at 24 frames a second nearly three minutes.
const maxFrames = 4096

// A fileType is a type of files that are no still pictures and may leave this program.
type fileType struct {
	magic []string // media types by which it is sniffed
	mime  string
	ext   string // in the store
	kind  Kind
	class string // which names it may come under
	strip func(*filter) (Info, error)
}

// fileTypes are all there are. Anything else is refused, whatever it is called: SVG, HTML, PDF, archives, programs, tensors.
var fileTypes = []fileType{ //nolint:gochecknoglobals // an immutable table
	{[]string{"image/gif"}, "image/gif", "gif", Animation, "image", stripGIF},
	{[]string{"video/mp4", "video/x-m4v"}, "video/mp4", "mp4", Video, "video", stripMP4},
	{[]string{"video/quicktime"}, "video/quicktime", "mov", Video, "video", stripMP4},
	{[]string{"audio/mp4", "audio/x-m4a"}, "audio/mp4", "m4a", Audio, "audio", stripMP4},
	{[]string{"video/webm"}, "video/webm", "webm", Video, "video", stripWebM},
	{[]string{"video/x-matroska", "video/matroska"}, "video/x-matroska", "mkv", Video, "video", stripWebM},
	{[]string{"audio/flac"}, "audio/flac", "flac", Audio, "audio", stripFLAC},
	{[]string{"audio/mpeg"}, "audio/mpeg", "mp3", Audio, "audio", stripMP3},
	{[]string{"audio/ogg"}, "audio/ogg", "opus", Audio, "audio", stripOpus},
	{[]string{"audio/wav"}, "audio/wav", "wav", Audio, "audio", stripWAV},
	{[]string{"model/gltf-binary"}, "model/gltf-binary", "glb", Document, "model", stripGLB},
}

// animations are the formats of pictures that may have several frames, as files.
var animations = map[Format]fileType{ //nolint:gochecknoglobals // an immutable table
	PNG:  {mime: "image/apng", ext: "apng", kind: Animation},
	WebP: {mime: "image/webp", ext: "webp", kind: Animation},
}

// nameClasses says what the ends of names promise.
var nameClasses = map[string]string{ //nolint:gochecknoglobals // an immutable table
	"png": "image", "apng": "image", "jpg": "image", "jpeg": "image", "webp": "image", "gif": "image",
	"mp4": "video", "m4v": "video", "mov": "video", "webm": "video", "mkv": "video",
	"flac": "audio", "mp3": "audio", "opus": "audio", "ogg": "audio", "oga": "audio", "wav": "audio", "m4a": "audio",
	"glb": "model",
}

// PutResult keeps a result of any kind as a server made it: sniffed, bounded, stripped of metadata without decoding it (IMG-04, IMG-05),
// stored under a new id and copied to the output folder. im is as for [Store.Put], and so are saveErr and what becomes of a still picture.
// name is what the server calls it: what the bytes are must be of the kind that its end promises, else, and for types that are
// not passed on, it is a [*TypeError]. What show wants of a still picture is drawn beside. KeepMetadata leaves in what is known to be metadata. Other errors are those of [Store.Put].
func (s *Store) PutResult(ctx context.Context, im Image, name string, b Bounds, show Showing, src io.Reader) (out Result, saveErr, err error) {
	im.ID = newID()
	d, err := s.draft(im.ID, ".part")
	if err != nil {
		return Result{}, nil, err
	}
	defer d.discard()
	o := StripOptions{Bounds: b, Frames: maxFrames, Keep: s.cfg.KeepMetadata, Mark: s.mark(im)}
	var t *fileType
	info, err := s.receive(ctx, d, src, o, func(head []byte, dst io.Writer, src io.Reader, o StripOptions) (info Info, err error) {
		switch t, err = sniffResult(head, name); {
		case err != nil:
			return Info{}, err
		case t != nil:
			return t.strip(newFilter(dst, src, Format(t.ext), o))
		}
		return stripPicture(head, dst, src, o)
	})
	if err != nil {
		return Result{}, nil, err
	}
	if t == nil && info.Frames > 0 {
		animation := animations[info.Format]
		t = &animation
	}
	if t == nil {
		drawn := s.drawEarly(ctx, d, im.with(info), show)
		defer func() { drawn(err == nil) }()
		kept, saveErr, err := s.commit(d, im.with(info), s.recording(im.ID))
		return Result{Image: &kept}, saveErr, err
	}
	file, saveErr, err := s.commitFile(d, File{
		ID: im.ID, Owner: im.Owner, CallID: im.CallID, JobID: im.JobID, Kind: t.kind, Type: t.mime, Ext: t.ext,
		Width: info.Width, Height: info.Height, Frames: info.Frames, Model: im.Model, Backend: im.Backend,
	})
	return Result{File: &file}, saveErr, err
}

// sniffResult returns the type of a file that is no still picture; nil for a picture's format. Its name must agree.
func sniffResult(head []byte, name string) (*fileType, error) {
	said := nameClasses[strings.TrimPrefix(strings.ToLower(path.Ext(name)), ".")]
	got := mimetype.Detect(head)
	found, class := fileTypeOf(got)
	if found == nil {
		if _, err := Sniff(head); err != nil {
			return nil, err
		}
		class = "image"
	}
	if said == "" {
		said = "unknown"
	}
	if class != said {
		return nil, &TypeError{Got: got.String(), Said: said}
	}
	return found, nil
}

func fileTypeOf(got *mimetype.MIME) (*fileType, string) {
	for m := got; m != nil; m = m.Parent() {
		for i, t := range fileTypes {
			if slices.ContainsFunc(t.magic, m.Is) {
				return &fileTypes[i], t.class
			}
		}
	}
	return nil, ""
}
