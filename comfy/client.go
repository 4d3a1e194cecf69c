package comfy

import (
	"context"
	"io"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/config"
)

// Config says how to reach one server. URL is required; every other zero value works.
type Config struct {
	URL           string // http(s)://host[:port][/prefix]; ws and wss read as http and https
	Username      string // basic credentials, sent with every request and the WebSocket handshake (SC-20)
	Password      config.Secret
	APIKey        config.Secret // bearer token, or the value of AuthHeader when that is another header
	AuthHeader    string        // default Authorization
	QueryToken    config.Secret // sent as ?token=
	CAFile        string        // PEM roots besides the system's (SC-17)
	AllowInsecure bool          // clear text to a remote host, never with a credential (SC-15)
	UserAgent     string
	Timeouts      Timeouts
	Limits        Limits
	// Dial replaces the network: the embedded server is reached through it without a port.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	Log  *zap.Logger // default zap.NewNop()
}

// Timeouts bound each kind of call; zero means the default.
type Timeouts struct {
	Connect time.Duration // 5 s; 1.5 s where the host is loopback
	Read    time.Duration // 30 s, every GET
	Queue   time.Duration // 10 s, queue and interrupt
	Submit  time.Duration // 60 s, POST /prompt
	Image   time.Duration // 60 s, one /view or upload
}

// Limits bound what is believed of the server's answers; zero means the default (SC-47).
type Limits struct {
	JSONBytes    int64 // 16 MiB
	ViewBytes    int64 // 64 MiB
	TextFrame    int64 // 1 MiB
	PreviewFrame int64 // 8 MiB; negative drops previews
	Connections  int   // 10
}

// A Client speaks to one server. It is safe for concurrent use. Close it when done.
type Client struct{}

// New checks cfg (URL gate: SC-13…20) and returns a client. It sends nothing.
func New(cfg Config) (*Client, error) { panic("todo") }

// Close ends the WebSocket reader and idle connections.
func (c *Client) Close() error { panic("todo") }

// Redacted is the server's URL without credentials and query, for people.
func (c *Client) Redacted() string { panic("todo") }

// ServerInfo is what a probe learns (CLIENT-HTTP-1).
type ServerInfo struct {
	Version     string // comfyui_version; empty when not told
	BelowFloor  bool   // older than v0.3.57
	JobsAPI     bool   // /api/jobs answers
	JobCancel   bool   // POST /api/jobs/{id}/cancel is there (≥ 0.26)
	Cloud       bool   // speaks Comfy Cloud's dialect
	MaxUpload   int64  // bytes; 0 when not told
	Devices     []Device
	LatencyHint time.Duration
}

// A Device is one of the server's compute devices; memory in bytes.
type Device struct {
	Name, Type            string
	VRAMTotal, VRAMFree   int64
	TorchTotal, TorchFree int64
}

// Probe asks for version, features and whether the jobs API is there.
func (c *Client) Probe(ctx context.Context) (ServerInfo, error) { panic("todo") }

// ObjectInfo returns the server's node classes, from a cache (60 s, also for concurrent callers; Forget empties it).
func (c *Client) ObjectInfo(ctx context.Context) (*ObjectInfo, error) { panic("todo") }

// Forget empties the caches of lists and classes (CLIENT-FAIL-22).
func (c *Client) Forget() { panic("todo") }

// A ModelFile is one file of a models folder.
type ModelFile struct {
	Name string // as listed, with subfolder
	Size int64  // bytes; 0 when the server does not tell
}

// Models lists a models folder, from /models/{folder} and, for sizes, /experiment/models/{folder}; cached.
// An unknown folder is an empty list.
func (c *Client) Models(ctx context.Context, folder string) ([]ModelFile, error) { panic("todo") }

// Embeddings lists textual inversions, without extension.
func (c *Client) Embeddings(ctx context.Context) ([]string, error) { panic("todo") }

// Metadata returns the safetensors header's __metadata__ of a model, empty when there is none.
func (c *Client) Metadata(ctx context.Context, folder, name string) (map[string]string, error) {
	panic("todo")
}

