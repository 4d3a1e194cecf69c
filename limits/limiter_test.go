package limits_test

import (
	"errors"
	"math"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/comfygate/comfygate/limits"
)

func newLimiter(tb testing.TB, cfg limits.Config) *limits.Limiter {
	tb.Helper()
	l, err := limits.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// refused fails unless err is a refusal for the limit, and returns when to come again.
func refused(tb testing.TB, err error, limit string) time.Duration {
	tb.Helper()
	var r *limits.RateError
	if !errors.As(err, &r) {
		tb.Fatalf("got %v, want a refusal for %s", err, limit)
	}
	if r.Limit != limit {
		tb.Fatalf("refused for %s, want %s", r.Limit, limit)
	}
	return r.RetryAfter
}

func allowed(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatalf("refused: %v", err)
	}
}

func TestSec_SC58_defaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		got := newLimiter(t, limits.Config{}).Remaining("ann")
		want := []limits.Quota{
			{Limit: "generate_per_minute", PerMinute: 10, Burst: 10, Left: 10},
			{Limit: "global_per_minute", PerMinute: 30, Burst: 30, Left: 30},
			{Limit: "status_per_minute", PerMinute: 120, Burst: 120, Left: 120},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
	})
}

func TestSec_SC58_burst_and_refill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, limits.Config{GeneratePerMinute: 6, Burst: 3})
		for range 3 {
			allowed(t, l.Take("ann", limits.Generate, 1))
		}
		after := refused(t, l.Take("ann", limits.Generate, 1), limits.GeneratePerMinute)
		if after <= 9*time.Second || after > 10*time.Second+time.Millisecond {
			t.Errorf("retry after %v, want 10 s", after)
		}
		time.Sleep(10 * time.Second)
		allowed(t, l.Take("ann", limits.Generate, 1))
		refused(t, l.Take("ann", limits.Generate, 1), limits.GeneratePerMinute)

		time.Sleep(time.Hour) // fills to the burst and no further
		allowed(t, l.Take("ann", limits.Generate, 3))
		refused(t, l.Take("ann", limits.Generate, 1), limits.GeneratePerMinute)
	})
}

// T50: N principals times burst, to the call.
func TestT50_burst_is_exact_for_each_principal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const principals, burst = 50, 7
		l := newLimiter(t, limits.Config{Burst: burst, GlobalPerMinute: limits.Off})
		var passed atomic.Int64
		var wg sync.WaitGroup
		for p := range principals {
			for range burst * 4 {
				wg.Go(func() {
					if l.Take("p"+strconv.Itoa(p), limits.Generate, 1) == nil {
						passed.Add(1)
					}
				})
			}
		}
		wg.Wait()
		if got := passed.Load(); got != principals*burst {
			t.Errorf("%d calls passed, want %d", got, principals*burst)
		}
	})
}

func TestSec_SC58_one_principal_is_not_charged_for_another(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, limits.Config{Burst: 2, GlobalPerMinute: limits.Off})
		allowed(t, l.Take("ann", limits.Generate, 2))
		refused(t, l.Take("ann", limits.Generate, 1), limits.GeneratePerMinute)
		allowed(t, l.Take("bob", limits.Generate, 2))
		allowed(t, l.Take("ann", limits.Status, 1)) // LIM-01: the class is part of the key
	})
}

func TestSec_SC58_global_exhaustion(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, limits.Config{GlobalPerMinute: 5})
		for i := range 5 {
			allowed(t, l.Take("p"+strconv.Itoa(i), limits.Generate, 1))
		}
		after := refused(t, l.Take("late", limits.Generate, 1), limits.GlobalPerMinute)
		if got := l.Remaining("late")[0].Left; got != 10 {
			t.Errorf("the refusal cost its caller: %d left", got)
		}
		allowed(t, l.Take("late", limits.Status, 1)) // looking at jobs costs nobody a picture
		time.Sleep(after)
		allowed(t, l.Take("late", limits.Generate, 1))
	})
}

