package attack_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what comes at once on a machine that has nothing else to do.
const patience = 60 * time.Second

// What must not be found again.
const (
	canaryPassword = "CANARYPASSWORD-0123456789" // what comfygate sends to ComfyUI
	canaryPrompt   = "a heron CANARYPROMPT on a lake"
)

// words are texts that must be found nowhere.
type words struct {
	mu   sync.Mutex
	list []string
}

func (w *words) add(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, text)
}

func (w *words) all() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.list)
}

// A tape keeps all that a program writes.
type tape struct {
	mu   sync.Mutex
	data []byte
}

func (t *tape) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	return len(p), nil
}

func (t *tape) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.data)
}

// A site is a comfygate that was started as a deployment starts it.
type site struct {
	url, addr string
	home      string
	binary    string
	env       []string
	cmd       *exec.Cmd
	log       *tape
	ended     chan struct{}
	provider  *provider
	comfy     *comfyUI
	judge     *judge
	people    atomic.Int64
	told      atomic.Bool // to end
}

func (s *site) data() string { return filepath.Join(s.home, "data") }

// built is the program: E2E_BINARY, or one that is built for this run, with the race detector if this test has it.
func built(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("E2E_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(t.TempDir(), "comfygate")
	args := []string{"build", "-o", path}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		args = append(args, "-race")
	}
	out, err := exec.CommandContext(t.Context(), "go", append(args, "../../cmd/comfygate")...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return path
}

var listening = regexp.MustCompile(`"msg":"listening".*"address":"([^"]+)"`)

// newSite starts comfygate over HTTP with OpenID and the posture for teams, behind a proxy that it trusts.
func newSite(t *testing.T, program string, p *provider, u *comfyUI, j *judge, env ...string) *site {
	t.Helper()
	home := t.TempDir()
	s := &site{home: home, binary: program, log: &tape{}, ended: make(chan struct{}), provider: p, comfy: u, judge: j}
	s.env = append([]string{
		"HOME=" + home, "GORACE=atexit_sleep_ms=0", "COMFYGATE_SERVER__TRANSPORT=http", "COMFYGATE_HTTP__PORT=0",
		"COMFYGATE_STORAGE__DIR=" + s.data(), "COMFYGATE_WORKFLOWS__DIR=" + filepath.Join(home, "workflows"),
		"COMFYGATE_LOGGING__FORMAT=json", "COMFYGATE_LOGGING__LEVEL=DEBUG",
		"COMFYGATE_AUTH__OIDC_ISSUER=" + p.issuer, "COMFYGATE_HTTP__PUBLIC_URL=" + public, "COMFYGATE_HTTP__ALLOWED_ORIGINS=" + trusted,
		"COMFYGATE_HTTP__TRUSTED_PROXIES=127.0.0.1/32", "COMFYGATE_AUTH__ROLES=vera=viewer,adam=admin", "COMFYGATE_METRICS__ENABLED=true",
		"COMFYGATE_POLICY__FILE=@team", "COMFYGATE_RATELIMIT__GLOBAL_PER_MINUTE=off", "COMFYGATE_LIMITS__PENDING=1000", "COMFYGATE_LIMITS__JOBS_IN_FLIGHT=16",
		"COMFYGATE_COMFYUI__URL=" + u.url, "COMFYGATE_COMFYUI__USERNAME=gate", "COMFYGATE_COMFYUI__PASSWORD=" + canaryPassword,
	}, env...)
	if err := os.Mkdir(filepath.Join(home, "workflows"), 0o700); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command(program, "serve")
	s.cmd.Env, s.cmd.Dir, s.cmd.Stdout, s.cmd.Stderr = s.env, home, s.log, s.log
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // the exit code tells
		close(s.ended)
	}()
	t.Cleanup(func() { s.end(t) })
	eventually(t, "comfygate listens", func() bool {
		m := listening.FindStringSubmatch(s.log.String())
		if m != nil {
			s.addr, s.url = m[1], "http://"+m[1]
		}
		return m != nil || s.over()
	})
	if s.addr == "" {
		t.Fatalf("comfygate ended: %s", s.log)
	}
	return s
}

func (s *site) over() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

// end ends the program, if need be by force. It may be called again.
func (s *site) end(t *testing.T) {
	t.Helper()
	s.told.Store(true)
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have gone
	select {
	case <-s.ended:
	case <-time.After(patience):
		_ = s.cmd.Process.Kill() // as above
		t.Error("comfygate did not end")
		<-s.ended
	}
	if t.Failed() {
		text := s.log.String()
		t.Logf("exit code %d: %s", s.cmd.ProcessState.ExitCode(), text[max(0, len(text)-4<<10):])
	}
}

// run runs a command of the program in the site's environment, with more of it if need be.
func (s *site) run(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), s.binary, args...)
	var all bytes.Buffer
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = s.env, s.home, &all, &all
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return all.String(), cmd.ProcessState.ExitCode()
}

// eventually polls until a condition holds, and fails the test if it never does.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not so in time: %s", what)
		}
	}
}

// address is one of the documentation's networks, another for each n, as the proxy would tell it.
func address(n int64) string { return fmt.Sprintf("2001:db8:%x::1", n+1) }

// dial opens a raw connection.
func (s *site) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{Timeout: patience}).DialContext(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the other side may have closed it
	return c
}

// files returns the content of every file below the site's folders.
func (s *site) files(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	err := filepath.WalkDir(s.home, func(path string, d os.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // it was there only for a moment
		}
		all[strings.TrimPrefix(path, s.home)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