// Upload stores a picture in the server's temp folder under name, a content-hash name, and returns the
// value to give to LoadImage (CLIENT-FILE-1…3).
func (c *Client) Upload(ctx context.Context, name string, data io.Reader) (string, error) {
	panic("todo")
}

// A Submission is one graph to run.
type Submission struct {
	PromptID string // UUIDv4, lower case; NewPromptID makes one
	Graph    Graph
	Extra    map[string]any // extra_data.extra_pnginfo; nil for none
}

// NewPromptID returns a random UUIDv4 (CLIENT-PROMPT-4).
func NewPromptID() string { panic("todo") }

// Submit registers a waiter, makes sure the WebSocket is up or given up on, and posts. It never posts twice blindly: after a
// doubtful failure it looks into queue and history (CLIENT-FAIL-13). It returns *RejectedError for 400.
func (c *Client) Submit(ctx context.Context, s Submission) (*Run, error) { panic("todo") }

// A Run is one submitted prompt, followed until its end in the background, whoever waits for it.
type Run struct{}

// State is where a run stands at the server.
type State string

// States of a run.
const (
	Pending   State = "pending"
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Cancelled State = "cancelled"
	Lost      State = "lost" // the server does not know it (CLIENT-FAIL-4)
)

// A Progress is a snapshot of a run. The zero value means nothing is known yet.
type Progress struct {
	State       State
	Position    int     // place in the server's queue, 1 = next; 0 when unknown or running
	Node, Class string  // being executed
	Step, Steps int     // of that node's progress
	Fraction    float64 // 0…1 over the whole graph (CLIENT-FAIL-21)
	Preview     []byte  // newest preview, JPEG or PNG; nil when there is none
	PreviewMIME string
	Unreachable bool      // the server does not answer at present
	StartedAt   time.Time // of execution, by our clock
}

// Changed returns a channel that is closed at the next change of Progress, or at the end.
func (r *Run) Changed() <-chan struct{} { panic("todo") }

// Progress returns the newest snapshot.
func (r *Run) Progress() Progress { panic("todo") }

// Done is closed when the run has ended, by whatever end.
func (r *Run) Done() <-chan struct{} { panic("todo") }

// Result returns the end; it blocks until Done or ctx ends.
func (r *Run) Result(ctx context.Context) (Result, error) { panic("todo") }

// Cancel stops exactly this run, pending or running, and verifies it (CLIENT-FAIL-8). It returns when the end is known
// or ctx ends. Cancelling an ended run is no error.
func (r *Run) Cancel(ctx context.Context) error { panic("todo") }

// A Result is the end of a run. Err is nil for Succeeded; *ExecutionError for Failed.
type Result struct {
	State    State
	Outputs  []Output // in node id order, from history or the jobs API, never only from the WebSocket (CLIENT-FAIL-3)
	Err      error
	Started  time.Time
	Ended    time.Time
	Duration time.Duration // of execution, as the server tells it
}

// An Output is one file a node made.
type Output struct {
	Node      string
	Kind      string // images, gifs, audio, …: the key under the node's outputs
	Filename  string // untrusted (CLIENT-SEC-10)
	Subfolder string
	Type      string // output, temp, input
}

// View streams a file of the server into w and returns its size. A body over Limits.ViewBytes is
// *TooLargeError; on Comfy Cloud the redirect is followed without credentials (CLIENT-AUTH-6).
func (c *Client) View(ctx context.Context, o Output, w io.Writer) (int64, error) { panic("todo") }

// A Queue is the server's queue, pending sorted by number (CLIENT-QUEUE-1). It holds ids only.
type Queue struct{ Running, Pending []string }

// Queue reads the server's queue.
func (c *Client) Queue(ctx context.Context) (Queue, error) { panic("todo") }

// DeleteHistory removes one run from the server's history (SC-51).
func (c *Client) DeleteHistory(ctx context.Context, promptID string) error { panic("todo") }

// Free asks the server to unload models and to empty its node cache.
func (c *Client) Free(ctx context.Context) error { panic("todo") }
