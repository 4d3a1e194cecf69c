// Package tools holds the tools, one file each: arguments, what they resolve to, and what is done then.
// It knows nothing of MCP: mcpserver publishes what [All] lists.
package tools

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

// Why a call's context ended before the call did; context.Cause tells which. A context that a stdio connection cancelled without
// a cause counts as ErrCancelRequested, that of another transport as ErrCallerGone.
var (
	ErrCallerGone      = errors.New("the caller is gone")             // its connection closed: JOBS__ON_DISCONNECT decides
	ErrCancelRequested = errors.New("the caller cancelled this call") // notifications/cancelled, or a modern stream closed on purpose
)

// A Tool is one tool's definition. All fields are set by hand.
type Tool struct {
	Name        string // snake_case, no prefix
	Title       string
	Description string // for the model, ≤ 2 KB
	Toolset     string // images, workflows, video, operations
	Scope       policy.Scope
	Class       limits.Class
	Hints       Hints
	Schema      json.RawMessage // JSON Schema 2020-12 of the arguments: bounds on every property, additionalProperties false
	Output      json.RawMessage // of the structured content; nil for tools that may return pictures
	Waits       bool            // has wait_seconds
	// Decode makes typed arguments of raw, which already satisfies Schema. It never sees an invalid document.
	Decode func(raw json.RawMessage) (Args, error)
}

// Hints are MCP's four annotations.
type Hints struct{ ReadOnly, Destructive, Idempotent, OpenWorld bool }

// A Caller is who calls, and how to reach them while the call runs.
type Caller struct {
	Principal auth.Principal
	CallID    string
	Arrived   time.Time // wait_seconds counts from here
	Transport string    // stdio, http, sse
	Notify    func(Progress)
	// Settle tells what of a plan's Cost.Work was really taken, once its job has ended; only the first call counts. A call that returns
	// without a job has taken nothing, and tells nothing.
	Settle func(work float64)
}

// Progress is told while a call waits. It never carries prompt text.
type Progress struct {
	Done, Total float64
	Message     string // "step 12 of 20"
}

// Args are the decoded arguments of one call.
type Args interface {
	// Resolve turns them into a Plan. It may read, from caches and cached GETs; it never changes anything. It is given 10 s.
	Resolve(ctx context.Context, c Caller) (Plan, error)
}

// A Plan is the whole of what a call would do: what is judged is what runs.
type Plan interface {
	// Policy is what authorize judges. Principal, role, scopes, tool and scope are filled in by the pipeline.
	Policy() policy.Request
	// Cost is what admit reserves.
	Cost() Cost
	// Record is what the audit log keeps of the arguments: allow-listed, without prompts. Values are strings, numbers, booleans or
	// lists of them; a text that must be kept only as a digest is a [Digest].
	Record() map[string]any
	// Run does it. For a plan that reserved a place, release is the way to give it back and is called exactly once, by Run or by whom Run hands it to.
	Run(ctx context.Context, c Caller, release func()) (Result, error)
}

// Digest marks a text of which the record keeps only keyed digest and length (AUD-12).
type Digest string

// Cost is what a plan takes of the limits.
type Cost struct {
	Tokens int     // of the class's rate, in all; the first was taken before resolve
	Place  bool    // needs a place in the queue
	Work   float64 // megapixel-steps
}

// A Result is what a call answers.
type Result struct {
	Text       string
	Note       string // told after Text in a block of its own, so that a Text of JSON stays JSON
	Pictures   []Picture
	Links      []Link
	Structured any      // for tools with Output, and where MCP__STRUCTURED asks for it; nil otherwise
	JobID      string   // of the job that was made or asked for
	Accepted   bool     // the job runs on
	Outputs    []string // SHA-256 of pictures and files that the answer shows as made now
}

// A Picture is an inline preview.
type Picture struct {
	Data []byte
	MIME string
}

// A Link is a resource link.
type Link struct {
	URI, Name, Title, MIME string
	Size                   int64
}
