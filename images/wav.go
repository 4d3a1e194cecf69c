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
	sound := false
	for left > 0 && f.err == nil {
		name, size, err := wavChunk(f, left)
		if err != nil {
			return Info{}, err
		}
		left -= size
		sound = sound || name == "data"
	}
	if !sound {
		return Info{}, f.fault("it has no sound")
	}
	return f.finish()
}

// wavChunk passes or blanks the next chunk, of which the file has at most left bytes, and returns how many it took.
func wavChunk(f *filter, left int64) (name string, took int64, err error) {
	var head [8]byte
	if err := f.fill(head[:]); err != nil {
		return "", 0, err
	}
	name = string(head[:4])
	size := int64(binary.LittleEndian.Uint32(head[4:]))
	took = 8 + size + size&1
	if took == left+1 && size&1 == 1 { // the last chunk's padding is not always counted, nor there
		took = left
	}
	if took > left {
		return "", 0, f.fault("a chunk is longer than the rest of it")
	}
	move := f.pass
	if name != "fmt " && name != "fact" && name != "data" && !f.Keep {
		copy(head[:], "JUNK")
		move = f.blank
	}
	f.write(head[:])
	return name, took, move(took - 8)
}
