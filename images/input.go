package images

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/gabriel-vasile/mimetype"
)

// sniffed is how many first bytes of a picture decide its type; mimetype looks at no more.
const sniffed = 3072

// Sniff returns the format that the first bytes of a picture (3072, or all) have by their magic, or a [*TypeError].
// The filters and decoders of that format are then the only ones that see the picture, so that what was sniffed and what
// is decoded cannot differ (IMG-04). GIF, SVG, TIFF, BMP, AVIF, HTML and PDF are none of ours (IMG-02, IMG-07).
func Sniff(head []byte) (Format, error) {
	if len(head) == 0 {
		return "", &TypeError{Got: "nothing (0 bytes)"}
	}
	got := mimetype.Detect(head)
	for m := got; m != nil; m = m.Parent() { // an APNG is a kind of PNG: StripPNG counts its frames
		for _, f := range []Format{PNG, JPEG, WebP} {
			if m.Is(f.MIME()) {
				return f, nil
			}
		}
	}
	return "", &TypeError{Got: got.String()}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// whileAlive reads from r until ctx ends. A single Read of r is not interrupted.
func whileAlive(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	})
}

// atMost reads at most limit bytes from r; one more is a [*BoundsError]. A limit of 0 does not bound (CLIENT-SEC-12).
func atMost(r io.Reader, limit int64) io.Reader {
	if limit == 0 {
		return r
	}
	left := limit
	return readerFunc(func(p []byte) (int, error) {
		if left == 0 {
			var one [1]byte
			if _, err := io.ReadFull(r, one[:]); err != nil {
				return 0, err
			}
			return 0, &BoundsError{What: "bytes", Got: limit + 1, Max: limit}
		}
		n, err := r.Read(p[:min(int64(len(p)), left)])
		left -= int64(n)
		return n, err
	})
}

// readError says in f's name why a picture could not be read to its end.
func readError(f Format, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return &CorruptError{Format: f, Why: "it ends too early"}
	}
	return fmt.Errorf("reading picture: %w", err)
}
