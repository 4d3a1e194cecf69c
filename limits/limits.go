// Package limits holds the stateful bounds: rates and places in the queue, each per principal and in all,
// in tables of bounded size. It is safe for concurrent use.
package limits

import "time"

// A Class is a class of tools that share a rate.
type Class string

// Classes. Tools that make something are Generate, all others Status (design.md, "rate classes").
const (
	Generate Class = "generate"
	Status   Class = "status"
)

// A RateError refuses a call for its rate. Its text is safe to show.
type RateError struct {
	Limit      string        // name of the limit that refused, e.g. "generate_per_minute"
	RetryAfter time.Duration // a retry after this succeeds unless others spend the tokens (LIM-10, T55)
}

func (e *RateError) Error() string { return "rate limit " + e.Limit + " reached" }

// A QueueFullError refuses a job for want of a place. Its text is safe to show.
type QueueFullError struct {
	Limit   string // "pending" or "pending_per_principal"
	Waiting int    // jobs that hold a place under that limit now
	Max     int
}

func (e *QueueFullError) Error() string { return "queue full: " + e.Limit }
