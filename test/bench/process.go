package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// environment is what a measured comfygate runs with: its own folder, the embedded server, no rate limits, quiet.
func environment(dir string, more ...string) []string {
	return append([]string{
		"HOME=" + dir, "PATH=" + os.Getenv("PATH"),
		"COMFYGATE_STORAGE__DIR=" + filepath.Join(dir, "data"),
		"COMFYGATE_OUTPUT__DIR=off",
		"COMFYGATE_COMFYUI__BACKEND=embedded",
		"COMFYGATE_RATELIMIT__STATUS_PER_MINUTE=off",
		"COMFYGATE_RATELIMIT__GENERATE_PER_MINUTE=off",
		"COMFYGATE_RATELIMIT__GLOBAL_PER_MINUTE=off",
		"COMFYGATE_LOGGING__LEVEL=error",
	}, more...)
}

// A line client speaks JSON lines with a stdio server, so that no client library is part of what is measured.
type lineClient struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	mu      sync.Mutex
	waiting map[int64]chan json.RawMessage
	next    int64
	ended   chan struct{}
}

func startLines(ctx context.Context, env []string, command string, args ...string) (*lineClient, error) {
	cmd := exec.CommandContext(ctx, command, args...)
	cmd.Env, cmd.Stderr = env, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &lineClient{cmd: cmd, in: in, waiting: make(map[int64]chan json.RawMessage), ended: make(chan struct{})}
	go c.read(out)
	return c, nil
}

func (c *lineClient) read(out io.Reader) {
	defer close(c.ended)
	lines := bufio.NewReaderSize(out, 1<<20)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var msg struct {
			ID *int64 `json:"id"`
		}
		if json.Unmarshal(line, &msg) != nil || msg.ID == nil {
			continue
		}
		c.mu.Lock()
		ch := c.waiting[*msg.ID]
		delete(c.waiting, *msg.ID)
		c.mu.Unlock()
		if ch != nil {
			ch <- line
		}
	}
}

// call sends one request and returns the whole answer.
func (c *lineClient) call(method string, params any) (json.RawMessage, error) {
	ch := make(chan json.RawMessage, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.waiting[id] = ch
	msg, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": id, "method": method, "params": params})
	if err == nil {
		_, err = c.in.Write(append(msg, '\n'))
	}
	c.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case line := <-ch:
		return line, nil
	case <-c.ended:
		return nil, errors.New("the server ended")
	case <-time.After(time.Minute):
		return nil, fmt.Errorf("%s: no answer in a minute", method)
	}
}

func (c *lineClient) hello() error {
	_, err := c.call("initialize", hello)
	return err
}

func (c *lineClient) close() error {
	err := c.in.Close()
	<-c.ended
	return errors.Join(err, c.cmd.Wait())
}

// resident is the process's resident memory in bytes, from /proc.
func resident(pid int) (int64, error) {
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	line, _, _ := strings.Cut(rest, "\n")
	kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(line), "kB")), 10, 64)
	return kb << 10, err
}

// listening waits until addr takes connections.
func listening(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("nothing listens on %s: %w", addr, err)
		case <-tick.C:
		}
	}
}

// freeAddr is a loopback address that was free a moment ago.
func freeAddr(ctx context.Context) (string, error) {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer lis.Close()
	return lis.Addr().String(), nil
}
