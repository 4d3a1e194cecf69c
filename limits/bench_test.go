package limits_test

import (
	"net/netip"
	"strconv"
	"testing"

	"github.com/comfygate/comfygate/limits"
)

func BenchmarkTake(b *testing.B) {
	for _, tc := range []struct {
		name       string
		principals int
		rate       int
	}{
		{"passed, one principal", 1, 1 << 30},
		{"passed, 10000 principals", 10_000, 1 << 30},
		{"refused, one principal", 1, 1},
	} {
		b.Run(tc.name, func(b *testing.B) {
			l := newLimiter(b, limits.Config{GeneratePerMinute: tc.rate, Burst: tc.rate, GlobalPerMinute: tc.rate})
			names := make([]string, tc.principals)
			for i := range names {
				names[i] = "principal-" + strconv.Itoa(i)
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				_ = l.Take(names[i%len(names)], limits.Generate, 1)
				i++
			}
		})
	}
}

func BenchmarkTake_parallel(b *testing.B) {
	l := newLimiter(b, limits.Config{StatusPerMinute: 1 << 30})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			_ = l.Take("ann", limits.Status, 1)
		}
	})
}

func BenchmarkPlaces(b *testing.B) {
	p := limits.NewPlaces(16, 8)
	b.ReportAllocs()
	for b.Loop() {
		release, err := p.Take("ann")
		if err != nil {
			b.Fatal(err)
		}
		release()
	}
}

func BenchmarkAuthFailures_refused(b *testing.B) {
	a := limits.NewAuthFailures(1)
	ip := netip.MustParseAddr("203.0.113.7")
	a.Failed(ip)
	b.ReportAllocs()
	for b.Loop() {
		_ = a.Allow(ip)
	}
}