func TestSec_SC58_batch_costs_its_count(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, limits.Config{Burst: 10, GlobalPerMinute: 6})
		allowed(t, l.Take("ann", limits.Generate, 1)) // rateLimit
		allowed(t, l.Take("ann", limits.Generate, 3)) // admit: a batch of four
		refused(t, l.Take("bob", limits.Generate, 3), limits.GlobalPerMinute)
		for i, want := range []int{10, 2} {
			if got := l.Remaining("bob")[i]; got.Left != want {
				t.Errorf("a refused batch took something: %+v, want %d left", got, want)
			}
		}
		if got := l.Remaining("ann")[0].Left; got != 6 {
			t.Errorf("%d left, want 6", got)
		}
		for _, n := range []int{0, -1, math.MinInt} {
			allowed(t, l.Take("ann", limits.Generate, n))
		}
		if got := l.Remaining("ann")[0].Left; got != 6 {
			t.Errorf("nothing and less cost or gave something: %d left, want 6", got)
		}
	})
}

// LIM-11: stricter denied beats allowed, and the longest wait is the one told.
func TestLIM11_stricter_denied_beats_allowed(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name            string
		own, all, spend int
		want            string
	}{
		{"own is spent", 2, 60, 2, limits.GeneratePerMinute},
		{"all is spent", 60, 2, 2, limits.GlobalPerMinute},
		{"both are, own fills slower", 2, 4, 2, limits.GeneratePerMinute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, limits.Config{GeneratePerMinute: tc.own, Burst: tc.own, GlobalPerMinute: tc.all})
				if tc.name == "both are, own fills slower" {
					allowed(t, l.Take("bob", limits.Generate, 2))
				}
				allowed(t, l.Take("ann", limits.Generate, tc.spend))
				time.Sleep(refused(t, l.Take("ann", limits.Generate, 1), tc.want))
				allowed(t, l.Take("ann", limits.Generate, 1))
			})
		})
	}
}

func TestTake_more_than_is_ever_held(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, limits.Config{Burst: 2})
		if after := refused(t, l.Take("ann", limits.Generate, 3), limits.Burst); after != 0 {
			t.Errorf("retry after %v, but no waiting helps", after)
		}
		allowed(t, l.Take("ann", limits.Generate, 2))
	})
}

func TestSec_SC58_off(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, limits.Config{GeneratePerMinute: limits.Off, GlobalPerMinute: limits.Off, StatusPerMinute: limits.Off})
	for range 1000 {
		allowed(t, l.Take("ann", limits.Generate, 4))
		allowed(t, l.Take("ann", limits.Status, 1))
	}
	l.Refund("ann", limits.Generate, 4)
	want := []limits.Quota{
		{Limit: "generate_per_minute", Unlimited: true},
		{Limit: "global_per_minute", Unlimited: true},
		{Limit: "status_per_minute", Unlimited: true},
	}
	if d := cmp.Diff(want, l.Remaining("ann")); d != "" {
		t.Error(d)
	}
}

// LIM-11: what cannot be meant is refused.
func TestNew_refuses(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		cfg  limits.Config
		want string
	}{
		{"burst", limits.Config{Burst: -1}, "burst of -1"},
		{"principals", limits.Config{MaxPrincipals: -1}, "room for -1"},
		{"too many", limits.Config{StatusPerMinute: math.MaxInt32 + 1}, "at most"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if _, err := limits.New(tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error about %q", err, tc.want)
			}
		})
	}
}

// T55: whoever waits as long as told passes, whatever the rates.
func TestT55_retry_after_is_honest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		cfg := limits.Config{
			GeneratePerMinute: rapid.IntRange(1, 5000).Draw(rt, "generate"),
			Burst:             rapid.IntRange(1, 20).Draw(rt, "burst"),
			GlobalPerMinute:   rapid.IntRange(4, 5000).Draw(rt, "global"),
		}
		l := newLimiter(t, cfg)
		now := time.Now()
		for range rapid.IntRange(1, 60).Draw(rt, "calls") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(3*time.Second)).Draw(rt, "pause")))
			n := rapid.IntRange(1, min(4, cfg.Burst)).Draw(rt, "n")
			var r *limits.RateError
			if !errors.As(l.TakeAt(now, "ann", limits.Generate, n), &r) {
				continue
			}
			if r.RetryAfter <= 0 || r.RetryAfter%time.Millisecond != 0 {
				rt.Fatalf("retry after %v", r.RetryAfter)
			}
			now = now.Add(r.RetryAfter)
			if err := l.TakeAt(now, "ann", limits.Generate, n); err != nil {
				rt.Fatalf("told to wait %v, waited, and %v", r.RetryAfter, err)
			}
		}
	})
}

