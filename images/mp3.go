package images

import (
	"bytes"
	"errors"
	"io"
)

// stripMP3 is a [Strip] for MPEG sound of layer III: it passes whole frames and nothing else. Tags before and after them go, unless they
// are to be kept; what is neither is an error.
func stripMP3(f *filter) (Info, error) {
	if err := mp3Tags(f); err != nil {
		return Info{}, err
	}
	for frames := 0; ; frames++ {
		head, err := f.in.Peek(4)
		if err != nil && !errors.Is(err, io.EOF) {
			return Info{}, readError(f.info.Format, err)
		}
		size, ok := mp3Frame(head)
		switch {
		case !ok && frames == 0:
			return Info{}, f.fault("its sound does not begin like one")
		case !ok && len(head) > 0 && !mp3Tail(head):
			return Info{}, f.fault("its sound is broken after %d frames", frames)
		case !ok && f.Keep && len(head) > 0:
			if err := f.pass(-1); err != nil {
				return Info{}, err
			}
			fallthrough
		case !ok:
			return f.finish()
		}
		whole, err := f.in.Peek(size)
		if errors.Is(err, io.EOF) && frames > 0 {
			return f.finish() // encoders cut the last one off now and then
		}
		if err != nil {
			return Info{}, readError(f.info.Format, err)
		}
		if f.write(whole); f.err != nil {
			return f.finish()
		}
		_, _ = f.in.Discard(size) // it was peeked at
	}
}

// mp3Tags drops the tags before the sound.
func mp3Tags(f *filter) error {
	for {
		head, err := f.in.Peek(10)
		if err != nil || string(head[:3]) != "ID3" {
			return nil //nolint:nilerr // too short for a tag; the sound tells what is wrong
		}
		size := int64(10)
		for i, b := range head[6:] {
			if b >= 0x80 {
				return f.fault("its tag has no length")
			}
			size += int64(b) << (7 * (3 - i))
		}
		if head[5]&0x10 != 0 {
			size += 10 // a foot like the head
		}
		move := f.drop
		if f.Keep {
			move = f.pass
		}
		if err := f.keep(size); err != nil {
			return err
		}
		if err := move(size); err != nil {
			return err
		}
	}
}

// mp3Tail reports whether what follows the sound is a tag, or its begin.
func mp3Tail(head []byte) bool {
	for _, tag := range []string{"TAG", "APET", "LYRI", "ID3"} {
		if bytes.HasPrefix(head, []byte(tag)) {
			return true
		}
	}
	return len(head) < 4
}

// mp3Frame returns the size of the frame whose first four bytes are given.
func mp3Frame(h []byte) (size int, ok bool) {
	const layer3 = 0x02
	if len(h) < 4 || h[0] != 0xFF || h[1]&0xE6 != 0xE0|layer3 {
		return 0, false
	}
	version, rate, sampling := h[1]>>3&3, int(h[2]>>4), int(h[2]>>2&3)
	if version == 1 || rate == 0 || rate == 15 || sampling == 3 {
		return 0, false
	}
	hertz := [3]int{44100, 48000, 32000}[sampling]
	kilobits, factor := [15]int{0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160}[rate], 72
	switch version {
	case 3: // MPEG 1
		kilobits, factor = [15]int{0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320}[rate], 144
	case 2: // MPEG 2
		hertz /= 2
	case 0: // MPEG 2.5
		hertz /= 4
	}
	return factor*kilobits*1000/hertz + int(h[2]>>1&1), true
}
