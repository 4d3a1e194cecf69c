package limits

import "sync"

// A BusyError refuses a call because too many run. Its text is safe to show.
type BusyError struct {
	Limit   string // CallsAll, CallsPrincipal or BodyBytes
	Running int
	Max     int
}

func (e *BusyError) Error() string { return "too many calls: " + e.Limit }

// Defaults of [NewCalls].
const (
	defaultCalls          = 512
	defaultCallsPrincipal = 128
)

// Calls are the calls that run at one time. A fifth of them, of all and of each principal's, is kept for those that only look and are over in a moment: under load what
// makes something, or waits for it, is shed first, and people can still see what goes on (LIM-05). It is safe for concurrent use.
type Calls struct {
	max, maxPerPrincipal int

	mu   sync.Mutex
	all  running
	held map[string]running // only principals that run one
}

// running counts calls: all of them, and those that may not use what is kept.
type running struct{ all, patient int }

// plus returns r with n more.
func (r running) plus(n int, quick bool) running {
	r.all += n
	if !quick {
		r.patient += n
	}
	return r
}

// full tells what keeps one more call out of room for most.
func (r running) full(limit string, most int, quick bool) error {
	if r.all >= most {
		return &BusyError{Limit: limit, Running: r.all, Max: most}
	}
	if patient := most - most/5; !quick && r.patient >= patient {
		return &BusyError{Limit: limit, Running: r.patient, Max: patient}
	}
	return nil
}

// NewCalls returns room for so many calls (LIMITS__CALLS), of which one principal runs at most perPrincipal. A number below 1 stands for
// its default, 512 and 128; no principal runs more than there are.
func NewCalls(calls, perPrincipal int) *Calls {
	if calls < 1 {
		calls = defaultCalls
	}
	if perPrincipal < 1 {
		perPrincipal = defaultCallsPrincipal
	}
	perPrincipal = min(perPrincipal, calls)
	return &Calls{max: calls, maxPerPrincipal: perPrincipal, held: make(map[string]running)}
}

// Enter takes a place for a call until leave is called, or returns a [*BusyError]. It never waits. quick says that the call only looks
// and waits for nothing. Calling leave again does nothing.
func (c *Calls) Enter(principal string, quick bool) (leave func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.held[principal].full(CallsPrincipal, c.maxPerPrincipal, quick); err != nil {
		return nil, err
	}
	if err := c.all.full(CallsAll, c.max, quick); err != nil {
		return nil, err
	}
	c.count(principal, 1, quick)
	return sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.count(principal, -1, quick)
	}), nil
}

func (c *Calls) count(principal string, n int, quick bool) {
	c.all = c.all.plus(n, quick)
	c.held[principal] = c.held[principal].plus(n, quick)
	if c.held[principal].all == 0 {
		delete(c.held, principal)
	}
}
