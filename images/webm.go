package images

import (
	"math/bits"
	"slices"
)

// stripWebM is a [Strip] for WebM and Matroska: clusters, tracks, cues and how they lie stay; tags, attachments, chapters, titles, names and
// all that is not known become void elements of the same length, so that nothing in the file moves. Nothing after the segment is
// passed on.
func stripWebM(f *filter) (Info, error) {
	w := &webmFilter{filter: f}
	if err := w.run(); err != nil {
		return Info{}, err
	}
	return w.finish()
}

type webmFilter struct{ *filter }

// An element is the head of one EBML element.
type element struct {
	raw  []byte
	id   uint32
	size int64 // of what follows; -1 = not known
}

// Elements by their ids.
const (
	ebmlHead    = 0x1A45DFA3
	mkvSegment  = 0x18538067
	mkvInfo     = 0x1549A966
	mkvTracks   = 0x1654AE6B
	mkvTrack    = 0xAE
	maxEBMLHead = 1 << 10
)

// mkvNests says which elements are looked into, and what stays of what is in them. What is looked into has no checksum of its own
// afterwards: that element goes too.
var mkvNests = map[uint32][]uint32{ //nolint:gochecknoglobals // an immutable table
	mkvSegment: {0x114D9B74, 0x1C53BB6B, 0x1F43B675, mkvInfo, mkvTracks}, // seek head, cues, clusters
	mkvInfo:    {0x2AD7B1, 0x4489},                                       // time scale, duration
	mkvTracks:  {mkvTrack},
	mkvTrack: {
		0xD7, 0x73C5, 0x83, 0xB9, 0x88, 0x55AA, 0x9C, 0x6DE7, 0x6DF8, 0x23E383, 0x234E7A, 0x55EE, 0x22B59C, 0x22B59D, 0x86, 0x63A2, 0x56AA,
		0x56BB, 0xE0, 0xE1, 0x6D80, 0x41E4, 0xAA,
	},
}

func (w *webmFilter) run() error {
	head, err := w.element()
	if err != nil {
		return err
	}
	if head.id != ebmlHead || head.size < 0 || head.size > maxEBMLHead {
		return w.fault("it does not begin like one")
	}
	w.write(head.raw)
	if err := w.pass(head.size); err != nil {
		return err
	}
	segment, err := w.element()
	if err != nil {
		return err
	}
	if segment.id != mkvSegment {
		return w.fault("it has no segment")
	}
	return w.inside(segment, nil)
}

// inside passes e and of what is in it only what may stay. within are its parents.
func (w *webmFilter) inside(e element, within []uint32) error {
	w.write(e.raw)
	for left := e.size; left != 0 && w.err == nil; {
		if left < 0 {
			if there, err := w.more(); err != nil || !there {
				return err
			}
		}
		c, err := w.element()
		if err != nil {
			return err
		}
		whole := int64(len(c.raw)) + c.size
		switch {
		case c.size < 0:
			return w.fault("an element of it does not say how long it is")
		case left >= 0 && whole > left:
			return w.fault("an element of it is longer than what it is in")
		case left > 0:
			left -= whole
		}
		if err := w.child(c, e.id, append(within, e.id)); err != nil {
			return err
		}
	}
	return nil
}

func (w *webmFilter) child(c element, parent uint32, within []uint32) error {
	stays := slices.Contains(mkvNests[parent], c.id)
	_, nests := mkvNests[c.id]
	switch {
	case stays && nests && len(within) <= len(mkvNests):
		return w.inside(c, within)
	case stays, w.Keep:
		w.write(c.raw)
		return w.pass(c.size)
	}
	if err := w.drop(c.size); err != nil { // first: what is written is never more than what was there
		return err
	}
	head, rest := void(int64(len(c.raw)) + c.size)
	w.write(head)
	w.zeros(rest)
	return nil
}

// void returns the head of a void element that is n ≥ 2 bytes long in all, and how many follow the head.
func void(n int64) (head []byte, rest int64) {
	if n-2 < 0x7F {
		return []byte{0xEC, 0x80 | byte(n-2)}, n - 2
	}
	rest = n - 9
	head = []byte{0xEC, 1, 0, 0, 0, 0, 0, 0, 0}
	for i := range 7 {
		head[8-i] = byte(rest >> (8 * i))
	}
	return head, rest
}

// element reads the head of the next element.
func (w *webmFilter) element() (element, error) {
	id, err := w.number(4)
	if err != nil {
		return element{}, err
	}
	size, err := w.number(8)
	if err != nil {
		return element{}, err
	}
	e := element{raw: append(id, size...)}
	for _, b := range id {
		e.id = e.id<<8 | uint32(b)
	}
	known := false
	for i, b := range size {
		if i == 0 {
			b &= 0xFF >> len(size)
			known = b != 0xFF>>len(size)
		} else {
			known = known || b != 0xFF
		}
		e.size = e.size<<8 | int64(b)
	}
	if !known {
		e.size = -1
	}
	return e, nil
}

// number reads a number whose first byte says how long it is, at most so many bytes.
func (w *webmFilter) number(most int) ([]byte, error) {
	first, err := w.in.Peek(1)
	if err != nil {
		return nil, readError(w.info.Format, err)
	}
	n := bits.LeadingZeros8(first[0]) + 1
	if n > most {
		return nil, w.fault("an element of it is broken")
	}
	b := make([]byte, n)
	return b, w.fill(b)
}
