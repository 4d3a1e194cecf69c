package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// uploadBudget is what the process may take in all while they come: LIMITS__MEMORY_BYTES as it is by default.
const uploadBudget = 1 << 30

const (
	atOnce     = 200
	principals = 8
)

// uploads sends 200 of the largest pictures at once, by each way: base64 in a call, 4 MiB of it; and 20 MiB to a one-time link.
func uploads(ctx context.Context, binary string) (rows []row, err error) {
	for _, way := range []struct {
		what string
		send func(ctx context.Context, s *server) (map[string]int, error)
	}{
		{"base64 of 4 MiB in a call", inCalls},
		{"20 MiB to a link", toLinks},
	} {
		s, err := start(ctx, binary)
		if err != nil {
			return rows, err
		}
		rest, err := s.peak()
		if err != nil {
			return rows, errors.Join(err, s.end())
		}
		said, err := way.send(ctx, s)
		took, perr := s.peak()
		if err := errors.Join(err, perr, s.end()); err != nil {
			return rows, fmt.Errorf("%s: %w", way.what, err)
		}
		var answers []string
		for _, answer := range slices.Sorted(maps.Keys(said)) {
			answers = append(answers, fmt.Sprintf("%d %s", said[answer], answer))
		}
		rows = append(rows, row{what: fmt.Sprintf("%d parallel uploads: %s (whole process)", atOnce, way.what), took: took, budget: uploadBudget, note: "at rest " + mebibytes(rest) + "; answers: " + strings.Join(answers, ", ")})
	}
	return rows, nil
}

// noise is a picture that nothing compresses.
func noise(width, height int) ([]byte, error) {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	r := rand.New(rand.NewPCG(1, 2))
	for i := range m.Pix {
		m.Pix[i] = byte(r.Uint32())
	}
	var b bytes.Buffer
	err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&b, m)
	return b.Bytes(), err
}

// inCalls calls upload_image with as much base64 as it takes.
func inCalls(ctx context.Context, s *server) (map[string]int, error) {
	picture, err := noise(880, 880) // 3.1 MB, 4.13 MB of base64
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": map[string]any{
		"name": "upload_image", "arguments": map[string]any{"data": base64.StdEncoding.EncodeToString(picture)},
	}})
	if err != nil {
		return nil, err
	}
	if n := len(body); n > 4<<20+1<<10 || n < 3<<20 {
		return nil, fmt.Errorf("a request of %d bytes", n)
	}
	return all(func(i int) (string, error) { return s.post(ctx, i%principals, body) }), nil
}

// toLinks asks for links first, and uses them all at once.
func toLinks(ctx context.Context, s *server) (map[string]int, error) {
	picture, err := noise(2048, 1248) // 10 MB of pixels
	if err != nil {
		return nil, err
	}
	picture = append(picture, make([]byte, 20<<20-len(picture))...) // and a tail, which is read as far as it must be
	ask := []byte(`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"upload_image","arguments":{"link":true}}}`)
	links := make([]string, atOnce)
	for i := range links {
		text, err := s.call(ctx, i%principals, ask)
		if err != nil {
			return nil, err
		}
		if links[i] = regexp.MustCompile(`http://[^ "\\]+/uploads/[\w-]+`).FindString(text); links[i] == "" {
			return nil, fmt.Errorf("no link in %.300s", text)
		}
	}
	return all(func(i int) (string, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, links[i], bytes.NewReader(picture))
		if err != nil {
			return "", err
		}
		req.Header.Set("Content-Type", "image/png")
		return answerOf(s.client.Do(req))
	}), nil
}

// A server is a comfygate over HTTP with eight tokens and without rate limits.
type server struct {
	cmd      *exec.Cmd
	dir      string
	url      string
	client   *http.Client
	sessions [principals]string
}

