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
	"slices"
	"time"
)

var statusCall = map[string]any{"name": "status", "arguments": map[string]any{}}

// answered is an error unless raw is the answer of a tool that did not fail.
func answered(raw json.RawMessage, err error) error {
	if err != nil {
		return err
	}
	var msg struct {
		Error  json.RawMessage `json:"error"`
		Result struct {
			IsError bool `json:"isError"`
		} `json:"result"`
	}
	if err := json.Unmarshal(raw, &msg); err != nil {
		return err
	}
	if msg.Error != nil || msg.Result.IsError {
		return fmt.Errorf("the call failed: %.300s", raw)
	}
	return nil
}

// measureStart takes the time from start to the first tools/list, and the memory after it.
func measureStart(ctx context.Context, binary string) ([]row, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	start := func(env []string, command string, args ...string) (time.Duration, int64, error) {
		began := time.Now()
		c, err := startLines(ctx, env, command, args...)
		if err != nil {
			return 0, 0, err
		}
		if err := c.hello(); err != nil {
			return 0, 0, err
		}
		if _, err := c.call("tools/list", map[string]any{}); err != nil {
			return 0, 0, err
		}
		took := time.Since(began)
		timer := time.NewTimer(500 * time.Millisecond) // what starts later is there by now
		<-timer.C
		memory, err := resident(c.cmd.Process.Pid)
		return took, memory, errors.Join(err, c.close())
	}
	median := func(f func() (time.Duration, int64, error)) (time.Duration, int64, error) {
		var took []time.Duration
		var memory []int64
		for range 9 {
			t, m, err := f()
			if err != nil {
				return 0, 0, err
			}
			took, memory = append(took, t), append(memory, m)
		}
		slices.Sort(took)
		slices.Sort(memory)
		return took[len(took)/2], memory[len(memory)/2], nil
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	// ComfyUI is away: the common case of a client that starts before it. The embedded one would be part of the figure.
	env := environment(dir, "COMFYGATE_COMFYUI__BACKEND=comfyui", "COMFYGATE_COMFYUI__URL=http://127.0.0.1:1")
	ours, ourMemory, err := median(func() (time.Duration, int64, error) { return start(env, binary, "serve") })
	if err != nil {
		return nil, err
	}
	base, baseMemory, err := median(func() (time.Duration, int64, error) { return start(nil, self, "bare-stdio") })
	if err != nil {
		return nil, err
	}
	return []row{
		{"start to first tools/list", ms(ours), ms(base), "", "≤ 50 ms", ours <= 50*time.Millisecond},
		{"idle memory", mib(ourMemory), mib(baseMemory), "", "≤ 40 MiB", ourMemory <= 40<<20},
	}, nil
}

// measureStdio compares status with a tool that does nothing, durable audit on.
func measureStdio(ctx context.Context, binary string) ([]row, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	one := func(env []string, command string, args ...string) (serial, many sample, err error) {
		c, err := startLines(ctx, env, command, args...)
		if err != nil {
			return serial, many, err
		}
		defer func() { err = errors.Join(err, c.close()) }()
		if err := c.hello(); err != nil {
			return serial, many, err
		}
		call := func() error { return answered(c.call("tools/call", statusCall)) }
		if serial, err = load(2000, 1, call); err != nil {
			return serial, many, err
		}
		many, err = load(20000, 16, call)
		return serial, many, err
	}
	ours1, ours16, err := one(environment(dir), binary, "serve")
	if err != nil {
		return nil, err
	}
	base1, base16, err := one(nil, self, "bare-stdio")
	if err != nil {
		return nil, err
	}
	return []row{
		added("status over stdio, one at a time, p50", ours1.p50(), base1.p50(), time.Millisecond),
		share("status over stdio, 16 in flight", ours16.perSecond(), base16.perSecond(), 0.3),
	}, nil
}

// measureHTTP does so over Streamable HTTP with 50 connections.
func measureHTTP(ctx context.Context, binary string) ([]row, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	ourAddr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	baseAddr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	_, port, _ := bytes.Cut([]byte(ourAddr), []byte(":"))
	ours, err := loadHTTP(ctx, ourAddr, environment(dir, "COMFYGATE_SERVER__TRANSPORT=http", "COMFYGATE_HTTP__PORT="+string(port)), binary, "serve")
	if err != nil {
		return nil, err
	}
	base, err := loadHTTP(ctx, baseAddr, nil, self, "bare-http", baseAddr)
	if err != nil {
		return nil, err
	}
	return []row{share("status over HTTP, 50 connections", ours.perSecond(), base.perSecond(), 0.5)}, nil
}

func loadHTTP(ctx context.Context, addr string, env []string, command string, args ...string) (s sample, err error) {
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Env, cmd.Stderr = env, os.Stderr
	if err := cmd.Start(); err != nil {
		return s, err
	}
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait() // ended by a signal: its error is of no interest
	}()
	if err := listening(ctx, addr); err != nil {
		return s, err
	}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 50, MaxConnsPerHost: 50}}
	post := func(session string, body any) (raw json.RawMessage, id string, err error) {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, "", err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/mcp", bytes.NewReader(b))
		if err != nil {
			return nil, "", err
		}
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		req.Header.Set("Mcp-Protocol-Version", "2025-11-25")
		if session != "" {
			req.Header.Set("Mcp-Session-Id", session)
		}
		res, err := client.Do(req)
		if err != nil {
			return nil, "", err
		}
		defer res.Body.Close()
		raw, err = io.ReadAll(res.Body)
		return raw, res.Header.Get("Mcp-Session-Id"), err
	}
	_, session, err := post("", map[string]any{"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": map[string]any{
		"protocolVersion": "2025-11-25", "capabilities": map[string]any{}, "clientInfo": map[string]any{"name": "bench", "version": "1"},
	}})
	if err != nil {
		return s, err
	}
	return load(10000, 50, func() error {
		raw, _, err := post(session, map[string]any{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": statusCall})
		return answered(raw, err)
	})
}
