package limits

import (
	"net/netip"
	"sync"
	"time"
)

const (
	defaultAuthFailures = 10
	// neighbours is how many times more a network may fail than one address in it: enough for an office behind one router,
	// too little for somebody who owns the whole network.
	neighbours = 10
)

// AuthFailures slows down guessing of credentials (SC-10): so many failures a minute for an address, ten times as many for the
// network around it, and as many for all addresses together that its bounded tables have no room for. An address is a whole
// IPv4 address or an IPv6 /64, which is what one customer gets; its network is the /24 or the /48. It is safe for concurrent use.
type AuthFailures struct {
	mu        sync.Mutex
	addresses *table[netip.Prefix]
	networks  *table[netip.Prefix]
}

// NewAuthFailures allows perMinute failures a minute and address (HTTP__AUTH_FAILURES_PER_MINUTE), all of them at once if need
// be. A number below 1 stands for the default, 10: guessing is never free.
func NewAuthFailures(perMinute int) *AuthFailures {
	if perMinute < 1 {
		perMinute = defaultAuthFailures
	}
	return &AuthFailures{
		addresses: newTable[netip.Prefix](defaultEntries, perMinute, perMinute, neighbours),
		networks:  newTable[netip.Prefix](defaultEntries, perMinute*neighbours, perMinute*neighbours, 1),
	}
}

// Allow returns nil where ip may try, or a [*RateError]: then the credentials must not even be looked at, so that a
// guess teaches nothing. It counts nothing.
func (a *AuthFailures) Allow(ip netip.Addr) error { return a.allow(time.Now(), ip) }

func (a *AuthFailures) allow(now time.Time, ip netip.Addr) error {
	address, network := prefixes(ip)
	a.mu.Lock()
	defer a.mu.Unlock()
	longest := max(wait(a.addresses.look(address, now), now, 1), wait(a.networks.look(network, now), now, 1))
	if longest > 0 {
		return &RateError{Limit: AuthPerMinute, RetryAfter: honest(longest)}
	}
	return nil
}

// Failed counts one failure of ip.
func (a *AuthFailures) Failed(ip netip.Addr) { a.failed(time.Now(), ip) }

func (a *AuthFailures) failed(now time.Time, ip netip.Addr) {
	address, network := prefixes(ip)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.addresses.bucket(address, now).AllowN(now, 1)
	a.networks.bucket(network, now).AllowN(now, 1)
}

// prefixes tells what ip is counted as. Addresses that are none share the zero prefix.
func prefixes(ip netip.Addr) (address, network netip.Prefix) {
	ip = ip.Unmap().WithZone("")
	single, around := 64, 48
	if ip.Is4() {
		single, around = 32, 24
	}
	// An error means an invalid ip, and the prefix is zero then.
	address, _ = ip.Prefix(single)
	network, _ = ip.Prefix(around)
	return address, network
}
