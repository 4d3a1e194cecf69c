package limits_test

import (
	"errors"
	"math"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

func newBudgets(tb testing.TB, cfg limits.BudgetConfig) *limits.Budgets {
	tb.Helper()
	b, err := limits.NewBudgets(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func charged(tb testing.TB, b *limits.Budgets, principal string, work float64) *limits.Charge {
	tb.Helper()
	c, err := b.Charge(principal, work)
	if err != nil {
		tb.Fatalf("%s, %v: %v", principal, work, err)
	}
	return c
}

// overdrawn fails unless principal cannot pay because of limit, and returns when to come again.
func overdrawn(tb testing.TB, b *limits.Budgets, principal string, work float64, limit string) time.Duration {
	tb.Helper()
	_, err := b.Charge(principal, work)
	e, ok := errors.AsType[*limits.BudgetError](err)
	if !ok || e.Limit != limit {
		tb.Fatalf("%s, %v: %v, want a refusal for %s", principal, work, err, limit)
	}
	return e.RetryAfter
}

// LIM-04, T55: all of a budget at once, and then as it comes back, to the millisecond that was told.
func TestLIM04_budget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudgets(t, limits.BudgetConfig{PerHour: 100})
		for range 4 {
			charged(t, b, "ann", 25)
		}
		after := overdrawn(t, b, "ann", 25, limits.BudgetPerHour)
		if after < 15*time.Minute || after > 15*time.Minute+2*time.Millisecond {
			t.Errorf("retry after %v, want 15 min", after)
		}
		charged(t, b, "bob", 100) // LIM-01: another's
		time.Sleep(after)
		charged(t, b, "ann", 25)
		time.Sleep(overdrawn(t, b, "ann", 1, limits.BudgetPerHour))
		charged(t, b, "ann", 1)
		time.Sleep(10 * time.Hour) // it is never more than full
		charged(t, b, "ann", 100)
		overdrawn(t, b, "ann", 1, limits.BudgetPerHour)
	})
}

// LIM-11: stricter denied beats allowed: what the hour allows the day denies, the longest wait is the one told, and nothing is spent.
func TestLIM11_stricterDeniedBeatsAllowed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudgets(t, limits.BudgetConfig{PerHour: 100, PerDay: 240})
		for range 2 {
			charged(t, b, "ann", 100)
			time.Sleep(time.Hour)
		}
		before := b.Remaining("ann")
		after := overdrawn(t, b, "ann", 100, limits.BudgetPerDay) // the hour has 100
		if d := cmp.Diff(before, b.Remaining("ann")); d != "" {
			t.Errorf("a refusal cost something: %s", d)
		}
		time.Sleep(after)
		charged(t, b, "ann", 100)
		overdrawn(t, b, "ann", 100, limits.BudgetPerDay) // both are spent, and the day comes back slower
	})
}

// T53, LIM-03: what was not used comes back, once, and no more than it was.
func TestT53_settle(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ used, left float64 }{
		"nothing": {0, 100}, "less than nothing": {-5, 100}, "a part": {15, 85}, "all": {60, 40}, "more": {90, 40}, "no number": {math.NaN(), 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBudgets(t, limits.BudgetConfig{PerHour: 100, PerDay: 100})
				c := charged(t, b, "ann", 60)
				c.Settle(tc.used)
				c.Settle(0)
				for _, left := range b.Remaining("ann") {
					if left.Left != tc.left && left.Left != tc.left-1 { // whole units, rounded down
						t.Errorf("%+v, want %v left", left, tc.left)
					}
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // what has come back by itself does not come back twice
		b := newBudgets(t, limits.BudgetConfig{PerHour: 100})
		c := charged(t, b, "ann", 100)
		time.Sleep(time.Hour)
		charged(t, b, "ann", 100)
		c.Settle(90) // an hour late
		overdrawn(t, b, "ann", 20, limits.BudgetPerHour)
	})
}

// A job that costs more than there ever is, or that cannot be counted, is told that waiting does not help.
func TestBudget_never(t *testing.T) {
	t.Parallel()
	b := newBudgets(t, limits.BudgetConfig{PerHour: 100})
	for _, work := range []float64{100.001, 1e300, math.Inf(1), math.NaN(), -1} {
		if after := overdrawn(t, b, "ann", work, limits.BudgetPerHour); after != 0 {
			t.Errorf("%v: retry after %v", work, after)
		}
	}
	charged(t, b, "ann", 100)
	charged(t, newBudgets(t, limits.BudgetConfig{}), "ann", 1e18) // off
}

