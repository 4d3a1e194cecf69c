package fleet

import (
	"context"
	"time"
)

// A lifetime is the context of what a fleet does by itself: it ends with Close, and no caller's context is behind it.
type lifetime struct{ done chan struct{} }

func (lifetime) Deadline() (deadline time.Time, ok bool) { return time.Time{}, false }
func (l lifetime) Done() <-chan struct{}                 { return l.done }
func (lifetime) Value(any) any                           { return nil }

func (l lifetime) Err() error {
	select {
	case <-l.done:
		return context.Canceled
	default:
		return nil
	}
}
