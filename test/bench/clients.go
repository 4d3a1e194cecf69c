package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Clients come and go where it is measured what they leave behind. Memory goes up and down with the collector, so the highest of some
// rounds is compared with the highest of as many more.
const (
	clients = 1000
	visits  = 3
)

// measureClients has many clients connect by HTTP+SSE, whose sessions live as long as their streams, call a tool, and drop without a word.
// What is left is counted from outside: open files, memory, and goroutines by the stacks that a Go program prints on SIGQUIT.
func measureClients(ctx context.Context, binary string) ([]row, error) {
	few, err := visited(ctx, binary, 1)
	if err != nil {
		return nil, err
	}
	many, err := visited(ctx, binary, clients)
	if err != nil {
		return nil, err
	}
	grown := many.memory[1] - many.memory[0]
	return []row{
		{"goroutines after 1,000 clients that dropped, and after one", strconv.Itoa(many.goroutines), strconv.Itoa(few.goroutines), "", "the same ± 2", many.goroutines <= few.goroutines+2},
		{"  open files", strconv.Itoa(many.files), strconv.Itoa(few.files), "", "the same", many.files <= few.files},
		{"  memory after 4,000 to 6,000 of them, and up to 3,000", mib(many.memory[1]), mib(many.memory[0]), mib(grown), "≤ 4 MiB more", grown <= 4<<20},
	}, nil
}

// A residue is what is left in a process after two times some rounds of as many clients.
type residue struct {
	goroutines, files int
	memory            [2]int64 // at most, after one of the earlier and one of the later rounds
}

func visited(ctx context.Context, binary string, n int) (left residue, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return left, err
	}
	defer os.RemoveAll(dir)
	s, err := serveHTTP(ctx, binary, dir, "GOTRACEBACK=all")
	if err != nil {
		return left, err
	}
	defer s.stop()
	for i := range 2 * visits {
		if _, err := burst(n, 16, func() error { return visit(ctx, s.addr) }); err != nil {
			return left, err
		}
		if left.files, err = settled(ctx, s.cmd.Process.Pid); err != nil {
			return left, err
		}
		held, err := resident(s.cmd.Process.Pid)
		if err != nil {
			return left, err
		}
		left.memory[i/visits] = max(left.memory[i/visits], held)
	}
	left.goroutines, err = s.goroutines()
	return left, err
}

// goroutines ends the server and counts them.
func (s *site) goroutines() (int, error) {
	if err := s.cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		return 0, err
	}
	_ = s.cmd.Wait() // it says 2
	return bytes.Count(s.stderr.Bytes(), []byte("\ngoroutine ")), nil
}

// events returns what reads the data of the next event.
func events(body io.Reader) func() (string, error) {
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, 1<<20)
	return func() (string, error) {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return data, nil
			}
		}
		return "", errors.Join(errors.New("the stream ended"), lines.Err())
	}
}

// visit is one client: a stream, initialize, one call, and the connection is cut.
func visit(ctx context.Context, addr string) error {
	ctx, cut := context.WithTimeout(ctx, 30*time.Second)
	defer cut()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/sse", nil)
	if err != nil {
		return err
	}
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	next := events(res.Body)
	endpoint, err := next()
	if err != nil {
		return err
	}
	for _, m := range []struct {
		method string
		params any
	}{{"initialize", hello}, {"tools/call", statusCall}} {
		b, err := message(m.method, m.params)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+endpoint, bytes.NewReader(b))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		if err := res.Body.Close(); err != nil {
			return err
		}
		answer, err := next()
		if err != nil {
			return err
		}
		if err := answered([]byte(answer), nil); err != nil {
			return fmt.Errorf("%s: %w", m.method, err)
		}
	}
	return nil
}

// settled waits until pid has as many open files as it will keep, and returns how many that are.
func settled(ctx context.Context, pid int) (files int, err error) {
	const quiet = 20 // looks without a change: two seconds
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for same, looks := 0, 0; same < quiet && looks < 300; looks++ {
		list, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(pid), "fd"))
		if err != nil {
			return 0, err
		}
		if same++; len(list) != files {
			files, same = len(list), 0
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	return files, nil
}
