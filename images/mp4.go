package images

import (
	"encoding/binary"
	"slices"
)

// stripMP4 is a [Strip] for MP4 and QuickTime, video and sound: boxes with frames and what describes them stay; tags (udta, meta, uuid)
// and all that is not known become free boxes of zeros of the same length, so that nothing in the file moves. What stands inside
// of the frames themselves is passed on as it is.
func stripMP4(f *filter) (Info, error) {
	m := &mp4Filter{filter: f}
	if err := m.boxes(-1, 0); err != nil {
		return Info{}, err
	}
	if !m.described {
		return Info{}, m.fault("nothing describes its frames")
	}
	return m.finish()
}

type mp4Filter struct {
	*filter
	described bool // has moov
}

// maxBoxDepth bounds boxes in boxes; a plain file has seven.
const maxBoxDepth = 12

// boxes passes boxes of n bytes in all; a negative n goes to the end of the file.
func (m *mp4Filter) boxes(n int64, depth int) error {
	if depth > maxBoxDepth {
		return m.fault("its boxes are nested too deeply")
	}
	for first := depth == 0; n != 0 && m.err == nil; first = false {
		if n < 0 {
			if there, err := m.more(); err != nil || !there {
				return err
			}
		}
		size, err := m.box(n, depth, first)
		if err != nil {
			return err
		}
		if size < 0 {
			return nil
		}
		if n > 0 {
			n -= size
		}
	}
	return nil
}

// box passes one box and returns its whole length, -1 when it went to the end of the file. room is what its parent has left, negative
// when that is not known.
func (m *mp4Filter) box(room int64, depth int, first bool) (int64, error) {
	var raw [16]byte
	head := raw[:8]
	if err := m.fill(head); err != nil {
		return 0, err
	}
	kind, size := string(head[4:8]), int64(binary.BigEndian.Uint32(head))
	if first != (kind == "ftyp") {
		return 0, m.fault("its first box is not ftyp")
	}
	if size == 1 {
		head = raw[:]
		if err := m.fill(head[8:]); err != nil {
			return 0, err
		}
		size = int64(binary.BigEndian.Uint64(head[8:])) // a negative one is refused
	}
	if size == 0 && depth == 0 && kind == "mdat" {
		m.write(head)
		return -1, m.pass(-1)
	}
	rest := size - int64(len(head))
	if rest < 0 || (room >= 0 && size > room) {
		return 0, m.fault("a box of it is longer than what it is in")
	}
	return size, m.content(kind, head, rest, depth)
}

func (m *mp4Filter) content(kind string, head []byte, rest int64, depth int) error {
	switch {
	case depth == 0 && kind == "moov":
		m.described = true
		fallthrough
	case depth == 0 && kind == "moof", depth > 0 && slices.Contains(mp4Nests, kind):
		m.write(head)
		return m.boxesIn(rest, depth)
	case depth == 0 && slices.Contains(mp4Top, kind), depth > 0 && slices.Contains(mp4Leaves, kind), m.Keep:
		m.write(head)
		return m.pass(rest)
	}
	copy(head[4:], "free")
	m.write(head)
	return m.blank(rest)
}

// boxesIn is boxes for a box that may be empty.
func (m *mp4Filter) boxesIn(n int64, depth int) error {
	if n == 0 {
		return nil
	}
	return m.boxes(n, depth+1)
}

// The boxes that are known: those that stay at the top, those that hold others, and those that describe frames.
var ( //nolint:gochecknoglobals // immutable tables
	mp4Top    = []string{"ftyp", "mdat", "mfra", "sidx", "styp"}
	mp4Nests  = []string{"trak", "mdia", "minf", "stbl", "edts", "dinf", "mvex", "traf"}
	mp4Leaves = []string{
		"mvhd", "tkhd", "mdhd", "hdlr", "vmhd", "smhd", "nmhd", "sthd", "gmhd", "elst", "dref", "stsd", "stts", "ctts", "cslg", "stsc", "stsz",
		"stz2", "stco", "co64", "stss", "stsh", "stps", "sdtp", "sgpd", "sbgp", "subs", "saiz", "saio", "mehd", "trex", "mfhd", "tfhd", "tfdt",
		"trun", "tref", "tapt", "iods",
	}
)
