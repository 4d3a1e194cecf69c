package limits

import (
	"fmt"
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
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
	MaxPrincipals     int // kept apart; default 65,536; those beyond share one bucket until others fall idle (LIM-02)
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
	mu       sync.Mutex
	generate *table[string] // nil: no limit
	status   *table[string]
	global   *rate.Limiter
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
	entries := or(cfg.MaxPrincipals, defaultEntries)
	l := &Limiter{}
	if n := or(cfg.GeneratePerMinute, defaultGenerate); n > 0 {
		l.generate = newTable[string](entries, n, or(cfg.Burst, defaultBurst), 1)
	}
	if n := or(cfg.StatusPerMinute, defaultStatus); n > 0 {
		l.status = newTable[string](entries, n, n, 1)
	}
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
	bucket *rate.Limiter // nil: open
}

// gates lists what a call of class c must pass; find gives a principal's bucket in a table.
func (l *Limiter) gates(c Class, find func(*table[string]) *rate.Limiter) [2]gate {
	if c == Generate {
		return [2]gate{{GeneratePerMinute, find(l.generate)}, {GlobalPerMinute, l.global}}
	}
	return [2]gate{{StatusPerMinute, find(l.status)}}
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
	gates := l.gates(c, func(t *table[string]) *rate.Limiter {
		if t == nil {
			return nil
		}
		return t.bucket(nameKey(principal), now)
	})
	var refusal *RateError
	for _, g := range gates {
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
	gates := l.gates(c, func(t *table[string]) *rate.Limiter {
		if t == nil {
			return nil
		}
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
	look := func(t *table[string]) *rate.Limiter {
		if t == nil {
			return nil
		}
		return t.look(nameKey(principal), now)
	}
	var quotas []Quota
	for _, c := range []Class{Generate, Status} {
		for _, g := range l.gates(c, look) {
			switch {
			case g.limit == "":
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
