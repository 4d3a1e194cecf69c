package limits_test

import (
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comfygate/comfygate/limits"
)

func TestSec_SC10_eleventh_failure_within_a_minute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := limits.NewAuthFailures(0)
		ip := netip.MustParseAddr("203.0.113.7")
		for range 100 {
			allowed(t, a.Allow(ip)) // to ask costs nothing
		}
		for range 10 {
			allowed(t, a.Allow(ip))
			a.Failed(ip)
		}
		after := refused(t, a.Allow(ip), "auth_failures_per_minute")
		a.Failed(ip) // of a try that had begun before; it costs no more
		allowed(t, a.Allow(netip.MustParseAddr("203.0.113.8")))
		time.Sleep(after)
		allowed(t, a.Allow(ip))
		a.Failed(ip)
		refused(t, a.Allow(ip), "auth_failures_per_minute")
		time.Sleep(time.Minute)
		for range 10 {
			allowed(t, a.Allow(ip))
			a.Failed(ip)
		}
		refused(t, a.Allow(ip), "auth_failures_per_minute")
	})
}

// LIM-02: addresses that one person owns count as one.
func TestSec_SC10_neighbours(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name        string
		fails, asks string
		each        int // failures of each address below fails
		addresses   int
		refused     bool
	}{
		{name: "another host of a /64", fails: "2001:db8:0:1::1", asks: "2001:db8:0:1:ffff::9", each: 10, addresses: 1, refused: true},
		{name: "another /64", fails: "2001:db8:0:1::1", asks: "2001:db8:0:2::1", each: 10, addresses: 1},
		{name: "IPv4 in IPv6", fails: "::ffff:198.51.100.1", asks: "198.51.100.1", each: 10, addresses: 1, refused: true},
		{name: "a zone is no way out", fails: "fe80::1%eth0", asks: "fe80::1%eth1", each: 10, addresses: 1, refused: true},
		{name: "some of a /24", fails: "198.51.100.1", asks: "198.51.100.200", each: 10, addresses: 9},
		{name: "many of a /24", fails: "198.51.100.1", asks: "198.51.100.200", each: 10, addresses: 10, refused: true},
		{name: "another /24", fails: "198.51.100.1", asks: "198.51.101.1", each: 10, addresses: 10},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			a, now := limits.NewAuthFailures(10), time.Now()
			ip := netip.MustParseAddr(tc.fails)
			for range tc.addresses {
				for range tc.each {
					a.FailedAt(now, ip)
				}
				ip = ip.Next()
			}
			if err := a.AllowAt(now, netip.MustParseAddr(tc.asks)); (err != nil) != tc.refused {
				t.Errorf("got %v, want refused %v", err, tc.refused)
			}
		})
	}
}

func TestSec_SC10_no_address(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := limits.NewAuthFailures(1)
		allowed(t, a.Allow(netip.Addr{}))
		a.Failed(netip.Addr{})
		refused(t, a.Allow(netip.Addr{}), "auth_failures_per_minute")
	})
}

// T51: a botnet of a million addresses stays in a small table, and learns nothing from the addresses that found no room.
func TestT51_a_million_addresses(t *testing.T) { //nolint:paralleltest // it measures the heap
	a := limits.NewAuthFailures(10)
	before := heap()
	ip := netip.MustParseAddr("10.0.0.0")
	passed, now := 0, time.Now()
	for i := range 1_000_000 {
		if i >= 100_000 && i%100 == 0 && a.AllowAt(now, ip) == nil {
			passed++
		}
		a.FailedAt(now, ip)
		ip = ip.Next()
	}
	addresses, networks := a.Kept()
	if addresses > 65_536 || networks > 65_536 {
		t.Errorf("%d addresses and %d networks are kept", addresses, networks)
	}
	if passed > 0 {
		t.Errorf("%d of the botnet's later guesses were looked at", passed)
	}
	if grew := heap() - before; grew > 48<<20 {
		t.Errorf("the heap grew by %d MiB", grew>>20)
	}
	runtime.KeepAlive(a)
}
