package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/comfygate/comfygate/audit"
)

// writers append at once where the gathering of records into one write is measured.
const writers = 64

// measureAudit compares a durable append with a bare write and fsync of as many bytes, and many writers with one.
func measureAudit(ctx context.Context, _ string) (rows []row, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	slot, err := audit.TakeSlot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, slot.Release()) }()
	log, err := audit.Open(audit.Config{Dir: slot.Dir(), Version: "bench"})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, log.Close(context.WithoutCancel(ctx))) }()
	plain, err := os.Create(filepath.Join(dir, "plain"))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, plain.Close()) }()
	line := []byte(strings.Repeat("x", 400) + "\n") // about what a record has
	appendOne := func() error {
		return log.Append(ctx, audit.Record{
			Kind: audit.Outcome, CallID: "7q2wabcdefghijklmnopqrstuv", Principal: "local", Method: "none", Transport: "stdio", Tool: "status",
			Decision: "allow", Status: audit.StatusOK, DurationMS: 1,
		})
	}
	writeSync := func() error {
		if _, err := plain.Write(line); err != nil {
			return err
		}
		return plain.Sync()
	}
	best, err := quickest(side{2000, 1, appendOne}, side{2000, 1, writeSync}, side{2000 * writers, writers, appendOne})
	if err != nil {
		return nil, err
	}
	one, base, many := best[0], best[1], best[2]
	times := float64(one.p50()) / float64(base.p50())
	share := many.perSecond() / one.perSecond()
	return []row{
		{"a durable record alone, against write and fsync", ms(one.p50()), ms(base.p50()), fmt.Sprintf("%.2f×", times), "≤ 3×", times <= 3},
		{"durable records of 64 writers, against one", rate(many.perSecond()), rate(one.perSecond()), fmt.Sprintf("%.1f×", share), "≥ 30×", share >= 30},
	}, nil
}
