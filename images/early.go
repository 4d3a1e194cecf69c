package images

import (
	"bytes"
	"context"
	"errors"
)

// A Showing is the rendition that a new picture will be asked for first, by the arguments of [Store.Render], or, where Format is empty,
// of [Store.Preview]. The zero value is none.
type Showing struct {
	Side, Bytes int
	Format      Format
}

// drawEarly begins to draw what will be asked for of a picture that is whole in d and not there yet; kept, called once, says whether it
// came to be, and only then may the rendition be found. Until then nobody can ask: the id is told to none, and the disk is asked first
// whose picture it is. Nothing waits for it, nor it for memory: what is not drawn early is drawn when it is asked for, and fails there.
func (s *Store) drawEarly(ctx context.Context, d *draft, im Image, show Showing) (kept func(bool)) {
	k := rendering{id: im.ID, side: show.Side, bytes: show.Bytes, format: show.Format, preview: show.Format == ""}
	asStored := k.format == im.Format && max(im.Width, im.Height) <= k.side
	cost := int64(im.Width)*int64(im.Height)*int64(k.cost(im)) + d.n
	if show == (Showing{}) || asStored || !s.memory.TryAcquire(cost) {
		return func(bool) {}
	}
	data := make([]byte, d.n) // now, for d is closed when it is renamed
	_, err := d.file.ReadAt(data, 0)
	_, done, _ := s.cache.claim(ctx, k)                         // at once: no one else knows the id
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx)) // ctx ends with the fetching of the picture
	known := make(chan bool, 1)
	s.drawing.Go(func() {
		defer stop()
		defer done()
		var r Rendition
		if err == nil {
			r, err = s.drawGuarded(ctx, k, im, data)
		}
		s.memory.Release(cost)
		if err == nil && <-known {
			s.cache.put(k, r)
		}
	})
	return func(ok bool) {
		known <- ok
		if !ok {
			stop()
		}
	}
}

// drawGuarded draws k of the picture in data. A panic is an error: whoever asks for the picture meets it again where it is told.
func (s *Store) drawGuarded(ctx context.Context, k rendering, im Image, data []byte) (r Rendition, err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("panic in drawing a picture")
		}
	}()
	m, err := decode(im.Format, bytes.NewReader(data), im.Width, im.Height)
	if err != nil {
		return Rendition{}, err
	}
	return k.draw(ctx, m, s.mark(im))
}
