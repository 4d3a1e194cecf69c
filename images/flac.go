package images

import "slices"

// Kinds of FLAC's metadata blocks.
const (
	flacStreamInfo = 0
	flacSeekTable  = 3
)

// stripFLAC is a [Strip] for FLAC: stream information, seek table and sound stay; tags, pictures, cue sheets, application data and
// padding go. The sound is passed on as it is to the end of the file.
func stripFLAC(f *filter) (Info, error) {
	var magic [4]byte
	if err := f.fill(magic[:]); err != nil {
		return Info{}, err
	}
	if string(magic[:]) != "fLaC" {
		return Info{}, f.fault("it does not begin like one")
	}
	kept, err := flacBlocks(f)
	if err != nil {
		return Info{}, err
	}
	f.write(magic[:])
	for i, b := range kept {
		if i == len(kept)-1 {
			b[0] |= 0x80
		}
		f.write(b)
	}
	sync, err := f.in.Peek(2)
	if err != nil {
		return Info{}, readError(f.info.Format, err)
	}
	if sync[0] != 0xFF || sync[1]&0xFE != 0xF8 {
		return Info{}, f.fault("its sound does not begin like one")
	}
	if err := f.pass(-1); err != nil {
		return Info{}, err
	}
	return f.finish()
}

// flacBlocks reads all metadata blocks and returns those that stay, with their heads and none marked as the last.
func flacBlocks(f *filter) (kept [][]byte, err error) {
	for first, last := true, false; !last; first = false {
		var head [4]byte
		if err := f.fill(head[:]); err != nil {
			return nil, err
		}
		last = head[0]&0x80 != 0
		kind, size := head[0]&0x7F, int64(head[1])<<16|int64(head[2])<<8|int64(head[3])
		if first != (kind == flacStreamInfo) || (first && size != 34) {
			return nil, f.fault("its stream information is not where it must be")
		}
		stays := first || kind == flacSeekTable && size%18 == 0 || f.Keep && slices.Contains([]byte{2, 4, 5, 6}, kind)
		if !stays {
			if err := f.drop(size); err != nil {
				return nil, err
			}
			continue
		}
		if err := f.keep(size + 4); err != nil {
			return nil, err
		}
		b := append([]byte{kind, head[1], head[2], head[3]}, make([]byte, size)...)
		if err := f.fill(b[4:]); err != nil {
			return nil, err
		}
		kept = append(kept, b)
	}
	return kept, nil
}
