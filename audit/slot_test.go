package audit_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/audit"
)

func take(tb testing.TB, data string) *audit.Slot {
	tb.Helper()
	s, err := audit.TakeSlot(data)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.Release() })
	return s
}

// Decision 5: each process takes the first free slot.
func TestTakeSlot(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "not", "yet", "there")
	first, second := take(t, data), take(t, data)
	if first.Name() != "001" || second.Name() != "002" || first.Dir() != filepath.Join(data, "audit", "001") {
		t.Errorf("took %s and %s", first.Dir(), second.Dir())
	}
	for range 2 {
		if err := first.Release(); err != nil {
			t.Error(err)
		}
	}
	if third := take(t, data); third.Name() != "001" {
		t.Errorf("took %s, but 001 is free again", third.Name())
	}
	if fourth := take(t, data); fourth.Name() != "003" {
		t.Errorf("took %s, want 003", fourth.Name())
	}
}

func TestTakeSlot_at_once(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	names := make([]string, 20)
	var wg sync.WaitGroup
	for i := range names {
		wg.Go(func() { names[i] = take(t, data).Name() })
	}
	wg.Wait()
	slices.Sort(names)
	if got := slices.Compact(slices.Clone(names)); len(got) != len(names) {
		t.Errorf("two took the same: %v", names)
	}
}

func TestTakeSlot_limit(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for range 100 {
		take(t, data)
	}
	if _, err := audit.TakeSlot(data); !errors.Is(err, audit.ErrNoSlot) {
		t.Errorf("got %v, want ErrNoSlot", err)
	}
}

func TestTakeSlot_no_folder(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	write(t, filepath.Join(data, "audit"), []byte("a file"))
	if _, err := audit.TakeSlot(data); err == nil {
		t.Error("took a slot in a file")
	}
	other := t.TempDir()
	if err := os.MkdirAll(filepath.Join(other, "audit", "001", "lock"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.TakeSlot(other); err == nil || !strings.Contains(err.Error(), "audit slot 001") {
		t.Errorf("a lock that is a folder: %v", err)
	}
}

// Design.md, "a job's end": a starting process ends, in each free slot, what a crash left open there.
func TestRecoverSlots(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	all := []*logs{open(t, data, lazily), open(t, data, lazily), open(t, data, lazily), open(t, data, lazily)}
	for i, l := range all {
		id := strconv.Itoa(i)
		done, outcome := call("done" + id)
		l.append(t, done)
		l.append(t, outcome)
		left, accepted := call("left" + id)
		l.append(t, left)
		accepted.CallID, accepted.Status, accepted.JobID, accepted.Tool = "made"+id, audit.StatusAccepted, "job"+id, "upscale"
		l.append(t, accepted)
	}
	crashed := crash(t, data) // nobody holds a slot of the copy
	stopped := filepath.Join(crashed, "audit", "002")
	if err := os.RemoveAll(stopped); err != nil { // 002 was never used
		t.Fatal(err)
	}
	if err := os.Mkdir(stopped, 0o700); err != nil {
		t.Fatal(err)
	}
	// 001 is taken by the new process, 003 is held by a live one, 004 has crashed.
	own := take(t, crashed)
	_ = take(t, crashed)      // 002
	held3 := take(t, crashed) // 003
	held4 := take(t, crashed) // 004
	if err := held4.Release(); err != nil {
		t.Fatal(err)
	}
	recovery, err := audit.RecoverSlots(crashed, own, audit.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(audit.Recovery{Slots: 1, Closed: 2}, recovery); d != "" {
		t.Error(d)
	}
	if err := held3.Release(); err != nil {
		t.Fatal(err)
	}
	ends := map[string][]string{}
	var ended []audit.Record
	if err := audit.Scan(crashed, func(slot string, r audit.Record) error {
		if r.Status == audit.StatusCrashed {
			ends[slot] = append(ends[slot], string(r.Kind)+" "+r.CallID+r.JobID)
			ended = append(ended, r)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string][]string{"004": {"outcome left3", "job.end made3job3", "stop "}}, ends); d != "" {
		t.Error(d)
	}
	if r := ended[0]; r.Principal != "ann" || r.Tool != "generate" || r.Transport != "http" || r.Severity != audit.Medium {
		t.Errorf("the outcome says %+v", r)
	}

	// The next time 003 is free, and nothing is left to do in the others.
	for _, want := range []audit.Recovery{{Slots: 1, Closed: 2}, {}} {
		recovery, err := audit.RecoverSlots(crashed, own, audit.Config{})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, recovery); d != "" {
			t.Error(d)
		}
	}
	// 001 is this process's own: Open recovers it.
	l, err := audit.Open(audit.Config{Dir: own.Dir()})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	report := verified(t, crashed)
	for _, f := range report.Findings {
		t.Error(f)
	}
}

// A slot that can't be recovered doesn't keep the others from it.
func TestRecoverSlots_damaged(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for _, l := range []*logs{open(t, data, lazily), open(t, data, lazily)} {
		intent, _ := call("left" + l.slot.Name())
		l.append(t, intent)
	}
	crashed := crash(t, data)
	write(t, segments(t, crashed)[0], []byte("not a line\n"))
	if err := os.Remove(headOf(crashed)); err != nil {
		t.Fatal(err)
	}
	recovery, err := audit.RecoverSlots(crashed, nil, audit.Config{})
	if !errors.Is(err, audit.ErrDamaged) || !strings.Contains(err.Error(), "audit slot 001") {
		t.Errorf("got %v, want ErrDamaged in slot 001", err)
	}
	if recovery.Slots != 1 || recovery.Closed != 1 {
		t.Errorf("recovered %+v", recovery)
	}
	if _, err := audit.RecoverSlots(filepath.Join(data, "elsewhere"), nil, audit.Config{}); err == nil {
		t.Error("recovered nothing from nowhere")
	}
}

// Ends that came before a start are another life's: a call id may come again.
func TestVerify_lives_are_apart(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for range 3 {
		l := open(t, data, lazily)
		intent, outcome := call("same")
		l.append(t, intent)
		l.append(t, outcome)
		l.stop(t)
	}
	verified(t, data)
}
