package images

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"
)

// Bytes of memory that a pixel costs: decoded, and once more converted or scaled.
const decodeCost = 8

// reserve waits until a w×h picture fits into what all calls together may hold, and returns what gives the memory back (SC-55).
func (s *Store) reserve(ctx context.Context, w, h, cost int) (release func(), err error) {
	n := int64(w) * int64(h) * int64(cost)
	if n > s.cfg.DecodeBytes {
		return nil, &BoundsError{What: "memory bytes", Got: n, Max: s.cfg.DecodeBytes}
	}
	if err := s.memory.Acquire(ctx, n); err != nil {
		return nil, fmt.Errorf("waiting for memory to decode a picture: %w", err)
	}
	return func() { s.memory.Release(n) }, nil
}

// decode decodes a picture whose header says w×h, which is known to be within bounds. Only these three decoders exist here (IMG-02).
func decode(f Format, r io.Reader, w, h int) (image.Image, error) {
	decoder := map[Format]func(io.Reader) (image.Image, error){PNG: png.Decode, JPEG: jpeg.Decode, WebP: webp.Decode}[f]
	if decoder == nil {
		return nil, &TypeError{Got: string(f)}
	}
	m, err := guarded(f, decoder, r)
	if err == nil && m.Bounds().Size() != image.Pt(w, h) {
		return nil, &CorruptError{Format: f, Why: "it is not as large as its header says"}
	}
	return m, err
}

// guarded decodes and turns what a decoder says, or its panic (IMG-03), into a [*CorruptError]: its text is not for callers.
// A reader's error stays visible.
func guarded(f Format, decoder func(io.Reader) (image.Image, error), r io.Reader) (m image.Image, err error) {
	defer func() {
		if recover() != nil {
			m, err = nil, &CorruptError{Format: f, Why: "its pixels cannot be decoded (the decoder gave up)"}
		}
	}()
	var read error
	m, err = decoder(bufio.NewReaderSize(readerFunc(func(p []byte) (n int, err error) {
		if n, err = r.Read(p); err != nil && !errors.Is(err, io.EOF) {
			read = err
		}
		return n, err
	}), bufferFor(r)))
	switch {
	case read != nil:
		return nil, fmt.Errorf("reading picture: %w", read)
	case err != nil:
		return nil, &CorruptError{Format: f, Why: "its pixels cannot be decoded"}
	}
	return m, nil
}

// plain returns m as a kind of image that encoders handle without a call per pixel; PNG's own kinds stay as they are.
func plain(m image.Image) image.Image {
	switch m.(type) {
	case *image.YCbCr, *image.NYCbCrA, *image.CMYK:
		return eightBit(m)
	}
	return m
}
