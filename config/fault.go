package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
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
	raw = maskPatterns(raw)
	if len(raw) <= most {
		return raw
	}
	cut := most
	for !utf8.RuneStart(raw[cut]) {
		cut--
	}
	return raw[:cut] + "…"
}

func unknownFault(name string, known []string) Fault {
	f := Fault{Variable: name, Problem: "there is no such setting"}
	best, least := "", len(name)
	for _, k := range known {
		if !strings.HasPrefix(k, prefixOurs) {
			continue
		}
		if d := distance(name[len(prefixOurs):], k[len(prefixOurs):]); d < least {
			best, least = k, d
		}
	}
	f.Problem += "; the nearest is " + best
	return f
}

// distance is the number of single-character edits that make b of a (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
