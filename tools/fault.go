package tools

import "time"

// A Fault is the one type of error that crosses to the caller. Its texts are safe to show: no path, no stack, no upstream body.
type Fault struct { //nolint:errname // it is what the caller reads, not one kind of error
	Code        string        `json:"code"` // of the table in docs/errors.md
	Message     string        `json:"message"`
	Suggestions []string      `json:"suggestions,omitempty"`
	Retryable   bool          `json:"retryable"`
	RetryAfter  time.Duration `json:"-"` // sent as retry_after_ms
	cause       error
}

func (f *Fault) Error() string { return f.Code + ": " + f.Message }

// Unwrap returns the cause, for the log.
func (f *Fault) Unwrap() error { return f.cause }

// WithCause returns f with the error that led to it.
func (f *Fault) WithCause(err error) *Fault {
	f.cause = err
	return f
}
