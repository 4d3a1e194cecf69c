package audit_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/comfygate/comfygate/audit"
)

// A logs is a data folder with one slot, and the log in it.
type logs struct {
	data string
	slot *audit.Slot
	*audit.Log
}

// open opens the log in a new slot of a data folder; both end with the test, if not before.
func open(tb testing.TB, data string, change func(*audit.Config)) *logs {
	tb.Helper()
	l, err := tryOpen(tb, data, change)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func tryOpen(tb testing.TB, data string, change func(*audit.Config)) (*logs, error) {
	tb.Helper()
	slot, err := audit.TakeSlot(data)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := slot.Release(); err != nil {
			tb.Error(err)
		}
	})
	cfg := audit.Config{Dir: slot.Dir(), ReserveBytes: 128 << 10, Version: "1.2.3", ConfigSum: "c0ffee"}
	if change != nil {
		change(&cfg)
	}
	l, err := audit.Open(cfg)
	if err != nil {
		return nil, errors.Join(err, slot.Release())
	}
	tb.Cleanup(func() { _ = l.Close(context.WithoutCancel(tb.Context())) })
	return &logs{data, slot, l}, nil
}

// stop closes the log and gives the slot back.
func (l *logs) stop(tb testing.TB) {
	tb.Helper()
	if err := l.Close(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	if err := l.slot.Release(); err != nil {
		tb.Fatal(err)
	}
}

func (l *logs) append(tb testing.TB, r audit.Record) {
	tb.Helper()
	if err := l.Append(tb.Context(), r); err != nil {
		tb.Fatal(err)
	}
}

// call is an ordinary call's two records.
func call(id string) (intent, outcome audit.Record) {
	r := audit.Record{CallID: id, Principal: "ann", Method: "token", Transport: "http", Session: "s1", Tool: "generate"}
	intent, outcome = r, r
	intent.Kind, intent.Decision, intent.PolicyHash = audit.Intent, "allow", "p0"
	outcome.Kind, outcome.Status, outcome.DurationMS = audit.Outcome, audit.StatusOK, 12
	return intent, outcome
}

// scan returns what the data folder's logs hold.
func scan(tb testing.TB, data string) []audit.Record {
	tb.Helper()
	var records []audit.Record
	if err := audit.Scan(data, func(_ string, r audit.Record) error {
		records = append(records, r)
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	return records
}

// kinds names records shortly: intent, outcome:ok, event:audit.mended and so on.
func kinds(records []audit.Record) []string {
	var names []string
	for _, r := range records {
		name := string(r.Kind)
		for _, s := range []string{r.Name, r.Status} {
			if s != "" {
				name += ":" + s
			}
		}
		names = append(names, name)
	}
	return names
}

func verified(tb testing.TB, data string) audit.Report {
	tb.Helper()
	report, err := audit.Verify(data, audit.VerifyOptions{})
	if err != nil {
		tb.Errorf("verify: %v", err)
		for _, f := range report.Findings {
			tb.Log(f)
		}
	}
	return report
}

// problems lists the kinds of findings, without doubles.
func problems(report audit.Report) string {
	var names []string
	for _, f := range report.Findings {
		if s := string(f.Problem); len(names) == 0 || names[len(names)-1] != s {
			names = append(names, s)
		}
	}
	return strings.Join(names, " ")
}

// segments lists the segment files of slot 001, in order.
func segments(tb testing.TB, data string) []string {
	tb.Helper()
	names, err := filepath.Glob(filepath.Join(data, "audit", "001", "audit-*.jsonl"))
	if err != nil {
		tb.Fatal(err)
	}
	return names
}

func headOf(data string) string { return filepath.Join(data, "audit", "001", "head") }

func read(tb testing.TB, name string) []byte {
	tb.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func write(tb testing.TB, name string, b []byte) {
	tb.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// crash leaves data as a process leaves it that is killed: a copy of the files as they are now.
func crash(tb testing.TB, data string) string {
	tb.Helper()
	left := tb.TempDir()
	names, err := filepath.Glob(filepath.Join(data, "audit", "*", "*"))
	if err != nil {
		tb.Fatal(err)
	}
	shared, err := filepath.Glob(filepath.Join(data, "audit", "*k*")) // keys
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range append(names, shared...) {
		rel, err := filepath.Rel(data, name)
		if err != nil {
			tb.Fatal(err)
		}
		to := filepath.Join(left, rel)
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			tb.Fatal(err)
		}
		if filepath.Base(name) == "reserve" { // large, and noise: one may do for all
			if err := os.Link(name, to); err == nil {
				continue
			}
		}
		if b, err := os.ReadFile(name); err == nil {
			write(tb, to, b)
		}
	}
	return left
}

// eventually waits for a condition that a background goroutine brings about.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			tb.Fatal("waited in vain: ", what)
		}
	}
}

// A memory is a data folder in memory, for the thousands of tamperings of verify_test.go. It is read only.
type memory struct{ fstest.MapFS }

// remember reads a data folder into memory.
func remember(tb testing.TB, data string) memory {
	tb.Helper()
	m := memory{fstest.MapFS{}}
	names, err := filepath.Glob(filepath.Join(data, "audit", "*", "*"))
	if err != nil {
		tb.Fatal(err)
	}
	for _, name := range append(names, filepath.Join(data, "audit", "keys")) {
		rel, err := filepath.Rel(data, name)
		if err != nil {
			tb.Fatal(err)
		}
		m.MapFS[filepath.ToSlash(rel)] = &fstest.MapFile{Data: read(tb, name), Mode: 0o600}
	}
	return m
}

// with returns m with one file changed; nil content removes it.
func (m memory) with(name string, content []byte) memory {
	changed := memory{maps.Clone(m.MapFS)}
	if delete(changed.MapFS, name); content != nil {
		changed.MapFS[name] = &fstest.MapFile{Data: content, Mode: 0o600}
	}
	return changed
}

func (m memory) verify() (audit.Report, error) {
	return audit.Verify("", audit.VerifyOptions{FS: m})
}

func (m memory) OpenFile(name string, _ int, _ os.FileMode) (audit.File, error) {
	f, err := m.Open(filepath.ToSlash(name))
	if err != nil {
		return nil, err
	}
	content, ok := m.MapFS[filepath.ToSlash(name)]
	if !ok {
		return nil, errors.New("a folder")
	}
	return &memoryFile{File: nil, Reader: bytes.NewReader(content.Data), stat: f.Stat, close: f.Close}, nil
}

func (m memory) ReadDir(name string) ([]os.DirEntry, error) {
	return m.MapFS.ReadDir(filepath.ToSlash(name))
}

func (memory) SyncDir(string) error            { return nil }
func (memory) Chmod(string, os.FileMode) error { return nil }
func (memory) Remove(string) error             { return nil }
func (memory) Rename(string, string) error     { return nil }

type memoryFile struct {
	audit.File
	*bytes.Reader
	stat  func() (os.FileInfo, error)
	close func() error
}

func (f *memoryFile) Read(p []byte) (int, error)             { return f.Reader.Read(p) }
func (f *memoryFile) ReadAt(p []byte, at int64) (int, error) { return f.Reader.ReadAt(p, at) }
func (f *memoryFile) Stat() (os.FileInfo, error)             { return f.stat() }
func (f *memoryFile) Close() error                           { return f.close() }
