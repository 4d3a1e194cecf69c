package comfy

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"sync"
	"time"
)

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
	Fraction    float64 // 0…1 over the whole graph, samplers weighing most (CLIENT-FAIL-21); it never goes back
	Preview     []byte  // newest preview, JPEG or PNG; nil when there is none
	PreviewMIME string
	Unreachable bool      // the server does not answer at present
	Stalled     bool      // pending for 30 s at a server that runs nothing: its worker is dead (CLIENT-FAIL-6)
	StartedAt   time.Time // of execution, by our clock
}

// A Result is the end of a run. Err is nil for Succeeded, Cancelled and Lost; *ExecutionError for Failed, or what made the
// server's answer unreadable; [ErrClosed] for a run that was left behind by Close.
type Result struct {
	State    State
	Outputs  []Output // in node id order, from history or the jobs API, never only from the WebSocket (CLIENT-FAIL-3)
	Err      error
	Started  time.Time // by our clock
	Ended    time.Time
	Duration time.Duration // of execution, as the server tells it; else by our clock
}

// An Output is one file a node made, or one text.
type Output struct {
	Node      string
	Kind      string // images, gifs, audio, text, …: the key under the node's outputs; says little of what a file is
	Filename  string // untrusted (CLIENT-SEC-10); empty for a text
	Subfolder string
	Type      string // output, temp, input
	Text      string // cleaned (CLIENT-SEC-14), with line breaks, at most 16 KiB
}

// A Run is one submitted prompt, followed until its end in the background, whoever waits for it. It is safe for concurrent use.
type Run struct {
	c      *Client
	client string // client id it was submitted with
	graph  Graph
	pokes  chan struct{} // room for one: look now
	done   chan struct{}

	mu       sync.Mutex
	id       string
	progress Progress
	changed  chan struct{}
	result   Result
	over     bool // the socket told the end, which is then to be read
	asked    bool // Cancel was called
	stated   bool // progress_state was seen, which outranks progress
	heard    time.Time
	cached   map[string]bool
	made     []Output
}

// maxMade bounds the files that a run is believed to have made before it has ended.
const maxMade = 64

func newRun(c *Client, s Submission, client string) *Run {
	return &Run{
		c: c, id: s.PromptID, client: client, graph: s.Graph,
		pokes: make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{}),
	}
}

// PromptID is the run's id at the server: that of the [Submission], unless the server gave another (CLIENT-GRAPH-3).
func (r *Run) PromptID() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id
}

// Changed returns a channel that is closed at the next change of Progress, or at the end.
func (r *Run) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

// Progress returns the newest snapshot. Its Preview is shared: don't change it.
func (r *Run) Progress() Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.progress
}

// Made returns the files that the socket has named so far: a hint, which may be early, incomplete or of a run that fails.
func (r *Run) Made() []Output {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clip(r.made)
}

// Done is closed when the run has ended, by whatever end.
func (r *Run) Done() <-chan struct{} { return r.done }

// Result returns the end; it blocks until Done or ctx ends.
func (r *Run) Result(ctx context.Context) (Result, error) {
	select {
	case <-r.done:
	default:
		select {
		case <-r.done:
		case <-ctx.Done():
			return Result{}, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.result, nil
}

// poke makes the follower look now; it never blocks.
func (r *Run) poke() {
	select {
	case r.pokes <- struct{}{}:
	default:
	}
}

func (r *Run) ended() bool {
	select {
	case <-r.done:
		return true
	default:
		return false
	}
}

// update changes the progress and tells those who wait for it; an ended run stays as it is.
func (r *Run) update(change func(p *Progress)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended() {
		change(&r.progress)
		r.tell()
	}
}

func (r *Run) tell() {
	close(r.changed)
	r.changed = make(chan struct{})
}

// inQueue reports whether a change of the server's queue concerns the run.
func (r *Run) inQueue() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over || r.progress.State == Pending
}

// hear takes one message of the socket. It is called by the socket's reader and must not wait.
func (r *Run) hear(e event) {
	r.update(func(p *Progress) {
		r.heard = time.Now()
		p.start(r.heard)
		switch e.kind {
		case "execution_cached":
			r.cached = make(map[string]bool, len(e.cached))
			for _, id := range e.cached {
				r.cached[id] = true
			}
		case "executing":
			r.executing(p, e.node)
		case "progress":
			if !r.stated {
				p.Node, p.Class = e.node, r.graph[e.node].ClassType
				p.Step, p.Steps = int(e.value), int(e.max)
			}
		case "progress_state":
			r.stated = true
			r.state(p, e.nodes)
		case "executed":
			if len(r.made)+len(e.files) <= maxMade {
				r.made = append(r.made, e.files...)
			}
		case "execution_error":
			r.over = !e.fault.blocked()
		case "execution_success", "execution_interrupted":
			r.over = true
		}
	})
	if e.kind == "executing" && e.node == "" || r.isOver() {
		r.poke() // CLIENT-WS-7
	}
}

func (r *Run) isOver() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over
}

