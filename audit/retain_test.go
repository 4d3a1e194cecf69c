package audit_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comfygate/comfygate/audit"
)

// filled is a log of several segments, an hour between its records.
func filled(t *testing.T, change func(*audit.Config)) (data string, l *logs) {
	t.Helper()
	data = t.TempDir()
	l = open(t, data, func(c *audit.Config) { lazily(c); c.MaxBytes = 64 << 10; change(c) })
	for i := range 100 {
		r, _ := call(strconv.Itoa(i))
		r.Kind, r.Params = audit.Outcome, map[string]any{"pad": strings.Repeat("x", 3000)}
		l.append(t, r)
		time.Sleep(time.Hour)
		synctest.Wait()
	}
	return data, l
}

// AUD-14: whole segments go when they are too old or too many, the log says so, and what stays verifies, also after another start. A
// receipt of what stays is as good as ever.
func TestAUD14_retention(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*audit.Config)
		most   int64 // bytes that may stay
	}{
		{"by age", func(c *audit.Config) { c.RetainFor = 30 * time.Hour }, 190 << 10},
		{"by size", func(c *audit.Config) { c.RetainBytes = 128 << 10 }, 200 << 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				data, l := filled(t, tc.change)
				before := checkpoints(t, data)
				l.stop(t)
				names := segments(t, data)
				var total int64
				for _, name := range names {
					total += int64(len(read(t, name)))
				}
				if strings.HasSuffix(names[0], "0001.jsonl") || total > tc.most || len(names) < 2 {
					t.Fatalf("%d bytes in %v stayed", total, names)
				}
				report := verified(t, data)
				if s := report.Slots[0]; s.First < 2 || s.Records != int(s.Last-s.First)+1 || len(report.Findings) > 0 {
					t.Errorf("the report says %+v, %v", s, report.Findings)
				}
				kept := checkpoints(t, data)
				if kept[0].size != int(report.Slots[0].First)-1 || len(kept) > report.Slots[0].Records+1 {
					t.Errorf("%d checkpoints for %d segments, the first of %d records", len(kept), len(names), kept[0].size)
				}
				// What was kept elsewhere when the first segments were still there is good for ever, and nothing else is.
				if _, err := audit.Verify(data, audit.VerifyOptions{Checkpoint: []byte(before[0].note)}); err != nil {
					t.Error(err)
				}
				receipt, err := audit.Prove(data, "001", report.Slots[0].First)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, _, err := audit.VerifyReceipt(receipt, publicKeys(t, data)); err != nil {
					t.Error(err)
				}
				open(t, data, func(c *audit.Config) { lazily(c); tc.change(c) }).stop(t)
				verified(t, data)

				m := remember(t, data)
				first := "audit/001/" + filepath.Base(names[0])
				for what, m := range map[string]memory{
					"another segment removed": m.with(first, nil),
					"the tree changed":        m.with("audit/001/tree", flip(m.MapFS["audit/001/tree"].Data, 40)),
					"the border's checkpoint": m.with("audit/001/checkpoints", []byte(strings.Join(notesFrom(kept, 1), "\n")+"\n")),
					"the record of it":        m.with(filepath.ToSlash(first), bytes.ReplaceAll(m.MapFS[first].Data, []byte("audit.pruned"), []byte("audit.xruned"))).with("audit/001/"+filepath.Base(names[1]), nil),
				} {
					tampered(t, what, m)
				}
			})
		})
	}
}

func flip(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 1
	return b
}

func notesFrom(list []signed, n int) (notes []string) {
	for _, c := range list[n:] {
		notes = append(notes, c.note)
	}
	return notes
}

// AUD-14: a beginning that somebody else removed is missing.
func TestAUD14_removed_by_hand(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		data, l := filled(t, func(*audit.Config) {})
		l.stop(t)
		verified(t, data)
		if err := os.Remove(segments(t, data)[0]); err != nil {
			t.Fatal(err)
		}
		report, err := audit.Verify(data, audit.VerifyOptions{})
		if audit.ExitCode(err) != audit.ExitTampered || problems(report) != "segment" || !strings.Contains(err.Error(), "are missing") {
			t.Errorf("found %v", err)
		}
	})
}

// T64: writers, rotations, retention, checkpoints, a verifier and a reader at once.
func TestT64_everything_at_once(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, func(c *audit.Config) {
		lazily(c)
		c.MaxBytes, c.RetainBytes, c.CheckpointEvery = 64<<10, 256<<10, 10*time.Millisecond
	})
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for w := range 8 {
		writers.Go(func() {
			for i := range 150 {
				intent, outcome := call(strconv.Itoa(w) + "." + strconv.Itoa(i))
				outcome.Params = map[string]any{"pad": strings.Repeat("x", 700)}
				if err := errors.Join(l.Append(t.Context(), intent), l.AppendReserved(t.Context(), outcome)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, read := range []func(){
		func() { verified(t, data) },
		func() {
			var last uint64
			for e, err := range audit.Records(data, audit.Filter{}) {
				if err != nil || e.Seq <= last {
					t.Errorf("record %d after %d, %v", e.Seq, last, err)
				}
				last = e.Seq
			}
		},
		func() {
			if b, err := audit.LastCheckpoint(data, "001"); err == nil && len(b) == 0 {
				t.Error("an empty checkpoint")
			}
		},
	} {
		readers.Go(func() {
			for running := true; running; {
				select {
				case <-done:
					running = false
				default:
				}
				read()
			}
		})
	}
	writers.Wait()
	close(done)
	readers.Wait()
	eventually(t, "old segments to go", func() bool { return !strings.HasSuffix(segments(t, data)[0], "0001.jsonl") })
	l.stop(t)
	if report := verified(t, data); len(report.Findings) > 0 || report.Slots[0].First == 1 {
		t.Errorf("the report says %+v %v", report.Slots[0], report.Findings)
	}
}

// AUD-14: slots that nobody holds are cleaned by the next process that starts.
func TestAUD14_free_slots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		data, l := filled(t, func(*audit.Config) {})
		l.stop(t)
		time.Sleep(100 * 24 * time.Hour)
		own := take(t, data) // 001 again
		if err := own.Release(); err != nil {
			t.Fatal(err)
		}
		before := len(segments(t, data))
		cfg := audit.Config{FS: lazy(), ReserveBytes: 128 << 10, RetainFor: 90 * 24 * time.Hour}
		for range 2 { // the second time there is nothing to do
			recovery, err := audit.RecoverSlots(data, nil, cfg)
			if err != nil || recovery.Slots != 0 {
				t.Errorf("recovered %+v, %v", recovery, err)
			}
			if n := len(segments(t, data)); n != 1 || before < 4 {
				t.Errorf("%d segments of %d", n, before)
			}
		}
		starts := 0
		for _, r := range scan(t, data) {
			if r.Kind == audit.Start {
				starts++
			}
		}
		if report := verified(t, data); len(report.Findings) > 0 || starts != 1 {
			t.Errorf("%d starts, %v", starts, report.Findings)
		}
	})
}
