package attack_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/comfygate/comfygate/audit"
)

// TestT64_rotationRaces: while many write, and files rotate under them every few records, others read and verify: each record is in the log
// once, in the order of its numbers, and every verification that is made meanwhile is clean.
func TestT64_rotationRaces(t *testing.T) {
	t.Parallel()
	const writers, each = 16, 60
	data := t.TempDir()
	slot, err := audit.TakeSlot(data)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(audit.Config{Dir: slot.Dir(), MaxBytes: 64 << 10, ReserveBytes: 128 << 10, CheckpointRecords: 50})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var readers, all sync.WaitGroup
	readers.Go(func() {
		for ctx.Err() == nil {
			for _, err := range audit.Records(data, audit.Filter{}) {
				if err != nil {
					t.Errorf("reading: %v", err)
					return
				}
			}
			report, err := audit.Verify(data, audit.VerifyOptions{})
			findings := slices.DeleteFunc(report.Findings, func(f audit.Finding) bool { return f.Problem == audit.ProblemTorn }) // a line is being written
			if err != nil || len(findings) > 0 {
				t.Errorf("verifying: %v, %+v", err, findings)
				return
			}
		}
	})
	for w := range writers {
		all.Go(func() {
			for i := range each {
				call := fmt.Sprintf("call-%d-%d", w, i)
				if err := log.Append(t.Context(), audit.Record{Kind: audit.DecisionK, CallID: call, Rule: "test", Principal: fmt.Sprint("p", w), Detail: map[string]string{"pad": strings.Repeat("x", 1<<10)}}); err != nil {
					t.Errorf("%s: %v", call, err)
				}
			}
		})
	}
	all.Wait()
	stop()
	readers.Wait()
	if err := log.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if err := slot.Release(); err != nil {
		t.Fatal(err)
	}
	seen, last := make(map[string]int), uint64(0)
	for e, err := range audit.Records(data, audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Seq <= last {
			t.Errorf("record %d after %d", e.Seq, last)
		}
		last = e.Seq
		seen[e.CallID]++
	}
	for w := range writers {
		for i := range each {
			if call := fmt.Sprintf("call-%d-%d", w, i); seen[call] != 1 {
				t.Errorf("%s is there %d times", call, seen[call])
			}
		}
	}
	segments, err := filepath.Glob(filepath.Join(data, "audit", "*", "*.jsonl"))
	if err != nil || len(segments) < 10 {
		t.Errorf("%d files, %v", len(segments), err)
	}
}
