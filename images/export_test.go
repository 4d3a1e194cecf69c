package images

import (
	"bytes"
	"context"
	"image"
	"image/png"
	"io"
	"os"
)

// What tests need of the inside: a decoder that panics, and memory that is taken.
func Guarded(f Format, d func(io.Reader) (image.Image, error), r io.Reader) (image.Image, error) {
	return guarded(f, d, r)
}

func (s *Store) Reserve(ctx context.Context, w, h int) (func(), error) {
	return s.reserve(ctx, w, h, decodeCost)
}

// SavePicture is what Put does in the output folder.
func SavePicture(root *os.Root, im Image, src io.Reader) (string, error) {
	return saveCopy(root, saving{id: im.ID, ext: extension(im.Format), made: im.Made}, src)
}

// ShrinkCache gives the store an empty cache of fewer bytes.
func (s *Store) ShrinkCache(bound int) { s.cache = newCache(bound) }

// CacheBytes returns what the cache of renditions holds, and its bound.
func (s *Store) CacheBytes() (held, bound int) {
	s.cache.mu.Lock()
	defer s.cache.mu.Unlock()
	return s.cache.size, s.cache.max
}

// StripFile is the filter of a file's type, by its end in the store.
func StripFile(dst io.Writer, src io.Reader, ext string, o StripOptions) (Info, error) {
	for _, t := range fileTypes {
		if t.ext == ext {
			return t.strip(newFilter(dst, src, Format(ext), o))
		}
	}
	return Info{}, &TypeError{Got: ext}
}

// DrawEarlyPanics has a store that is none draw a picture.
func DrawEarlyPanics(ctx context.Context) error {
	var b bytes.Buffer
	_ = png.Encode(&b, image.NewGray(image.Rect(0, 0, 8, 8))) // a bytes.Buffer takes everything
	_, err := (*Store)(nil).drawGuarded(ctx, rendering{preview: true}, Image{Format: PNG, Width: 8, Height: 8}, b.Bytes())
	return err
}
