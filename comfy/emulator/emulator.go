// Package emulator is a ComfyUI in Go: its HTTP and WebSocket interface, its
// queue, its graph executor and its files, with a procedural picture in place
// of diffusion. It needs no models, no GPU, no disk and, through [Server.Dial],
// no port.
//
// It speaks as one of two recorded servers, v0.3.64 or 0.33.0, including what
// they do badly, and can be told to fail in named ways ([ParseFault]). It shares
// no code with the client, so that one's mistake is not the other's.
package emulator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// The two servers that the emulator can speak as.
const (
	V0364 = "0.3.64" // October 2025: queue and history, no jobs API
	V0330 = "0.33.0" // August 2026: jobs API, throttled progress, cycles named
)

// Options say which ComfyUI to be. The zero value is a healthy, fast 0.33.0
// with the usual models of every family.
type Options struct {
	// Version is V0330 (also if empty) or V0364.
	Version string

	// StepTime is waited at every sampling step, 0 for none. An interrupt ends the wait.
	StepTime time.Duration

	// Faults are in force from the start; see [ParseFault] and [FaultList].
	Faults []Fault

	// Seed salts every drawing: the same graph on two emulators with different
	// salts gives different pictures. 0 is a salt like any other.
	Seed uint64

	// NoPreviews leaves out the preview frames, as ComfyUI does when it is
	// started without --preview-method.
	NoPreviews bool

	// Models are the installed model files; nil means [UsualModels], an empty
	// slice means none at all.
	Models []Model

	// FileBytes bounds what the virtual input, output and temp folders hold
	// together, in bytes; 0 means 256 MiB. The oldest temp files go first, then
	// the oldest outputs, then the oldest inputs.
	FileBytes int64

	// HistoryEntries bounds the history; 0 means ComfyUI's own 10,000.
	HistoryEntries int

	// MaxUpload is the largest request body in bytes; 0 means ComfyUI's own
	// 100 MiB. A larger one is answered 413.
	MaxUpload int64

	// DownTime is how long connections are refused by a restart that a fault
	// causes; 0 means 500 ms.
	DownTime time.Duration

	sketch bool // draw next to nothing: for tests that look at no picture
}

// Model is one file of a model folder. It has a size and metadata, but no weights.
type Model struct {
	Folder   string            // "checkpoints", "diffusion_models", "loras", …
	Name     string            // as listed, "sdxl/base.safetensors"
	Size     int64             // bytes
	Metadata map[string]string // of the safetensors header, may be nil
	Broken   bool              // an empty file: it is listed, and loading it fails the run
}

// Server is one emulated ComfyUI. Its methods may be called by several
// goroutines at once.
type Server struct {
	opts   Options
	kind   *dialect
	infos  map[string]*nodeInfo
	order  []string // classes, as /object_info lists them
	nodes  map[string]node
	routes []route
	disk   *disk
	faults *faultSet
	http   *http.Server
	memory *memListener

	mu        sync.Mutex
	life      *life // nil once closed
	downUntil time.Time
	conns     map[net.Conn]struct{}
	requests  map[string]int
	work      sync.WaitGroup // everything but what belongs to a life
	stop      chan struct{}  // closed by Close
	closing   sync.Once
	lifeMu    sync.Mutex // one restart at a time
}

// New returns a running emulator. It fails if an option is out of its bounds or
// the version is unknown.
func New(opts Options) (*Server, error) {
	if opts.Version == "" {
		opts.Version = V0330
	}
	kind, ok := dialectOf(opts.Version)
	if !ok {
		return nil, fmt.Errorf("emulator: no version %q, there are %s and %s", opts.Version, V0330, V0364)
	}
	if opts.StepTime < 0 || opts.DownTime < 0 || opts.FileBytes < 0 || opts.HistoryEntries < 0 || opts.MaxUpload < 0 {
		return nil, errors.New("emulator: times and sizes must not be negative")
	}
	if opts.Models == nil {
		opts.Models = UsualModels()
	}
	opts.FileBytes = orDefault(opts.FileBytes, 256<<20)
	opts.HistoryEntries = orDefault(opts.HistoryEntries, 10_000)
	opts.MaxUpload = orDefault(opts.MaxUpload, 100<<20)
	opts.DownTime = orDefault(opts.DownTime, 500*time.Millisecond)
	infos, order, err := loadInfo(opts.Version)
	if err != nil {
		return nil, fmt.Errorf("emulator: reading the classes of %s: %w", opts.Version, err)
	}
	s := &Server{
		opts:     opts,
		kind:     kind,
		infos:    infos,
		order:    order,
		nodes:    allNodes(),
		disk:     newDisk(opts.FileBytes),
		faults:   &faultSet{},
		memory:   newMemListener(),
		conns:    map[net.Conn]struct{}{},
		requests: map[string]int{},
		stop:     make(chan struct{}),
	}
	s.routes = allRoutes()
	s.faults.set(opts.Faults)
	s.http = &http.Server{
		Handler:           s.Handler(),
		ReadHeaderTimeout: 30 * time.Second,
		IdleTimeout:       75 * time.Second,
	}
	s.life = s.newLife()
	s.work.Go(func() { _ = s.serve(s.memory) }) // ends with the listener
	return s, nil
}

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// Handler serves HTTP and the WebSocket: each route bare and under /api, as
// ComfyUI has them.
func (s *Server) Handler() http.Handler { return http.HandlerFunc(s.serveHTTP) }

