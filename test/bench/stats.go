package main

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A sample is the latencies of many calls, and how long all took together.
type sample struct {
	each []time.Duration
	wall time.Duration
}

// load makes n calls, c of them at a time, after a tenth as many to warm up.
func load(n, c int, call func() error) (sample, error) {
	if _, err := burst(max(n/10, c), c, call); err != nil {
		return sample{}, err
	}
	return burst(n, c, call)
}

// rounds is how often two sides that are compared take turns, so that what else the machine does meets both alike.
const rounds = 20

// versus makes n calls of each of two sides, and returns the quickest round of each: others on the machine only ever add.
func versus(n, c int, ours, base func() error) (o, b sample, err error) {
	best, err := quickest(side{n, c, ours}, side{n, c, base})
	if err != nil {
		return o, b, err
	}
	return best[0], best[1], nil
}

// A side of a comparison makes n calls, c of them at a time, in all its rounds together.
type side struct {
	n, c int
	call func() error
}

// quickest has the sides take turns, and returns the quickest round of each.
func quickest(sides ...side) ([]sample, error) {
	best := make([]sample, len(sides))
	for round := range 1 + rounds {
		for i, side := range sides {
			s, err := burst(max(side.n/rounds, side.c), side.c, side.call)
			if err != nil {
				return nil, err
			}
			if round > 0 && (best[i].wall == 0 || s.wall < best[i].wall) { // the first round warms up
				best[i] = s
			}
		}
	}
	return best, nil
}

func burst(n, c int, call func() error) (sample, error) {
	var (
		mu    sync.Mutex
		s     sample
		first error
		wg    sync.WaitGroup
	)
	var taken atomic.Int64
	began := time.Now()
	for range c {
		wg.Go(func() {
			mine := make([]time.Duration, 0, n/c)
			for taken.Add(1) <= int64(n) {
				t := time.Now()
				if err := call(); err != nil {
					mu.Lock()
					first = err
					mu.Unlock()
					return
				}
				mine = append(mine, time.Since(t))
			}
			mu.Lock()
			s.each = append(s.each, mine...)
			mu.Unlock()
		})
	}
	wg.Wait()
	s.wall = time.Since(began)
	slices.Sort(s.each)
	return s, first
}

func (s sample) p50() time.Duration { return s.each[len(s.each)/2] }

func (s sample) perSecond() float64 { return float64(len(s.each)) / s.wall.Seconds() }

// median of list, which it sorts.
func median[T int64 | time.Duration](list []T) T {
	slices.Sort(list)
	return list[len(list)/2]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d)/float64(time.Millisecond)) }

func mib(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func rate(r float64) string { return fmt.Sprintf("%.0f/s", r) }

// added is a row about how much longer ours takes.
func added(what string, ours, base, most time.Duration) row {
	return row{what, ms(ours), ms(base), "+" + ms(ours-base), "≤ +" + ms(most), ours-base <= most}
}

// share is a row about how much of the baseline's throughput ours keeps.
func share(what string, ours, base, least float64) row {
	return row{what, rate(ours), rate(base), fmt.Sprintf("%.2f×", ours/base), fmt.Sprintf("≥ %.1f×", least), ours/base >= least}
}
