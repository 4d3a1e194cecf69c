package images

import (
	"bytes"
	"encoding/binary"
	"io"
)

// StripWebP is [Strip] for WebP pictures, lossy or lossless. It passes the picture and its alpha plane, or an animation's frames
// where o.Frames allows them, and writes a new container around them, with flags and sizes that fit: EXIF, XMP, profiles and
// unknown chunks go; a canvas that differs from the picture in it is refused. The container has its size in front, so the
// picture, at most 64 MiB, is held in memory.
func StripWebP(dst io.Writer, src io.Reader, o StripOptions) (Info, error) {
	w := &webpFilter{filter: newFilter(dst, src, WebP, o), chunks: map[string][]byte{}}
	body, err := w.body()
	if err != nil {
		return Info{}, err
	}
	if err := w.collect(body); err != nil {
		return Info{}, err
	}
	if err := w.measure(); err != nil {
		return Info{}, err
	}
	if err := w.emit(); err != nil {
		return Info{}, err
	}
	return w.finish()
}

// Flags of a VP8X chunk.
const (
	webpAnimated = 1 << 1
	webpXMP      = 1 << 2
	webpEXIF     = 1 << 3
	webpAlpha    = 1 << 4
	webpProfile  = 1 << 5
)

type webpFilter struct {
	*filter
	chunks map[string][]byte // by name; each may be there once
	frames [][]byte          // of an animation, ANMF by ANMF
	alpha  bool
}

// body reads what the container says that it holds.
func (w *webpFilter) body() ([]byte, error) {
	var head [12]byte
	if err := w.fill(head[:]); err != nil {
		return nil, err
	}
	if string(head[:4]) != "RIFF" || string(head[8:]) != "WEBP" {
		return nil, w.fault("it does not begin like one")
	}
	size := int64(binary.LittleEndian.Uint32(head[4:])) - 4 // "WEBP" is counted
	limit := int64(maxWebP)
	if w.Bounds.Bytes != 0 {
		limit = min(limit, w.Bounds.Bytes)
	}
	if size+int64(len(head)) > limit {
		return nil, &BoundsError{What: "bytes", Got: size + int64(len(head)), Max: limit}
	}
	if size < 8 {
		return nil, w.fault("its container is empty")
	}
	var b bytes.Buffer // grows with what is really there
	if _, err := io.CopyN(&b, w.in, size); err != nil {
		return nil, readError(WebP, err)
	}
	return b.Bytes(), nil
}

// collect notes the chunks that matter.
func (w *webpFilter) collect(b []byte) error {
	for len(b) > 0 {
		if len(b) < 8 {
			return w.fault("it ends within a chunk")
		}
		name, size := string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:]))
		b = b[8:]
		if size > int64(len(b)) {
			return w.fault("a chunk is longer than the rest of it")
		}
		data := b[:size]
		b = b[min(int64(len(b)), size+size&1):]
		switch name {
		case "VP8 ", "VP8L", "VP8X", "ALPH", "ANIM", "ICCP", "EXIF", "XMP ":
			if _, twice := w.chunks[name]; twice {
				return w.fault("it has two chunks %q", name)
			}
			w.chunks[name] = data
		case "ANMF":
			w.frames = append(w.frames, data)
		}
	}
	if n, most := len(w.frames), max(w.Frames, 1); n > most || (w.animated() && w.Frames == 0) {
		return &BoundsError{What: "frames", Got: int64(max(n, 2)), Max: int64(most)}
	}
	w.info.Orientation = orientation(bytes.TrimPrefix(w.chunks["EXIF"], []byte("Exif\x00\x00")))
	return nil
}

