package audit_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/audit"
)

// AUD-01, SC-60: two records a call with one id, start and stop around them.
func TestSec_SC60_one_life(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, nil)
	intent, outcome := call("c1")
	l.append(t, intent)
	l.append(t, outcome)
	l.append(t, audit.Record{Kind: audit.DecisionK, CallID: "c2", Decision: "deny", Rule: "models", Status: audit.StatusDenied})
	l.stop(t)

	records := scan(t, data)
	want := []string{"start", "intent", "outcome:ok", "decision:denied", "stop"}
	if d := cmp.Diff(want, kinds(records)); d != "" {
		t.Fatal(d)
	}
	for i, r := range records {
		if r.Seq != uint64(i+1) {
			t.Errorf("record %d has seq %d", i+1, r.Seq)
		}
		if time.Since(r.Time) > time.Minute || r.Time.Location() != time.UTC {
			t.Errorf("record %d has time %v", i+1, r.Time)
		}
	}
	start := records[0].Detail
	if start["version"] != "1.2.3" || start["config"] != "c0ffee" || start["key"] == "" {
		t.Errorf("the start record says %v", start)
	}
	report := verified(t, data)
	got := report.Slots[0]
	if got.Root == "" || got.Origin == "" {
		t.Errorf("the report says %+v", got)
	}
	got.From, got.To, got.Hash, got.Root, got.Origin = time.Time{}, time.Time{}, "", "", ""
	if d := cmp.Diff(audit.SlotReport{Name: "001", Segments: 1, Records: 5, First: 1, Last: 5, Checkpoints: 1, Signed: 5}, got); d != "" {
		t.Error(d)
	}
}

// AUD-09: what a verifier needs that knows only JSON and SHA-256, written here without the package's help.
func TestAUD09_plain_text_verifier(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, func(c *audit.Config) { c.MaxBytes = 64 << 10 })
	for i := range 200 {
		intent, outcome := call("call " + strconv.Itoa(i))
		intent.Params = map[string]any{"note": strings.Repeat("ä<&>\u2028\x1b", 50), "n": i}
		l.append(t, intent)
		l.append(t, outcome)
	}
	l.stop(t)
	if n := len(segments(t, data)); n < 3 {
		t.Fatalf("%d segments, want several", n)
	}
	prev, seq := strings.Repeat("0", 64), 0
	for _, name := range segments(t, data) {
		for line := range strings.Lines(string(read(t, name))) {
			seq++
			var r struct {
				Seq        int
				Prev, Hash string
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			body, _, ok := strings.Cut(line, `,"hash":"`)
			sum := sha256.Sum256([]byte(body + "}"))
			if !ok || r.Seq != seq || r.Prev != prev || hex.EncodeToString(sum[:]) != r.Hash {
				t.Fatalf("line %d of %s: %s", seq, name, line)
			}
			prev = r.Hash
		}
	}
	verified(t, data)
}

