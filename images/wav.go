package images

import "encoding/binary"

// stripWAV is a [Strip] for WAV: format and sound stay, everything else becomes a chunk of zeros of the same length. Nothing after the
// length that the file says is passed on.
func stripWAV(f *filter) (Info, error) {
	var head [12]byte
	if err := f.fill(head[:]); err != nil {
		return Info{}, err
	}
	if string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return Info{}, f.fault("it does not begin like one")
	}
	f.write(head[:])
	left := int64(binary.LittleEndian.Uint32(head[4:])) - 4
	for sound := false; left > 0 && f.err == nil; {
		var c [8]byte
		if err := f.fill(c[:]); err != nil {
			return Info{}, err
		}
		name, size := string(c[:4]), int64(binary.LittleEndian.Uint32(c[4:]))
		pad := size & 1
		if left -= 8 + size + pad; left == -1 && pad == 1 { // the last chunk's padding is not always counted, nor there
			pad, left = 0, 0
		}
		if left < 0 {
			return Info{}, f.fault("a chunk is longer than the rest of it")
		}
		move := f.pass
		sound = sound || name == "data"
		if name != "fmt " && name != "fact" && name != "data" && !f.Keep {
			copy(c[:], "JUNK")
			move = f.blank
		}
		f.write(c[:])
		if err := move(size + pad); err != nil {
			return Info{}, err
		}
		if left == 0 && !sound {
			return Info{}, f.fault("it has no sound")
		}
	}
	return f.finish()
}
