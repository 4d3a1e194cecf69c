package comfy

import (
	"cmp"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
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

// CleanText makes a text of several lines that a server gave fit to be shown (T41): its line breaks and tabs stay, terminal escapes,
// controls and what is invisible or turns the direction of writing go. At most n bytes; an ellipsis tells that it was cut.
func CleanText(s string, n int) string {
	var b strings.Builder
	for _, r := range escapes.ReplaceAllString(s, "") {
		if r != '\n' && r != '\t' && (r == unicode.ReplacementChar || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co)) {
			continue
		}
		if b.Len()+utf8.RuneLen(r) > n-len("…") {
			b.WriteRune('…')
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// escapes are terminal sequences.
var escapes = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]`)

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
