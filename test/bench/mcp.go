package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
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
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	type figures struct {
		took   []time.Duration
		memory []int64
	}
	var ours, base figures
	start := func(f *figures, env []string, command string, args ...string) error {
		began := time.Now()
		c, err := startLines(ctx, env, command, args...)
		if err != nil {
			return err
		}
		if err := c.hello(); err != nil {
			return err
		}
		if _, err := c.call("tools/list", map[string]any{}); err != nil {
			return err
		}
		f.took = append(f.took, time.Since(began))
		timer := time.NewTimer(500 * time.Millisecond) // what starts later is there by now
		<-timer.C
		memory, err := resident(c.cmd.Process.Pid)
		f.memory = append(f.memory, memory)
		return errors.Join(err, c.close())
	}
	// ComfyUI is away: the common case of a client that starts before it. The embedded one would be part of the figure.
	env := environment(dir, "COMFYGATE_COMFYUI__BACKEND=comfyui", "COMFYGATE_COMFYUI__URL=http://127.0.0.1:1")
	for range rounds / 2 {
		if err := errors.Join(start(&ours, env, binary, "serve"), start(&base, nil, self, "bare-stdio")); err != nil {
			return nil, err
		}
	}
	took, memory := median(ours.took), median(ours.memory)
	return []row{
		{"start to first tools/list", ms(took), ms(median(base.took)), "", "≤ 50 ms", took <= 50*time.Millisecond},
		{"idle memory", mib(memory), mib(median(base.memory)), "", "≤ 40 MiB", memory <= 40<<20},
	}, nil
}

// measureStdio compares status with a tool that does nothing, durable audit on.
func measureStdio(ctx context.Context, binary string) (rows []row, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	start := func(env []string, command string, args ...string) (call func() error, end func() error, err error) {
		c, err := startLines(ctx, env, command, args...)
		if err != nil {
			return nil, nil, err
		}
		return func() error { return answered(c.call("tools/call", statusCall)) }, c.close, c.hello()
	}
	ours, end, err := start(environment(dir), binary, "serve")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, end()) }()
	base, endBase, err := start(nil, self, "bare-stdio")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, endBase()) }()
	ours1, base1, err := versus(2000, 1, ours, base)
	if err != nil {
		return nil, err
	}
	ours16, base16, err := versus(20000, 16, ours, base)
	if err != nil {
		return nil, err
	}
	return []row{
		added("status over stdio, one at a time, p50", ours1.p50(), base1.p50(), time.Millisecond),
		share("status over stdio, 16 in flight", ours16.perSecond(), base16.perSecond(), 0.3),
	}, nil
}
