package engine_test

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/comfygate/comfygate/engine"
)

func anyone(string) bool { return true }

func push(tb testing.TB, q *engine.Lines, owner string, n int, cost float64) {
	tb.Helper()
	for i := range n {
		if err := q.Push(tb.Context(), engine.Item{Owner: owner, ID: fmt.Sprint(owner, i, "-", cost), Cost: cost}); err != nil {
			tb.Fatal(err)
		}
	}
}

func next(tb testing.TB, q *engine.Lines) engine.Item {
	tb.Helper()
	it, ok, err := q.Take(tb.Context(), anyone)
	if err != nil || !ok {
		tb.Fatal(ok, err)
	}
	return it
}

// LIM-09: owners get the same share of the work, not of the jobs.
func TestLines_LIM09_sharesOfWork(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ large, small float64 }{{100, 10}, {1677, 25}, {40, 1}, {3, 2}, {5000, 0.5}} {
		q := engine.NewLines(20_000)
		push(t, q, "large", 100, tc.large)
		push(t, q, "small", 15_000, tc.small)
		work := map[string]float64{}
		for work["large"] < 40*tc.large && work["small"] < 14_000*tc.small {
			it := next(t, q)
			work[it.Owner] += it.Cost
		}
		// They differ by no more than a turn and the largest job, whatever the time.
		if d := work["large"] - work["small"]; d > tc.large+50 || d < -tc.large-50 {
			t.Errorf("%v: shares %v", tc, work)
		}
	}
}

// T54: whoever floods the queue with large jobs holds up a light user by no more than one of them, however many there are: the 99th of a
// hundred waits, and every other.
func TestT54_floodedQueue(t *testing.T) {
	t.Parallel()
	for name, jobs := range map[string]float64{"large": 800, "small": 1, "unknown": 0} {
		q := engine.NewLines(10_000)
		push(t, q, "flooder", 5000, jobs)
		next(t, q) // is at ComfyUI when the light user comes
		var waits []int
		for i := range 100 {
			push(t, q, "light", 1, 20)
			ahead := 0
			for next(t, q).Owner != "light" {
				ahead++
			}
			waits = append(waits, ahead)
			for range i % 3 {
				next(t, q)
			}
		}
		slices.Sort(waits)
		// Of small ones as many as are worth one turn.
		if most := map[string]int{"large": 1, "small": 25, "unknown": 1}[name]; waits[98] > most || waits[99] > most {
			t.Errorf("%s: the light user waits for up to %d jobs of the flooder, want %d", name, waits[99], most)
		}
	}
}

// Nobody starves, not with one job of any size among endless small ones.
func TestLines_LIM09_nobodyStarves(t *testing.T) {
	t.Parallel()
	q := engine.NewLines(20_000)
	push(t, q, "small", 10_000, 5)
	push(t, q, "huge", 1, 10_000)
	for n := 1; next(t, q).Owner != "huge"; n++ {
		if n > 10_000/5+10 {
			t.Fatal("the huge job never comes")
		}
	}
}

// What Position says is what happens, and who has no place keeps the turn.
func TestLines_positionsOfWork(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		q := engine.NewLines(100)
		var items []engine.Item
		for i := range rapid.IntRange(1, 25).Draw(t, "items") {
			it := engine.Item{
				Owner: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "owner"), ID: fmt.Sprint(i), Cost: rapid.Float64Range(0, 300).Draw(t, "cost"),
			}
			if err := q.Push(t.Context(), it); err != nil {
				t.Fatal(err)
			}
			items = append(items, it)
		}
		if rapid.Bool().Draw(t, "return") {
			it, _, _ := q.Take(t.Context(), func(o string) bool { return o != "b" })
			if it.ID != "" {
				if err := q.Return(t.Context(), it); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := make(map[string]int)
		for _, it := range items {
			n, err := q.Position(t.Context(), it)
			if err != nil {
				t.Fatal(err)
			}
			want[it.ID] = n
		}
		for n := 1; n <= len(items); n++ {
			it, ok, err := q.Take(t.Context(), anyone)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			if want[it.ID] != n {
				t.Fatalf("%s comes as %d, but was said to be %d", it.ID, n, want[it.ID])
			}
		}
	})
}

func BenchmarkLines_position(b *testing.B) {
	q := engine.NewLines(1024)
	for i := range 32 {
		push(b, q, fmt.Sprint("owner", i), 32, float64(i*7))
	}
	last := engine.Item{Owner: "owner31", ID: fmt.Sprint("owner31", 31, "-", 217.0)}
	for b.Loop() {
		if n, err := q.Position(b.Context(), last); err != nil || n == 0 {
			b.Fatal(n, err)
		}
	}
}
