package limits_test

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/limits"
)

func fullQueue(t *testing.T, err error, want limits.QueueFullError) {
	t.Helper()
	var got *limits.QueueFullError
	if !errors.As(err, &got) {
		t.Fatalf("got %v, want %+v", err, want)
	}
	if d := cmp.Diff(want, *got); d != "" {
		t.Error(d)
	}
}

func TestSec_SC50_limit_plus_one(t *testing.T) {
	t.Parallel()
	p := limits.NewPlaces(0, 0) // design.md, "queue": 16, 8 per principal
	var releases []func()
	take := func(principal string, n int) {
		t.Helper()
		for range n {
			release, err := p.Take(principal)
			if err != nil {
				t.Fatal(err)
			}
			releases = append(releases, release)
		}
	}
	take("ann", 8)
	_, err := p.Take("ann")
	fullQueue(t, err, limits.QueueFullError{Limit: "pending_per_principal", Waiting: 8, Max: 8})
	take("bob", 7)
	take("cid", 1)
	_, err = p.Take("dan")
	fullQueue(t, err, limits.QueueFullError{Limit: "pending", Waiting: 16, Max: 16})
	if got, want := err.Error(), "queue full: pending"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	_, err = p.Take("ann") // both are full: her own first
	fullQueue(t, err, limits.QueueFullError{Limit: "pending_per_principal", Waiting: 8, Max: 8})
	want := limits.Usage{Held: 16, Max: 16, HeldByPrincipal: 7, MaxPerPrincipal: 8}
	if d := cmp.Diff(want, p.Usage("bob")); d != "" {
		t.Error(d)
	}

	for _, release := range releases {
		release()
		release() // SC-50: a place is given back once
	}
	if got := p.Usage("ann"); got.Held != 0 || got.HeldByPrincipal != 0 {
		t.Errorf("after all were released: %+v", got)
	}
	if n := p.Holders(); n != 0 {
		t.Errorf("%d principals are remembered that hold nothing", n)
	}
	releases = nil
	take("dan", 8) // released places are used again
}

// SC-50: 200 parallel takers never exceed a cap, and afterwards every place is free, also after a panic.
func TestSec_SC50_race(t *testing.T) {
	t.Parallel()
	const places, each, takers = 16, 8, 200
	p := limits.NewPlaces(places, each)
	var all, most, refusals atomic.Int64
	var own [4]atomic.Int64
	var wg sync.WaitGroup
	for i := range takers {
		wg.Go(func() {
			defer func() { _ = recover() }()
			for round := range 50 {
				who := (i + round) % len(own)
				release, err := p.Take(strconv.Itoa(who))
				if err != nil {
					refusals.Add(1)
					continue
				}
				func() {
					defer release()
					defer all.Add(-1)
					defer own[who].Add(-1)
					if n := all.Add(1); n > places {
						t.Errorf("%d places held", n)
					} else if n > most.Load() {
						most.Store(n)
					}
					if n := own[who].Add(1); n > each {
						t.Errorf("%d places held by one", n)
					}
					if i%50 == 0 && round == 49 {
						panic("a job that dies")
					}
				}()
			}
		})
	}
	wg.Wait()
	if got := p.Usage("0").Held; got != 0 {
		t.Errorf("%d places were never given back", got)
	}
	t.Logf("at most %d held, %d refusals", most.Load(), refusals.Load())
}

func TestPlaces_release_twice_at_once(t *testing.T) {
	t.Parallel()
	p := limits.NewPlaces(4, 4)
	keep, err := p.Take("ann")
	if err != nil {
		t.Fatal(err)
	}
	defer keep()
	release, err := p.Take("ann")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(release)
	}
	wg.Wait()
	if got := p.Usage("ann"); got.Held != 1 || got.HeldByPrincipal != 1 {
		t.Errorf("got %+v, want one place held", got)
	}
}
