package images

import (
	"bytes"
	"encoding/binary"
)

// stripOpus is a [Strip] for Opus in Ogg: the pages of one stream, each checksum checked, their tags exchanged for empty ones, which
// numbers the pages anew. Nothing after the stream's last page is passed on. Other sound in Ogg is refused.
func stripOpus(f *filter) (Info, error) {
	o := &opusFilter{filter: f}
	if err := o.run(); err != nil {
		return Info{}, err
	}
	return o.finish()
}

type opusFilter struct {
	*filter
	serial, next uint32
}

// An oggPage is one page: its head with the lacing values, and its data. Both are the filter's until the next page is read.
type oggPage struct{ head, data []byte }

// Flags of a page.
const (
	oggGoesOn = 1
	oggFirst  = 2
	oggLast   = 4
)

func (p oggPage) flags() byte { return p.head[5] }

func (p oggPage) serial() uint32 { return binary.LittleEndian.Uint32(p.head[14:]) }

// endsPacket reports whether the page's last packet ends with it.
func (p oggPage) endsPacket() bool { return p.head[len(p.head)-1] < 255 }

// packets counts the packets that end in the page.
func (p oggPage) packets() (n int) {
	for _, lace := range p.head[27:] {
		if lace < 255 {
			n++
		}
	}
	return n
}

func (o *opusFilter) run() error {
	p, err := o.page()
	if err != nil {
		return err
	}
	if p.flags()&oggFirst == 0 || !bytes.HasPrefix(p.data, []byte("OpusHead")) || p.packets() != 1 || !p.endsPacket() {
		return o.fault("its sound is not Opus")
	}
	o.serial = p.serial()
	o.put(p)
	if err := o.tags(); err != nil {
		return err
	}
	for p.flags()&oggLast == 0 && o.err == nil {
		if there, err := o.more(); err != nil || !there {
			return err
		}
		if p, err = o.page(); err != nil {
			return err
		}
		if p.serial() != o.serial || p.flags()&oggFirst != 0 {
			return o.fault("it has several streams")
		}
		o.put(p)
	}
	return nil
}

// tags reads the packet of tags, which has its pages for itself, and writes an empty one.
func (o *opusFilter) tags() error {
	for first := true; ; first = false {
		p, err := o.page()
		if err != nil {
			return err
		}
		if p.serial() != o.serial || (p.flags()&oggGoesOn == 0) != first || (first && !bytes.HasPrefix(p.data, []byte("OpusTags"))) {
			return o.fault("its tags are not where they must be")
		}
		if err := o.keep(int64(len(p.data))); err != nil {
			return err
		}
		if o.Keep {
			o.put(p)
		}
		if p.endsPacket() {
			if p.packets() != 1 {
				return o.fault("its tags are not where they must be")
			}
			break
		}
		if p.packets() != 0 {
			return o.fault("its tags are not where they must be")
		}
	}
	if o.Keep {
		return nil
	}
	empty := append([]byte("OpusTags"), make([]byte, 8)...) // no vendor, no tags
	head := append([]byte("OggS"), make([]byte, 24)...)
	binary.LittleEndian.PutUint32(head[14:], o.serial)
	head[26], head[27] = 1, byte(len(empty))
	o.put(oggPage{head, empty})
	return nil
}

// page reads the next page and checks it.
func (o *opusFilter) page() (oggPage, error) {
	head := make([]byte, 27, 27+255)
	if err := o.fill(head); err != nil {
		return oggPage{}, err
	}
	if string(head[:4]) != "OggS" || head[4] != 0 || head[26] == 0 {
		return oggPage{}, o.fault("a page of it is broken")
	}
	head = head[:27+int(head[26])]
	if err := o.fill(head[27:]); err != nil {
		return oggPage{}, err
	}
	size := 0
	for _, lace := range head[27:] {
		size += int(lace)
	}
	p := oggPage{head, make([]byte, size)}
	if err := o.fill(p.data); err != nil {
		return oggPage{}, err
	}
	sum := binary.LittleEndian.Uint32(head[22:])
	if p.sum() != sum {
		return oggPage{}, o.fault("the checksum of a page is wrong")
	}
	return p, nil
}

// put writes a page under the next number.
func (o *opusFilter) put(p oggPage) {
	binary.LittleEndian.PutUint32(p.head[18:], o.next)
	o.next++
	binary.LittleEndian.PutUint32(p.head[22:], p.sum())
	o.write(p.head)
	o.write(p.data)
}

// sum returns the page's checksum, whatever stands in its place.
func (p oggPage) sum() uint32 {
	var sum uint32
	for i, b := range p.head {
		if i >= 22 && i < 26 {
			b = 0
		}
		sum = oggStep(sum, b)
	}
	for _, b := range p.data {
		sum = oggStep(sum, b)
	}
	return sum
}

// oggStep is one byte of Ogg's CRC-32, which is not the usual one: the high bit goes first.
func oggStep(sum uint32, b byte) uint32 { return sum<<8 ^ oggTable[byte(sum>>24)^b] }

var oggTable = func() (t [256]uint32) { //nolint:gochecknoglobals // an immutable table
	for i := range t {
		r := uint32(i) << 24
		for range 8 {
			if r&(1<<31) != 0 {
				r = r<<1 ^ 0x04C11DB7
			} else {
				r <<= 1
			}
		}
		t[i] = r
	}
	return t
}()
