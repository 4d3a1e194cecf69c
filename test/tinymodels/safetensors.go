package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// A tensor is 32-bit floats: random ones with the standard deviation std, or, where std is 0, all the same value.
type tensor struct {
	key   string
	shape []int // empty = a scalar
	std   float64
	value float32
}

// size returns the number of values.
func (t tensor) size() int {
	n := 1
	for _, d := range t.shape {
		n *= d
	}
	return n
}

// encode returns a safetensors file: the header's length, the header padded to 8 bytes, and the values in little endian.
// The values come from a stream that seed alone decides.
func encode(list []tensor, seed uint64) []byte {
	head := header(list)
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(head)))
	out = append(out, head...)
	r := stream(seed)
	for _, t := range list {
		k := t.std * math.Sqrt(3) // uniform over ±k has the deviation std
		for range t.size() {
			v := t.value
			if t.std != 0 {
				v = float32((2*r.next() - 1) * k)
			}
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
		}
	}
	return out
}

// header returns the JSON header, the tensors in the list's order. Keys need no escapes.
func header(list []tensor) []byte {
	entries := make([]string, 0, len(list))
	at := 0
	for _, t := range list {
		end := at + 4*t.size()
		shape := strings.ReplaceAll(fmt.Sprint(t.shape), " ", ",")
		entries = append(entries, fmt.Sprintf(`"%s":{"dtype":"F32","shape":%s,"data_offsets":[%d,%d]}`, t.key, shape, at, end))
		at = end
	}
	h := "{" + strings.Join(entries, ",") + "}"
	return []byte(h + strings.Repeat(" ", (8-len(h)%8)%8))
}

// stream is a splitmix64 generator; its state is its value.
type stream uint64

// next returns a number in [0, 1) with 24 bits, exact in a float64.
func (s *stream) next() float64 {
	*s += 0x9E3779B97F4A7C15
	z := uint64(*s)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	z ^= z >> 31
	return float64(z>>40) / (1 << 24)
}
