package audit_test

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/comfygate/comfygate/audit"
)

// faulty opens a log on a disk without faults, for now.
func faulty(tb testing.TB, change func(*audit.Config)) (*logs, *disk) {
	tb.Helper()
	d := newDisk()
	return open(tb, tb.TempDir(), func(c *audit.Config) {
		c.FS = d
		if change != nil {
			change(c)
		}
	}), d
}

func refused(tb testing.TB, err error) {
	tb.Helper()
	if !errors.Is(err, audit.ErrUnwritable) {
		tb.Fatalf("got %v, want ErrUnwritable", err)
	}
}

// wholeLines fails if the last segment ends with anything but a whole line.
func wholeLines(tb testing.TB, data string) {
	tb.Helper()
	names := segments(tb, data)
	if b := read(tb, names[len(names)-1]); len(b) > 0 && b[len(b)-1] != '\n' {
		tb.Errorf("the log ends with %.80q", b[max(0, len(b)-80):])
	}
}

// T62, AUD-03…05: on a full disk new records are refused, what is owed is written into the reserve, and when there is room again the
// log goes on by itself and says how long it could not.
func TestT62_disk_full(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, d := faulty(t, nil)
		intent, outcome := call("before")
		l.append(t, intent)
		if err := l.Healthy(); err != nil {
			t.Fatal(err)
		}

		d.fill(100) // cuts the next line short
		late, _ := call("late")
		err := l.Append(t.Context(), late)
		refused(t, err)
		if !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("got %v, want the cause in it", err)
		}
		refused(t, l.Healthy())
		for range 3 {
			time.Sleep(1100 * time.Millisecond) // it tries again, and finds no room
			refused(t, l.Healthy())
			refused(t, l.Append(t.Context(), late))
		}
		if err := l.AppendReserved(t.Context(), outcome); err != nil {
			t.Fatalf("what is owed was refused: %v", err)
		}
		wholeLines(t, l.data)
		refused(t, l.Append(t.Context(), late)) // not into the room that the reserve gave
		verified(t, l.data)

		owed := 0
		for ; owed < 5000; owed++ {
			_, r := call("owed " + strconv.Itoa(owed))
			r.Params = map[string]any{"pad": strings.Repeat("x", 1000)}
			if err := l.AppendReserved(t.Context(), r); err != nil {
				refused(t, err)
				break
			}
		}
		if owed < 60 || owed > 200 { // the reserve of this test is 128 KiB
			t.Errorf("%d records of 1 KiB went into the reserve", owed)
		}

		d.heal()
		time.Sleep(1100 * time.Millisecond)
		if err := l.Healthy(); err != nil {
			t.Fatalf("there is room again, but: %v", err)
		}
		l.append(t, late)
		l.stop(t)
		verified(t, l.data)
		records := scan(t, l.data)
		count := map[string]int{}
		for _, r := range records {
			count[string(r.Kind)+" "+r.CallID+r.Name]++
			if r.Name == audit.LogGap && (r.Severity != audit.High || r.Count < 5 || r.Detail["cause"] != "write: no space left on device" && r.Detail["cause"] != "writing: no space left on device") {
				t.Errorf("the gap reads %+v", r)
			}
		}
		if count["intent late"] != 1 || count["outcome before"] != 1 || count["event "+audit.LogGap] != 1 {
			t.Errorf("records: %v", kinds(records))
		}
	})
}

// AUD-04: the reserve is filled again before the log counts as healthy.
func TestAUD04_reserve_is_restored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, d := faulty(t, nil)
		_, outcome := call("c")
		d.fill(0)
		if err := l.AppendReserved(t.Context(), outcome); err != nil {
			t.Fatal(err)
		}
		refused(t, l.Healthy())
		d.fill(100 << 10) // some room, not enough
		time.Sleep(1100 * time.Millisecond)
		refused(t, l.Healthy())
		d.fill(1 << 20)
		time.Sleep(1100 * time.Millisecond)
		if err := l.Healthy(); err != nil {
			t.Error(err)
		}
		info, err := os.Stat(strings.TrimSuffix(headOf(l.data), "head") + "reserve")
		if err != nil || info.Size() != 128<<10 {
			t.Errorf("the reserve: %v, %v", info, err)
		}
	})
}

