package audit_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/audit"
)

// lazily opens with a disk that skips fsyncs: what is tested here is what a killed process leaves, not what a loss of power does.
func lazily(c *audit.Config) {
	d := newDisk()
	d.lazy = true
	c.FS = d
}

// The last record, cut at every byte: what a crash tears is removed, said so, and the log goes on.
func TestCrash_torn_at_every_byte(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, lazily)
	intent := audit.Record{Kind: audit.Intent, CallID: "c1"}
	outcome := audit.Record{Kind: audit.Outcome, CallID: "c1", Status: audit.StatusOK}
	l.append(t, intent)
	before := crash(t, data) // the head of a process that is killed while the next record is written
	l.append(t, outcome)
	name := segments(t, data)[0]
	b := read(t, name)
	left := segments(t, before)[0]
	whole := len(read(t, left))
	head := read(t, headOf(before))
	l.stop(t)
	for size := whole; size <= len(b); size++ {
		torn := crash(t, before)
		write(t, segments(t, torn)[0], b[:size])
		write(t, headOf(torn), head)
		again := open(t, torn, lazily)
		again.stop(t)
		want := []string{"start", "intent"}
		switch size {
		case whole:
			want = append(want, "outcome:unknown(crash)")
		case len(b):
			want = append(want, "outcome:ok")
		default:
			want = append(want, "event:audit.mended", "outcome:unknown(crash)")
		}
		want = append(want, "start", "stop")
		records := scan(t, torn)
		if d := cmp.Diff(want, kinds(records)); d != "" {
			t.Fatalf("cut to %d of %d bytes: %s", size-whole, len(b)-whole, d)
		}
		if size > whole && size < len(b) && records[2].Detail["bytes_cut"] != strconv.Itoa(size-whole) {
			t.Errorf("cut to %d bytes: %v", size-whole, records[2].Detail)
		}
		if report := verified(t, torn); len(report.Findings) > 0 {
			t.Errorf("cut to %d bytes: %v", size-whole, report.Findings)
		}
	}
}

// T61, REL-05: the process is killed at each change that it makes to the disk, in the middle of a write too. What was acknowledged is
// there, every intent has one outcome, and the log is whole.
func TestT61_killed_at_every_step(t *testing.T) {
	t.Parallel()
	for n := 0; ; n++ {
		data := t.TempDir()
		d := newDisk()
		d.lazy = true
		d.freeze(n)
		acknowledged := live(t, data, d)
		if !d.frozen() {
			if n < 30 {
				t.Errorf("a whole life has %d steps only", n)
			}
			break
		}
		left := crash(t, data)
		open(t, left, lazily).stop(t)
		report := verified(t, left)
		for _, f := range report.Findings {
			t.Errorf("killed at step %d: %v", n, f)
		}
		have := map[string]int{}
		for _, r := range scan(t, left) {
			have[string(r.Kind)+r.CallID+r.JobID]++
			if r.Kind == audit.Intent {
				have["expect "+r.CallID]++
			}
			if r.Kind == audit.Outcome {
				have["expect "+r.CallID]--
			}
		}
		for _, what := range acknowledged {
			if have[what] != 1 {
				t.Errorf("killed at step %d: %s was acknowledged and is there %d times", n, what, have[what])
			}
		}
		for what, count := range have {
			if strings.HasPrefix(what, "expect ") && count != 0 {
				t.Errorf("killed at step %d: %s: %d outcomes too few", n, what, count)
			}
		}
	}
}

// live is a short life of a log, over three segments, and returns what was acknowledged in it.
func live(t *testing.T, data string, d *disk) (acknowledged []string) {
	t.Helper()
	slot, err := audit.TakeSlot(data)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := slot.Release(); err != nil {
			t.Error(err)
		}
	}()
	l, err := audit.Open(audit.Config{Dir: slot.Dir(), FS: d, MaxBytes: 64 << 10, ReserveBytes: 128 << 10})
	if err != nil {
		return nil
	}
	keep := func(err error, r audit.Record) {
		if err == nil {
			acknowledged = append(acknowledged, string(r.Kind)+r.CallID+r.JobID)
		}
	}
	for i := range 6 {
		intent, outcome := call("c" + strconv.Itoa(i))
		intent.Params = map[string]any{"pad": strings.Repeat("x", 25_000)}
		keep(l.Append(t.Context(), intent), intent)
		if i%2 == 0 {
			outcome.Status, outcome.JobID = audit.StatusAccepted, "j"+strconv.Itoa(i)
		}
		keep(l.AppendReserved(t.Context(), outcome), outcome)
		if i%4 == 0 {
			end := audit.Record{Kind: audit.JobEnd, JobID: outcome.JobID, Status: "succeeded"}
			keep(l.AppendReserved(t.Context(), end), end)
		}
	}
	_ = l.Close(t.Context()) // fails when the disk stands still
	return acknowledged
}

