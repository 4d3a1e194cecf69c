// Package fleet keeps watch over ComfyUI servers: health, circuit breaker, slots. For now there is one server.
package fleet

import (
	"context"
	"time"

	"github.com/comfygate/comfygate/comfy"
)

// Config of a [Fleet]. Client is required.
type Config struct {
	Client        *comfy.Client
	Slots         int           // jobs submitted to one server at most; default 2
	ProbeInterval time.Duration // default 3 s while the breaker is open
	Threshold     uint32        // connection failures that open the breaker; default 5 (SC-39)
	Reset         time.Duration // default 60 s
}

// An OpenError says that the breaker is open; it wraps the failure that opened it.
type OpenError struct {
	RetryAfter time.Duration
	Cause      error
}

func (e *OpenError) Error() string { return "comfyui was not answering" }
func (e *OpenError) Unwrap() error { return e.Cause }

// Health is what is known of a server without asking it now.
type Health struct {
	Reachable bool
	Checked   time.Time // of the last answer or failure; zero before the first
	Since     time.Time // of Reachable's present value
	Err       error     // of the last failure while not reachable
	Breaker   string    // closed, open, half-open
	Info      comfy.ServerInfo
	Slots     int // in all
	Busy      int // taken
}

// Fleet is safe for concurrent use.
type Fleet struct{}

// New returns a fleet and starts its watch, which ends with Close. It does not wait for the server.
func New(cfg Config) (*Fleet, error) { panic("todo") }

// Close stops the watch.
func (f *Fleet) Close() error { panic("todo") }

// Health returns the present knowledge, at once.
func (f *Fleet) Health() Health { panic("todo") }

// Do runs fn with the client behind the breaker: an open breaker refuses in under 50 ms with *OpenError, a
// connection failure counts against it, any answer closes it.
func (f *Fleet) Do(ctx context.Context, fn func(context.Context, *comfy.Client) error) error {
	panic("todo")
}

// Acquire takes a slot if one is free and the breaker is closed; release gives it back.
func (f *Fleet) Acquire() (c *comfy.Client, release func(), ok bool) { panic("todo") }

// Changed is closed when a slot is given back or the server comes back.
func (f *Fleet) Changed() <-chan struct{} { panic("todo") }