// T63, AUD-06: after a failed fsync no descriptor is trusted, the refused record is not in the log, and the log goes on.
func TestT63_fsync_error(t *testing.T) {
	t.Parallel()
	l, d := faulty(t, nil)
	first, _ := call("first")
	l.append(t, first)
	d.failSyncs()
	d.passing()
	lost, _ := call("lost")
	err := l.Append(t.Context(), lost)
	refused(t, err)
	if !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v, want the cause in it", err)
	}
	refused(t, l.Healthy())
	second, _ := call("second")
	l.append(t, second) // the log was opened again
	if err := l.Healthy(); err != nil {
		t.Error(err)
	}
	l.stop(t)
	verified(t, l.data)
	for _, r := range scan(t, l.data) {
		if r.CallID == "lost" {
			t.Error("the refused record is in the log")
		}
	}
}

// T63: while fsyncs fail nothing is taken, what is owed neither, and nothing of it is found later.
func TestT63_fsync_error_that_stays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		core, seen := observer.New(zapcore.InfoLevel)
		l, d := faulty(t, func(c *audit.Config) { c.Log = zap.New(core) })
		d.failSyncs()
		_, r := call("c")
		for range 20 {
			refused(t, l.Append(t.Context(), r))
			refused(t, l.AppendReserved(t.Context(), r))
			time.Sleep(300 * time.Millisecond)
		}
		if n := seen.FilterMessage("the audit log cannot be written").Len(); n != 1 {
			t.Errorf("the log said %d times that it can't be written", n)
		}
		d.heal()
		time.Sleep(1100 * time.Millisecond)
		l.append(t, r)
		if n := seen.FilterMessage("the audit log can be written again").Len(); n != 1 {
			t.Errorf("the log said %d times that it can be written again", n)
		}
		l.stop(t)
		verified(t, l.data)
		n, gaps := 0, 0
		for _, r := range scan(t, l.data) {
			if r.CallID == "c" {
				n++
			}
			if r.Name == audit.LogGap {
				gaps++
			}
		}
		if n != 1 || gaps != 1 {
			t.Errorf("%d of the records, %d gaps", n, gaps)
		}
	})
}

// AUD-05: writes that fail, with any number of bytes through, are cut back to the last good record.
func TestAUD05_short_writes(t *testing.T) {
	t.Parallel()
	for _, err := range []error{syscall.ENOSPC, syscall.EIO, nil} {
		for _, short := range []int{0, 1, 344, 1 << 20} {
			name := "no error"
			if err != nil {
				name = err.Error()
			} else if short == 1<<20 {
				continue // all bytes and no error: nothing is wrong
			}
			t.Run(name+" after "+strconv.Itoa(short), func(t *testing.T) {
				t.Parallel()
				l, d := faulty(t, nil)
				first, _ := call("first")
				l.append(t, first)
				if err == nil {
					d.failWrites(errQuiet, short)
				} else {
					d.failWrites(err, short)
				}
				d.only("audit-") // the head of the record before may be written just now
				d.passing()
				r, _ := call("lost")
				refused(t, l.Append(t.Context(), r))
				second, _ := call("second")
				l.append(t, second)
				wholeLines(t, l.data)
				l.stop(t)
				verified(t, l.data)
				for _, r := range scan(t, l.data) {
					if r.CallID == "lost" {
						t.Error("the refused record is in the log")
					}
				}
			})
		}
	}
}