// Dial connects to the server in memory, whatever network and address say: it
// fits http.Transport.DialContext and websocket.Dialer.NetDialContext. It fails
// with ctx's cause, or as a refused connection while the server is down or closed.
func (s *Server) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	if s.isDown() {
		return nil, refused(network)
	}
	return s.memory.dial(ctx, network)
}

// Serve accepts connections on l until the server or l is closed; it closes l
// and returns nil if Close was the reason.
func (s *Server) Serve(l net.Listener) error {
	select {
	case <-s.stop:
		return l.Close()
	default:
	}
	err := s.serve(l)
	select {
	case <-s.stop:
		return nil
	default:
		return err
	}
}

func (s *Server) serve(l net.Listener) error {
	return s.http.Serve(&watchedListener{Listener: l, server: s})
}

// watchedListener lets the server cut every connection it has accepted, also
// those that http.Server has handed over.
type watchedListener struct {
	net.Listener
	server *Server
}

// Accept ends at once what comes while the server is down.
func (l *watchedListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if l.server.isDown() {
			_ = c.Close() // nobody is there
			continue
		}
		w := &watchedConn{Conn: c, server: l.server}
		l.server.mu.Lock()
		l.server.conns[w] = struct{}{}
		l.server.mu.Unlock()
		return w, nil
	}
}

type watchedConn struct {
	net.Conn
	server *Server
}

func (c *watchedConn) Close() error {
	c.server.mu.Lock()
	delete(c.server.conns, c)
	c.server.mu.Unlock()
	return c.Conn.Close()
}

// cutConns ends every connection that the server accepted itself.
func (s *Server) cutConns() {
	s.mu.Lock()
	conns := make([]net.Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		_ = c.Close() // it is gone either way
	}
}

func (s *Server) isDown() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life == nil || time.Now().Before(s.downUntil)
}

// current is the life that answers requests; nil while the server is down or closed.
func (s *Server) current() *life {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.downUntil) {
		return nil
	}
	return s.life
}

// Restart ends every connection and the running job, and forgets queue, history,
// cache and temp files, as a restarted process does. Input and output files stay.
// It brings back a server that a fault has taken down.
func (s *Server) Restart() { s.restart(0) }

// forever is a time by which no test and no person still waits.
const forever = 100 * 365 * 24 * time.Hour

// restart replaces the life and refuses connections for a while.
func (s *Server) restart(down time.Duration) {
	s.lifeMu.Lock()
	defer s.lifeMu.Unlock()
	s.mu.Lock()
	old := s.life
	if old == nil {
		s.mu.Unlock()
		return
	}
	s.downUntil = time.Now().Add(forever) // nothing gets in before the new life is there
	s.mu.Unlock()
	old.end()
	s.cutConns()
	old.wait()
	s.disk.empty(tempDir)
	next := s.newLife()
	s.mu.Lock()
	s.life = next
	s.downUntil = time.Now().Add(down)
	s.mu.Unlock()
}

// Close ends every connection, the running job and all goroutines, and waits for
// them. Later calls do nothing and return nil too.
func (s *Server) Close() error {
	s.closing.Do(func() {
		s.lifeMu.Lock()
		s.mu.Lock()
		old := s.life
		s.life = nil
		s.mu.Unlock()
		close(s.stop)
		_ = s.memory.Close() // cannot fail
		_ = s.http.Close()   // its listeners and idle connections; the rest is cut below
		old.end()
		s.cutConns()
		old.wait()
		s.lifeMu.Unlock()
		s.work.Wait()
	})
	return nil
}

// SetFaults replaces the faults in force, so that a test can fail one job and
// let the next one run. None ends them all.
func (s *Server) SetFaults(faults ...Fault) { s.faults.set(faults) }

// Requests counts the requests answered so far to a method and route, the route
// without /api and with its parameters by name: "POST /prompt",
// "GET /history/{prompt_id}". The WebSocket is "GET /ws".
func (s *Server) Requests(methodRoute string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[methodRoute]
}

// Files lists a virtual folder, "input", "output" or "temp", in order of names
// with their subfolders; nil for another folder.
func (s *Server) Files(folder string) []string {
	dir, ok := folderDir(folder)
	if !ok {
		return nil
	}
	return s.disk.list(dir, true)
}

// ReadFile returns a copy of a virtual file's bytes.
func (s *Server) ReadFile(folder, name string) ([]byte, bool) {
	dir, ok := folderDir(folder)
	if !ok {
		return nil, false
	}
	f, ok := s.disk.read(joinPath(dir, name))
	if !ok {
		return nil, false
	}
	return append([]byte(nil), f.data...), true
}

// WriteFile puts a copy of data into a virtual folder, as somebody at the server
// would. It panics if there is no such folder.
func (s *Server) WriteFile(folder, name string, data []byte) {
	dir, ok := folderDir(folder)
	if !ok {
		panic("emulator: no folder " + folder)
	}
	s.disk.write(joinPath(dir, strings.TrimPrefix(name, "/")), append([]byte(nil), data...))
}
