// Package limits holds the stateful bounds, each per principal and in all, in tables of bounded size. It is safe for concurrent use.
//
// They are four layers (LIM-05): a [Limiter] counts calls in time, [Places] and [Calls] hold what is in hand, [Budgets] hold what may be
// computed in an hour and a day, and Calls sheds what makes something before what only looks. [AuthFailures] slows down guessing. All of
// them work on the monotonic clock, so a step of the wall clock neither opens nor closes anything.
package limits

import "time"

// A Class is a class of tools that share a rate.
type Class string

// Classes. Tools that make something are Generate, all others Status (design.md, "rate classes").
const (
	Generate Class = "generate"
	Status   Class = "status"
)

// Names of the limits, as errors and [Limiter.Remaining] tell them.
const (
	GeneratePerMinute = "generate_per_minute"
	GlobalPerMinute   = "global_per_minute"
	StatusPerMinute   = "status_per_minute"
	Burst             = "burst"
	AuthPerMinute     = "auth_failures_per_minute"
	Pending           = "pending"
	PendingPrincipal  = "pending_per_principal"
	BudgetPerHour     = "budget_per_hour"
	BudgetPerDay      = "budget_per_day"
	CallsAll          = "calls"
	CallsPrincipal    = "calls_per_principal"
	BodyBytes         = "body_bytes"
)

// A RateError refuses a call for its rate. Its text is safe to show.
type RateError struct {
	Limit string // name of the limit that refused, e.g. "generate_per_minute"
	// RetryAfter: a retry after this succeeds unless others spend the tokens (LIM-10, T55). In whole milliseconds.
	// Zero for [Burst]: more was asked for at once than the limit ever holds, and no waiting helps.
	RetryAfter time.Duration
}

func (e *RateError) Error() string { return "rate limit " + e.Limit + " reached" }

// A QueueFullError refuses a job for want of a place. Its text is safe to show.
type QueueFullError struct {
	Limit   string // "pending" or "pending_per_principal"
	Waiting int    // jobs that hold a place under that limit now
	Max     int
}

func (e *QueueFullError) Error() string { return "queue full: " + e.Limit }
