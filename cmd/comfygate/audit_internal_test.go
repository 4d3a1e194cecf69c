package main

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/audit"
)

// T66: no cell of a table that a spreadsheet opens is a formula, whatever stands in the record, and no record makes two rows or
// moves a terminal's cursor.
func TestT66_printed_records(t *testing.T) {
	t.Parallel()
	for _, evil := range []string{
		"=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1+1", "\r\n=1+1", "=HYPERLINK(\"http://x\")", "＝1+1", " =1", "a,b\"c\n=d", "\x1b[2J", "|x", "%0A",
	} {
		e := audit.Entry{Slot: "001", Record: audit.Record{
			Principal: evil, Tool: evil, Session: evil, Status: evil, Code: evil, CallID: evil, JobID: evil, Name: evil, Rule: evil, Method: evil,
		}}
		var b bytes.Buffer
		p := newPrinter(&b, "csv")
		if err := p.print(e); err != nil {
			t.Fatal(err)
		}
		if err := p.end(); err != nil {
			t.Fatal(err)
		}
		rows, err := csv.NewReader(&b).ReadAll()
		if err != nil || len(rows) != 2 {
			t.Fatalf("%q: %d rows, %v", evil, len(rows), err)
		}
		for _, cell := range rows[1] {
			if trimmed := strings.TrimSpace(cell); trimmed != "" && strings.ContainsRune("=+-@＝", []rune(trimmed)[0]) || strings.ContainsAny(cell, "\x1b\r\n\t") {
				t.Errorf("%q: a cell is %q", evil, cell)
			}
		}
		b.Reset()
		p = newPrinter(&b, "table")
		if err := p.print(e); err != nil {
			t.Fatal(err)
		}
		if err := p.end(); err != nil {
			t.Fatal(err)
		}
		if got := b.String(); strings.Count(got, "\n") != 2 || strings.ContainsAny(got, "\x1b\r") {
			t.Errorf("%q: the table is %q", evil, got)
		}
	}
}

func TestParseMoment(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                     {},
		"2026-01-31":           time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC),
		"2026-01-31T12:00:00Z": time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC),
		"90m":                  now.Add(-90 * time.Minute),
		"7d":                   now.AddDate(0, 0, -7),
		"0.5d":                 now.Add(-12 * time.Hour),
	} {
		if got, err := parseMoment(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"yesterday", "-5m", "-1d", "5", "2026-13-01", "1e9d"} {
		if got, err := parseMoment(text, now); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