// SC-60: nobody else reads it.
func TestSec_SC60_modes(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("modes are for Unix")
	}
	data := t.TempDir()
	if err := os.MkdirAll(filepath.Join(data, "audit", "001"), 0o755); err != nil {
		t.Fatal(err)
	}
	l := open(t, data, nil)
	l.stop(t)
	err := filepath.WalkDir(filepath.Join(data, "audit"), func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		want := os.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// AUD-14's first half: segments by size, each named by its first record, and one chain through all of them.
func TestSec_SC60_rotation_keeps_the_chain(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	limit := int64(64 << 10)
	small := func(c *audit.Config) { c.MaxBytes = limit }
	for range 2 { // also across processes
		l := open(t, data, small)
		for i := range 150 {
			r, _ := call(strconv.Itoa(i))
			r.Kind, r.Status = audit.Outcome, audit.StatusOK
			r.Params = map[string]any{"text": strings.Repeat("x", 1000)}
			l.append(t, r)
		}
		l.stop(t)
	}
	names := segments(t, data)
	if len(names) < 5 {
		t.Fatalf("%d segments", len(names))
	}
	for i, name := range names {
		b := read(t, name)
		if int64(len(b)) > limit+4096 {
			t.Errorf("%s has %d bytes", name, len(b))
		}
		var first audit.Record
		line, _, _ := strings.Cut(string(b), "\n")
		if err := json.Unmarshal([]byte(line), &first); err != nil {
			t.Fatal(err)
		}
		if want := "audit-" + strings.Repeat("0", 20-len(strconv.FormatUint(first.Seq, 10))) + strconv.FormatUint(first.Seq, 10) + ".jsonl"; filepath.Base(name) != want {
			t.Errorf("%s, want %s", filepath.Base(name), want)
		}
		if i > 0 && first.Name != audit.LogRotated {
			t.Errorf("%s begins with %s, want the rotation's own record", name, first.Name)
		}
	}
	verified(t, data)
}

// AUD-07: writers share fsyncs, and every record is there, once.
func TestAUD07_group_commit(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	disk := newDisk()
	l := open(t, data, func(c *audit.Config) { c.FS = disk })
	before := disk.fsyncs()
	const writers, each = 64, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				id := strconv.Itoa(w) + "." + strconv.Itoa(i)
				intent, outcome := call(id)
				if err := errors.Join(l.Append(t.Context(), intent), l.AppendReserved(t.Context(), outcome)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	after := disk.fsyncs()
	if syncs := after - before; syncs > writers*each*2/4 {
		t.Errorf("%d fsyncs for %d records", syncs, writers*each*2)
	}
	l.stop(t)
	seen := map[string]int{}
	for _, r := range scan(t, data) {
		seen[string(r.Kind)+r.CallID]++
	}
	for w := range writers {
		for i := range each {
			id := strconv.Itoa(w) + "." + strconv.Itoa(i)
			if seen["intent"+id] != 1 || seen["outcome"+id] != 1 {
				t.Errorf("call %s: %d intents, %d outcomes", id, seen["intent"+id], seen["outcome"+id])
			}
		}
	}
	verified(t, data)
}

func TestAppend_after_Close(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, nil)
	l.stop(t)
	if err := l.Append(t.Context(), audit.Record{Kind: audit.Event}); !errors.Is(err, audit.ErrUnwritable) {
		t.Errorf("got %v, want ErrUnwritable", err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// Records that wait when Close is called are written or refused, never lost in between.
func TestClose_while_appending(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, nil)
	taken := make([]int, 16)
	var wg, begun sync.WaitGroup
	for w := range taken {
		begun.Add(1)
		wg.Go(func() {
			for i := 0; ; i++ {
				_, r := call(strconv.Itoa(w) + "." + strconv.Itoa(i))
				if err := l.Append(t.Context(), r); err != nil {
					return
				}
				if taken[w]++; i == 5 {
					begun.Done()
				}
			}
		})
	}
	begun.Wait()
	l.stop(t)
	wg.Wait()
	want := 2 // start and stop
	for _, n := range taken {
		want += n
	}
	if got := len(scan(t, data)); got != want {
		t.Errorf("%d records, but %d were acknowledged", got, want)
	}
	verified(t, data)
}

func TestAppend_context_that_has_ended(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Append(ctx, audit.Record{Kind: audit.Event}); !errors.Is(err, audit.ErrUnwritable) || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want ErrUnwritable for the context", err)
	}
}

func TestOpen_refuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		change func(*audit.Config)
		want   string
	}{
		{"no folder", func(c *audit.Config) { c.Dir = "" }, "no folder"},
		{"fsync", func(c *audit.Config) { c.Fsync = "never" }, `it is "each" or "interval"`},
		{"segments", func(c *audit.Config) { c.MaxBytes = 100 }, "at least 65536"},
		{"reserve", func(c *audit.Config) { c.ReserveBytes = 1 }, "at least 131072"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, err := tryOpen(t, t.TempDir(), tc.change); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want something about %q", err, tc.want)
			}
		})
	}
}

// Stop tells what is still open, and the next start ends it.
func TestAUD01_stop_counts_what_is_open(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, nil)
	intent, _ := call("left")
	l.append(t, intent)
	_, accepted := call("c2")
	accepted.Status, accepted.JobID = audit.StatusAccepted, "job2"
	l.append(t, accepted)
	_, done := call("c3")
	done.Status, done.JobID = audit.StatusAccepted, "job3"
	l.append(t, audit.Record{Kind: audit.JobEnd, JobID: "job3", CallID: "c3", Status: "succeeded"})
	l.append(t, done) // its job was quicker
	l.stop(t)
	records := scan(t, data)
	if last := records[len(records)-1]; last.Kind != audit.Stop || last.Count != 2 {
		t.Errorf("the log ends with %+v, want a stop with 2 open", last)
	}
	open(t, data, nil).stop(t)
	want := []string{"outcome:unknown(crash)", "job.end:unknown(crash)", "start", "stop"}
	records = scan(t, data)
	if d := cmp.Diff(want, kinds(records[len(records)-4:])); d != "" {
		t.Error(d)
	}
	verified(t, data)
}

func TestFsync_interval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		data := t.TempDir()
		disk := newDisk()
		l := open(t, data, func(c *audit.Config) { c.FS, c.Fsync = disk, audit.FsyncInterval })
		before := disk.fsyncs()
		for i := range 200 {
			_, r := call(strconv.Itoa(i))
			l.append(t, r)
		}
		if after := disk.fsyncs(); after-before > 1 {
			t.Errorf("%d fsyncs for 200 records", after-before)
		}
		if n := len(scan(t, data)); n != 201 {
			t.Errorf("%d records can be read, want 201 at once", n)
		}
		time.Sleep(1100 * time.Millisecond)
		synctest.Wait()
		if after := disk.fsyncs(); after == before {
			t.Error("no fsync within a second")
		}
		l.stop(t)
		verified(t, data)
	})
}
