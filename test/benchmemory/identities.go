package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"

	"github.com/comfygate/comfygate/limits"
)

// million is how many identities come.
const million = 1_000_000

// Budgets of the tables, whatever comes: 65,536 entries each, a key and a bucket in a list.
const (
	rateBudget    = 48 << 20 // two tables
	workBudget    = 24 << 20
	failureBudget = 48 << 20 // two tables
	placeBudget   = 1 << 20  // no more entries than places
)

// identities has a million of them ask of each limit, each a little, so that each would be worth remembering.
func identities(context.Context, string) ([]row, error) {
	var rows []row
	for _, m := range []struct {
		what   string
		budget uint64
		make   func() (ask func(i int), keep any, err error)
	}{
		{"rates", rateBudget, func() (func(int), any, error) {
			l, err := limits.New(limits.Config{GlobalPerMinute: limits.Off})
			return func(i int) {
				_ = l.Take(name(i), limits.Generate, 1) // refused or not
				_ = l.Take(name(i), limits.Status, 1)   // likewise
			}, l, err
		}},
		{"budgets of work", workBudget, func() (func(int), any, error) {
			b, err := limits.NewBudgets(limits.BudgetConfig{PerHour: 1000, PerDay: 5000})
			return func(i int) { _, _ = b.Charge(name(i), 27) }, b, err
		}},
		{"failed sign-ins", failureBudget, func() (func(int), any, error) {
			a := limits.NewAuthFailures(10)
			base := netip.MustParseAddr("10.0.0.0").As4()
			return func(i int) {
				base[1], base[2], base[3] = byte(i>>16), byte(i>>8), byte(i)
				a.Failed(netip.AddrFrom4(base))
			}, a, nil
		}},
		{"places and calls", placeBudget, func() (func(int), any, error) {
			p, c := limits.NewPlaces(16, 8), limits.NewCalls(512, 128)
			return func(i int) {
				_, _ = p.Take(name(i))
				_, _ = c.Enter(name(i), i%2 == 0)
			}, []any{p, c}, nil
		}},
	} {
		before := heap()
		ask, keep, err := m.make()
		if err != nil {
			return rows, err
		}
		for i := range million {
			ask(i)
		}
		after := heap()
		runtime.KeepAlive(keep)
		if after < before {
			after = before
		}
		rows = append(rows, row{what: fmt.Sprintf("%d identities: %s", million, m.what), took: after - before, budget: m.budget})
	}
	if len(rows) == 0 {
		return nil, errors.New("nothing was measured")
	}
	return rows, nil
}

func name(i int) string { return "principal-" + strconv.Itoa(i) + "@example.org" }

// heap is what is in use once all that nobody holds is gone.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
