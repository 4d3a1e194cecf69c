package audit_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/comfygate/comfygate/audit"
)

// outcomeLike is a record as the pipeline writes them: about 700 bytes as a line.
func outcomeLike(call string) audit.Record {
	return audit.Record{
		Kind: audit.Outcome, CallID: call, JobID: "job-" + call, Principal: "local", Method: "stdio", Transport: "stdio",
		Session: "b2f1c0de", Tool: "generate", Status: audit.StatusOK, PromptID: "5f0a3c52-8f0e-4a53-9d0e-0a3f6a1f9a11",
		Params: map[string]any{
			"prompt": map[string]any{"hmac_sha256": "9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab", "len": 120},
			"width":  1024, "height": 1024, "steps": 20, "seed": uint64(18446744073709551615), "model": "sdxl.safetensors",
		},
		Outputs: []string{"2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"}, Cost: 20.97152, DurationMS: 8123,
	}
}

func openBench(b *testing.B, change func(*audit.Config)) *audit.Log {
	b.Helper()
	cfg := audit.Config{Dir: filepath.Join(b.TempDir(), "001")}
	if change != nil {
		change(&cfg)
	}
	l, err := audit.Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := l.Close(context.WithoutCancel(b.Context())); err != nil {
			b.Error(err)
		}
	})
	return l
}

// BenchmarkBareWriteSync is the floor: the same bytes, written and made durable by nothing but two system calls.
// A single Append has to stay below three times this.
func BenchmarkBareWriteSync(b *testing.B) {
	f, err := os.OpenFile(filepath.Join(b.TempDir(), "bare"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	line := append(bytes.Repeat([]byte{'x'}, 899), '\n')
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Write(line); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	l := openBench(b, nil)
	r := outcomeLike("01JCE3K8Q8M4S5T6V7W8X9Y0Z1")
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Append(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend_interval(b *testing.B) {
	l := openBench(b, func(c *audit.Config) { c.Fsync = audit.FsyncInterval })
	r := outcomeLike("01JCE3K8Q8M4S5T6V7W8X9Y0Z1")
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Append(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAppend_writers shows group commit: ns/op is the time per durable record.
func BenchmarkAppend_writers(b *testing.B) {
	for _, writers := range []int{1, 4, 16, 64, 256} {
		b.Run(strconv.Itoa(writers), func(b *testing.B) {
			disk := newDisk()
			l := openBench(b, func(c *audit.Config) { c.FS = disk })
			b.ReportAllocs()
			before := disk.fsyncs()
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for w := range writers {
				wg.Go(func() {
					r := outcomeLike("call-" + strconv.Itoa(w))
					for next.Add(1) <= int64(b.N) {
						if err := l.Append(b.Context(), r); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			after := disk.fsyncs()
			b.ReportMetric(float64(b.N)/float64(after-before), "records/fsync")
		})
	}
}

// BenchmarkStart is what a start costs before the first call: a slot with a clean log of 10,000 records.
func BenchmarkStart(b *testing.B) {
	cfg := audit.Config{Dir: filepath.Join(b.TempDir(), "001"), Fsync: audit.FsyncInterval}
	l, err := audit.Open(cfg)
	if err != nil {
		b.Fatal(err)
	}
	for range 10_000 {
		if err := l.Append(b.Context(), outcomeLike("c")); err != nil {
			b.Fatal(err)
		}
	}
	var opening time.Duration
	for b.Loop() {
		if err := l.Close(b.Context()); err != nil {
			b.Fatal(err)
		}
		begun := time.Now()
		if l, err = audit.Open(cfg); err != nil {
			b.Fatal(err)
		}
		opening += time.Since(begun)
	}
	b.ReportMetric(float64(opening.Microseconds())/float64(b.N), "µs/open")
	if err := l.Close(context.WithoutCancel(b.Context())); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkVerify(b *testing.B) {
	data := b.TempDir()
	slot, err := audit.TakeSlot(data)
	if err != nil {
		b.Fatal(err)
	}
	l, err := audit.Open(audit.Config{Dir: slot.Dir(), Fsync: audit.FsyncInterval})
	if err != nil {
		b.Fatal(err)
	}
	const records = 10_000
	for i := range records {
		if err := l.Append(b.Context(), outcomeLike("call-"+strconv.Itoa(i))); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(b.Context()); err != nil {
		b.Fatal(err)
	}
	if err := slot.Release(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := audit.Verify(data, audit.VerifyOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(records*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
