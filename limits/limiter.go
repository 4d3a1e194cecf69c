package limits

import (
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/comfygate/comfygate/policy"
)

// Off is no limit, for a rate of [Config]: what the word `off` in a setting becomes.
const Off = -1

// Config of a [Limiter]. A zero field stands for its default, [Off] (or any negative number) for no limit. (The setting `0`
// never gets here: it is refused when the settings are read, since it would be read as unlimited by some, as closed by others.)
type Config struct {
	GeneratePerMinute int // RATELIMIT__GENERATE_PER_MINUTE: per principal; default 10
	Burst             int // RATELIMIT__BURST: what a principal may make at once; default 10, not below 1
	GlobalPerMinute   int // RATELIMIT__GLOBAL_PER_MINUTE: what all may make; default 30, all of it at once if need be
	StatusPerMinute   int // RATELIMIT__STATUS_PER_MINUTE: other calls, per principal; default 120, all of it at once if need be
	// Own, where set, tells a principal's own limits, which go before these. An own rate of 0 lets nothing pass.
	Own           func(principal string) policy.Limits
	MaxPrincipals int // kept apart; default 65,536; those beyond share one bucket until others fall idle (LIM-02)
}

// Defaults of SC-58 as design.md's table has them.
const (
	defaultGenerate = 10
	defaultBurst    = 10
	defaultGlobal   = 30
	defaultStatus   = 120
)

// A Limiter counts calls: a bucket for each principal and class, one more for all that is made. It is safe for concurrent use.
type Limiter struct {
	own func(principal string) policy.Limits

	mu               sync.Mutex
	generate, status *table[string] // their paces say whether there is a limit
	global           *rate.Limiter  // nil: no limit
}

// New returns a limiter whose buckets are full.
func New(cfg Config) (*Limiter, error) {
	if cfg.Burst < 0 {
		return nil, fmt.Errorf("limits: a burst of %d; it must be 1 or more (to lift the limit, set the rate off)", cfg.Burst)
	}
	if cfg.MaxPrincipals < 0 {
		return nil, fmt.Errorf("limits: room for %d principals; it must be 1 or more", cfg.MaxPrincipals)
	}
	for _, n := range []int{cfg.GeneratePerMinute, cfg.Burst, cfg.GlobalPerMinute, cfg.StatusPerMinute} {
		if n > math.MaxInt32 {
			return nil, fmt.Errorf("limits: %d a minute; at most %d, or off", n, math.MaxInt32)
		}
	}
	l := &Limiter{own: cfg.Own}
	if l.own == nil {
		l.own = func(string) policy.Limits { return policy.Limits{} }
	}
	table := func(n, burst int) *table[string] {
		t := newTable[string](or(cfg.MaxPrincipals, defaultEntries), max(n, 1), burst, 1)
		t.pace.off = n < 0
		return t
	}
	generate, status := or(cfg.GeneratePerMinute, defaultGenerate), or(cfg.StatusPerMinute, defaultStatus)
	l.generate = table(generate, or(cfg.Burst, defaultBurst))
	l.status = table(status, max(status, 1))
	if n := or(cfg.GlobalPerMinute, defaultGlobal); n > 0 {
		l.global = rate.NewLimiter(perMin(n), n)
	}
	return l, nil
}

func or(n, fallback int) int {
	if n == 0 {
		return fallback
	}
	return n
}

// A gate is one bucket that a call must pass.
type gate struct {
	limit  string
	bucket *rate.Limiter // nil: open, unless shut
	shut   bool          // nothing passes
}

// gates lists what a call of class c of principal must pass; find gives its bucket in a table, for a pace.
func (l *Limiter) gates(principal string, c Class, find func(*table[string], pace) *rate.Limiter) [2]gate {
	own := l.own(principal)
	if c != Generate {
		return [2]gate{gateOf(StatusPerMinute, l.status, own.StatusPerMinute, find)}
	}
	return [2]gate{gateOf(GeneratePerMinute, l.generate, own.GeneratePerMinute, find), {limit: GlobalPerMinute, bucket: l.global}}
}

