package tools

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// clean is s as it may stand in an answer: on one line, without controls, marks that turn text around or hide it, and of at most limit
// characters (T40, T41).
func clean(s string, limit int) string {
	var b strings.Builder
	for n, r := range []rune(strings.ToValidUTF8(s, "")) {
		if n == limit {
			b.WriteRune('…')
			break
		}
		switch {
		case unicode.IsSpace(r):
			b.WriteRune(' ')
		case unicode.IsPrint(r) && r != utf8.RuneError:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// size says how much n bytes are.
func size(n int64) string {
	switch {
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d bytes", n)
}

// seconds says how long d is, to a tenth of a second.
func seconds(d time.Duration) string {
	return strconv.FormatFloat(max(d, 0).Seconds(), 'f', 1, 64) + " s"
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }

// count says how many things there are.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// maxExact is the largest whole number that every JSON reader reads exactly.
const maxExact = 1<<53 - 1

// seedNumber is a seed as JSON: a number where every reader reads it exactly, else a string of its digits.
func seedNumber(s *uint64) any {
	switch {
	case s == nil:
		return nil
	case *s > maxExact:
		return strconv.FormatUint(*s, 10)
	}
	return json.Number(strconv.FormatUint(*s, 10))
}

// jsonText is v as compact JSON, with <, > and & as they are: it is read by models, not by browsers.
func jsonText(v any) (string, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}