// A model of the limiter in whole nanotokens agrees with it on every answer. Rates divide the second, so nothing is rounded.
func TestTake_agrees_with_a_model(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		const perMinute, global, burst = 60, 120, 5
		l := newLimiter(t, limits.Config{GeneratePerMinute: perMinute, Burst: burst, GlobalPerMinute: global})
		own := map[string]int{}
		all, now := global*1000, time.Now()
		for range rapid.IntRange(1, 80).Draw(rt, "steps") {
			ms := rapid.IntRange(0, 2000).Draw(rt, "ms")
			now = now.Add(time.Duration(ms) * time.Millisecond)
			for p := range own {
				own[p] = min(own[p]+ms*perMinute/60, burst*1000)
			}
			all = min(all+ms*global/60, global*1000)
			p := rapid.SampledFrom([]string{"ann", "bob", "cid"}).Draw(rt, "principal")
			if _, ok := own[p]; !ok {
				own[p] = burst * 1000
			}
			n := rapid.IntRange(1, burst).Draw(rt, "n")
			if rapid.Bool().Draw(rt, "refund") {
				l.RefundAt(now, p, limits.Generate, n)
				own[p] = min(own[p]+n*1000, burst*1000)
				all = min(all+n*1000, global*1000)
				continue
			}
			want := own[p] >= n*1000 && all >= n*1000
			if got := l.TakeAt(now, p, limits.Generate, n) == nil; got != want {
				rt.Fatalf("%s takes %d: passed %v, want %v (own %d, all %d)", p, n, got, want, own[p], all)
			}
			if want {
				own[p] -= n * 1000
				all -= n * 1000
			}
		}
	})
}

// T52: time that steps back neither gives tokens nor takes the ones there are; a step forward fills the bucket, once.
func TestT52_clock_step(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, limits.Config{Burst: 10, GlobalPerMinute: limits.Off})
	wall := time.Now().Round(0) // without its monotonic reading, which Take always has
	allowed(t, l.TakeAt(wall, "ann", limits.Generate, 4))
	for _, step := range []time.Duration{-time.Hour, -24 * time.Hour, 0} {
		if got := l.RemainingAt(wall.Add(step), "ann")[0].Left; got != 6 {
			t.Errorf("after a step of %v: %d left, want 6", step, got)
		}
	}
	allowed(t, l.TakeAt(wall.Add(-time.Hour), "ann", limits.Generate, 6))
	refused(t, l.TakeAt(wall.Add(-time.Hour), "ann", limits.Generate, 1), limits.GeneratePerMinute)
	allowed(t, l.TakeAt(wall.Add(48*time.Hour), "ann", limits.Generate, 10))
	refused(t, l.TakeAt(wall.Add(48*time.Hour), "ann", limits.Generate, 1), limits.GeneratePerMinute)
}

// T51, LIM-02: a million identities in a small table.
func TestT51_a_million_identities(t *testing.T) { //nolint:paralleltest // it measures the heap
	l := newLimiter(t, limits.Config{GlobalPerMinute: limits.Off})
	before := heap()
	now := time.Now()
	for i := range 1_000_000 {
		_ = l.TakeAt(now, "identity-"+strconv.Itoa(i), limits.Generate, 1)
	}
	if got := l.Kept(); got != 65_536 {
		t.Errorf("%d buckets, want 65536", got)
	}
	if grew := heap() - before; grew > 24<<20 {
		t.Errorf("the heap grew by %d MiB", grew>>20)
	}
	runtime.KeepAlive(l)
}