// After a crash the tree lacks what no checkpoint signs. A start that rotates at once takes that up, and nobody does so a second time.
func TestCrash_before_a_rotation(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), lazily)
	for i := range 50 {
		l.append(t, audit.Record{Kind: audit.Event, Name: "e" + strconv.Itoa(i), Params: map[string]any{"pad": strings.Repeat("x", 2000)}})
	}
	left := crash(t, l.data)
	again := open(t, left, func(c *audit.Config) { c.MaxBytes = 64 << 10 })
	again.stop(t)
	if n := len(segments(t, left)); n != 2 {
		t.Errorf("%d segments", n)
	}
	if report := verified(t, left); len(report.Findings) > 0 {
		t.Error(report.Findings)
	}
}

// A process that ran for so long that its start record was removed is signed for like any other, and a torn checkpoint of its is removed.
func TestCrash_after_its_start_was_removed(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), func(c *audit.Config) {
		lazily(c)
		c.MaxBytes, c.RetainBytes = 64<<10, 128<<10
	})
	for first := segments(t, l.data)[0]; segments(t, l.data)[0] == first; {
		l.append(t, audit.Record{Kind: audit.Event, Name: "e", Params: map[string]any{"pad": strings.Repeat("x", 2000)}})
	}
	left := crash(t, l.data)
	name := filepath.Join(left, "audit", "001", "checkpoints")
	b := read(t, name)
	write(t, name, append(b, b[:100]...))
	if _, err := audit.RecoverSlots(left, nil, audit.Config{ReserveBytes: 128 << 10}); err != nil {
		t.Fatal(err)
	}
	report := verified(t, left)
	if len(report.Findings) > 0 || report.Slots[0].Signed != report.Slots[0].Last {
		t.Errorf("%v, %d of %d signed", report.Findings, report.Slots[0].Signed, report.Slots[0].Last)
	}
}

const childEnv = "COMFYGATE_AUDIT_TEST_CHILD"

// child writes calls until it is killed, and tells which records were acknowledged.
func child(data string, stdout io.Writer) int {
	var mu sync.Mutex
	tell := func(line string) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.WriteString(stdout, line+"\n") // the reader notices what is missing
	}
	ctx := context.Background() //nolint:forbidigo // stands for a main

	slot, err := audit.TakeSlot(data)
	if err != nil {
		tell("error: " + err.Error())
		return 1
	}
	cfg := audit.Config{Dir: slot.Dir(), MaxBytes: 64 << 10, ReserveBytes: 128 << 10}
	if point := os.Getenv(pointEnv); point != "" { //nolint:forbidigo // stands for a main
		passes, _ := strconv.Atoi(os.Getenv(passesEnv)) //nolint:forbidigo // likewise
		cfg = doomed(slot.Dir(), point, passes)
	}
	l, err := audit.Open(cfg)
	if err != nil {
		tell("error: " + err.Error())
		return 1
	}
	var wg sync.WaitGroup
	for w := range 24 { // enough for room to be made
		wg.Go(func() {
			for i := 0; ; i++ {
				intent, outcome := call(fmt.Sprintf("%d.%d", w, i))
				for _, r := range []audit.Record{intent, outcome} {
					r.Params = map[string]any{"pad": strings.Repeat("x", 30*w)}
					if err := l.Append(ctx, r); err != nil {
						return
					}
					tell(string(r.Kind) + r.CallID)
				}
			}
		})
	}
	wg.Wait()
	return 0
}

