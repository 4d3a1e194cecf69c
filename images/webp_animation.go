package images

import "encoding/binary"

// animated reports whether the file is an animation: by its flag or by what is in it.
func (w *webpFilter) animated() bool {
	x := w.chunks["VP8X"]
	return len(w.frames) > 0 || (len(x) > 0 && x[0]&webpAnimated != 0)
}

// measureFrames reads the canvas, holds each frame to it, and leaves nothing in a frame but its picture.
func (w *webpFilter) measureFrames() error {
	x := w.chunks["VP8X"]
	if len(x) != 10 || len(w.chunks["ANIM"]) != 6 || len(w.frames) == 0 {
		return w.fault("it is no whole animation")
	}
	if err := w.size(int64(uint24(x[4:]))+1, int64(uint24(x[7:]))+1); err != nil {
		return err
	}
	for _, name := range []string{"VP8 ", "VP8L", "ALPH"} { // an animation's are in its frames
		delete(w.chunks, name)
	}
	for i, f := range w.frames {
		clean, err := w.frame(f)
		if err != nil {
			return err
		}
		w.frames[i] = clean
	}
	w.info.Frames = len(w.frames)
	return nil
}

// webpFrameHead is what stands in a frame before its chunks: place, size, duration and flags.
const webpFrameHead = 16

// frame returns a frame with its picture and alpha plane alone.
func (w *webpFilter) frame(f []byte) ([]byte, error) {
	chunks, ok := webpFrame(f)
	if !ok {
		return nil, w.fault("a frame of it is broken")
	}
	width, height, alpha, ok := webpPicture(chunks)
	x, y := 2*int64(uint24(f)), 2*int64(uint24(f[3:]))
	switch {
	case !ok, int64(uint24(f[6:]))+1 != width, int64(uint24(f[9:]))+1 != height:
		return nil, w.fault("a frame does not fit its picture")
	case x+width > int64(w.info.Width), y+height > int64(w.info.Height):
		return nil, w.fault("a frame does not fit its canvas")
	}
	w.alpha = w.alpha || alpha
	clean := append(make([]byte, 0, len(f)), f[:webpFrameHead]...)
	clean[webpFrameHead-1] &= 3 // how it is blended and disposed of; the rest is reserved
	for _, name := range []string{"ALPH", "VP8 ", "VP8L"} {
		d, ok := chunks[name]
		if !ok || (name == "ALPH" && chunks["VP8L"] != nil) {
			continue
		}
		clean = binary.LittleEndian.AppendUint32(append(clean, name...), uint32(len(d)))
		clean = append(append(clean, d...), make([]byte, len(d)&1)...)
	}
	return clean, nil
}

// webpFrame returns the chunks of a frame that are a picture's.
func webpFrame(f []byte) (chunks map[string][]byte, ok bool) {
	if len(f) < webpFrameHead {
		return nil, false
	}
	chunks = map[string][]byte{}
	for b := f[webpFrameHead:]; len(b) > 0; {
		if len(b) < 8 {
			return nil, false
		}
		name, size := string(b[:4]), int64(binary.LittleEndian.Uint32(b[4:]))
		b = b[8:]
		if size > int64(len(b)) {
			return nil, false
		}
		switch name {
		case "VP8 ", "VP8L", "ALPH":
			if _, twice := chunks[name]; twice {
				return nil, false
			}
			chunks[name] = b[:size]
		}
		b = b[min(int64(len(b)), size+size&1):]
	}
	return chunks, true
}
