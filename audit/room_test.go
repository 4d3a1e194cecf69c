package audit_test

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comfygate/comfygate/audit"
)

// throng has many write at once until enough is true, or one of them gets an error, which it returns with what was acknowledged.
func throng(tb testing.TB, l *logs, name string, enough func() bool) (acknowledged []string, err error) {
	tb.Helper()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var done atomic.Bool
	for w := range 64 {
		wg.Go(func() {
			for i := 0; !done.Load(); i++ {
				intent, outcome := call(name + strconv.Itoa(w) + "." + strconv.Itoa(i))
				for _, r := range []audit.Record{intent, outcome} {
					e := l.Append(tb.Context(), r)
					mu.Lock()
					if e != nil {
						err = e
						done.Store(true)
					} else {
						acknowledged = append(acknowledged, string(r.Kind)+r.CallID)
					}
					mu.Unlock()
				}
				if w == 0 && enough() {
					done.Store(true)
				}
			}
		})
	}
	wg.Wait()
	return acknowledged, err
}

// last is the segment that is written now.
func last(tb testing.TB, data string) string {
	tb.Helper()
	names := segments(tb, data)
	return names[len(names)-1]
}

// roomy reports whether a log has room behind its end.
func roomy(tb testing.TB, data string) bool {
	tb.Helper()
	b := read(tb, last(tb, data))
	return len(b) > 0 && b[len(b)-1] == 0
}

// inRoom is a log with room, on a disk that may fail, and what was acknowledged so far.
func inRoom(tb testing.TB) (*logs, *disk, []string) {
	tb.Helper()
	l, d := faulty(tb, nil)
	d.set(func() { d.lazy = true })
	said, err := throng(tb, l, "early", func() bool { return roomy(tb, l.data) })
	if err != nil {
		tb.Fatal(err)
	}
	return l, d, said
}

// has fails unless a log holds each record that was acknowledged once.
func has(tb testing.TB, data string, acknowledged []string) {
	tb.Helper()
	count := map[string]int{}
	for _, r := range scan(tb, data) {
		count[string(r.Kind)+r.CallID]++
	}
	for _, what := range acknowledged {
		if count[what] != 1 {
			tb.Errorf("%s was acknowledged and is there %d times", what, count[what])
		}
	}
}

// AUD-07: room is made for many writers, readers don't mind it, and it is given back when few write, or nobody, or at the log's end.
func TestAUD07_room_comes_and_goes(t *testing.T) {
	t.Parallel()
	for _, then := range []string{"few", "nobody", "stop"} {
		t.Run(then, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, _, said := inRoom(t)
				for _, f := range verified(t, l.data).Findings {
					if f.Problem != audit.ProblemTorn {
						t.Error(f)
					}
				}
				has(t, l.data, said)
				switch then {
				case "few":
					for i := range 20 {
						l.append(t, audit.Record{Kind: audit.Event, Name: "e" + strconv.Itoa(i)})
					}
				case "nobody":
					time.Sleep(1100 * time.Millisecond)
				case "stop":
					l.stop(t)
				}
				wholeLines(t, l.data)
				if then != "stop" {
					l.stop(t)
				}
				has(t, l.data, said)
				if report := verified(t, l.data); len(report.Findings) > 0 {
					t.Error(report.Findings)
				}
			})
		})
	}
}

// AUD-14: room does not count among the bytes that are kept.
func TestAUD14_room_does_not_count(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), func(c *audit.Config) {
		lazily(c)
		c.MaxBytes, c.RetainBytes = 256<<10, 1<<20
	})
	first := segments(t, l.data)[0]
	if _, err := throng(t, l, "c", func() bool { // until some 2 MiB were written, and something was removed
		names := segments(t, l.data)
		return names[0] != first && names[len(names)-1] > strings.Replace(first, "0001.jsonl", "5000.jsonl", 1)
	}); err != nil {
		t.Fatal(err)
	}
	l.stop(t)
	kept := 0
	for _, segment := range segments(t, l.data) {
		kept += len(read(t, segment))
	}
	if kept < 700<<10 {
		t.Errorf("%d bytes were kept", kept)
	}
	verified(t, l.data)
}

