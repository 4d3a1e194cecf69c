package main

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/audit"
)

// records reads the audit log of every slot, in order of slots and lines.
func (w *world) records(t *testing.T) []audit.Record {
	t.Helper()
	segments, err := filepath.Glob(filepath.Join(w.data(), "audit", "*", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(segments)
	all := files(t, filepath.Join(w.data(), "audit"))
	var list []audit.Record
	for _, path := range segments {
		for line := range strings.Lines(string(all[path])) {
			var r audit.Record
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("%s: %v in %s", path, err, line)
			}
			list = append(list, r)
		}
	}
	return list
}

// where are the records for which a condition holds.
func where(list []audit.Record, holds func(audit.Record) bool) []audit.Record {
	return slices.DeleteFunc(slices.Clone(list), func(r audit.Record) bool { return !holds(r) })
}

// events are the events of a name.
func (w *world) events(t *testing.T, name string) []audit.Record {
	t.Helper()
	return where(w.records(t), func(r audit.Record) bool { return r.Kind == audit.Event && r.Name == name })
}

// whole fails the test unless the record verifies and nothing in it is left open.
func (w *world) whole(t *testing.T) {
	t.Helper()
	out := w.run(t, "audit", "verify")
	if out.code != audit.ExitOK || !strings.Contains(out.out, "The record is whole.") || strings.Contains(out.out, "without an end") {
		t.Fatalf("audit verify: exit code %d\n%s%s", out.code, out.out, out.err)
	}
	for line := range strings.Lines(out.out) {
		if strings.HasPrefix(line, "slot ") && !strings.Contains(line, " 0 calls and 0 jobs open") {
			t.Fatalf("something is open: %s", line)
		}
	}
}
