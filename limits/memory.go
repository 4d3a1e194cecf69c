package limits

import (
	"context"
	"sync"
)

// Memory is so many bytes, of which each piece of work takes what it weighs, and one principal never more than half. It is safe for
// concurrent use.
type Memory struct {
	max, share int64

	mu    sync.Mutex
	all   int64
	held  map[string]int64 // only principals that hold some
	freed chan struct{}    // closed when some is given back, and replaced
}

// NewMemory returns bytes of memory (LIMITS__BODY_BYTES). The heaviest single piece of work always fits: it weighs at most heaviest.
func NewMemory(bytes, heaviest int64) *Memory {
	bytes = max(bytes, heaviest)
	return &Memory{max: bytes, share: max(bytes/2, heaviest), held: make(map[string]int64), freed: make(chan struct{})}
}

// Take takes n bytes for principal until release is called, as soon as there are so many, or returns a [*BusyError] when ctx ends first.
// Calling release again does nothing.
func (m *Memory) Take(ctx context.Context, principal string, n int64) (release func(), err error) {
	for {
		freed, busy := m.try(principal, n)
		if busy == nil {
			return sync.OnceFunc(func() { m.giveBack(principal, n) }), nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return nil, busy
		}
	}
}

func (m *Memory) try(principal string, n int64) (freed <-chan struct{}, busy *BusyError) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.held[principal]+n > m.share:
		return m.freed, &BusyError{Limit: BodyBytes, Running: int(m.held[principal]), Max: int(m.share)}
	case m.all+n > m.max:
		return m.freed, &BusyError{Limit: BodyBytes, Running: int(m.all), Max: int(m.max)}
	}
	m.all += n
	m.held[principal] += n
	return nil, nil
}

func (m *Memory) giveBack(principal string, n int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.all -= n
	if m.held[principal] -= n; m.held[principal] == 0 {
		delete(m.held, principal)
	}
	close(m.freed)
	m.freed = make(chan struct{})
}
