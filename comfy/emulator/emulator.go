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
	"net"
	"net/http"
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
}

// Model is one file of a model folder. It has a size and metadata, but no weights.
type Model struct {
	Folder   string            // "checkpoints", "diffusion_models", "loras", …
	Name     string            // as listed, "sdxl/base.safetensors"
	Size     int64             // bytes
	Metadata map[string]string // of the safetensors header, may be nil
	Broken   bool              // an empty file: it is listed, and loading it fails the run
}

// New returns a running emulator. It fails if the version is unknown.
func New(opts Options) (*Server, error) {
	return nil, errors.New("todo")
}

// Server is one emulated ComfyUI. Its methods may be called by several
// goroutines at once.
type Server struct{}

// Handler serves HTTP and the WebSocket: each route bare and under /api, as
// ComfyUI has them.
func (s *Server) Handler() http.Handler { panic("todo") }

// Dial connects to the server in memory, whatever network and address say: it
// fits http.Transport.DialContext and websocket.Dialer.NetDialContext. It fails
// with ctx's cause, or as a refused connection while the server is down or closed.
func (s *Server) Dial(ctx context.Context, network, addr string) (net.Conn, error) { panic("todo") }

// Serve accepts connections on l until the server or l is closed; it closes l
// and returns nil if Close was the reason.
func (s *Server) Serve(l net.Listener) error { panic("todo") }

// Restart ends every connection and the running job, and forgets queue, history,
// cache and temp files, as a restarted process does. Input and output files stay.
// It brings back a server that a fault has taken down.
func (s *Server) Restart() { panic("todo") }

// Close ends every connection, the running job and all goroutines, and waits for
// them. Later calls do nothing and return nil too.
func (s *Server) Close() error { panic("todo") }

// SetFaults replaces the faults in force, so that a test can fail one job and
// let the next one run. None ends them all.
func (s *Server) SetFaults(faults ...Fault) { panic("todo") }

// Requests counts the requests answered so far to a method and route, the route
// without /api and with its parameters by name: "POST /prompt",
// "GET /history/{prompt_id}". The WebSocket is "GET /ws".
func (s *Server) Requests(methodRoute string) int { panic("todo") }

// Files lists a virtual folder, "input", "output" or "temp", in order of names
// with their subfolders.
func (s *Server) Files(folder string) []string { panic("todo") }

// ReadFile returns a copy of a virtual file's bytes.
func (s *Server) ReadFile(folder, name string) ([]byte, bool) { panic("todo") }

// WriteFile puts a file into a virtual folder, as somebody at the server would.
func (s *Server) WriteFile(folder, name string, data []byte) { panic("todo") }

// UsualModels are the files under the names that people install for each family
// of models.
func UsualModels() []Model { panic("todo") }
