package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what comes at once on a machine that has nothing else to do.
const patience = 40 * time.Second

// quickExit spares the second that a program built with the race detector waits at its end.
const quickExit = "GORACE=atexit_sleep_ms=0"

// A world is one person's home folder and the environment in which the person starts programs.
type world struct {
	home string
	env  []string
}

// newWorld has the data folder below its home, whatever the system's default is.
func newWorld(t *testing.T, env ...string) *world {
	t.Helper()
	home := t.TempDir()
	w := &world{home, []string{"HOME=" + home, searchPath(), quickExit, "COMFYGATE_STORAGE__DIR=" + filepath.Join(home, "data")}}
	return w.with(env...)
}

// searchPath leads to this program, under its name, and to the shell.
func searchPath() string { return "PATH=" + os.Getenv("PATH") } //nolint:forbidigo // TestMain has put the program into it

// with is the same home with more in the environment.
func (w *world) with(env ...string) *world {
	return &world{w.home, append(append([]string(nil), w.env...), env...)}
}

func (w *world) data() string { return filepath.Join(w.home, "data") }

// A proc is a running comfygate.
type proc struct {
	cmd   *exec.Cmd
	stdin io.WriteCloser
	out   *tape
	err   *tape
	ended chan struct{}
}

// start starts comfygate. It has ended when the test has, and whatever it wrote is in the test's log if the test fails.
func (w *world) start(t *testing.T, args ...string) *proc {
	t.Helper()
	return w.startProgram(t, "comfygate", args...)
}

func (w *world) startProgram(t *testing.T, name string, args ...string) *proc {
	t.Helper()
	return w.startWith(t, nil, name, args...)
}

// startWith starts a program with a stdout of the test's, or its tape if that is nil.
func (w *world) startWith(t *testing.T, stdout *os.File, name string, args ...string) *proc {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	p := &proc{cmd: cmd, out: newTape(), err: newTape(), ended: make(chan struct{})}
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = w.env, w.home, p.out, p.err
	if stdout != nil {
		cmd.Stdout = stdout
	}
	cmd.WaitDelay = patience
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait() // the exit code tells
		p.out.end()
		p.err.end()
		close(p.ended)
	}()
	t.Cleanup(func() { p.bury(t) })
	return p
}

// bury ends the process, if need be by force.
func (p *proc) bury(t *testing.T) {
	t.Helper()
	_ = p.stdin.Close()                       // it may be closed, and the process gone
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // as above
	select {
	case <-p.ended:
	case <-time.After(patience):
		_ = p.cmd.Process.Kill() // as above
		t.Errorf("%v did not end", p.cmd.Args)
		<-p.ended
	}
	for _, bad := range []string{"DATA RACE", "panic:", "goroutine 1 ["} {
		if strings.Contains(p.err.String(), bad) {
			t.Errorf("%v wrote %q", p.cmd.Args, bad)
		}
	}
	if t.Failed() {
		const enough = 4 << 10
		text := p.err.String()
		t.Logf("%v, exit code %d\n%s", p.cmd.Args, p.cmd.ProcessState.ExitCode(), text[max(0, len(text)-enough):])
	}
}

func (p *proc) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// wait returns the exit code, which is -1 after a kill.
func (p *proc) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.ended:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("%v did not end", p.cmd.Args)
		return 0
	}
}

// A result is what a program that has ended left.
type result struct {
	code     int
	out, err string
}

// run runs comfygate to its end, with nothing on its stdin.
func (w *world) run(t *testing.T, args ...string) result {
	t.Helper()
	return w.feed(t, "", args...)
}

// feed runs comfygate to its end, with that on its stdin.
func (w *world) feed(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	p := w.start(t, args...)
	if _, err := io.WriteString(p.stdin, stdin); err != nil {
		t.Fatal(err)
	}
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	return result{p.wait(t), p.out.String(), p.err.String()}
}

// A tape keeps all that is written to it, for any number of readers.
type tape struct {
	mu    sync.Mutex
	data  []byte
	over  bool
	grown chan struct{} // closed with the next change, and replaced
}

func newTape() *tape { return &tape{grown: make(chan struct{})} }

func (t *tape) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	t.tell()
	return len(p), nil
}

func (t *tape) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.over = true
	t.tell()
}

func (t *tape) tell() {
	close(t.grown)
	t.grown = make(chan struct{})
}

func (t *tape) state() (data []byte, over bool, grown <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clip(t.data), t.over, t.grown
}

func (t *tape) String() string {
	data, _, _ := t.state()
	return string(data)
}

// await returns the submatches of the first match, and fails the test if none comes.
func (t *tape) await(tb testing.TB, pattern string) []string {
	tb.Helper()
	re := regexp.MustCompile(pattern)
	late := time.After(patience)
	for {
		data, over, grown := t.state()
		if m := re.FindSubmatch(data); m != nil {
			found := make([]string, len(m))
			for i, part := range m {
				found[i] = string(part)
			}
			return found
		}
		if over {
			tb.Fatalf("ended without %q: %s", pattern, data)
		}
		select {
		case <-grown:
		case <-late:
			tb.Fatalf("no %q in: %s", pattern, data)
		}
	}
}

// reader reads the tape from its beginning and waits for more until its end.
func (t *tape) reader() io.Reader { return &tapeReader{tape: t} }

type tapeReader struct {
	tape *tape
	at   int
}

func (r *tapeReader) Read(p []byte) (int, error) {
	for {
		data, over, grown := r.tape.state()
		if r.at < len(data) {
			n := copy(p, data[r.at:])
			r.at += n
			return n, nil
		}
		if over {
			return 0, io.EOF
		}
		<-grown
	}
}

// freeAddr is an address on which nothing listens.
func freeAddr(t *testing.T) string {
	t.Helper()
	lis, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := lis.Close(); err != nil {
		t.Fatal(err)
	}
	return lis.Addr().String()
}

// soon is a context for one step of a test.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
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

// files returns the content of every file below a folder, by path.
func files(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := make(map[string][]byte)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		all[path] = data
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func contains(data []byte, text string) bool { return bytes.Contains(data, []byte(text)) }
