// Package jobs is the life of a job: queued here, submitted, followed, fetched, ended, and recorded once at its end.
// A job belongs to its owner; another's id answers like an unknown one (SC-32).
package jobs

import (
	"errors"
	"fmt"
	"time"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/images"
)

// Errors; test with errors.Is.
var (
	// ErrNotFound answers for a job that is not there or is another's, alike (JOB_NOT_FOUND).
	ErrNotFound = errors.New("no such job")
	// ErrClosed refuses a job after Close.
	ErrClosed = errors.New("the program is ending")
	// ErrQueueTimeout ends a job that did not start in time (QUEUE_TIMEOUT).
	ErrQueueTimeout = errors.New("the job did not start in time")
	// ErrTimeout ends a job that ran too long and was stopped (GENERATION_TIMEOUT).
	ErrTimeout = errors.New("the job ran too long")
	// ErrLost ends a job that the server no longer knows, as after its restart.
	ErrLost = errors.New("comfyui does not know the job any more")
	// ErrInterrupted goes with the end of a job that somebody stopped at the server.
	ErrInterrupted = errors.New("somebody stopped the job at comfyui")
	// ErrUnverified goes with an end that the server did not confirm: the job may still run there.
	ErrUnverified = errors.New("comfyui did not confirm that the job was stopped")
)

// A NoOutputError ends a job that ran but did not give the pictures that were expected, or nothing at all where nothing certain was (NO_OUTPUT).
// Its text is safe to show.
type NoOutputError struct{ Want, Got int }

func (e *NoOutputError) Error() string {
	if e.Want == 0 {
		return "the run gave no results"
	}
	return fmt.Sprintf("expected %d pictures, the run gave %d", e.Want, e.Got)
}

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
	// Output is the node whose pictures are the result, exactly Count of them. Empty: the results of every output node, of every
	// kind and in any number (Count is not asked then), become [Job.Outputs].
	Output string
	// Inputs are pictures of ours that the graph loads: node id → picture id. Each is uploaded before the submission and the
	// node's "image" input set to the name that the server returned (CLIENT-FILE-1…3).
	Inputs  map[string]string
	InputOf map[string]string // node id → the input that takes its picture, where that is not "image"
	Expect  images.Bounds     // of each result
	Count   int               // pictures expected
	Seed    *uint64
	Model   string
	Cost    float64           // megapixel-steps
	Summary map[string]string // for people: family, size, sampler, …; no prompt
	Settle  func(float64)     // told once, at the job's end, what of Cost it took; nil: nobody asks
	// Show is drawn of each picture as soon as its bytes are here: of all where Output is set, else of one that is the only result.
	Show    images.Showing
	Release func() // gives the pending place back; called exactly once, when the job is submitted or ends
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
	Images   []images.Image // all pictures
	Outputs  []Output       // all results, by node; only of a job without [Spec.Output]
	Err      error          // why it failed; nil otherwise
	SaveErr  error          // why pictures or files could not be copied to the output folder
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
