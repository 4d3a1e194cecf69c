// Package audit is the record of every call: a write-ahead log of hash-chained JSON lines, made durable by group commit, fail-closed.
package audit

import (
	"context"
	"errors"
	"time"

	"github.com/comfygate/comfygate/config"
)

// ErrUnwritable says that a record could not be made durable; the act must not happen (AUDIT_UNAVAILABLE).
var ErrUnwritable = errors.New("the audit log cannot be written")

// A Kind is a kind of record.
type Kind string

// Kinds (AUD-01). A call leaves one intent and one outcome, or one outcome alone when it only reads, or one decision when it is denied.
const (
	Intent    Kind = "intent"
	Outcome   Kind = "outcome"
	DecisionK Kind = "decision"
	JobEnd    Kind = "job.end"
	Start     Kind = "start"
	Stop      Kind = "stop"
	Event     Kind = "event" // Name tells which: security.exposed_without_auth, auth.failure, storage.clean, …
)

// A Record is one line. Seq, Time, Prev and Hash are the log's; all else is the caller's. No field holds a prompt, a credential or a path
// (AUD-12, 13): Params are the allow-listed arguments of a tool, texts in them already digested by [Log.Digest].
type Record struct {
	Seq  uint64    `json:"seq"`
	Time time.Time `json:"ts"`
	Kind Kind      `json:"kind"`
	Name string    `json:"event,omitempty"`

	Severity   string            `json:"severity,omitempty"` // critical, high, medium, low, info (SC-41)
	CallID     string            `json:"call_id,omitempty"`
	JobID      string            `json:"job_id,omitempty"`
	Principal  string            `json:"principal,omitempty"`
	Method     string            `json:"auth,omitempty"`
	Transport  string            `json:"transport,omitempty"`
	Session    string            `json:"session,omitempty"`
	Tool       string            `json:"tool,omitempty"`
	Params     map[string]any    `json:"params,omitempty"`
	Decision   string            `json:"decision,omitempty"` // allow, deny
	Rule       string            `json:"rule,omitempty"`
	PolicyHash string            `json:"policy,omitempty"`
	Status     string            `json:"status,omitempty"` // ok, error, accepted, denied, unknown(crash); of a job: its state
	Code       string            `json:"code,omitempty"`   // error code
	PromptID   string            `json:"prompt_id,omitempty"`
	Outputs    []string          `json:"outputs,omitempty"` // SHA-256 of each picture (AUD-17)
	Cost       float64           `json:"cost,omitempty"`    // megapixel-steps
	DurationMS int64             `json:"duration_ms,omitempty"`
	Count      int               `json:"count,omitempty"` // of an aggregate
	Detail     map[string]string `json:"detail,omitempty"`

	Prev string `json:"prev"`
	Hash string `json:"hash"`
}

// Config of a [Log]. Dir is required: the slot's audit folder.
type Config struct {
	Dir       string
	Key       config.Secret // HMAC key; unset: kept in KeyFile, made at first start with mode 0600
	KeyFile   string
	MaxBytes  int64  // of a segment; default 100 MiB
	Fsync     string // each (default) or interval
	FailOpen  bool   // AUDIT__FAIL_CLOSED=false
	Version   string
	ConfigSum string // digest of the configuration, for the start record
}

// A Log is an open audit log. It is safe for concurrent use.
type Log struct{}

// Open opens or makes the log below cfg.Dir, mends a torn tail, closes open intents and jobs of the crashed process before as unknown(crash)
// and writes the start record.
func Open(cfg Config) (*Log, error) { panic("todo") }

// Append makes r durable, or returns an error that is [ErrUnwritable]. Concurrent appends share an fsync (AUD-07).
func (l *Log) Append(ctx context.Context, r Record) error { panic("todo") }

// AppendReserved is Append for what is owed when the disk is full: outcomes, job ends, cancels (AUD-04).
func (l *Log) AppendReserved(ctx context.Context, r Record) error { panic("todo") }

// Healthy returns nil, or why new calls are refused now.
func (l *Log) Healthy() error { panic("todo") }

// Digest is the keyed HMAC-SHA256 of text, in hex, with its length in characters: what a record holds of a prompt.
func (l *Log) Digest(text string) map[string]any { panic("todo") }

// Close writes the stop record and closes the files.
func (l *Log) Close(ctx context.Context) error { panic("todo") }
