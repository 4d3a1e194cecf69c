package comfy

import (
	"bytes"
	"encoding/json"
	"iter"
	"strconv"
	"unicode/utf8"
)

// The walkers go through JSON that is known to be valid, without copying it or looking at it twice: a server's classes are
// megabytes of small values. What is not of the shape asked for yields nothing.

// members yields the members of an object in their order.
func members(data []byte) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		walk(data, '{', func(key, value []byte) bool {
			s, _ := text(key)
			return yield(s, value)
		})
	}
}

// elements yields the elements of an array.
func elements(data []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		walk(data, '[', func(_, value []byte) bool { return yield(value) })
	}
}

func walk(data []byte, opening byte, yield func(key, value []byte) bool) {
	i := skip(data, 0, 0)
	if i == len(data) || data[i] != opening {
		return
	}
	for i = skip(data, i+1, ','); i < len(data) && data[i] != '}' && data[i] != ']'; i = skip(data, i, ',') {
		var key []byte
		if opening == '{' {
			end := min(stringEnd(data, i)+1, len(data))
			key = data[i:end]
			i = skip(data, end, ':')
		}
		end := valueEnd(data, i)
		if !yield(key, data[i:end]) {
			return
		}
		i = end
	}
}

// skip returns where the next byte is that is neither white space nor mark.
func skip(data []byte, i int, mark byte) int {
	for i < len(data) && (data[i] <= ' ' || data[i] == mark) {
		i++
	}
	return i
}

// valueEnd returns where the value that begins at i ends; past i, whatever stands there.
func valueEnd(data []byte, i int) int {
	depth := 0
	for ; i < len(data); i++ {
		switch data[i] {
		case '"':
			i = stringEnd(data, i)
		case '{', '[':
			depth++
			continue
		case '}', ']':
			depth--
		case ',', ':', ' ', '\t', '\r', '\n':
			continue
		default:
			for i+1 < len(data) && data[i+1] > ' ' && data[i+1] != ',' && data[i+1] != ']' && data[i+1] != '}' {
				i++
			}
		}
		if depth <= 0 {
			return min(i+1, len(data))
		}
	}
	return len(data)
}

// text returns the string that a value is.
func text(data []byte) (string, bool) {
	if len(data) < 2 || data[0] != '"' {
		return "", false
	}
	if inner := data[1 : len(data)-1]; bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner), true
	}
	var s string
	err := json.Unmarshal(data, &s)
	return s, err == nil
}

// number returns the number that a value is.
func number(data []byte) (float64, bool) {
	n, err := strconv.ParseFloat(string(data), 64)
	return n, err == nil
}

// yes reports whether a value is true.
func yes(data []byte) bool { return string(data) == "true" }
