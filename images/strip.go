package images

import (
	"bufio"
	"fmt"
	"io"
)

// Ceilings that hold for every picture, whatever its [Bounds] (IMG-03).
const (
	maxSide   = 16384    // ComfyUI's own greatest side; WebP's is 16383
	maxAspect = 256      // longer side to shorter
	maxKept   = 8 << 20  // bytes of metadata in one picture, where it is kept (CLIENT-META-2)
	maxWebP   = 64 << 20 // bytes of a WebP, the one format that is filtered in memory
	maxScans  = 100      // of a progressive JPEG: each costs a pass over all pixels
)

// StripOptions say what a filter does. The zero value drops all metadata, adds no mark and bounds nothing.
type StripOptions struct {
	Bounds Bounds
	Frames int   // of an animation at most; 0 = none: what has several frames is refused
	Keep   bool  // leave text, EXIF, XMP and colour profile in (SC-53)
	Mark   *Mark // add this mark (IMG-09); nil = none
}

// Info is what a filter learnt of a picture.
type Info struct {
	Format        Format
	Width, Height int
	Bytes         int64 // written
	Frames        int   // of an animation; 0 = a still picture, or not known
	// Orientation is EXIF's, 1…8, of a JPEG or WebP whose EXIF said so, else 0. The filters drop the tag with the rest.
	Orientation int
	// Content is the SHA-256, in lower-case hex, of what a PNG's pixels are made of: header, palette, transparency and the pixel data
	// as it is compressed. It stays when metadata goes or chunks are cut anew (AUD-17). Other formats have none.
	Content string
}

// Strip copies a picture of format f from src to dst without re-encoding: its pixels stay, all else is dropped, what follows
// its end too (IMG-05, T42, CLIENT-META-1). It is one of [StripPNG], [StripJPEG] and [StripWebP].
//
// It reads no further than the picture's end and at most o.Bounds.Bytes; width, height and pixels are judged by the header,
// before anything is written. After an error dst may hold a part of the picture, which is to be thrown away. Errors are
// [*CorruptError], [*BoundsError], or wrap those of src and dst.
func Strip(dst io.Writer, src io.Reader, f Format, o StripOptions) (Info, error) {
	switch f {
	case PNG:
		return StripPNG(dst, src, o)
	case JPEG:
		return StripJPEG(dst, src, o)
	case WebP:
		return StripWebP(dst, src, o)
	}
	return Info{}, &TypeError{Got: string(f)}
}

// Sizes of buffers. A filter's memory is their sum, whatever the picture's size.
const (
	leastBuffer = 4 << 10 // more than any filter looks ahead
	inBuffer    = 64 << 10
	outBuffer   = 256 << 10 // of a store's file: large, so that hashing and writing a block run side by side
)

// A filter is what the three formats' filters share.
type filter struct {
	StripOptions
	in   *bufio.Reader
	out  flusher
	err  error // the first of out
	info Info
	kept int64 // bytes of metadata
}

// A flusher is a writer that takes small writes gladly.
type flusher interface {
	io.Writer
	Flush() error
}

func newFilter(dst io.Writer, src io.Reader, f Format, o StripOptions) *filter {
	size := bufferFor(src)
	in := bufio.NewReaderSize(atMost(src, o.Bounds.Bytes), size)
	out, ok := dst.(flusher)
	if !ok {
		out = bufio.NewWriterSize(dst, size)
	}
	return &filter{StripOptions: o, in: in, out: out, info: Info{Format: f}}
}

// bufferFor is how large a buffer is of use for src: no larger than what src tells to have, but enough for any filter's look ahead. A
// preview of some kilobytes does not pay for what a picture of megabytes takes.
func bufferFor(src io.Reader) int {
	if known, ok := src.(interface{ Len() int }); ok {
		return min(max(known.Len(), leastBuffer), inBuffer)
	}
	return inBuffer
}

// finish writes what is buffered and returns what was learnt.
func (f *filter) finish() (Info, error) {
	if f.err == nil {
		f.err = f.out.Flush()
	}
	if f.err != nil {
		return Info{}, fmt.Errorf("writing picture: %w", f.err)
	}
	return f.info, nil
}

// fill reads exactly len(p) bytes.
func (f *filter) fill(p []byte) error {
	if _, err := io.ReadFull(f.in, p); err != nil {
		return readError(f.info.Format, err)
	}
	return nil
}

// write passes b on, unless that failed before; finish tells.
func (f *filter) write(b []byte) {
	if f.err == nil {
		_, f.err = f.out.Write(b)
		f.info.Bytes += int64(len(b))
	}
}

func (f *filter) fault(format string, args ...any) error {
	return &CorruptError{Format: f.info.Format, Why: fmt.Sprintf(format, args...)}
}

// size holds the header's width and height to the bounds and notes them.
func (f *filter) size(w, h int64) error {
	if w < 1 || h < 1 {
		return f.fault("it is %d pixels wide and %d high", w, h)
	}
	b := f.Bounds
	for _, c := range []struct {
		what     string
		got, max int64
		bad      bool
	}{
		{"width", w, int64(b.Width), b.Width != 0 && w != int64(b.Width)},
		{"height", h, int64(b.Height), b.Height != 0 && h != int64(b.Height)},
		{"side", max(w, h), maxSide, max(w, h) > maxSide},
		{"pixels", w * h, b.Pixels, b.Pixels != 0 && w*h > b.Pixels},
		{"aspect", max(w, h) / min(w, h), maxAspect, max(w, h) > maxAspect*min(w, h)},
	} {
		if c.bad {
			return &BoundsError{What: c.what, Got: c.got, Max: c.max}
		}
	}
	f.info.Width, f.info.Height = int(w), int(h)
	return nil
}

// keep counts n bytes of metadata that are to stay.
func (f *filter) keep(n int64) error {
	if f.kept += n; f.kept > maxKept {
		return &BoundsError{What: "metadata bytes", Got: f.kept, Max: maxKept}
	}
	return nil
}
