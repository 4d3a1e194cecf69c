// Package audit is the record of every call: a write-ahead log of hash-chained JSON lines, made durable by group commit, fail-closed.
//
// # What it promises
//
// A record that [Log.Append] has taken is on the disk, at the end of a chain of SHA-256 hashes, in a file that nobody but
// its owner may read. A record that it could not take is an error, and the act that it is about must not happen. [Verify]
// finds every change, loss, doubling and reordering of lines within the chain and between the chain and its head, and says
// where.
//
// # What it does not
//
// Whoever may write the folder can write the whole chain anew, or cut its end and the head alike, and leave something that
// verifies; so may whoever steals the machine. Against that only a checkpoint helps that is kept where they can't
// write. With Fsync "interval", a loss of power may take the last second.
package audit

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.uber.org/zap"

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

// Statuses of an outcome. A job.end has its job's state, or the last of these.
const (
	StatusOK       = "ok"
	StatusError    = "error"
	StatusAccepted = "accepted" // the job of Record.JobID runs on; its job.end is owed
	StatusDenied   = "denied"
	StatusCrashed  = "unknown(crash)" // the process ended first; another wrote this
)

// A Record is one line. Seq, Time, Prev and Hash are the log's; all else is the caller's. No field holds a prompt, a credential or a path
// (AUD-12, 13): Params are the allow-listed arguments of a tool, texts in them already digested by [Log.Digest].
//
// Params hold strings, numbers, booleans, and lists and maps of them. Whatever else, values of named string types too, is
// written as [config.Mask]. A line is at most 64 KiB: texts that are too long are cut and end in an ellipsis. An empty Severity,
// or one that is none of SC-41's, is filled in by [SeverityOf].
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
	Outputs    []string          `json:"outputs,omitempty"`  // SHA-256 of each picture's file (AUD-17)
	Contents   []string          `json:"contents,omitempty"` // SHA-256 of each picture's pixel data, which stays when its metadata goes; "" where there is none
	Cost       float64           `json:"cost,omitempty"`     // megapixel-steps
	DurationMS int64             `json:"duration_ms,omitempty"`
	Count      int               `json:"count,omitempty"` // of an aggregate; of a stop: what is still open
	Detail     map[string]string `json:"detail,omitempty"`

	Prev string `json:"prev"`
	Hash string `json:"hash"`
}

// Values of Config.Fsync.
const (
	FsyncEach     = "each"     // a record is on the disk before Append returns
	FsyncInterval = "interval" // within a second; a crash of the process loses nothing, a loss of power may
)

// Config of a [Log]. Dir is required: the slot's audit folder.
type Config struct {
	Dir         string
	Key         config.Secret // HMAC key, 16 bytes or more; unset: kept in KeyFile, made at first start with mode 0600
	KeyFile     string        // default: hmac.key beside the slots, which share it
	LogPrompts  bool          // AUDIT__LOG_PROMPTS: prompts are kept in full where Privacy says nothing of them
	Privacy     Privacy
	MaxBytes    int64         // of a segment, about; default 100 MiB, at least 64 KiB
	RotateEvery time.Duration // a segment's age at which a new one is begun; 0: never
	RetainFor   time.Duration // age of records at which whole segments are removed; 0: never
	RetainBytes int64         // of all segments, about; the oldest are removed; 0: any number

	SigningKey        config.Secret       // of checkpoints, in the note format; unset: kept in SigningKeyFile, made at first start with mode 0600
	SigningKeyFile    string              // default: signing.key beside the slots, which share it
	Origin            string              // first line of checkpoints, before the slot's name; default the signing key's name
	CheckpointRecords int                 // new records that call for a checkpoint; default 1000
	CheckpointEvery   time.Duration       // time after which there is one if there is anything new; default a minute
	Checkpointed      func(signed string) // told of each checkpoint; may be nil, must not wait
	ReserveBytes      int64               // kept for what is owed when the disk is full; default 1 MiB, at least 128 KiB
	Fsync             string              // each (default) or interval
	FailOpen          bool                // AUDIT__FAIL_CLOSED=false: what can't be written is counted, and nobody is told
	Version           string
	ConfigSum         string      // digest of the configuration, for the start record
	Log               *zap.Logger // told when the log fails, recovers or was mended; default none
	FS                FS          // default the operating system's
}

const (
	defaultMaxBytes = 100 << 20
	defaultReserve  = 1 << 20
	minReserve      = 2 * maxLine
)

// withDefaults checks cfg and fills in what is unset.
func (cfg Config) withDefaults() (Config, error) {
	var errs []error
	if cfg.Dir == "" {
		errs = append(errs, errors.New("no folder"))
	}
	if cfg.KeyFile == "" {
		cfg.KeyFile = filepath.Join(filepath.Dir(cfg.Dir), keyFile)
	}
	if cfg.SigningKeyFile == "" {
		cfg.SigningKeyFile = filepath.Join(filepath.Dir(cfg.Dir), signingFile)
	}
	if cfg.CheckpointRecords == 0 {
		cfg.CheckpointRecords = 1000
	}
	if cfg.CheckpointEvery == 0 {
		cfg.CheckpointEvery = time.Minute
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.MaxBytes < maxLine {
		errs = append(errs, fmt.Errorf("segments of %d bytes: at least %d are needed", cfg.MaxBytes, maxLine))
	}
	if cfg.ReserveBytes == 0 {
		cfg.ReserveBytes = defaultReserve
	}
	if cfg.ReserveBytes < minReserve {
		errs = append(errs, fmt.Errorf("a reserve of %d bytes: at least %d are needed", cfg.ReserveBytes, minReserve))
	}
	if cfg.Fsync == "" {
		cfg.Fsync = FsyncEach
	}
	if cfg.Fsync != FsyncEach && cfg.Fsync != FsyncInterval {
		errs = append(errs, fmt.Errorf("fsync %q: it is %q or %q", cfg.Fsync, FsyncEach, FsyncInterval))
	}
	var perr error
	if cfg.Privacy, perr = cfg.Privacy.withDefaults(cfg.LogPrompts); perr != nil {
		errs = append(errs, perr)
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	if cfg.FS == nil {
		cfg.FS = OS()
	}
	if err := errors.Join(errs...); err != nil {
		return cfg, fmt.Errorf("audit: %w", err)
	}
	return cfg, nil
}
