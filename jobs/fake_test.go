package jobs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A server is a ComfyUI that tests steer, and the places at it.
type server struct {
	mu       sync.Mutex
	slots    int
	changed  chan struct{}
	runs     []*run // as submitted
	busy     int
	most     int // busy at most
	uploads  []string
	deleted  []string
	freed    int
	arrived  chan struct{} // closed at the next submission, and replaced
	onSubmit func(*run) error
	onPost   func(context.Context) error
	onView   func(comfy.Output) error
	content  func(comfy.Output) string // of a file; default "picture" and its name
	onUpload func()
	onCancel func(context.Context, *run) error // default: the run ends as cancelled
}

func newServer(slots int) *server {
	return &server{slots: slots, changed: make(chan struct{}), arrived: make(chan struct{})}
}

func (s *server) Acquire() (jobs.Server, func(), bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy == s.slots {
		return nil, nil, false
	}
	s.busy++
	s.most = max(s.most, s.busy)
	return s, sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.busy--
		s.change()
	}), true
}

func (s *server) change() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *server) open(slots int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slots = slots
	s.change()
}

func (s *server) Changed() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.changed
}

func (s *server) Upload(_ context.Context, name string, data io.Reader) (string, error) {
	if s.onUpload != nil {
		s.onUpload()
	}
	if _, err := io.Copy(io.Discard, data); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads = append(s.uploads, name)
	return "comfygate/" + name + " [temp]", nil
}

func (s *server) Submit(ctx context.Context, sub comfy.Submission) (jobs.Run, error) {
	if s.onPost != nil {
		if err := s.onPost(ctx); err != nil {
			return nil, err
		}
	}
	r := &run{server: s, id: sub.PromptID, graph: sub.Graph, changed: make(chan struct{}), done: make(chan struct{})}
	if s.onSubmit != nil {
		if err := s.onSubmit(r); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.runs = append(s.runs, r)
	close(s.arrived)
	s.arrived = make(chan struct{})
	return r, nil
}

func (s *server) View(_ context.Context, o comfy.Output, w io.Writer) (int64, error) {
	if s.onView != nil {
		if err := s.onView(o); err != nil {
			return 0, err
		}
	}
	content := "picture " + o.Filename
	if s.content != nil {
		content = s.content(o)
	}
	n, err := io.WriteString(w, content)
	return int64(n), err
}

func (s *server) DeleteHistory(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deleted = append(s.deleted, id)
	return nil
}

func (s *server) Free(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.freed++
	return nil
}

// run waits for the n-th submission, from 0.
func (s *server) run(t *testing.T, n int) *run {
	t.Helper()
	for {
		s.mu.Lock()
		arrived := s.arrived
		if len(s.runs) > n {
			defer s.mu.Unlock()
			return s.runs[n]
		}
		s.mu.Unlock()
		select {
		case <-arrived:
		case <-time.After(10 * time.Minute):
			t.Fatalf("submission %d did not come", n)
		}
	}
}

func (s *server) submitted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.runs)
}

// A run is a submission that the test brings forward.
type run struct {
	server *server
	id     string
	graph  comfy.Graph

	mu       sync.Mutex
	progress comfy.Progress
	changed  chan struct{}
	done     chan struct{}
	result   comfy.Result
	made     []comfy.Output
	cancels  int
}

func (r *run) Changed() <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.changed
}

func (r *run) Progress() comfy.Progress {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.progress
}

func (r *run) Made() []comfy.Output {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clip(r.made)
}

// name is the socket's word that a file was made.
func (r *run) name(o comfy.Output) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.made = append(r.made, o)
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *run) Done() <-chan struct{} { return r.done }

func (r *run) Result(ctx context.Context) (comfy.Result, error) {
	select {
	case <-r.done:
		return r.result, nil
	case <-ctx.Done():
		return comfy.Result{}, ctx.Err()
	}
}

func (r *run) Cancel(ctx context.Context) error {
	r.mu.Lock()
	r.cancels++
	r.mu.Unlock()
	if r.server.onCancel != nil {
		return r.server.onCancel(ctx, r)
	}
	r.end(comfy.Result{State: comfy.Cancelled})
	return nil
}

func (r *run) set(p comfy.Progress) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.progress = p
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *run) end(res comfy.Result) {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.done:
	default:
		r.result = res
		close(r.done)
	}
}

func (r *run) stops() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cancels
}

// succeed ends the run with n pictures of the node "out", and one of another node.
func (r *run) succeed(n int) {
	res := comfy.Result{State: comfy.Succeeded, Outputs: []comfy.Output{{Node: "other", Kind: "images", Filename: "x.png", Type: "temp"}}}
	for i := range n {
		res.Outputs = append(res.Outputs, comfy.Output{Node: "out", Kind: "images", Filename: fmt.Sprintf("%d.png", i), Type: "output"})
	}
	r.end(res)
}

// pictures is a store in memory.
type pictures struct {
	mu     sync.Mutex
	put    []images.Image
	bounds []images.Bounds
	shown  []images.Showing
	err    error
	save   error
}