// The head, the reserve, a new segment: trouble with each refuses records and passes.
func TestT63_trouble_elsewhere(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		fault func(*disk)
	}{
		{"head", func(d *disk) { d.failWrites(syscall.EIO, 10); d.only("head") }},
		{"new segment", func(d *disk) { d.failOpens(syscall.EMFILE) }},
		{"segment", func(d *disk) { d.failSyncs(); d.only("audit-") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, d := faulty(t, func(c *audit.Config) { c.MaxBytes = 64 << 10 })
				taken := 0
				big := func() error {
					r, _ := call(strconv.Itoa(taken))
					r.Kind, r.Params = audit.Event, map[string]any{"pad": strings.Repeat("x", 30_000)}
					err := l.Append(t.Context(), r)
					if err == nil {
						taken++
					}
					return err
				}
				if err := big(); err != nil {
					t.Fatal(err)
				}
				tc.fault(d)
				failed := 0
				for range 6 {
					if err := big(); err != nil {
						refused(t, err)
						failed++
					}
				}
				if failed < 3 || l.Healthy() == nil {
					t.Errorf("%d of 6 were refused, healthy: %v", failed, l.Healthy())
				}
				d.heal()
				time.Sleep(1100 * time.Millisecond)
				for range 3 {
					if err := big(); err != nil {
						t.Error(err)
					}
				}
				l.stop(t)
				verified(t, l.data)
				n := 0
				for _, r := range scan(t, l.data) {
					if r.CallID != "" {
						n++
					}
				}
				if n != taken {
					t.Errorf("%d records, but %d were acknowledged", n, taken)
				}
			})
		})
	}
}

// AUD-06 in the mode "interval": what was acknowledged before a failed fsync is written again.
func TestAUD06_interval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, d := faulty(t, func(c *audit.Config) { c.Fsync = audit.FsyncInterval })
		for i := range 10 {
			_, r := call(strconv.Itoa(i))
			l.append(t, r)
		}
		d.failSyncs()
		time.Sleep(1500 * time.Millisecond)
		refused(t, l.Healthy())
		time.Sleep(5 * time.Second)
		d.heal()
		time.Sleep(1500 * time.Millisecond)
		if err := l.Healthy(); err != nil {
			t.Error(err)
		}
		l.stop(t)
		verified(t, l.data)
		n := 0
		for _, r := range scan(t, l.data) {
			if r.Kind == audit.Outcome {
				n++
			}
		}
		if n != 10 {
			t.Errorf("%d of 10 acknowledged records are left", n)
		}
	})
}

// A disk that hangs: callers give up when their time is over, new ones aren't let in, and those that wait are bounded.
func TestAppend_on_a_disk_that_hangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, d := faulty(t, nil)
		resume := d.hang()
		defer resume()
		_, r := call("c")
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		err := l.Append(ctx, r)
		refused(t, err)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 3*time.Second {
			t.Errorf("got %v after %v", err, time.Since(begun))
		}
		if err := l.Healthy(); err != nil {
			t.Errorf("unhealthy after 3 s: %v", err)
		}
		time.Sleep(3 * time.Second)
		refused(t, l.Healthy())

		full := false
		for i := 0; i < 5000 && !full; i++ {
			ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
			err := l.Append(ctx, r)
			cancel()
			refused(t, err)
			full = strings.Contains(err.Error(), "4096 records wait")
		}
		if !full {
			t.Error("more than 4096 records wait")
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		refused(t, l.Close(ctx))
		resume()
		l.stop(t)
		verified(t, l.data)
		// The record whose fsync hung is there, for nobody knew better; those behind it, whose callers were told no, are not.
		if got := strings.Join(kinds(scan(t, l.data)), " "); got != "start outcome:ok stop" {
			t.Errorf("records: %s", got)
		}
	})
}

// AUDIT__FAIL_CLOSED=false: nobody is refused, and the log says later what it lost.
func TestFailOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l, d := faulty(t, func(c *audit.Config) { c.FailOpen = true })
		d.failWrites(syscall.EIO, 0)
		_, r := call("c")
		for range 7 {
			l.append(t, r)
		}
		if err := l.Healthy(); err != nil || l.Dropped() != 7 {
			t.Errorf("healthy: %v, %d dropped", err, l.Dropped())
		}
		d.heal()
		time.Sleep(1100 * time.Millisecond)
		l.append(t, r)
		l.stop(t)
		records := scan(t, l.data)
		if got := strings.Join(kinds(records), " "); got != "start event:audit.gap outcome:ok stop" || records[1].Count != 7 {
			t.Errorf("records: %s, %+v", got, records[1])
		}
	})
}

