package images

import "encoding/binary"

// frames reads how many frames an animation says that it has. That of one frame is a still picture: its chunks are dropped.
func (p *pngFilter) frames(c pngChunk, d []byte) error {
	if len(d) != 8 {
		return p.fault("chunk acTL has %d bytes, not 8", len(d))
	}
	n, most := int64(binary.BigEndian.Uint32(d)), int64(max(p.Frames, 1))
	if n > most {
		return &BoundsError{What: "frames", Got: n, Max: most}
	}
	if p.stage >= pngPixels || p.seen[c.name] {
		return p.fault("chunk acTL is where it must not be")
	}
	p.seen[c.name] = true
	if n > 1 {
		p.info.Frames = int(n)
		p.put(c.name, d)
	}
	return nil
}

// animation passes the chunks of an animation's frames, and drops them from a still picture.
func (p *pngFilter) animation(c pngChunk) error {
	switch {
	case p.info.Frames == 0:
		return p.stream(c, false)
	case c.name == "fcTL":
		return p.small(c, 26, p.frame)
	case p.stage != pngAfter || p.begun == 0 || c.size < 4:
		return p.fault("chunk fdAT is where it must not be")
	}
	return p.stream(c, true)
}

// frame holds a frame to the canvas, which it may not leave.
func (p *pngFilter) frame(c pngChunk, d []byte) error {
	if len(d) != 26 {
		return p.fault("chunk fcTL has %d bytes, not 26", len(d))
	}
	if p.begun++; p.begun > p.info.Frames {
		return p.fault("it has more frames than it says")
	}
	field := func(i int) int64 { return int64(binary.BigEndian.Uint32(d[i:])) }
	w, h, x, y := field(4), field(8), field(12), field(16)
	if w < 1 || h < 1 || x+w > int64(p.info.Width) || y+h > int64(p.info.Height) || d[24] > 2 || d[25] > 1 {
		return p.fault("a frame does not fit its canvas")
	}
	p.put(c.name, d)
	return nil
}