// measure reads the picture's own header and holds the container's to it.
func (w *webpFilter) measure() error {
	if w.animated() {
		return w.measureFrames()
	}
	width, height, alpha, ok := webpPicture(w.chunks)
	if !ok {
		return w.fault("it holds no picture")
	}
	w.alpha = alpha
	if w.chunks["VP8L"] != nil {
		delete(w.chunks, "ALPH") // has no meaning here
	}
	delete(w.chunks, "ANIM")
	if x, ok := w.chunks["VP8X"]; ok {
		if len(x) != 10 || int64(uint24(x[4:]))+1 != width || int64(uint24(x[7:]))+1 != height {
			return w.fault("its canvas does not fit its picture")
		}
	}
	return w.size(width, height)
}

// webpPicture reads what a picture's own bytes say of it; not ok unless there is exactly one.
func webpPicture(chunks map[string][]byte) (width, height int64, alpha, ok bool) {
	lossy, lossless := chunks["VP8 "], chunks["VP8L"]
	switch {
	case len(lossy) >= 10 && lossless == nil && lossy[0]&1 == 0 && string(lossy[3:6]) == "\x9d\x01\x2a":
		width = int64(binary.LittleEndian.Uint16(lossy[6:]) & 0x3FFF)
		height = int64(binary.LittleEndian.Uint16(lossy[8:]) & 0x3FFF)
		return width, height, chunks["ALPH"] != nil, true
	case len(lossless) >= 5 && lossy == nil && lossless[0] == 0x2F && lossless[4]>>5 == 0:
		bits := binary.LittleEndian.Uint32(lossless[1:])
		return int64(bits&0x3FFF) + 1, int64(bits>>14&0x3FFF) + 1, bits>>28&1 == 1, true
	}
	return 0, 0, false, false
}

func uint24(b []byte) uint32 { return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 }

// emit writes the container: the simple one where the picture is all, else the extended one.
func (w *webpFilter) emit() error {
	if !w.Keep {
		for _, name := range []string{"ICCP", "EXIF", "XMP "} {
			delete(w.chunks, name)
		}
	}
	for _, name := range []string{"ICCP", "EXIF", "XMP "} {
		if err := w.keep(int64(len(w.chunks[name]))); err != nil {
			return err
		}
	}
	if w.Mark != nil {
		w.chunks["XMP "] = w.Mark.packet() // a WebP has one packet at most
	}
	if x := w.extended(); x != nil {
		w.chunks["VP8X"] = x
	} else {
		delete(w.chunks, "VP8X")
	}
	size := 4 // "WEBP"
	for _, d := range w.chunks {
		size += 8 + len(d) + len(d)&1
	}
	for _, d := range w.frames {
		size += 8 + len(d) + len(d)&1
	}
	w.chunk("RIFF", size, []byte("WEBP"))
	for _, name := range []string{"VP8X", "ICCP", "ANIM", "ANMF", "ALPH", "VP8 ", "VP8L", "EXIF", "XMP "} {
		if d, ok := w.chunks[name]; ok {
			w.chunk(name, len(d), d)
		}
		if name == "ANMF" {
			for _, d := range w.frames {
				w.chunk(name, len(d), d)
			}
		}
	}
	return nil
}

// chunk writes a chunk's name, the size given, its data and the padding.
func (w *webpFilter) chunk(name string, size int, data []byte) {
	w.write([]byte(name))
	w.write(binary.LittleEndian.AppendUint32(nil, uint32(size)))
	w.write(data)
	w.write(make([]byte, len(data)&1))
}

// extended returns the extended container's header, nil if the simple one does.
func (w *webpFilter) extended() []byte {
	var flags byte
	for name, flag := range map[string]byte{"ICCP": webpProfile, "ALPH": webpAlpha, "EXIF": webpEXIF, "XMP ": webpXMP} {
		if _, ok := w.chunks[name]; ok {
			flags |= flag
		}
	}
	if w.animated() {
		flags |= webpAnimated
	}
	if flags == 0 {
		return nil
	}
	if w.alpha {
		flags |= webpAlpha
	}
	x := []byte{flags, 0, 0, 0}
	for _, side := range []int{w.info.Width - 1, w.info.Height - 1} {
		x = append(x, byte(side), byte(side>>8), byte(side>>16))
	}
	return x
}
