package emulator

import "encoding/binary"

// flacBlock is how many samples a frame holds.
const flacBlock = 4096

// encodeFLAC packs a sound, 16 bits a sample, with tags. All sounds here are silent, so a frame says so in a few bytes.
func encodeFLAC(s *sound, tags []textChunk) []byte {
	out := append([]byte("fLaC"), 0, 0, 0, 34)
	out = binary.BigEndian.AppendUint16(out, flacBlock)
	out = binary.BigEndian.AppendUint16(out, flacBlock)
	out = append(out, 0, 0, 0, 0, 0, 0) // sizes of frames: not told
	out = binary.BigEndian.AppendUint64(out, uint64(s.rate)<<44|uint64(s.channels-1)<<41|15<<36|uint64(s.samples))
	out = append(out, make([]byte, 16)...) // no digest
	comment := flacComment(tags)
	out = append(out, 0x80|4, byte(len(comment)>>16), byte(len(comment)>>8), byte(len(comment)))
	out = append(out, comment...)
	for n := int64(0); n*flacBlock < s.samples; n++ {
		out = append(out, flacFrame(s, n)...)
	}
	return out
}

// flacComment is a Vorbis comment.
func flacComment(tags []textChunk) []byte {
	const vendor = "Lavf61.7.100"
	b := binary.LittleEndian.AppendUint32(nil, uint32(len(vendor)))
	b = append(b, vendor...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(tags)))
	for _, t := range tags {
		text := t.key + "=" + t.text
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(text))), text...)
	}
	return b[:min(len(b), 1<<24-1)]
}

// flacFrame is the n-th frame of silence.
func flacFrame(s *sound, n int64) []byte {
	left := s.samples - n*flacBlock
	const fixed, told = 12, 7 // flacBlock; a number of samples after the head
	size := byte(fixed)
	if left < flacBlock {
		size = told
	}
	b := []byte{0xFF, 0xF8, size << 4, byte(s.channels-1)<<4 | 4<<1}
	b = flacNumber(b, uint64(n))
	if size == told {
		b = binary.BigEndian.AppendUint16(b, uint16(left-1))
	}
	b = append(b, crc8(b))
	for range s.channels {
		b = append(b, 0, 0, 0) // constant, of value 0
	}
	return binary.BigEndian.AppendUint16(b, crc16(b))
}

// flacNumber appends a number the way UTF-8 would.
func flacNumber(b []byte, n uint64) []byte {
	if n < 0x80 {
		return append(b, byte(n))
	}
	more := 1
	for n>>(6*more) >= 1<<(6-more) {
		more++
	}
	b = append(b, byte(0xFF<<(7-more))|byte(n>>(6*more)))
	for i := more - 1; i >= 0; i-- {
		b = append(b, 0x80|byte(n>>(6*i))&0x3F)
	}
	return b
}

func crc8(data []byte) (sum byte) {
	for _, b := range data {
		sum ^= b
		for range 8 {
			sum = sum<<1 ^ sum>>7*0x07
		}
	}
	return sum
}

func crc16(data []byte) (sum uint16) {
	for _, b := range data {
		sum ^= uint16(b) << 8
		for range 8 {
			sum = sum<<1 ^ sum>>15*0x8005
		}
	}
	return sum
}
