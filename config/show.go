package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
)

// A Line is one setting with its value as it may be shown.
type Line struct {
	Variable string
	Value    string // as it would be written; secrets are masked; empty: unset
	Source   Source
}

// Show lists every setting of c, in the order of the table.
func Show(c Config) []Line {
	rows := table(&c)
	lines := make([]Line, len(rows))
	for i, s := range rows {
		lines[i] = Line{prefixOurs + s.name, s.show(), c.source(s.name)}
	}
	return lines
}

func (c Config) source(name string) Source {
	if s, ok := c.sources[name]; ok {
		return s
	}
	return SourceDefault
}

// Sum is the SHA-256, in hex, of every setting and its value as [Show] tells them: what the audit log keeps of a configuration.
// Of a secret only whether it is set counts.
func (c Config) Sum() string {
	h := sha256.New()
	for _, l := range Show(c) {
		_, _ = fmt.Fprintf(h, "%s=%q\n", l.Variable, l.Value) // a hash takes everything
	}
	return hex.EncodeToString(h.Sum(nil))
}

// WriteShow prints every setting of c by section, each with its source, such as "password: **********".
func WriteShow(w io.Writer, c Config) error {
	lines := map[string][]Line{}
	for _, l := range Show(c) {
		name, _, _ := strings.Cut(strings.TrimPrefix(l.Variable, prefixOurs), "__")
		lines[name] = append(lines[name], l)
	}
	for _, sec := range sections() {
		if _, err := fmt.Fprintf(w, "%s:\n", strings.ToLower(sec.name)); err != nil {
			return err
		}
		for _, l := range lines[sec.name] {
			_, key, _ := strings.Cut(l.Variable, "__")
			v := l.Value
			if v == "" {
				v = "(unset)"
			}
			if _, err := fmt.Fprintf(w, "  %s: %s  # %s\n", strings.ToLower(key), v, l.Source); err != nil {
				return err
			}
		}
	}
	return nil
}
