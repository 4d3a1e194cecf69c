package e2e_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A target is the ComfyUI under test.
type target struct {
	url     string
	restart func(t *testing.T) // kills it and starts it again at the same URL; nil where the suite cannot
	baseDir string             // of a real server; empty where the suite cannot look
}

// built is the binary under test, made once for all tests.
var built = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("E2E_BINARY"); path != "" {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "comfygate")
	out, err := exec.Command("go", "build", "-o", path, "../../cmd/comfygate").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building: %w: %s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := built(); err == nil && os.Getenv("E2E_BINARY") == "" {
		_ = os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

func binary(t *testing.T) string {
	t.Helper()
	path, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// mostSteps is what a picture may take here: 20 seconds on the emulator.
const mostSteps = 500

// environment is what a comfygate under test runs with.
func (x target) environment(t *testing.T, more ...string) []string {
	t.Helper()
	dir := t.TempDir()
	return append([]string{
		"HOME=" + dir, "PATH=" + os.Getenv("PATH"),
		"COMFYGATE_COMFYUI__URL=" + x.url,
		"COMFYGATE_STORAGE__DIR=" + filepath.Join(dir, "data"),
		"COMFYGATE_OUTPUT__DIR=" + filepath.Join(dir, "out"),
		"COMFYGATE_GENERATION__MAX_STEPS=" + strconv.Itoa(mostSteps),
		"COMFYGATE_RATELIMIT__GENERATE_PER_MINUTE=off",
		"COMFYGATE_RATELIMIT__GLOBAL_PER_MINUTE=off",
		"COMFYGATE_RATELIMIT__STATUS_PER_MINUTE=off",
	}, more...)
}

// given is the server that the environment names.
func given() (target, bool) {
	x := target{url: os.Getenv("E2E_URL"), baseDir: os.Getenv("E2E_BASE_DIR")}
	if cmd := os.Getenv("E2E_RESTART"); cmd != "" {
		x.restart = func(t *testing.T) {
			t.Helper()
			if out, err := exec.CommandContext(t.Context(), "sh", "-c", cmd).CombinedOutput(); err != nil {
				t.Fatalf("E2E_RESTART: %v: %s", err, out)
			}
		}
	}
	return x, x.url != ""
}

// embedded starts the emulator as a process of its own, slow enough that a cancel finds it at work.
func embedded(t *testing.T, dialect string) target {
	t.Helper()
	addr := freeAddr(t)
	var stop func()
	start := func(t *testing.T) {
		t.Helper()
		stop = startEmulator(t, "--listen", addr, "--as", dialect, "--step-time", "40ms", "--preview-method", "auto", "--fault", "slow-node@VAEDecode=300ms")
	}
	start(t)
	t.Cleanup(func() { stop() })
	return target{url: "http://" + addr, restart: func(t *testing.T) {
		t.Helper()
		stop()
		start(t)
	}}
}

func startEmulator(t *testing.T, flags ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(binary(t), append([]string{"emulator"}, flags...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = logTo{t}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatalf("the emulator did not start: %q, %v", line, err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed: its error is of no interest
	}
}

// serve starts comfygate over HTTP with a token for each name, and returns its URL.
func (x target) serve(t *testing.T, names ...string) string {
	t.Helper()
	addr := freeAddr(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	var tokens []string
	for _, n := range names {
		sum := sha256.Sum256([]byte(token(n)))
		tokens = append(tokens, n+":"+hex.EncodeToString(sum[:]))
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := exec.CommandContext(ctx, binary(t), "serve", "--transport", "http")
	cmd.Env = x.environment(t, "COMFYGATE_HTTP__PORT="+port, "COMFYGATE_AUTH__TOKENS="+strings.Join(tokens, ","))
	cmd.Stderr = logTo{t}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 20 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // interrupted: its error is of no interest
	})
	await(t, addr)
	return "http://" + addr
}

func token(name string) string { return "token-of-" + name + "-0123456789abcdef0123456789abcdef" }

func freeAddr(t *testing.T) string {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer lis.Close()
	return lis.Addr().String()
}

// await waits until something listens on addr.
func await(t *testing.T, addr string) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 1000 {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
		if err == nil {
			_ = conn.Close()
			return
		}
		<-tick.C
	}
	t.Fatalf("nothing listens on %s", addr)
}

// queue is how many jobs the target has, running or pending.
func (x target) queue(t *testing.T) int {
	t.Helper()
	var q struct {
		Running []any `json:"queue_running"`
		Pending []any `json:"queue_pending"`
	}
	x.get(t, "/api/queue", &q)
	return len(q.Running) + len(q.Pending)
}

func (x target) get(t *testing.T, path string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, x.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s, %v", path, res.Status, err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}