// A crash in a crowd leaves room, and perhaps part of a group in it, with a hole where the disk was not yet. That is no tampering; the
// next start removes it, and says how much of it was lines.
func TestCrash_leaves_room(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _, said := inRoom(t)
		left := crash(t, l.data)
		line := bytes.TrimRight(read(t, last(t, left)), "\x00")
		line = line[1+bytes.LastIndexByte(line[:len(line)-1], '\n'):]
		for name, c := range map[string]struct {
			torn []byte
			cut  int
		}{
			"room alone":       {nil, 0},
			"half a line":      {line[:100], 100},
			"a hole in a line": {append(append(bytes.Clone(line[:100]), make([]byte, 4096)...), line[150:]...), 100 + 4096 + len(line) - 150},
			"a hole before":    {append(make([]byte, 4096), line...), 4096 + len(line)},
		} {
			data := crash(t, left)
			segment := last(t, data)
			b := read(t, segment)
			copy(b[len(bytes.TrimRight(b, "\x00")):], c.torn)
			write(t, segment, b)
			report := verified(t, data)
			for i, f := range report.Findings {
				if i == 0 && (f.Problem != audit.ProblemTorn || f.Seq != report.Slots[0].Last+1) || !f.Warning {
					t.Error(name, f)
				}
			}
			has(t, data, said)
			if _, err := audit.RecoverSlots(data, nil, audit.Config{ReserveBytes: 128 << 10}); err != nil {
				t.Fatal(name, err)
			}
			if report = verified(t, data); len(report.Findings) > 0 {
				t.Error(name, report.Findings)
			}
			has(t, data, said)
			cut := "0"
			for _, r := range scan(t, data) {
				if r.Name == audit.LogMended {
					cut = r.Detail["bytes_cut"]
				}
			}
			if cut != strconv.Itoa(c.cut) {
				t.Errorf("%s: %s bytes were cut off, want %d", name, cut, c.cut)
			}
		}
	})
}

// AUD-20: zeros in place of a record are found for what they are, also where there is room behind.
func TestAUD20_zeros_before_room(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, _, _ := inRoom(t)
		data := crash(t, l.data)
		segment := last(t, data)
		b := read(t, segment)
		clear(bytes.SplitAfter(b, []byte("\n"))[9])
		write(t, segment, b)
		report, err := audit.Verify(data, audit.VerifyOptions{})
		if first := report.Findings[0]; audit.ExitCode(err) != audit.ExitTampered || first.Problem != audit.ProblemFraming || first.Line != 10 {
			t.Errorf("%v, %v", err, first)
		}
	})
}

// T62: where a disk is full, room that is there is used; then new records are refused. Where there is not enough for room, records come
// in as long as they themselves fit.
func TestT62_room_on_a_full_disk(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]int64{"there is room": 0, "there is none": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { fullDisk(t, left) })
		})
	}
}

func fullDisk(t *testing.T, left int64) {
	t.Helper()
	var said []string
	l, d := faulty(t, nil)
	if left == 0 {
		l, d, said = inRoom(t)
	}
	d.set(func() { d.lazy = true })
	before := len(bytes.TrimRight(read(t, last(t, l.data)), "\x00"))
	d.fill(left)
	more, err := throng(t, l, "late", func() bool { return false })
	if !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, audit.ErrUnwritable) {
		t.Fatalf("got %v, want ErrUnwritable and ENOSPC", err)
	}
	said = append(said, more...)
	has(t, l.data, said)
	if grown := len(read(t, last(t, l.data))) - before; grown < 900<<10 {
		t.Errorf("it was refused after %d bytes", grown)
	}
	refused(t, l.Healthy())
	d.heal()
	time.Sleep(1100 * time.Millisecond)
	if err := l.Healthy(); err != nil {
		t.Errorf("there is room again, but: %v", err)
	}
	l.stop(t)
	wholeLines(t, l.data)
	has(t, l.data, said)
	verified(t, l.data)
}
