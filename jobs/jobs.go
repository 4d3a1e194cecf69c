// Package jobs is the life of a job: queued here, submitted, followed, fetched, ended, and recorded once at its end.
// A job belongs to its owner; another's id answers like an unknown one (SC-32).
package jobs

import (
	"context"
	"errors"
	"time"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/images"
)

// ErrNotFound answers for a job that is not there or is another's, alike (JOB_NOT_FOUND).
var ErrNotFound = errors.New("no such job")

// A State is where a job stands.
type State string

// States. The last four are ends.
const (
	Queued    State = "queued"
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
	Cancelled State = "cancelled"
	Lost      State = "lost"
)

// A Spec is an admitted job: whole, judged, and recorded by its intent.
type Spec struct {
	Owner  string
	CallID string
	Tool   string
	Graph  comfy.Graph
	Output string // node whose pictures are the result
	// Inputs are pictures of ours that the graph loads: node id → picture id. Each is uploaded before the submission and the
	// node's "image" input set to the name that the server returned (CLIENT-FILE-1…3).
	Inputs  map[string]string
	Expect  images.Bounds // of each result
	Count   int           // pictures expected
	Seed    *uint64
	Model   string
	Cost    float64           // megapixel-steps
	Summary map[string]string // for people: family, size, sampler, …; no prompt
	Release func()            // gives the pending place back; called exactly once, when the job is submitted or ends
}

// A Progress is how far a running job is.
type Progress struct {
	Position    int     // in line before it starts, 1 = next; 0 when running
	Step, Steps int     // of the node being executed
	Node        string  // its class
	Fraction    float64 // 0…1, of the whole
	Preview     []byte
	PreviewMIME string
	Unreachable bool // ComfyUI does not answer at present
}

// A Job is a snapshot of one job.
type Job struct {
	ID       string // 26 characters a–z, 2–7: 130 random bits (T27)
	Owner    string
	Tool     string
	CallID   string
	State    State
	Progress Progress
	Images   []images.Image
	Err      error // why it failed; nil otherwise
	SaveErr  error // why pictures could not be copied to the output folder
	Seed     *uint64
	Model    string
	Summary  map[string]string
	PromptID string
	Created  time.Time
	Started  time.Time // of execution
	Ended    time.Time
}

// Over reports whether the job has ended.
func (j Job) Over() bool { return j.State != Queued && j.State != Running }

// Manager is safe for concurrent use.
type Manager struct{}

// Start takes over an admitted job and returns at once; the job goes on by itself.
func (m *Manager) Start(ctx context.Context, s Spec) (Job, error) { panic("todo") }

// Get returns owner's job.
func (m *Manager) Get(owner, id string) (Job, error) { panic("todo") }

// List returns owner's jobs, newest first, at most n.
func (m *Manager) List(owner string, n int) []Job { panic("todo") }

// Watch calls changed (coalesced, never concurrently) with each new snapshot until the job is over or ctx ends, and returns the last one.
// The end of ctx is no error: the job runs on.
func (m *Manager) Watch(ctx context.Context, owner, id string, changed func(Job)) (Job, error) {
	panic("todo")
}

// Cancel stops owner's job, at the server too, and returns how it ended.
func (m *Manager) Cancel(ctx context.Context, owner, id string) (Job, error) { panic("todo") }

// Stats counts jobs for status.
type Stats struct{ Queued, Running, Ended int }

// Stats returns the counts of all owners.
func (m *Manager) Stats() Stats { panic("todo") }

// Close ends within ctx: pending jobs are cancelled, submitted ones detached or cancelled as configured.
func (m *Manager) Close(ctx context.Context) error { panic("todo") }