// heap is measured after a collection; tests that use it don't run in parallel to others.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// LIM-02: churn of identities resets nobody's limit, and newcomers share what is left.
func TestLIM02_churn_resets_nothing(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, limits.Config{Burst: 5, GlobalPerMinute: limits.Off, MaxPrincipals: 100})
	now := time.Now()
	allowed(t, l.TakeAt(now, "mallory", limits.Generate, 5))
	passed := 0
	for i := range 10_000 {
		if l.TakeAt(now, "sock"+strconv.Itoa(i), limits.Generate, 5) == nil {
			passed++
		}
	}
	if want := 99 + 1; passed != want { // the table, and the bucket that the rest shares
		t.Errorf("%d identities passed, want %d", passed, want)
	}
	refused(t, l.TakeAt(now, "mallory", limits.Generate, 1), limits.GeneratePerMinute)
	if got := l.RemainingAt(now, "newcomer")[0].Left; got != 0 {
		t.Errorf("a newcomer reads %d left, but shares an empty bucket", got)
	}
	l.RefundAt(now, "newcomer", limits.Generate, 5)
	refused(t, l.TakeAt(now, "newcomer", limits.Generate, 1), limits.GeneratePerMinute)

	// When the others have been idle for long enough, there is room again.
	now = now.Add(time.Minute)
	allowed(t, l.TakeAt(now, "newcomer", limits.Generate, 5))
	for i := range 100 {
		allowed(t, l.TakeAt(now, "second"+strconv.Itoa(i), limits.Status, 1))
	}
	if got := l.Kept(); got > 100 {
		t.Errorf("%d buckets", got)
	}
}

// SC-58: the state of idle principals goes, without anybody sweeping.
func TestSec_SC58_idle_principals_are_dropped(t *testing.T) {
	t.Parallel()
	l := newLimiter(t, limits.Config{GlobalPerMinute: limits.Off})
	now := time.Now()
	for i := range 1000 {
		allowed(t, l.TakeAt(now, "old"+strconv.Itoa(i), limits.Generate, 1))
	}
	now = now.Add(time.Hour)
	for i := range 1000 {
		allowed(t, l.TakeAt(now, "new"+strconv.Itoa(i), limits.Generate, 1))
	}
	if got := l.Kept(); got != 1000 {
		t.Errorf("%d buckets, want only the 1000 in use", got)
	}
}

func TestTake_long_names_are_kept_apart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, limits.Config{Burst: 1, GlobalPerMinute: limits.Off})
		long := strings.Repeat("x", 10_000)
		allowed(t, l.Take(long+"a", limits.Generate, 1))
		refused(t, l.Take(long+"a", limits.Generate, 1), limits.GeneratePerMinute)
		allowed(t, l.Take(long+"b", limits.Generate, 1))
	})
}

func TestRefund(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, limits.Config{Burst: 4, GlobalPerMinute: 4})
		allowed(t, l.Take("ann", limits.Generate, 4))
		refused(t, l.Take("ann", limits.Generate, 1), limits.GlobalPerMinute)
		l.Refund("ann", limits.Generate, 3)
		allowed(t, l.Take("ann", limits.Generate, 3))
		refused(t, l.Take("ann", limits.Generate, 1), limits.GlobalPerMinute)

		l.Refund("ann", limits.Generate, 1_000_000) // no more than full
		for _, n := range []int{0, -5} {
			l.Refund("ann", limits.Generate, n)
		}
		allowed(t, l.Take("ann", limits.Generate, 4))
		refused(t, l.Take("ann", limits.Generate, 1), limits.GlobalPerMinute)

		l.Refund("stranger", limits.Status, 5)
		if got := l.Remaining("stranger")[2].Left; got != 120 {
			t.Errorf("%d left, want 120", got)
		}
	})
}

func TestRateError_text_is_safe(t *testing.T) {
	t.Parallel()
	err := &limits.RateError{Limit: limits.GeneratePerMinute, RetryAfter: time.Second}
	if got, want := err.Error(), "rate limit generate_per_minute reached"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