func start(ctx context.Context, binary string) (*server, error) {
	dir, err := os.MkdirTemp("", "benchmemory")
	if err != nil {
		return nil, err
	}
	var tokens []string
	for i := range principals {
		sum := sha256.Sum256([]byte(token(i)))
		tokens = append(tokens, fmt.Sprintf("p%d:%s", i, hex.EncodeToString(sum[:])))
	}
	cmd := exec.CommandContext(ctx, binary, "serve", "--transport", "http")
	cmd.Env = []string{
		"HOME=" + dir, "COMFYGATE_STORAGE__DIR=" + filepath.Join(dir, "data"), "COMFYGATE_COMFYUI__BACKEND=embedded", "COMFYGATE_HTTP__PORT=0",
		"COMFYGATE_AUTH__TOKENS=" + strings.Join(tokens, ","), "COMFYGATE_RATELIMIT__STATUS_PER_MINUTE=off", "COMFYGATE_RATELIMIT__GENERATE_PER_MINUTE=off",
		"COMFYGATE_RATELIMIT__GLOBAL_PER_MINUTE=off", "COMFYGATE_STORAGE__MAX_BYTES=17179869184",
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, dir: dir, client: &http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: atOnce}}}
	listening := regexp.MustCompile(`listening\s.*"address": "([^"]+)"`)
	lines := bufio.NewScanner(stderr)
	for s.url == "" && lines.Scan() {
		if m := listening.FindStringSubmatch(lines.Text()); m != nil {
			s.url = "http://" + m[1]
		}
	}
	go io.Copy(io.Discard, stderr) // what it says further is not measured
	if s.url == "" {
		return nil, errors.Join(errors.New("it does not listen"), s.end())
	}
	for i := range s.sessions {
		if err := s.hello(ctx, i); err != nil {
			return nil, errors.Join(err, s.end())
		}
	}
	return s, nil
}

func token(i int) string { return "token-of-the-principal-" + strconv.Itoa(i) }

func (s *server) request(ctx context.Context, i int, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+"/mcp", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+token(i))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json, text/event-stream")
	if s.sessions[i] != "" {
		req.Header.Set("Mcp-Session-Id", s.sessions[i])
	}
	return s.client.Do(req)
}

func (s *server) hello(ctx context.Context, i int) error {
	res, err := s.request(ctx, i, []byte(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`))
	if err != nil {
		return err
	}
	s.sessions[i] = res.Header.Get("Mcp-Session-Id")
	_, err = io.Copy(io.Discard, res.Body)
	return errors.Join(err, res.Body.Close())
}

// call returns what a request was answered.
func (s *server) call(ctx context.Context, i int, body []byte) (string, error) {
	res, err := s.request(ctx, i, body)
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(res.Body)
	return string(text), errors.Join(err, res.Body.Close())
}

// post returns in a word how a request was answered.
func (s *server) post(ctx context.Context, i int, body []byte) (string, error) {
	return answerOf(s.request(ctx, i, body))
}

var code = regexp.MustCompile(`\\"code\\":\\"(\w+)`)

func answerOf(res *http.Response, err error) (string, error) {
	if err != nil {
		return "", err
	}
	text, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return "", err
	}
	if m := code.FindSubmatch(text); m != nil {
		return string(m[1]), nil
	}
	return res.Status, nil
}

// all sends 200 at once and counts the answers; a connection that ends is one, too.
func all(send func(i int) (string, error)) map[string]int {
	var mu sync.Mutex
	said := make(map[string]int)
	var wg sync.WaitGroup
	for i := range atOnce {
		wg.Go(func() {
			answer, err := send(i)
			if err != nil {
				answer = "refused while sending"
			}
			mu.Lock()
			defer mu.Unlock()
			said[answer]++
		})
	}
	wg.Wait()
	return said
}

// peak is the most memory that the process ever had.
func (s *server) peak() (uint64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("its memory can be read on Linux only: %w", err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if m == nil {
		return 0, errors.New("the system does not tell its memory")
	}
	kb, err := strconv.ParseUint(string(m[1]), 10, 64)
	return kb << 10, err
}

// end ends the server and removes what it kept.
func (s *server) end() error {
	s.client.CloseIdleConnections()
	err := s.cmd.Process.Signal(syscall.SIGTERM)
	if werr := s.cmd.Wait(); werr != nil && err == nil {
		err = fmt.Errorf("the server: %w", werr)
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}
