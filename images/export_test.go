package images

import (
	"context"
	"image"
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