// T61: a real process, really killed, somewhere.
func TestT61_kill_9(t *testing.T) {
	t.Parallel()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	for round := range 4 {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(cmd.Environ(), childEnv+"="+data)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var acknowledged []string
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if acknowledged = append(acknowledged, lines.Text()); len(acknowledged) == 200+300*round {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		_ = cmd.Wait() // it was killed
		if len(acknowledged) < 200 || strings.HasPrefix(acknowledged[0], "error") {
			t.Fatalf("the process said %v", acknowledged)
		}
		have := map[string]int{}
		for _, r := range scan(t, data) {
			have[string(r.Kind)+r.CallID]++
		}
		for _, what := range acknowledged {
			if have[what] == 0 {
				t.Errorf("round %d: %s was acknowledged and is gone", round, what)
			}
		}
		recovery, err := audit.RecoverSlots(data, nil, audit.Config{})
		if err != nil || recovery.Slots != 1 {
			t.Errorf("round %d: recovered %+v, %v", round, recovery, err)
		}
		if report := verified(t, data); len(report.Findings) > 0 {
			t.Errorf("round %d: %v", round, report.Findings)
		}
	}
}

// What is damaged behind the head's back is left as evidence; the log goes on beside it, and says so.
func TestDamage_is_left_and_told(t *testing.T) {
	t.Parallel()
	whole := func(t *testing.T) (string, []byte, []byte) {
		t.Helper()
		data := t.TempDir()
		l := open(t, data, lazily)
		for i := range 3 {
			intent, outcome := call("c" + strconv.Itoa(i))
			l.append(t, intent)
			l.append(t, outcome)
		}
		l.stop(t)
		return data, read(t, segments(t, data)[0]), read(t, headOf(data))
	}
	cutLines := func(b []byte, n int) []byte {
		lines := bytes.SplitAfter(b, []byte("\n"))
		return bytes.Join(lines[:len(lines)-1-n], nil)
	}
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, data string, segment, head []byte)
		same   bool   // it goes on in the same segment
		found  string // by verify, afterwards
	}{
		{"last line changed", func(t *testing.T, data string, segment, _ []byte) {
			t.Helper()
			segment[len(segment)-200] ^= 1
			write(t, segments(t, data)[0], segment)
		}, false, "hash"},
		{"tail cut", func(t *testing.T, data string, segment, _ []byte) {
			t.Helper()
			write(t, segments(t, data)[0], cutLines(segment, 3))
		}, false, "segment"},
		{"tail cut in a line", func(t *testing.T, data string, segment, _ []byte) {
			t.Helper()
			write(t, segments(t, data)[0], segment[:len(segment)-20])
		}, false, "framing"},
		{"segment gone", func(t *testing.T, data string, _, _ []byte) {
			t.Helper()
			if err := os.Remove(segments(t, data)[0]); err != nil {
				t.Fatal(err)
			}
		}, false, "segment"},
		{"head gone", func(t *testing.T, data string, _, _ []byte) {
			t.Helper()
			if err := os.Remove(headOf(data)); err != nil {
				t.Fatal(err)
			}
		}, true, ""},
		{"head garbled", func(t *testing.T, data string, _, head []byte) {
			t.Helper()
			write(t, headOf(data), head[:100])
		}, true, ""},
		{"head gone and a torn line", func(t *testing.T, data string, segment, _ []byte) {
			t.Helper()
			if err := os.Remove(headOf(data)); err != nil {
				t.Fatal(err)
			}
			write(t, segments(t, data)[0], append(segment, `{"seq":9,"ts":"`...))
		}, true, ""},
		{"head gone and a line changed", func(t *testing.T, data string, segment, _ []byte) {
			t.Helper()
			if err := os.Remove(headOf(data)); err != nil {
				t.Fatal(err)
			}
			lines := bytes.SplitAfter(segment, []byte("\n"))
			lines[5] = bytes.Replace(lines[5], []byte("ann"), []byte("eve"), 1)
			write(t, segments(t, data)[0], bytes.Join(lines, nil))
		}, false, "hash checkpoint segment"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			data, segment, head := whole(t)
			tc.damage(t, data, segment, head)
			evidence := []byte{}
			if names := segments(t, data); len(names) > 0 {
				evidence = read(t, names[0])
			}
			for range 2 { // the second start finds nothing new
				l := open(t, data, lazily)
				_, outcome := call("later")
				outcome.CallID += strconv.Itoa(len(segments(t, data)))
				l.append(t, outcome)
				l.stop(t)
			}
			names := segments(t, data)
			told := 0
			for _, name := range names {
				told += strings.Count(string(read(t, name)), audit.LogDamaged)
			}
			want := 1
			if strings.Contains(tc.found, "checkpoint") { // the log is shorter than its last checkpoint, too
				want = 2
			}
			if told != want {
				t.Errorf("the damage is told %d times", told)
			}
			if tc.same {
				if len(names) != 1 {
					t.Errorf("segments: %v", names)
				}
			} else if names[0] != filepath.Join(data, "audit", "001", "audit-00000000000000000001.jsonl") || !bytes.Equal(read(t, names[0]), evidence) {
				if len(evidence) > 0 {
					t.Error("the evidence was touched")
				}
			}
			report, err := audit.Verify(data, audit.VerifyOptions{})
			if got := problems(report); got != tc.found || (err != nil) != (tc.found != "") {
				t.Errorf("verify found %q, want %q: %v", got, tc.found, err)
			}
		})
	}
}