// A principal's own limits go before the settings', also none at all, and also where the settings have none.
func TestOwnLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		own := func(principal string) policy.Limits {
			return map[string]policy.Limits{
				"rich": {WorkPerHour: new(1000.0), GeneratePerMinute: new(50), Pending: new(3)},
				"poor": {WorkPerHour: new(0.0), GeneratePerMinute: new(0), StatusPerMinute: new(2), Pending: new(0)},
			}[principal]
		}
		b := newBudgets(t, limits.BudgetConfig{PerHour: 100, Own: own})
		charged(t, b, "rich", 1000)
		overdrawn(t, b, "other", 101, limits.BudgetPerHour)
		if after := overdrawn(t, b, "poor", 0.1, limits.BudgetPerHour); after != 0 {
			t.Errorf("no budget at all, but retry after %v", after)
		}
		charged(t, newBudgets(t, limits.BudgetConfig{Own: own}), "other", 1e9)
		overdrawn(t, newBudgets(t, limits.BudgetConfig{Own: own}), "rich", 1001, limits.BudgetPerHour)

		l := newLimiter(t, limits.Config{GeneratePerMinute: 5, Burst: 5, GlobalPerMinute: limits.Off, StatusPerMinute: limits.Off, Own: own})
		for range 5 {
			allowed(t, l.Take("rich", limits.Generate, 1))
		}
		after := refused(t, l.Take("rich", limits.Generate, 1), limits.GeneratePerMinute)
		if after > 1300*time.Millisecond { // 50 a minute
			t.Errorf("retry after %v", after)
		}
		if after := refused(t, l.Take("poor", limits.Generate, 1), limits.GeneratePerMinute); after != 0 {
			t.Errorf("none at all, but retry after %v", after)
		}
		allowed(t, l.Take("poor", limits.Status, 2))
		refused(t, l.Take("poor", limits.Status, 1), limits.StatusPerMinute)
		allowed(t, l.Take("other", limits.Status, 1000))
		if d := cmp.Diff([]limits.Quota{{Limit: "generate_per_minute"}, {Limit: "global_per_minute", Unlimited: true}, {Limit: "status_per_minute", PerMinute: 2, Burst: 2}}, l.Remaining("poor")); d != "" {
			t.Error(d)
		}
		// A limit that changes holds at once, for who has a bucket too.
		rate := 5
		l = newLimiter(t, limits.Config{GlobalPerMinute: limits.Off, Own: func(string) policy.Limits { return policy.Limits{GeneratePerMinute: &rate} }})
		allowed(t, l.Take("ann", limits.Generate, 5))
		rate = 600
		refused(t, l.Take("ann", limits.Generate, 1), limits.GeneratePerMinute)
		time.Sleep(time.Second)
		allowed(t, l.Take("ann", limits.Generate, 9))

		p := limits.NewPlaces(16, 1).WithOwn(own)
		for range 3 {
			if _, err := p.Take("rich"); err != nil {
				t.Error(err)
			}
		}
		for _, name := range []string{"rich", "poor"} {
			var full *limits.QueueFullError
			if _, err := p.Take(name); !errors.As(err, &full) || full.Limit != limits.PendingPrincipal {
				t.Errorf("%s: %v", name, err)
			}
		}
		if u := p.Usage("rich"); u.MaxPerPrincipal != 3 {
			t.Errorf("%+v", u)
		}
	})
}

// T51, LIM-02: any number of identities that each spend something stay in a small table; those beyond it share one budget, and nobody gets a new
// one by being forgotten.
func TestT51_budgetsOfMany(t *testing.T) { //nolint:paralleltest // it measures the heap
	const most = 4096
	b := newBudgets(t, limits.BudgetConfig{PerHour: 100, PerDay: 1000, MaxPrincipals: most})
	before := heap()
	passed := 0
	for i := range 250_000 {
		if _, err := b.Charge("p"+strconv.Itoa(i), 90); err == nil {
			passed++
		}
	}
	if passed != most+1 { // and one from what the others share
		t.Errorf("%d principals could pay, want %d", passed, most+1)
	}
	overdrawn(t, b, "p0", 90, limits.BudgetPerHour)
	overdrawn(t, b, "p249999", 90, limits.BudgetPerHour)
	if grew := heap() - before; grew > 2<<20 {
		t.Errorf("the heap grew by %d KiB", grew>>10)
	}
	runtime.KeepAlive(b)
}

