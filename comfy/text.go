package comfy

import (
	"cmp"
	"strconv"
	"strings"
	"unicode"
)

// clean makes a server's text fit for a log or a terminal (CLIENT-SEC-14): at most n characters, without control characters,
// terminal escapes and marks that turn the direction of writing.
func clean(s string, n int) string {
	var b strings.Builder
	for _, r := range s {
		if n == 0 {
			b.WriteRune('…')
			break
		}
		switch {
		case r == '\n' || r == '\t':
			b.WriteByte(' ')
		case r == unicode.ReplacementChar || unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			continue
		default:
			b.WriteRune(r)
		}
		n--
	}
	return strings.TrimSpace(b.String())
}

// byNumber orders ids as people would: numbers by value, before other texts.
func byNumber(a, b string) int {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	switch {
	case errX == nil && errY == nil:
		return cmp.Or(cmp.Compare(x, y), strings.Compare(a, b))
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return strings.Compare(a, b)
}