// Damage in the middle of several segments: the log goes on at its end, and what a lying head points to is not believed.
func TestDamage_of_segments_and_heads(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, func(c *audit.Config) { lazily(c); c.MaxBytes = 64 << 10 })
	for i := range 4 {
		r, _ := call("c" + strconv.Itoa(i))
		r.Params = map[string]any{"pad": strings.Repeat("x", 39_000)}
		l.append(t, r)
	}
	crashed := crash(t, data) // all four are open
	names := segments(t, crashed)
	if len(names) != 4 {
		t.Fatalf("segments: %v", names)
	}
	m := remember(t, crashed)
	head := string(m.MapFS["audit/001/head"].Data)
	pad := func(s string) []byte {
		return []byte(strings.TrimRight(s, " \n") + strings.Repeat(" ", 255-len(strings.TrimRight(s, " \n"))) + "\n")
	}
	for _, tc := range []struct {
		name   string
		damage func(t *testing.T, data string)
		closed int    // of the four
		found  string // by verify before
	}{
		{"nothing", func(*testing.T, string) {}, 4, "open"},
		{"a middle segment gone", func(t *testing.T, data string) {
			t.Helper()
			if err := os.Remove(segments(t, data)[1]); err != nil {
				t.Fatal(err)
			}
		}, 3, "segment open"},
		{"a middle segment torn, no head", func(t *testing.T, data string) {
			t.Helper()
			write(t, segments(t, data)[1], read(t, names[1])[:1000])
			if err := os.Remove(headOf(data)); err != nil {
				t.Fatal(err)
			}
		}, 3, "framing segment head open"},
		{"a head that lies about the start", func(t *testing.T, data string) {
			t.Helper()
			write(t, headOf(data), pad(strings.Replace(head, `"start_offset":0`, `"start_offset":7`, 1)))
		}, 4, "head open"},
		{"a head that lies about the start's segment", func(t *testing.T, data string) {
			t.Helper()
			write(t, headOf(data), pad(strings.Replace(head, `"start_segment":1`, `"start_segment":9`, 1)))
		}, 4, "head open"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			left := crash(t, crashed)
			tc.damage(t, left)
			report, err := audit.Verify(left, audit.VerifyOptions{})
			if got := problems(report); got != tc.found {
				t.Errorf("verify found %q, want %q: %v", got, tc.found, err)
			}
			recovery, err := audit.RecoverSlots(left, nil, audit.Config{FS: lazy()})
			if err != nil || recovery.Closed != tc.closed {
				t.Errorf("recovered %+v, %v; want %d closed", recovery, err, tc.closed)
			}
			open(t, left, lazily).stop(t)
		})
	}
}

// A log that is damaged where it would go on is not written over.
func TestDamage_beyond_going_on(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, lazily)
	l.stop(t)
	if err := os.Remove(headOf(data)); err != nil {
		t.Fatal(err)
	}
	name := segments(t, data)[0]
	b := read(t, name)
	b[20] ^= 1
	write(t, name, b)
	_, err := tryOpen(t, data, lazily)
	refused(t, err)
	if !strings.Contains(err.Error(), "move its slot's folder away") {
		t.Errorf("the error doesn't say what to do: %v", err)
	}
	if !bytes.Equal(read(t, name), b) {
		t.Error("the evidence was touched")
	}
}
