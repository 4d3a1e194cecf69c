package config

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// A Fault is one thing that is wrong with one setting. Its texts hold no secret.
type Fault struct {
	Variable string
	Got      string // what was there; empty for secrets and where it does not matter
	Problem  string
	Fits     string // what would be accepted
}

func (f Fault) String() string {
	var b strings.Builder
	b.WriteString(f.Variable)
	if f.Got != "" {
		fmt.Fprintf(&b, "=%q", f.Got)
	}
	b.WriteString(": " + f.Problem)
	if f.Fits != "" {
		b.WriteString("; it takes " + f.Fits)
	}
	return b.String()
}

// A SettingsError tells every fault of the settings, one a line.
type SettingsError struct{ Faults []Fault }

func (e *SettingsError) Error() string {
	lines := []string{"the settings have a fault:"}
	if n := len(e.Faults); n > 1 {
		lines[0] = fmt.Sprintf("the settings have %d faults:", n)
	}
	for _, f := range e.Faults {
		lines = append(lines, "  "+f.String())
	}
	return strings.Join(lines, "\n")
}

// shown is a value as it may be repeated to the operator: without what looks like a credential in a URL, and short.
func shown(raw string) string {
	const most = 100
	if scheme, rest, ok := strings.Cut(raw, "://"); ok {
		if at := strings.LastIndexByte(rest, '@'); at >= 0 { // also where the text is no sound URL
			raw = scheme + "://" + Mask + rest[at:]
		}
	}
	raw = maskPatterns(raw)
	if len(raw) <= most {
		return raw
	}
	return strings.ToValidUTF8(raw[:most], "") + "…"
}

// unknownFault names what was probably meant. It does not tell the value, which may be a secret's.
func unknownFault(name string, known []string) Fault {
	if base, ok := strings.CutSuffix(name, "_FILE"); ok && slices.Contains(known, base) {
		return Fault{Variable: name, Problem: "unknown setting, because only secrets come from files; the nearest is " + base}
	}
	best, least := "", math.MaxInt
	for _, k := range known {
		if !strings.HasPrefix(k, prefixOurs) {
			continue
		}
		if d := distance(name[len(prefixOurs):], k[len(prefixOurs):]); d < least {
			best, least = k, d
		}
	}
	return Fault{Variable: name, Problem: "unknown setting; the nearest is " + best}
}

// distance is the number of single-character edits that make b of a, two neighbours changing places counting as one (optimal
// string alignment).
func distance(a, b string) int {
	before, row, next := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		next[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			next[j+1] = min(row[j]+cost, row[j+1]+1, next[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				next[j+1] = min(next[j+1], before[j-1]+1)
			}
		}
		before, row, next = row, next, before
	}
	return row[len(b)]
}
