package images

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"io"
)

// StripPNG is [Strip] for PNG. It passes IHDR, PLTE, tRNS, gAMA, cHRM, sRGB, IDAT and IEND, in their order, each checksum
// checked, and nothing else but the frames of an animation (APNG) where o.Frames allows them; unknown critical chunks and more
// frames are errors. Its memory does not depend on the picture or on any length in it: under 1 MiB.
func StripPNG(dst io.Writer, src io.Reader, o StripOptions) (Info, error) {
	p := &pngFilter{filter: newFilter(dst, src, PNG, o), buf: make([]byte, bufferFor(src)), content: sha256.New()}
	if err := p.run(); err != nil {
		return Info{}, err
	}
	p.info.Content = hex.EncodeToString(p.content.Sum(nil))
	return p.finish()
}

const pngMagic = "\x89PNG\r\n\x1a\n"

// Stages of a PNG: which chunk came last.
const (
	pngStart = iota
	pngHeader
	pngPalette
	pngPixels
	pngAfter // something else came after the pixels
	pngEnd
)

type pngFilter struct {
	*filter
	buf     []byte
	stage   int
	colour  byte
	depth   byte
	palette int // entries
	seen    map[string]bool
	begun   int // frames of an animation so far
	content hash.Hash
}

// A pngChunk is the head of a chunk.
type pngChunk struct {
	raw  [8]byte
	size int64
	name string
}

func (c pngChunk) ancillary() bool { return c.raw[4]&0x20 != 0 }

func (p *pngFilter) run() error {
	magic := p.buf[:len(pngMagic)]
	if err := p.fill(magic); err != nil {
		return err
	}
	if string(magic) != pngMagic {
		return p.fault("it does not begin like one")
	}
	p.write(magic)
	p.seen = map[string]bool{}
	for p.stage != pngEnd && p.err == nil {
		c, err := p.head()
		if err != nil {
			return err
		}
		if err := p.chunk(c); err != nil {
			return err
		}
	}
	return nil
}

// head reads the next chunk's length and name.
func (p *pngFilter) head() (pngChunk, error) {
	var c pngChunk
	if err := p.fill(c.raw[:]); err != nil {
		return c, err
	}
	for _, b := range c.raw[4:] {
		if b|0x20 < 'a' || b|0x20 > 'z' {
			return c, p.fault("a chunk's name is not four letters")
		}
	}
	c.name = string(c.raw[4:])
	if c.size = int64(binary.BigEndian.Uint32(c.raw[:4])); c.size > 1<<31-1 {
		return c, p.fault("chunk %s says that it has %d bytes", c.name, c.size)
	}
	if (p.stage == pngStart) != (c.name == "IHDR") {
		return c, p.fault("chunk %s is where it must not be", c.name)
	}
	if p.stage == pngPixels && c.name != "IDAT" {
		p.stage = pngAfter
	}
	return c, nil
}

// chunk passes, keeps or drops one chunk.
func (p *pngFilter) chunk(c pngChunk) error {
	switch c.name {
	case "IHDR":
		return p.small(c, 13, p.header)
	case "PLTE":
		return p.small(c, 3*256, p.plte)
	case "tRNS":
		return p.small(c, 256, p.trns)
	case "IDAT":
		return p.idat(c)
	case "IEND":
		return p.small(c, 0, p.iend)
	case "acTL":
		return p.small(c, 8, p.frames)
	case "fcTL", "fdAT":
		return p.animation(c)
	case "gAMA", "cHRM", "sRGB":
		if c.size == colourSize(c.name) && p.stage == pngHeader && !p.seen[c.name] {
			p.seen[c.name] = true
			return p.stream(c, true)
		}
	case "tEXt", "zTXt", "iTXt", "eXIf", "iCCP", "comf": // the last is where ComfyUI puts an animation's text
		if p.Keep && (c.name != "iCCP" || p.stage == pngHeader) && (c.name != "comf" || p.info.Frames > 0) {
			if err := p.keep(c.size); err != nil {
				return err
			}
			return p.stream(c, true)
		}
	}
	if !c.ancillary() {
		return p.fault("critical chunk %s is not known", c.name)
	}
	return p.stream(c, false)
}

// colourSize returns the length that a chunk about colour has.
func colourSize(name string) int64 {
	switch name {
	case "gAMA":
		return 4
	case "cHRM":
		return 32
	}
	return 1 // sRGB
}

// small reads a whole chunk of at most limit bytes, checks it, and lets then see and write it.
func (p *pngFilter) small(c pngChunk, limit int64, then func(c pngChunk, data []byte) error) error {
	if c.size > limit {
		return p.fault("chunk %s has %d bytes, at most %d fit", c.name, c.size, limit)
	}
	data := p.buf[:c.size+4]
	if err := p.fill(data); err != nil {
		return err
	}
	sum := crc32.Update(crc32.ChecksumIEEE(c.raw[4:]), crc32.IEEETable, data[:c.size])
	if binary.BigEndian.Uint32(data[c.size:]) != sum {
		return p.fault("the checksum of chunk %s is wrong", c.name)
	}
	return then(c, data[:c.size])
}