// start notes that the run is being executed.
func (p *Progress) start(now time.Time) {
	if p.State == Pending || p.State == "" {
		p.State, p.Position, p.StartedAt, p.Stalled = Running, 0, now, false
	}
	p.Unreachable = false
}

func (r *Run) executing(p *Progress, node string) {
	if node == "" {
		r.over = true // its last message; the history is written by then
		return
	}
	if node != p.Node {
		p.Node, p.Class, p.Step, p.Steps = node, r.graph[node].ClassType, 0, 0
	}
}

// samplerWeight is how much of a run's time a node that samples is taken to need, next to any other.
const samplerWeight = 10

// weight is a node's share of the run. What merely chooses or configures a sampler, as KSamplerSelect does, takes no time.
func weight(n Node) float64 {
	samples := strings.Contains(n.ClassType, "KSampler") || strings.Contains(n.ClassType, "SamplerCustom")
	if samples && !strings.Contains(n.ClassType, "Select") {
		return samplerWeight
	}
	return 1
}

// state reads the whole picture of the graph: the weights of finished nodes and of running ones their part, over those of all that are not
// cached. Nodes that a node expands into count as that node.
func (r *Run) state(p *Progress, nodes map[string]nodeProgress) {
	sum := 0.0
	for id, n := range nodes {
		running := n.State == "running"
		if node, mine := r.graph[id]; mine && !r.cached[id] {
			switch {
			case n.State == "finished":
				sum += weight(node)
			case running && n.Max > 0:
				sum += weight(node) * min(max(n.Value/n.Max, 0), 1)
			}
		}
		if running && n.Max > 0 {
			p.Node = orDefault(n.Display, id)
			p.Class = r.graph[p.Node].ClassType
			p.Step, p.Steps = int(n.Value), int(n.Max)
		}
	}
	all := 0.0
	for id, node := range r.graph {
		if !r.cached[id] {
			all += weight(node)
		}
	}
	if all > 0 {
		p.Fraction = max(p.Fraction, min(sum/all, 1))
	}
}

// see keeps the newest preview.
func (r *Run) see(v preview) {
	image := bytes.Clone(v.image) // the frame's buffer is used again
	r.update(func(p *Progress) {
		r.heard = time.Now()
		p.start(r.heard)
		p.Preview, p.PreviewMIME = image, v.mime
	})
}

// finish ends the run, once.
func (r *Run) finish(res Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended() {
		return
	}
	p := &r.progress
	res.Started, res.Ended = p.StartedAt, time.Now()
	switch {
	case res.Started.IsZero():
		res.Started = res.Ended.Add(-res.Duration)
	case res.Duration == 0 && (res.State == Succeeded || res.State == Failed):
		res.Duration = res.Ended.Sub(res.Started)
	}
	p.State, p.Position, p.Preview, p.PreviewMIME, p.Unreachable, p.Stalled = res.State, 0, nil, "", false, false
	if res.State == Succeeded {
		p.Fraction = 1
	}
	r.result = res
	r.tell()
	close(r.done)
}
