package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
)

// connections are open at once in what is measured over HTTP.
const connections = 50

// A site is a server over HTTP, a process of its own.
type site struct {
	addr    string
	cmd     *exec.Cmd
	client  *http.Client
	session string
	stderr  bytes.Buffer // read when the process has ended
}

// startSite starts command, which must listen on addr.
func startSite(ctx context.Context, addr string, env []string, command string, args ...string) (*site, error) {
	cmd := exec.CommandContext(ctx, command, args...)
	s := &site{addr: addr, cmd: cmd, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: connections, MaxConnsPerHost: connections}}}
	cmd.Env, cmd.Stderr = env, &s.stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := listening(ctx, addr); err != nil {
		s.stop()
		return nil, fmt.Errorf("%w: %s", err, s.stderr.Bytes())
	}
	return s, nil
}

// serveHTTP starts comfygate over HTTP.
func serveHTTP(ctx context.Context, binary, dir string, more ...string) (*site, error) {
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(addr, ":")
	more = append(more, "COMFYGATE_SERVER__TRANSPORT=http", "COMFYGATE_HTTP__PORT="+port)
	return startSite(ctx, addr, environment(dir, more...), binary, "serve")
}

// bareSite starts one of this program's baselines.
func bareSite(ctx context.Context, mode string) (*site, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	return startSite(ctx, addr, nil, self, mode, addr)
}

func (s *site) stop() {
	s.client.CloseIdleConnections()
	_ = s.cmd.Process.Signal(os.Interrupt)
	_ = s.cmd.Wait() // ended by a signal: its error is of no interest
}

// post sends one message and returns the whole answer.
func (s *site) post(ctx context.Context, body []byte) (status int, raw json.RawMessage, header http.Header, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.addr+"/mcp", bytes.NewReader(body))
	if err != nil {
		return 0, nil, nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	if s.session != "" {
		req.Header.Set("Mcp-Session-Id", s.session)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer res.Body.Close()
	raw, err = io.ReadAll(res.Body)
	return res.StatusCode, raw, res.Header, err
}

func (s *site) hello(ctx context.Context) error {
	b, err := message("initialize", hello)
	if err != nil {
		return err
	}
	status, raw, header, err := s.post(ctx, b)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("initialize: status %d: %.300s", status, raw)
	}
	if err == nil {
		s.session = header.Get("Mcp-Session-Id")
	}
	return err
}

// call makes a tool call and is an error unless want likes the answer.
func (s *site) call(ctx context.Context, params map[string]any, want func(status int, raw json.RawMessage) error) error {
	b, err := message("tools/call", params)
	if err != nil {
		return err
	}
	status, raw, _, err := s.post(ctx, b)
	if err != nil {
		return err
	}
	return want(status, raw)
}

var hello = map[string]any{
	"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "bench", "version": "1"},
}

func message(method string, params any) ([]byte, error) {
	return json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
}

func succeeded(_ int, raw json.RawMessage) error { return answered(raw, nil) }

// measureHTTP compares status with a tool that does nothing, durable audit on, over Streamable HTTP.
func measureHTTP(ctx context.Context, binary string) ([]row, error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ours, err := serveHTTP(ctx, binary, dir)
	if err != nil {
		return nil, err
	}
	defer ours.stop()
	base, err := bareSite(ctx, "bare-http")
	if err != nil {
		return nil, err
	}
	defer base.stop()
	if err := errors.Join(ours.hello(ctx), base.hello(ctx)); err != nil {
		return nil, err
	}
	o, b, err := versus(20000, connections,
		func() error { return ours.call(ctx, statusCall, succeeded) },
		func() error { return base.call(ctx, statusCall, succeeded) })
	if err != nil {
		return nil, err
	}
	return []row{share("status over HTTP, 50 connections", o.perSecond(), b.perSecond(), 0.5)}, nil
}
