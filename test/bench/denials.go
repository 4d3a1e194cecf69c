package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
)

// measureDenials compares refusals with servers that do nothing else: those of the HTTP face, for a call without a token, and those of the
// pipeline, for a call of someone who is refused everything.
func measureDenials(ctx context.Context, binary string) ([]row, error) {
	face, err := denials(ctx, binary, "bare-denial", http.StatusUnauthorized, "COMFYGATE_HTTP__TOKEN=bench-token-of-more-than-32-characters")
	if err != nil {
		return nil, fmt.Errorf("of the HTTP face: %w", err)
	}
	inside, err := denials(ctx, binary, "bare-http", http.StatusOK, "COMFYGATE_POLICY__DENIED_PRINCIPALS=local")
	if err != nil {
		return nil, fmt.Errorf("of the pipeline: %w", err)
	}
	return []row{
		share("denials of the HTTP face, against bare net/http", face[0].perSecond(), face[1].perSecond(), 0.8),
		share("denials of the pipeline, against a bare tool", inside[0].perSecond(), inside[1].perSecond(), 0.8),
	}, nil
}

// denials loads comfygate under one more setting, which refuses everything with status, and the baseline mode.
func denials(ctx context.Context, binary, mode string, status int, setting string) (samples [2]sample, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return samples, err
	}
	defer os.RemoveAll(dir)
	ours, err := serveHTTP(ctx, binary, dir, setting)
	if err != nil {
		return samples, err
	}
	defer ours.stop()
	base, err := bareSite(ctx, mode)
	if err != nil {
		return samples, err
	}
	defer base.stop()
	if status == http.StatusOK {
		if err := errors.Join(ours.hello(ctx), base.hello(ctx)); err != nil {
			return samples, err
		}
	}
	anything := func(got int, _ json.RawMessage) error {
		if got != status {
			return fmt.Errorf("status %d, want %d", got, status)
		}
		return nil
	}
	refused := func(got int, raw json.RawMessage) error {
		if err := anything(got, raw); err != nil || status != http.StatusOK {
			return err
		}
		if answered(raw, nil) == nil {
			return fmt.Errorf("not refused: %.300s", raw)
		}
		return nil
	}
	samples[0], samples[1], err = versus(20000, connections,
		func() error { return ours.call(ctx, statusCall, refused) },
		func() error { return base.call(ctx, statusCall, anything) })
	return samples, err
}
