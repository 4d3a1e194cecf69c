package audit_test

import (
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/audit"
)

// Verify runs beside a process that writes, and finds nothing.
func TestVerify_beside_a_writer(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, func(c *audit.Config) { c.MaxBytes = 64 << 10 })
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			intent, outcome := call(strconv.Itoa(i))
			outcome.Params = map[string]any{"pad": strings.Repeat("x", 1500)}
			if err := errors.Join(l.Append(t.Context(), intent), l.Append(t.Context(), outcome)); err != nil {
				t.Error(err)
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		report := verified(t, data)
		for _, f := range report.Findings {
			if f.Problem != audit.ProblemTorn {
				t.Error(f)
			}
		}
	}
	l.stop(t)
}

// A half is a log whose last line was half written when it was read first, and whole a moment later.
type half struct{ memory }

func (h half) OpenFile(name string, flag int, mode os.FileMode) (audit.File, error) {
	f, err := h.memory.OpenFile(name, flag, mode)
	if err != nil || !strings.HasSuffix(name, ".jsonl") {
		return f, err
	}
	info, err := f.Stat()
	return &halfFile{File: f, size: info.Size() - 20}, err
}

type halfFile struct {
	audit.File
	size int64 // of what is there so far
	seen bool
}

func (f *halfFile) ReadAt(p []byte, at int64) (int, error) {
	if left := f.size - at; !f.seen && int64(len(p)) > left {
		f.seen = left <= 0
		p = p[:max(0, left)]
	}
	n, err := f.File.ReadAt(p, at)
	if n == 0 || len(p) == 0 {
		err = io.EOF
	}
	return n, err
}

// A line that is written while somebody reads it is no tampering, not in its second half either.
func TestVerify_reads_a_line_that_is_being_written(t *testing.T) {
	t.Parallel()
	l := open(t, t.TempDir(), nil)
	intent, outcome := call("c")
	l.append(t, intent)
	before := read(t, headOf(l.data))
	l.append(t, outcome)
	m := remember(t, crash(t, l.data)).with("audit/001/head", before)
	report, err := audit.Verify("", audit.VerifyOptions{FS: half{m}})
	if err != nil || problems(report) != "torn open" {
		t.Errorf("got %v, %s", err, problems(report))
	}
}
