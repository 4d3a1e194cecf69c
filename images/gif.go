package images

import "encoding/binary"

// stripGIF is a [Strip] for GIF: it passes canvas, palettes, frames with their timing, and how often they repeat; comments, text and
// what other programs put in (XMP among it) go. Nothing is decoded.
func stripGIF(f *filter) (Info, error) {
	g := &gifFilter{filter: f}
	err := g.header()
	for err == nil && !g.over && g.err == nil {
		err = g.block()
	}
	if err != nil {
		return Info{}, err
	}
	return g.finish()
}

type gifFilter struct {
	*filter
	over bool
}

func (g *gifFilter) header() error {
	var head [13]byte
	if err := g.fill(head[:]); err != nil {
		return err
	}
	if v := string(head[:6]); v != "GIF87a" && v != "GIF89a" {
		return g.fault("it does not begin like one")
	}
	if err := g.size(int64(binary.LittleEndian.Uint16(head[6:])), int64(binary.LittleEndian.Uint16(head[8:]))); err != nil {
		return err
	}
	g.write(head[:])
	return g.palette(head[10])
}

// palette passes the colours that follow where flags say so.
func (g *gifFilter) palette(flags byte) error {
	if flags&0x80 == 0 {
		return nil
	}
	return g.pass(3 << (flags&7 + 1))
}

// block passes or drops one block.
func (g *gifFilter) block() error {
	kind, err := g.in.ReadByte()
	if err != nil {
		return readError(g.info.Format, err)
	}
	switch kind {
	case 0x21:
		return g.extension()
	case 0x2C:
		return g.frame()
	case 0x3B:
		if g.over = true; g.info.Frames == 0 {
			return g.fault("it has no pixels")
		}
		g.write([]byte{kind})
		return nil
	}
	return g.fault("a block of it is of no known kind")
}

func (g *gifFilter) extension() error {
	label, err := g.in.ReadByte()
	if err != nil {
		return readError(g.info.Format, err)
	}
	data, err := g.blocks(nil, label == 0xF9 || label == 0xFF || g.Keep)
	if err != nil {
		return err
	}
	first := data
	if len(data) > 0 {
		first = data[1:min(len(data), 1+int(data[0]))]
	}
	repeats := label == 0xFF && (string(first) == "NETSCAPE2.0" || string(first) == "ANIMEXTS1.0") && len(data) == 12+1+3+1
	timing := label == 0xF9 && len(first) == 4 && len(data) == 6
	if timing || repeats || g.Keep {
		g.write(append([]byte{0x21, label}, data...))
	}
	return nil
}

// blocks appends sub-blocks, with their lengths and the end, to data; it only reads them unless they are wanted.
func (g *gifFilter) blocks(data []byte, wanted bool) ([]byte, error) {
	for {
		n, err := g.in.ReadByte()
		if err != nil {
			return nil, readError(g.info.Format, err)
		}
		var b [255]byte
		if err := g.fill(b[:n]); err != nil {
			return nil, err
		}
		if err := g.keep(int64(n) + 1); err != nil {
			return nil, err
		}
		if wanted {
			data = append(append(data, n), b[:n]...)
		}
		if n == 0 {
			return data, nil
		}
	}
}

func (g *gifFilter) frame() error {
	if g.info.Frames++; g.info.Frames > max(g.Frames, 1) {
		return &BoundsError{What: "frames", Got: int64(g.info.Frames), Max: int64(max(g.Frames, 1))}
	}
	head := [10]byte{0x2C}
	if err := g.fill(head[1:]); err != nil {
		return err
	}
	field := func(i int) int { return int(binary.LittleEndian.Uint16(head[i:])) }
	if x, y, w, h := field(1), field(3), field(5), field(7); w < 1 || h < 1 || x+w > g.info.Width || y+h > g.info.Height {
		return g.fault("a frame does not fit its canvas")
	}
	g.write(head[:])
	if err := g.palette(head[9]); err != nil {
		return err
	}
	if err := g.pass(1); err != nil { // bits of a code
		return err
	}
	for {
		n, err := g.in.ReadByte()
		if err != nil {
			return readError(g.info.Format, err)
		}
		g.write([]byte{n})
		if n == 0 || g.err != nil {
			return nil //nolint:nilerr // finish tells
		}
		if err := g.pass(int64(n)); err != nil {
			return err
		}
	}
}
