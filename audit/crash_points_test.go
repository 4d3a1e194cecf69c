package audit_test

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/comfygate/comfygate/audit"
)

// crashPoints are the places at which a process is killed: what it does, to which file, and whether before it, in the middle or after it.
var crashPoints = []string{ // immutable
	"write audit- before", "write audit- middle", "write audit- after",
	"sync audit- before", "sync audit- after",
	"open audit- after", "chmod audit- before", "chmod audit- after",
	"room audit- before", "room audit- middle", "room audit- after", "truncate audit- before", "truncate audit- after",
	"write head before", "write head after", "sync head before", "sync head after",
	"write tree before", "write tree middle", "write tree after", "sync tree after",
	"write checkpoints before", "write checkpoints middle", "write checkpoints after", "sync checkpoints before", "sync checkpoints after",
	"remove audit- before", "remove audit- after", "rename checkpoints before", "rename checkpoints after",
	"syncdir 001 before", "syncdir 001 after",
}

// A mine is the operating system's file system, in which the process kills itself at a crash point.
type mine struct {
	audit.FS
	op, file, when string

	mu   sync.Mutex
	left int // times that it passes before that
}

func newMine(point string, passes int) *mine {
	parts := strings.Fields(point)
	return &mine{FS: audit.OS(), op: parts[0], file: parts[1], when: parts[2], left: passes}
}

// due reports whether an operation is the one.
func (m *mine) due(op, name string) bool {
	if op != m.op || !strings.HasPrefix(filepath.Base(name), m.file) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.left--
	return m.left == -1
}

func (*mine) explode() {
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill()
	}
	select {} // until the signal is here
}

// around does an operation, or as much of it as there is time for.
func (m *mine) around(op, name string, half, whole func() error) error {
	due := m.due(op, name)
	if due && m.when == "before" {
		m.explode()
	}
	if due && m.when == "middle" {
		_ = half()
		m.explode()
	}
	err := whole()
	if due {
		m.explode()
	}
	return err
}

func nothing() error { return nil }

