package limits

import (
	"crypto/sha256"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// defaultEntries bounds every table (LIM-02).
const defaultEntries = 65_536

// A pace is how a bucket fills.
type pace struct {
	perMinute, burst int
	off              bool // no limit
	none             bool // nothing passes
}

func (p pace) limiter() *rate.Limiter { return rate.NewLimiter(perMin(p.perMinute), p.burst) }

// A table holds a bucket per key, at most max of them. A bucket leaves the table only when it is full again, for a full
// bucket says nothing that a new one wouldn't: no churn of identities resets a limit. While nothing may leave, newcomers
// share the overflow bucket. Its owner locks it.
type table[K comparable] struct {
	max      int
	pace     pace                             // of those that have none of their own
	buckets  *simplelru.LRU[K, *rate.Limiter] // oldest use first
	overflow *rate.Limiter
}

// newTable makes a table of buckets that hold burst and gain perMinute, and of an overflow bucket that is share times as large.
func newTable[K comparable](entries, perMinute, burst, share int) *table[K] {
	// One more than is ever kept, for the list must never evict by itself. Its only error is a size below 1.
	buckets, _ := simplelru.NewLRU[K, *rate.Limiter](entries+1, nil)
	return &table[K]{
		max:      entries,
		pace:     pace{perMinute: perMinute, burst: burst},
		buckets:  buckets,
		overflow: rate.NewLimiter(perMin(perMinute*share), burst*share),
	}
}

// bucket returns key's bucket, making it if there is room.
func (t *table[K]) bucket(key K, now time.Time) *rate.Limiter { return t.paced(key, now, t.pace) }

// paced is bucket for a key with a pace of its own, to which a bucket that filled otherwise is set.
func (t *table[K]) paced(key K, now time.Time, p pace) *rate.Limiter {
	if b, ok := t.buckets.Get(key); ok {
		p.setOn(b, now)
		return b
	}
	// Two for one: the table shrinks to those in use without anybody sweeping it.
	for range 2 {
		if !t.dropOldest(now) {
			break
		}
	}
	if t.buckets.Len() >= t.max {
		return t.overflow
	}
	b := p.limiter()
	t.buckets.Add(key, b)
	return b
}

func (p pace) setOn(b *rate.Limiter, now time.Time) {
	if l := perMin(p.perMinute); b.Limit() != l {
		b.SetLimitAt(now, l)
	}
	if b.Burst() != p.burst {
		b.SetBurstAt(now, p.burst)
	}
}

// look returns the bucket that key would be judged by now. It takes nothing and makes no room.
func (t *table[K]) look(key K, now time.Time) *rate.Limiter { return t.lookPaced(key, now, t.pace) }

func (t *table[K]) lookPaced(key K, now time.Time, p pace) *rate.Limiter {
	if b, ok := t.buckets.Peek(key); ok {
		p.setOn(b, now)
		return b
	}
	if _, oldest, ok := t.buckets.GetOldest(); ok && t.buckets.Len() >= t.max && !full(oldest, now) {
		return t.overflow
	}
	return p.limiter()
}

// dropOldest removes the bucket that was used least lately, if it is full again.
func (t *table[K]) dropOldest(now time.Time) bool {
	_, b, ok := t.buckets.GetOldest()
	if !ok || !full(b, now) {
		return false
	}
	t.buckets.RemoveOldest()
	return true
}

func full(b *rate.Limiter, now time.Time) bool { return b.TokensAt(now) >= float64(b.Burst()) }

func perMin(n int) rate.Limit { return rate.Limit(float64(n) / 60) }

// wait tells how long b lacks n tokens; 0 when it has them, that is when AllowN would take them.
func wait(b *rate.Limiter, now time.Time, n int) time.Duration {
	lack := float64(n) - b.TokensAt(now)
	if lack <= 0 {
		return 0
	}
	return time.Duration(lack / float64(b.Limit()) * float64(time.Second))
}

// honest rounds a wait up to the next whole millisecond, so that a caller who waits it, and rounds as callers do, isn't
// refused for a rounding of ours (T55).
func honest(wait time.Duration) time.Duration {
	return (wait + time.Millisecond).Truncate(time.Millisecond)
}

// nameKey bounds what a table keeps of a name.
func nameKey(name string) string {
	const longest = 64
	if len(name) <= longest {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return string(sum[:])
}
