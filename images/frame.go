package images

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/gif"
	"io"

	"golang.org/x/image/draw"
)

// firstFrame is rendition for an animation of owner's: its first frame, on its canvas.
func (s *Store) firstFrame(ctx context.Context, owner string, k rendering) (Rendition, error) {
	r, f, err := s.OpenFile(owner, k.id)
	if err != nil {
		return Rendition{}, err
	}
	defer r.Close() //nolint:errcheck // only read
	if f.Kind != Animation {
		return Rendition{}, ErrNotFound
	}
	if k.format == "" && !k.preview {
		k.format = PNG
	}
	out, done, err := s.cache.claim(ctx, k)
	if done == nil {
		return out, err
	}
	defer done()
	im := Image{CallID: f.CallID, Width: f.Width, Height: f.Height}
	release, err := s.reserve(ctx, im.Width, im.Height, 2*k.cost(im)) // the frame and its canvas
	if err != nil {
		return Rendition{}, err
	}
	defer release()
	m, err := decodeFirst(f, whileAlive(ctx, r))
	if err != nil {
		return Rendition{}, err
	}
	out, err = k.draw(ctx, m, s.mark(im))
	if err == nil {
		s.cache.put(k, out)
	}
	return out, err
}

// decodeFirst decodes the first frame of an animation that passed its filter, so its frames are known to be within its canvas.
func decodeFirst(f File, r io.Reader) (image.Image, error) {
	switch f.Ext {
	case "apng":
		return decode(PNG, r, f.Width, f.Height)
	case "gif":
		m, err := guarded("gif", gif.Decode, r)
		if err != nil {
			return nil, err
		}
		return onCanvas(f, m, m.Bounds().Min), nil
	}
	at, still, info, err := firstWebP(f, r)
	if err != nil {
		return nil, err
	}
	m, err := decode(WebP, bytes.NewReader(still), info.Width, info.Height)
	if err != nil {
		return nil, err
	}
	return onCanvas(f, m, at), nil
}

// onCanvas returns m as it stands at a place of f's canvas.
func onCanvas(f File, m image.Image, at image.Point) image.Image {
	if m.Bounds().Dx() == f.Width && m.Bounds().Dy() == f.Height {
		return plain(m)
	}
	canvas := image.NewNRGBA(image.Rect(0, 0, f.Width, f.Height))
	draw.Draw(canvas, m.Bounds().Sub(m.Bounds().Min).Add(at), m, m.Bounds().Min, draw.Src)
	return canvas
}

// firstWebP returns the first frame of an animation as a still WebP, and where it stands.
func firstWebP(f File, r io.Reader) (at image.Point, still []byte, info Info, err error) {
	if _, err := io.CopyN(io.Discard, r, 12); err != nil {
		return at, nil, info, readError(WebP, err)
	}
	for {
		var head [8]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return at, nil, info, readError(WebP, err)
		}
		size := int64(binary.LittleEndian.Uint32(head[4:]))
		if size > f.Bytes {
			return at, nil, info, &CorruptError{Format: WebP, Why: "a chunk is longer than the rest of it"}
		}
		if string(head[:4]) != "ANMF" {
			if _, err := io.CopyN(io.Discard, r, size+size&1); err != nil {
				return at, nil, info, readError(WebP, err)
			}
			continue
		}
		frame := make([]byte, size)
		if _, err := io.ReadFull(r, frame); err != nil {
			return at, nil, info, readError(WebP, err)
		}
		if still, info, err = stillWebP(frame); err == nil {
			at = image.Pt(2*int(uint24(frame)), 2*int(uint24(frame[3:])))
		}
		return at, still, info, err
	}
}

// stillWebP makes a file of an animation's frame.
func stillWebP(frame []byte) ([]byte, Info, error) {
	chunks, ok := webpFrame(frame)
	if !ok {
		return nil, Info{}, &CorruptError{Format: WebP, Why: "a frame of it is broken"}
	}
	var b bytes.Buffer
	w := &webpFilter{filter: newFilter(&b, nil, WebP, StripOptions{}), chunks: chunks}
	if err := w.measure(); err != nil {
		return nil, Info{}, err
	}
	if err := w.emit(); err != nil {
		return nil, Info{}, err
	}
	info, err := w.finish()
	return b.Bytes(), info, err
}