func (p *pictures) PutIf(_ context.Context, im images.Image, b images.Bounds, show images.Showing, src io.Reader, sure func() error) (images.Image, error, error) {
	data, err := io.ReadAll(src)
	if err == nil {
		err = sure()
	}
	if err != nil {
		return images.Image{}, nil, fmt.Errorf("reading: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return images.Image{}, nil, p.err
	}
	sum := sha256.Sum256(data)
	im.SHA256, im.ID, im.Bytes = hex.EncodeToString(sum[:]), fmt.Sprint("picture", len(p.put)), int64(len(data))
	p.put, p.bounds, p.shown = append(p.put, im), append(p.bounds, b), append(p.shown, show)
	return im, p.save, nil
}

// PutResult goes by the name: what it ends with is what it is, and what the real store refuses is refused.
func (p *pictures) PutResult(ctx context.Context, im images.Image, name string, b images.Bounds, show images.Showing, src io.Reader) (images.Result, error, error) {
	if strings.HasSuffix(name, ".svg") {
		return images.Result{}, nil, &images.TypeError{Got: "image/svg+xml; charset=utf-8", Said: "unknown"}
	}
	kept, saveErr, err := p.PutIf(ctx, im, b, show, src, func() error { return nil })
	if err != nil {
		return images.Result{}, nil, err
	}
	if b.Bytes > 0 && kept.Bytes > b.Bytes {
		return images.Result{}, nil, &images.BoundsError{What: "bytes", Got: kept.Bytes, Max: b.Bytes}
	}
	kind, isFile := map[string]images.Kind{".mp4": images.Video, ".flac": images.Audio, ".glb": images.Document}[path.Ext(name)]
	if !isFile {
		return images.Result{Image: &kept}, saveErr, nil
	}
	return images.Result{File: &images.File{ID: kept.ID, Owner: kept.Owner, Kind: kind, Bytes: kept.Bytes, SHA256: kept.SHA256}}, saveErr, nil
}

func (*pictures) Open(owner, id string) (io.ReadSeekCloser, images.Image, error) {
	if owner != "ann" || id != "mine" {
		return nil, images.Image{}, images.ErrNotFound
	}
	return nopCloser{bytes.NewReader([]byte("input"))}, images.Image{ID: id, Owner: owner, SHA256: "abc123", Format: images.PNG}, nil
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

// recorder keeps records.
type recorder struct {
	mu      sync.Mutex
	records []audit.Record
	err     error
}

func (r *recorder) AppendReserved(_ context.Context, rec audit.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.records = append(r.records, rec)
	return r.err
}

func (r *recorder) all() []audit.Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.records)
}

// A bench is a manager with everything around it faked.
type bench struct {
	*jobs.Manager
	t        *testing.T
	server   *server
	pictures *pictures
	recorder *recorder
	released map[string]int // by call id
	mu       sync.Mutex
}

// inBubble runs f on a bench in virtual time, and holds what must be true of every job in the end: nothing runs on, each
// admitted job has one record, each place was given back once.
func inBubble(t *testing.T, change func(*jobs.Config, *server), f func(b *bench)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, change)
		f(b)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			t.Errorf("Close: %v", err)
		}
		records := make(map[string]int)
		for _, r := range b.recorder.all() {
			records[r.CallID]++
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		if !maps.Equal(records, b.released) {
			t.Errorf("records of ends by call %v, places given back %v", records, b.released)
		}
		for call, n := range b.released {
			if n != 1 {
				t.Errorf("call %s: its place was given back %d times", call, n)
			}
		}
		if b.server.busy != 0 {
			t.Errorf("%d places at the server are still taken", b.server.busy)
		}
	})
}

func newBench(t *testing.T, change func(*jobs.Config, *server)) *bench {
	t.Helper()
	b := &bench{t: t, server: newServer(2), pictures: &pictures{}, recorder: &recorder{}, released: make(map[string]int)}
	cfg := jobs.Config{Servers: b.server, Pictures: b.pictures, Record: b.recorder, Code: code}
	if change != nil {
		change(&cfg, b.server)
	}
	m, err := jobs.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.Manager = m
	return b
}

func code(err error) string {
	if errors.Is(err, jobs.ErrTimeout) {
		return "GENERATION_TIMEOUT"
	}
	return "OTHER"
}

// spec is a job of owner for one picture.
func (b *bench) spec(owner, call string) jobs.Spec {
	return jobs.Spec{
		Owner: owner, CallID: call, Tool: "generate", Output: "out", Count: 1, Cost: 20, Model: "m.safetensors",
		Graph: comfy.Graph{
			"out": {ClassType: "SaveImage", Inputs: map[string]any{"filename_prefix": "comfygate/p"}},
			"in":  {ClassType: "LoadImage", Inputs: map[string]any{"image": ""}},
		},
		Release: func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.released[call]++
		},
	}
}

func (b *bench) start(t *testing.T, s jobs.Spec) jobs.Job {
	t.Helper()
	j, err := b.Start(t.Context(), s)
	if err != nil {
		t.Fatalf("Start: %v", err)
	}
	return j
}

// releases counts how often the place of a call was given back.
func (b *bench) releases(call string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.released[call]
}

// ended waits for the job's end.
func (b *bench) ended(t *testing.T, j jobs.Job) jobs.Job {
	t.Helper()
	j, err := b.Watch(t.Context(), j.Owner, j.ID, func(jobs.Job) {})
	if err != nil {
		t.Fatalf("Watch: %v", err)
	}
	return j
}

// record returns the one record of the job.
func (b *bench) record(t *testing.T, j jobs.Job) audit.Record {
	t.Helper()
	var found []audit.Record
	for _, r := range b.recorder.all() {
		if r.JobID == j.ID {
			found = append(found, r)
		}
	}
	if len(found) != 1 {
		t.Fatalf("job has %d records of its end, want 1", len(found))
	}
	return found[0]
}
