package fleet

import "time"

// A breaker counts connection failures in a row. The fleet's lock guards it. Times carry Go's monotonic reading, so a clock that
// is set changes nothing.
type breaker struct {
	threshold uint32
	reset     time.Duration

	failures uint32
	open     bool
	since    time.Time // open since, or since the last call that was let through
	trying   bool      // the one call of the half-open breaker is under way
	cause    error     // that opened it
}

// allow reports whether a call may pass. Open, it lets one through each reset; its end closes the breaker or keeps it open.
func (b *breaker) allow(now time.Time) bool {
	if !b.open {
		return true
	}
	if b.trying || now.Sub(b.since) < b.reset {
		return false
	}
	b.trying = true
	return true
}

// fail counts; the cause is the first one, for what follows may be stranger but not truer.
func (b *breaker) fail(now time.Time, cause error) {
	b.trying = false
	if b.open {
		if now.Sub(b.since) >= b.reset {
			b.since = now
		}
		return
	}
	if b.failures == 0 {
		b.cause = cause
	}
	if b.failures++; b.failures >= b.threshold {
		b.open, b.since = true, now
	}
}

func (b *breaker) succeed() { b.failures, b.open, b.trying, b.cause = 0, false, false, nil }

// release is for a call that proved nothing.
func (b *breaker) release() { b.trying = false }

func (b *breaker) state(now time.Time) string {
	switch {
	case !b.open:
		return "closed"
	case b.trying || now.Sub(b.since) >= b.reset:
		return "half-open"
	}
	return "open"
}