func (m *mine) OpenFile(name string, flag int, perm fs.FileMode) (f audit.File, err error) {
	err = m.around("open", name, nothing, func() error {
		f, err = m.FS.OpenFile(name, flag, perm)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &minedFile{f, m, name}, nil
}

func (m *mine) SyncDir(name string) error {
	return m.around("syncdir", name, nothing, func() error { return m.FS.SyncDir(name) })
}

func (m *mine) Chmod(name string, mode fs.FileMode) error {
	return m.around("chmod", name, nothing, func() error { return m.FS.Chmod(name, mode) })
}

func (m *mine) Remove(name string) error {
	return m.around("remove", name, nothing, func() error { return m.FS.Remove(name) })
}

func (m *mine) Rename(from, to string) error {
	return m.around("rename", to, nothing, func() error { return m.FS.Rename(from, to) })
}

type minedFile struct {
	audit.File
	mine *mine
	name string
}

func (f *minedFile) Write(p []byte) (n int, err error) {
	err = f.mine.around("write", f.name,
		func() error { _, err := f.File.Write(p[:len(p)/2]); return err },
		func() error { n, err = f.File.Write(p); return err })
	return n, err
}

func (f *minedFile) WriteAt(p []byte, at int64) (n int, err error) {
	op := "write"
	if p[0] == 0 {
		op = "room"
	}
	err = f.mine.around(op, f.name,
		func() error { _, err := f.File.WriteAt(p[:len(p)/2], at); return err },
		func() error { n, err = f.File.WriteAt(p, at); return err })
	return n, err
}

func (f *minedFile) Truncate(size int64) error {
	return f.mine.around("truncate", f.name, nothing, func() error { return f.File.Truncate(size) })
}

func (f *minedFile) SyncData() error { return f.Sync() }

func (f *minedFile) Sync() error {
	return f.mine.around("sync", f.name, nothing, f.File.Sync)
}

const (
	pointEnv  = "COMFYGATE_AUDIT_TEST_POINT"
	passesEnv = "COMFYGATE_AUDIT_TEST_PASSES"
)

// doomed is the configuration of a child that is killed at a crash point: small segments, few of which are kept, and a checkpoint a second.
func doomed(dir, point string, passes int) audit.Config {
	return audit.Config{
		Dir: dir, FS: newMine(point, passes), MaxBytes: 64 << 10, ReserveBytes: 128 << 10,
		RetainBytes: 192 << 10, CheckpointEvery: 20 * time.Millisecond,
	}
}

// T61: a process is killed at each crash point, over and over on the same log. No call was made without its intent on the disk, none has
// two ends, what was acknowledged is there or was removed as the settings say, and after each restart the log is whole.
// Here every third point is tried; `make crash` sets E2E_CRASH_RUNS and tries all, 200 times.
func TestT61_crash_points(t *testing.T) {
	t.Parallel()
	runs, stride := len(crashPoints)/3, 3
	if n, err := strconv.Atoi(os.Getenv("E2E_CRASH_RUNS")); err == nil { //nolint:forbidigo // of the Makefile
		runs, stride = n, 1
	}
	r := rand.New(rand.NewPCG(61, 61)) // seeded, so that a failure can be had again
	data := t.TempDir()
	killed := 0
	for run := range runs {
		if run%50 == 49 { // not one log for ever
			data = t.TempDir()
		}
		point := crashPoints[run*stride%len(crashPoints)]
		passes := r.IntN(6)
		said, exploded := doom(t, data, point, passes)
		if exploded {
			killed++
		}
		checkLeft(t, fmt.Sprintf("run %d, %s, passed %d times", run, point, passes), data, said)
	}
	if killed < runs*3/4 {
		t.Errorf("%d of %d processes were killed", killed, runs)
	}
	t.Logf("%d of %d processes were killed at %d points", killed, runs, len(crashPoints))
}

// doom runs a child until it is killed at a crash point, or, where it never gets there, by this test. It returns what the child said.
func doom(t *testing.T, data, point string, passes int) (said []string, exploded bool) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(cmd.Environ(), childEnv+"="+data, pointEnv+"="+point, passesEnv+"="+strconv.Itoa(passes))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exploded = true
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if said = append(said, lines.Text()); len(said) == 2000 { // it doesn't get there
			exploded = false
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_, _ = io.Copy(io.Discard, out)
	_ = cmd.Wait() // it was killed
	if len(said) > 0 && strings.HasPrefix(said[0], "error") {
		t.Fatalf("%s: the process said %v", point, said)
	}
	return said, exploded
}

// checkLeft holds what a killed process left against what it said.
func checkLeft(t *testing.T, what, data string, said []string) {
	t.Helper()
	if _, err := audit.RecoverSlots(data, nil, audit.Config{ReserveBytes: 128 << 10}); err != nil {
		t.Errorf("%s: recovering: %v", what, err)
	}
	report, err := audit.Verify(data, audit.VerifyOptions{})
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("%s: %v %v", what, err, report.Findings)
	}
	have := map[string]int{}
	life := map[string]int{} // of the last process only: ids come again in the next
	for _, r := range scan(t, data) {
		if r.Kind == audit.Start {
			clear(life)
		}
		if r.CallID != "" {
			have[string(r.Kind)+r.CallID]++
			if life[string(r.Kind)+r.CallID]++; life[string(r.Kind)+r.CallID] > 1 {
				t.Errorf("%s: a second %s of %s", what, r.Kind, r.CallID)
			}
		}
	}
	for id, n := range life {
		if call, ok := strings.CutPrefix(id, "intent"); ok && life["outcome"+call] != n {
			t.Errorf("%s: call %s has an intent and no end", what, call)
		}
	}
	pruned := report.Slots[0].First > 1
	for _, record := range said {
		if have[record] == 0 && !pruned {
			t.Errorf("%s: %s was acknowledged and is gone", what, record)
		}
	}
	for _, record := range said[max(0, len(said)-20):] { // what was said last was not removed
		if have[record] == 0 {
			t.Errorf("%s: %s was acknowledged last and is gone", what, record)
		}
	}
}