// In the fail-open mode a log that can't even be opened is one that drops everything, until it can.
func TestFailOpen_from_the_start(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		d.failOpens(syscall.EACCES)
		l := open(t, t.TempDir(), func(c *audit.Config) { c.FS, c.FailOpen = d, true })
		_, r := call("c")
		l.append(t, r)
		if l.Dropped() != 1 || l.Digest("", "x")["hmac_sha256"] == nil {
			t.Errorf("%d dropped", l.Dropped())
		}
		d.heal()
		time.Sleep(1100 * time.Millisecond)
		l.append(t, r)
		l.stop(t)
		if got := strings.Join(kinds(scan(t, l.data)), " "); got != "start event:audit.gap outcome:ok stop" {
			t.Errorf("records: %s", got)
		}
		verified(t, l.data)

		d.failOpens(syscall.EACCES)
		open(t, t.TempDir(), func(c *audit.Config) { c.FS, c.FailOpen = d, true }).stop(t)
	})
}

// SC-60: a log that can't be opened is one that nothing starts with.
func TestSec_SC60_open_fails_closed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		fault func(*disk)
	}{
		{"read only", func(d *disk) { d.failOpens(syscall.EROFS) }},
		{"no segment", func(d *disk) { d.failOpens(syscall.EACCES); d.only("audit-") }},
		{"no head", func(d *disk) { d.failOpens(syscall.EACCES); d.only("head") }},
		{"full", func(d *disk) { d.fill(0) }},
		{"broken", func(d *disk) { d.failSyncs() }},
		{"broken later", func(d *disk) { d.failSyncs(); d.only("audit-") }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := newDisk()
			tc.fault(d)
			_, err := tryOpen(t, t.TempDir(), func(c *audit.Config) { c.FS = d })
			refused(t, err)
		})
	}
}

// A disk with room for records but not for the reserve: the log is there, says why no call is let in, and waits for room.
func TestOpen_without_room_for_the_reserve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk()
		d.fill(100 << 10)
		l := open(t, t.TempDir(), func(c *audit.Config) { c.FS = d })
		refused(t, l.Healthy())
		_, r := call("c")
		refused(t, l.Append(t.Context(), r))
		d.heal()
		time.Sleep(1100 * time.Millisecond)
		if err := l.Healthy(); err != nil {
			t.Error(err)
		}
	})
}

// Somebody removes or shortens the log under a running process, and the disk makes it look: it goes on in a new segment,
// and verify tells what is missing.
func TestAUD06_tail_taken_away(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		take func(*testing.T, string)
	}{
		{"removed", func(t *testing.T, name string) { t.Helper(); _ = os.Remove(name) }},
		{"emptied", func(t *testing.T, name string) { t.Helper(); write(t, name, nil) }},
		{"shortened", func(t *testing.T, name string) { t.Helper(); b := read(t, name); write(t, name, b[:len(b)-300]) }},
		{"changed", func(t *testing.T, name string) { t.Helper(); b := read(t, name); b[len(b)-300] ^= 1; write(t, name, b) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			l, d := faulty(t, nil)
			_, r := call("first")
			l.append(t, r)
			tc.take(t, segments(t, l.data)[0])
			d.failSyncs()
			d.passing()
			_, r = call("lost")
			refused(t, l.Append(t.Context(), r))
			_, r = call("second")
			l.append(t, r)
			l.stop(t)
			report, err := audit.Verify(l.data, audit.VerifyOptions{})
			if audit.ExitCode(err) != audit.ExitTampered {
				t.Errorf("verify: %v", err)
			}
			for _, f := range report.Findings {
				if f.Seq > 3 { // what came after the loss is whole
					t.Error(f)
				}
			}
			names := segments(t, l.data)
			if last := string(read(t, names[len(names)-1])); !strings.Contains(last, audit.LogDamaged) || !strings.Contains(last, `"second"`) {
				t.Errorf("the new segment holds %s", last)
			}
		})
	}
}

var errQuiet = errors.New("quiet")
