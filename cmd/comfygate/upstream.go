package main

import (
	"context"
	"fmt"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/emulator"
	"github.com/comfygate/comfygate/comfy/fleet"
	"github.com/comfygate/comfygate/config"
)

func (h *house) reachComfyUI(context.Context) error {
	cfg := clientConfig(h.cfg, h.log)
	if h.cfg.ComfyUI.Backend == config.BackendEmbedded {
		srv, err := emulator.New(emulator.Options{})
		if err != nil {
			return err
		}
		h.later("embedded ComfyUI", func(context.Context) error { return srv.Close() })
		cfg = comfy.Config{URL: "http://127.0.0.1:8188", Dial: srv.Dial, UserAgent: cfg.UserAgent, Log: cfg.Log, Limits: cfg.Limits}
	}
	client, err := comfy.New(cfg)
	if err != nil {
		return usageError{fmt.Errorf("COMFYGATE_COMFYUI__*: %w", err)}
	}
	h.client = client
	h.later("ComfyUI client", func(context.Context) error { return client.Close() })
	h.fleet, err = fleet.New(fleet.Config{
		Client:    client,
		Threshold: uint32(h.cfg.Retry.CircuitBreakerThreshold),
		Reset:     h.cfg.Retry.CircuitBreakerReset,
		Log:       h.log.Named("fleet"),
	})
	if err != nil {
		return err
	}
	h.later("fleet", func(context.Context) error { return h.fleet.Close() })
	return nil
}

// upstream is ComfyUI's address as it may be told; the embedded one has none.
func (h *house) upstream() string {
	if h.cfg.ComfyUI.Backend == config.BackendEmbedded {
		return ""
	}
	return h.client.Redacted()
}

// clientConfig is how the configured ComfyUI is reached; doctor uses it too.
func clientConfig(cfg config.Config, log *zap.Logger) comfy.Config {
	c := cfg.ComfyUI
	return comfy.Config{
		URL:           c.URL,
		Username:      c.Username,
		Password:      c.Password,
		APIKey:        c.APIKey,
		AuthHeader:    c.AuthHeader,
		QueryToken:    c.QueryToken,
		CAFile:        c.CAFile,
		AllowInsecure: cfg.WebSocket.AllowInsecure,
		UserAgent:     "comfygate/" + version,
		Timeouts:      comfy.Timeouts{Connect: c.TimeoutConnect, Read: c.TimeoutRead, Queue: c.TimeoutQueue, Image: c.TimeoutImage},
		Limits: comfy.Limits{
			JSONBytes: c.MaxJSONBytes, ViewBytes: c.MaxViewBytes,
			TextFrame: cfg.WebSocket.MaxTextBytes, PreviewFrame: cfg.WebSocket.MaxPreviewBytes,
			Connections: c.MaxConnections,
		},
		Retry: comfy.Retry{Max: retries(cfg.Retry.MaxRetries), Base: cfg.Retry.BackoffBase, Cap: cfg.Retry.BackoffMax},
		Log:   log.Named("comfy"),
	}
}

// retries translates the setting's 0, which is none, into the client's.
func retries(n int) int {
	if n == 0 {
		return -1
	}
	return n
}
