package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/config"
)

// auditConfig is how the record of a slot is kept.
func auditConfig(cfg config.Config, slot string) audit.Config {
	a := cfg.Audit
	c := audit.Config{
		Dir: filepath.Join(cfg.Storage.Dir, "audit", slot),
		Key: a.HMACKey, LogPrompts: a.LogPrompts, Privacy: auditPrivacy(a.Privacy),
		MaxBytes: a.MaxBytes, RotateEvery: time.Duration(a.RotateHours) * time.Hour,
		RetainFor: time.Duration(a.RetentionDays) * 24 * time.Hour, RetainBytes: a.RetentionBytes,
		SigningKey: a.SigningKey, Origin: a.Origin, CheckpointRecords: a.CheckpointRecords, CheckpointEvery: a.CheckpointEvery,
		Fsync: a.Fsync, FailOpen: !a.FailClosed, Version: version, ConfigSum: cfg.Sum(),
	}
	return c
}

// auditPrivacy reads class=mode items, whose shape was checked.
func auditPrivacy(items []string) (p audit.Privacy) {
	for _, item := range items {
		class, mode, _ := strings.Cut(item, "=")
		switch class {
		case "prompts":
			p.Prompts = audit.Mode(mode)
		case "arguments":
			p.Arguments = audit.Mode(mode)
		case "sessions":
			p.Sessions = audit.Mode(mode)
		}
	}
	return p
}

// feedSinks passes the record on to where the settings say. stdout is a sink over HTTP only: over stdio it belongs to the client.
func (h *house) feedSinks(stdout io.Writer) func(context.Context) error {
	return func(ctx context.Context) error {
		a := h.cfg.Audit
		sinks := make([]audit.Sink, 0, len(a.Sinks))
		for _, text := range a.Sinks {
			s := audit.Sink{Token: a.SinkToken, Secret: a.SinkSecret}
			s.URL, s.Required = strings.CutPrefix(text, "required:")
			if h.cfg.Server.Transport == config.TransportHTTP {
				s.Stdout = stdout
			}
			sinks = append(sinks, s)
		}
		if err := h.record.Feed(context.WithoutCancel(ctx), sinks); err != nil {
			return usageError{fmt.Errorf("COMFYGATE_AUDIT__SINKS: %w", err)}
		}
		return nil
	}
}
