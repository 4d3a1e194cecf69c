// Package fleet keeps watch over ComfyUI servers: health, circuit breaker, slots. For now there is one server.
//
// A fleet starts at once, whether or not the server is there, and says in [Fleet.Health] what it knows. It asks for itself: every
// 3 s while the server is away, every 9 s while it is there. A call that cannot connect counts against the breaker; five in a row
// open it, and then calls are refused in microseconds with the cause that opened it, without a byte sent, until a probe or, after
// Config.Reset, one call that is let through finds the server back.
package fleet

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/comfy"
)

// Config of a [Fleet]. Client is required.
type Config struct {
	Client        *comfy.Client
	Slots         int           // jobs submitted to one server at most; default 2
	ProbeInterval time.Duration // default 3 s while the breaker is open; three times that while the server answers
	Threshold     uint32        // connection failures that open the breaker; default 5 (SC-39)
	Reset         time.Duration // default 60 s: then a single call may try, should probes fail where calls do not
	Log           *zap.Logger   // default zap.NewNop()
}

// An OpenError says that the breaker is open; it wraps the failure that opened it.
type OpenError struct {
	RetryAfter time.Duration // until the next probe; more than 0
	Cause      error
}

func (*OpenError) Error() string   { return "comfyui was not answering" }
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
type Fleet struct {
	client *comfy.Client
	every  time.Duration
	log    *zap.Logger
	life   lifetime
	watch  sync.WaitGroup

	kick    chan struct{} // room for one: probe now
	mu      sync.Mutex
	breaker breaker
	health  Health
	changed chan struct{}
}

// New returns a fleet and starts its watch, which ends with Close. It does not wait for the server.
func New(cfg Config) (*Fleet, error) {
	switch {
	case cfg.Client == nil:
		return nil, errors.New("fleet: no client")
	case cfg.Slots < 0 || cfg.ProbeInterval < 0 || cfg.Reset < 0:
		return nil, errors.New("fleet: slots and durations must be positive")
	}
	f := &Fleet{
		client: cfg.Client, every: or(cfg.ProbeInterval, 3*time.Second), log: cfg.Log, life: lifetime{make(chan struct{})},
		breaker: breaker{threshold: or(cfg.Threshold, 5), reset: or(cfg.Reset, time.Minute)},
		health:  Health{Slots: or(cfg.Slots, 2)}, changed: make(chan struct{}), kick: make(chan struct{}, 1),
	}
	if f.log == nil {
		f.log = zap.NewNop()
	}
	f.watch.Go(f.keepWatch)
	return f, nil
}

func or[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

// Close stops the watch and waits for it. It leaves the client alone. Close it once.
func (f *Fleet) Close() error {
	close(f.life.done)
	f.watch.Wait()
	return nil
}

// Health returns the present knowledge, at once.
func (f *Fleet) Health() Health {
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.health
	h.Breaker = f.breaker.state(time.Now())
	return h
}

// Do runs fn with the client behind the breaker: an open breaker refuses in under 50 ms with *OpenError, a
// connection failure counts against it, any answer closes it. fn must use the context it is given.
func (f *Fleet) Do(ctx context.Context, fn func(context.Context, *comfy.Client) error) error {
	if err := f.admit(); err != nil {
		return err
	}
	err := context.Canceled // stays where fn panics, which proves nothing
	defer func() { f.note(err, nil) }()
	err = fn(ctx, f.client)
	return err
}

// Heard tells what a call learnt that did not go through Do, as one that follows a job while the breaker is open: nil is an answer, and
// closes it.
func (f *Fleet) Heard(err error) { f.note(err, nil) }

func (f *Fleet) admit() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.breaker.allow(time.Now()) {
		return nil
	}
	return &OpenError{RetryAfter: max(f.every-time.Since(f.health.Checked), time.Millisecond), Cause: f.breaker.cause}
}

// note takes what a call or a probe learnt. An error that is an answer proves that the server is there; one that is the caller's,
// who left, proves nothing.
func (f *Fleet) note(err error, info *comfy.ServerInfo) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	was := f.breaker.open
	switch {
	case errors.Is(err, comfy.ErrUnreachable):
		f.breaker.fail(now, err)
		f.reach(now, false, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, comfy.ErrClosed):
		f.breaker.release()
	default:
		f.breaker.succeed()
		f.reach(now, true, nil)
	}
	if info != nil && err == nil {
		f.health.Info = *info
	}
	if f.breaker.open != was {
		f.log.Warn("comfyui's circuit breaker has turned", zap.Bool("open", f.breaker.open), zap.Error(f.breaker.cause))
	}
}

func (f *Fleet) reach(now time.Time, reachable bool, err error) {
	h := &f.health
	turned := h.Checked.IsZero() || h.Reachable != reachable
	h.Checked, h.Reachable, h.Err = now, reachable, err
	if !turned {
		return
	}
	h.Since = now
	if reachable {
		f.tell()
		return
	}
	select { // the watch sleeps long while all is well
	case f.kick <- struct{}{}:
	default:
	}
}

func (f *Fleet) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Acquire takes a slot if one is free and the breaker is closed; release gives it back, once however often it is called.
func (f *Fleet) Acquire() (c *comfy.Client, release func(), ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.breaker.open || f.health.Busy >= f.health.Slots {
		return nil, nil, false
	}
	f.health.Busy++
	return f.client, sync.OnceFunc(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.health.Busy--
		f.tell()
	}), true
}

// Changed is closed when a slot is given back or the server comes back.
func (f *Fleet) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// keepWatch probes for as long as the fleet lives.
func (f *Fleet) keepWatch() {
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-f.life.done:
			return
		case <-f.kick:
			t.Reset(f.every)
			continue
		case <-t.C:
		}
		info, err := f.client.Probe(f.life)
		f.note(err, &info)
		t.Reset(f.untilNext())
	}
}

// untilNext is short while the server is away.
func (f *Fleet) untilNext() time.Duration {
	h := f.Health()
	if h.Reachable {
		return 3 * f.every
	}
	return f.every
}