// gateOf is a principal's gate of one table, at its own rate where there is one. A burst of its own nobody has: it is the setting's, or
// the rate if that is less.
func gateOf(limit string, t *table[string], own *int, find func(*table[string], pace) *rate.Limiter) gate {
	p := t.pace
	if own != nil {
		p = pace{perMinute: *own, burst: *own, none: *own < 1}
		if limit == GeneratePerMinute && !t.pace.off {
			p.burst = min(p.burst, t.pace.burst)
		}
	}
	switch {
	case p.none:
		return gate{limit: limit, shut: true}
	case p.off:
		return gate{limit: limit}
	}
	return gate{limit: limit, bucket: find(t, p)}
}

// Take takes n tokens of class c (a class that isn't [Generate] counts as [Status]) for principal, or takes nothing from any bucket and
// returns a [*RateError] that names the limit with the longest wait. A batch costs its count: rateLimit takes the first
// token, admit the others. No n below 1 is refused or counted.
func (l *Limiter) Take(principal string, c Class, n int) error {
	return l.take(time.Now(), principal, c, n)
}

func (l *Limiter) take(now time.Time, principal string, c Class, n int) error {
	if n < 1 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	gates := l.gates(principal, c, func(t *table[string], p pace) *rate.Limiter { return t.paced(nameKey(principal), now, p) })
	var refusal *RateError
	for _, g := range gates {
		if g.shut {
			return &RateError{Limit: g.limit}
		}
		if g.bucket == nil {
			continue
		}
		if n > g.bucket.Burst() {
			return &RateError{Limit: Burst}
		}
		// The stricter limit speaks: whoever waits for it passes the other too.
		if w := wait(g.bucket, now, n); w > 0 && (refusal == nil || honest(w) > refusal.RetryAfter) {
			refusal = &RateError{Limit: g.limit, RetryAfter: honest(w)}
		}
	}
	if refusal != nil {
		return refusal
	}
	for _, g := range gates {
		if g.bucket != nil {
			g.bucket.AllowN(now, n)
		}
	}
	return nil
}

// Refund gives back n tokens that [Limiter.Take] took, to no more than full buckets. What came from the bucket that many share is
// not given back: it might be another's by now.
func (l *Limiter) Refund(principal string, c Class, n int) {
	l.refund(time.Now(), principal, c, n)
}

func (l *Limiter) refund(now time.Time, principal string, c Class, n int) {
	if n < 1 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	gates := l.gates(principal, c, func(t *table[string], _ pace) *rate.Limiter {
		b, _ := t.buckets.Peek(nameKey(principal))
		return b
	})
	for _, g := range gates {
		if g.bucket != nil {
			// A reservation can't be cancelled once its time to act has come, and it comes at once. Taking a negative
			// number is exact, and the bucket cuts itself to its burst the next time it is asked.
			g.bucket.AllowN(now, -n)
		}
	}
}

// A Quota tells one limit in force and what is left under it.
type Quota struct {
	Limit     string `json:"limit"`
	Unlimited bool   `json:"unlimited,omitempty"` // the rest is zero then
	PerMinute int    `json:"per_minute,omitempty"`
	Burst     int    `json:"burst,omitempty"`
	Left      int    `json:"left"` // whole tokens now
}

// Remaining lists the limits that hold for principal, in a fixed order. It takes and keeps nothing.
func (l *Limiter) Remaining(principal string) []Quota {
	return l.remaining(time.Now(), principal)
}

func (l *Limiter) remaining(now time.Time, principal string) []Quota {
	l.mu.Lock()
	defer l.mu.Unlock()
	look := func(t *table[string], p pace) *rate.Limiter { return t.lookPaced(nameKey(principal), now, p) }
	var quotas []Quota
	for _, c := range []Class{Generate, Status} {
		for _, g := range l.gates(principal, c, look) {
			switch {
			case g.limit == "":
			case g.shut:
				quotas = append(quotas, Quota{Limit: g.limit})
			case g.bucket == nil:
				quotas = append(quotas, Quota{Limit: g.limit, Unlimited: true})
			default:
				quotas = append(quotas, Quota{
					Limit:     g.limit,
					PerMinute: int(math.Round(float64(g.bucket.Limit()) * 60)),
					Burst:     g.bucket.Burst(),
					Left:      int(g.bucket.TokensAt(now)),
				})
			}
		}
	}
	return quotas
}