// stream passes or drops a chunk of any length, in constant memory. Its checksum is known only at its end.
func (p *pngFilter) stream(c pngChunk, pass bool) error {
	write := func([]byte) {}
	if pass {
		write = p.write
	}
	write(c.raw[:])
	sum := crc32.ChecksumIEEE(c.raw[4:])
	for left := c.size; left > 0 && p.err == nil; {
		n, err := p.in.Read(p.buf[:min(left, int64(len(p.buf)))])
		sum = crc32.Update(sum, crc32.IEEETable, p.buf[:n])
		write(p.buf[:n])
		if c.name == "IDAT" {
			p.content.Write(p.buf[:n])
		}
		if left -= int64(n); err != nil && left > 0 {
			return readError(PNG, err)
		}
	}
	tail := p.buf[:4]
	if err := p.fill(tail); err != nil {
		return err
	}
	if binary.BigEndian.Uint32(tail) != sum {
		return p.fault("the checksum of chunk %s is wrong", c.name)
	}
	write(tail)
	return nil
}

// put writes a chunk.
func (p *pngFilter) put(name string, data ...[]byte) {
	var size int
	sum := crc32.ChecksumIEEE([]byte(name))
	for _, d := range data {
		size += len(d)
		sum = crc32.Update(sum, crc32.IEEETable, d)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(size))
	p.write(append(b, name...))
	for _, d := range data {
		p.write(d)
	}
	p.write(binary.BigEndian.AppendUint32(nil, sum))
}

func (p *pngFilter) header(c pngChunk, d []byte) error {
	if len(d) != 13 {
		return p.fault("its header has %d bytes, not 13", len(d))
	}
	p.depth, p.colour = d[8], d[9]
	if !pngDepths(p.colour, p.depth) || d[10] != 0 || d[11] != 0 || d[12] > 1 {
		return p.fault("no PNG has colour type %d, depth %d, methods %d, %d and %d", d[9], d[8], d[10], d[11], d[12])
	}
	if err := p.size(int64(binary.BigEndian.Uint32(d)), int64(binary.BigEndian.Uint32(d[4:]))); err != nil {
		return err
	}
	p.stage = pngHeader
	p.content.Write(d)
	p.put(c.name, d)
	if p.Mark != nil { // first of all text, so that a reader which takes the first packet takes ours
		p.put("iTXt", []byte(pngXMP), p.Mark.packet())
	}
	return nil
}

// pngDepths reports whether a colour type has a depth.
func pngDepths(colour, depth byte) bool {
	switch colour {
	case 0: // grey
		return depth == 1 || depth == 2 || depth == 4 || depth == 8 || depth == 16
	case 3: // palette
		return depth == 1 || depth == 2 || depth == 4 || depth == 8
	case 2, 4, 6: // colour, grey with alpha, colour with alpha
		return depth == 8 || depth == 16
	}
	return false
}

func (p *pngFilter) plte(c pngChunk, d []byte) error {
	n := len(d) / 3
	fits := n > 0 && len(d)%3 == 0 && (p.colour != 3 || n <= 1<<p.depth)
	if p.stage != pngHeader || p.colour == 0 || p.colour == 4 || p.seen["tRNS"] || !fits {
		return p.fault("its palette does not fit")
	}
	p.stage, p.palette = pngPalette, n
	p.content.Write(d)
	p.put(c.name, d)
	return nil
}

func (p *pngFilter) trns(c pngChunk, d []byte) error {
	var fits bool
	switch p.colour {
	case 0:
		fits = len(d) == 2
	case 2:
		fits = len(d) == 6
	case 3:
		fits = len(d) <= p.palette
	}
	if p.stage >= pngPixels || p.seen[c.name] || !fits {
		return p.fault("its transparency does not fit")
	}
	p.seen[c.name] = true
	p.content.Write(d)
	p.put(c.name, d)
	return nil
}

func (p *pngFilter) idat(c pngChunk) error {
	if p.stage == pngAfter || (p.colour == 3 && p.palette == 0) {
		return p.fault("chunk IDAT is where it must not be")
	}
	p.stage = pngPixels
	return p.stream(c, true)
}

func (p *pngFilter) iend(c pngChunk, d []byte) error {
	if p.stage != pngAfter {
		return p.fault("it has no pixels")
	}
	if p.begun != p.info.Frames {
		return p.fault("it has %d frames and says that it has %d", p.begun, p.info.Frames)
	}
	p.stage = pngEnd
	p.put(c.name, d)
	return nil
}