// T56: a table that has no room is the limiter's store that is down: newcomers are not let through, they share; when others' budgets are
// full again, there is room.
func TestT56_noRoomFailsClosed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudgets(t, limits.BudgetConfig{PerHour: 100, MaxPrincipals: 2})
		charged(t, b, "a", 100)
		charged(t, b, "b", 100)
		charged(t, b, "c", 100)
		overdrawn(t, b, "d", 100, limits.BudgetPerHour)
		if left := b.Remaining("e"); left[0].Left != 0 {
			t.Errorf("%+v", left)
		}
		time.Sleep(time.Hour)
		charged(t, b, "d", 100)
		charged(t, b, "c", 100)
		overdrawn(t, b, "d", 100, limits.BudgetPerHour)
	})
}

// T50: N principals, each its whole budget to the unit, however many try at once.
func TestT50_budgetsAreExact(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBudgets(t, limits.BudgetConfig{PerHour: 70})
		var passed atomic.Int64
		var wg sync.WaitGroup
		for p := range 50 {
			for range 20 {
				wg.Go(func() {
					if _, err := b.Charge(strconv.Itoa(p), 10); err == nil {
						passed.Add(1)
					}
				})
			}
		}
		wg.Wait()
		if got := passed.Load(); got != 50*7 {
			t.Errorf("%d charges passed, want %d", got, 50*7)
		}
	})
}

// T55: whatever was charged before, who waits as long as was told can pay then.
func TestT55_budgetWaitsAreHonest(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		budget := rapid.Float64Range(0.5, 1e9).Draw(rt, "budget")
		parts := rapid.SliceOfN(rapid.Float64Range(0.01, 1), 1, 12).Draw(rt, "parts")
		synctest.Test(t, func(t *testing.T) {
			b := newBudgets(t, limits.BudgetConfig{PerHour: budget, PerDay: budget * 3})
			for _, part := range parts {
				_, err := b.Charge("ann", budget*part)
				e, refused := errors.AsType[*limits.BudgetError](err)
				if !refused {
					continue
				}
				time.Sleep(e.RetryAfter)
				if _, err := b.Charge("ann", budget*part); err != nil {
					rt.Fatalf("after %v: %v", e.RetryAfter, err)
				}
			}
		})
	})
}

func TestNewBudgets_broken(t *testing.T) {
	t.Parallel()
	for _, cfg := range []limits.BudgetConfig{{PerHour: math.NaN()}, {PerDay: math.Inf(1)}, {PerHour: math.Inf(-1)}, {MaxPrincipals: -1}} {
		if _, err := limits.NewBudgets(cfg); err == nil {
			t.Errorf("%+v is taken", cfg)
		}
	}
}

// LIM-05: a fifth of all, and of each principal's, is left to calls that only look.
func TestLIM05_calls(t *testing.T) {
	t.Parallel()
	c := limits.NewCalls(10, 5)
	var leave []func()
	enter := func(who string, quick bool, want string) {
		t.Helper()
		l, err := c.Enter(who, quick)
		var busy *limits.BusyError
		if errors.As(err, &busy); (want == "") != (err == nil) || want != "" && busy.Limit != want {
			t.Fatalf("%s, quick %v: %v, want %q", who, quick, err, want)
		}
		if err == nil {
			leave = append(leave, l)
		}
	}
	for range 4 {
		enter("ann", false, "")
	}
	enter("ann", false, limits.CallsPrincipal)
	enter("ann", true, "")
	enter("ann", true, limits.CallsPrincipal)
	for range 4 {
		enter("bob", false, "")
	}
	enter("cyd", false, limits.CallsAll) // eight that make something
	enter("cyd", true, "")
	enter("dan", true, limits.CallsAll) // ten in all
	for _, l := range leave {
		l()
		l() // again does nothing
	}
	for range 4 {
		enter("ann", false, "")
	}
}

func BenchmarkCharge(b *testing.B) {
	budgets := newBudgets(b, limits.BudgetConfig{PerHour: 1e12, PerDay: 1e12})
	b.ReportAllocs()
	for b.Loop() {
		c, err := budgets.Charge("ann", 27)
		if err != nil {
			b.Fatal(err)
		}
		c.Settle(13)
	}
}

// T52: a clock that steps back opens nothing, and one that jumps ahead gives no more than a full budget.
func TestT52_budgetClock(t *testing.T) {
	t.Parallel()
	b := newBudgets(t, limits.BudgetConfig{PerHour: 100})
	for _, step := range []struct {
		now  time.Duration
		work float64
		ok   bool
	}{
		{time.Hour, 100, true}, {0, 1, false}, {-time.Hour, 1, false}, {time.Hour + time.Minute, 2, false}, {1000 * time.Hour, 100, true}, {1000 * time.Hour, 1, false},
	} {
		if _, err := b.ChargeAt(step.now, "ann", step.work); (err == nil) != step.ok {
			t.Errorf("at %v: %v", step.now, err)
		}
	}
}
