package mcpserver

import (
	"regexp"
	"strings"
	"unicode"
)

// clean makes text fit to be shown in one line: no control or escape sequences, nothing invisible, nothing that turns the direction
// of reading, at most limit characters (T41).
func clean(text string, limit int) string {
	if len(text) <= limit && isPlain(text) {
		return text
	}
	if strings.ContainsAny(text, "\x1b\u009b") {
		text = escapes.ReplaceAllString(text, "")
	}
	var b strings.Builder
	n, space := 0, false
	for _, r := range text {
		switch {
		case unicode.IsSpace(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r):
			space = b.Len() > 0
			continue
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), r == unicode.ReplacementChar:
			continue // Cf holds bidirectional controls, zero-width characters and tags
		}
		if space {
			b.WriteByte(' ')
			n++
			space = false
		}
		if n >= limit {
			return strings.TrimRight(b.String(), " ") + "…"
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// isPlain reports whether text is ASCII that shows, with single spaces between: most of what is cleaned.
func isPlain(text string) bool {
	space := true
	for i := range len(text) {
		c := text[i]
		if c < ' ' || c > '~' || c == ' ' && space {
			return false
		}
		space = c == ' '
	}
	return !space
}

// foreign is clean for a text that another program wrote: it also loses stack traces, addresses, paths and what looks like a
// credential (T40, SC-61). Names of models, which are relative paths, stay.
func foreign(text string, limit int) string {
	text, _, _ = strings.Cut(text, "Traceback (most recent call last)")
	text = clean(text, 4*limit+1000) // one line, so that nothing hides behind a break
	for _, h := range hidden {
		text = h.find.ReplaceAllString(text, h.put)
	}
	return clean(text, limit)
}

// escapes are terminal sequences: CSI, OSC and two-character ones.
var escapes = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]|\x{9b}[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-_]`)

var hidden = []struct {
	find *regexp.Regexp
	put  string
}{
	{regexp.MustCompile(`(?i)\b[a-z][a-z0-9+.-]*://[^\s"'<>)\]]+`), "[address]"},
	{regexp.MustCompile(`(?i)\b((?:proxy-)?authorization)["']?\s*[=:]\s*["']?(?:[a-z]+\s+)?[^\s"',;&]+`), "$1=[hidden]"}, // with its scheme
	{regexp.MustCompile(`(?i)\bbearer\s+\S+`), "[hidden]"},
	{regexp.MustCompile(`(?i)\b([a-z_-]*(?:token|api[_-]?key|password|passwd|secret|authorization|cookie))["']?\s*[=:]\s*["']?[^\s"',;&]+`), "$1=[hidden]"},
	{regexp.MustCompile(`\b(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?\b`), "[address]"},
	{regexp.MustCompile(`"(?:~?/|\\\\|[A-Za-z]:[\\/])[^"]*"`), `"[path]"`},
	{regexp.MustCompile(`'(?:~?/|\\\\|[A-Za-z]:[\\/])[^']*'`), `'[path]'`},
	{regexp.MustCompile(`\b[A-Za-z]:[\\/][^\s"'<>|]*`), "[path]"},
	{regexp.MustCompile(`(^|[\s"'(=\[<,:])~?/[^\s"'<>|)\],;:]+`), "${1}[path]"},
	{regexp.MustCompile(`\\\\[^\s"'<>|]+`), "[path]"},
}
