package limits

import (
	"net/netip"
	"time"
)

// The clock's readings are an argument in tests that must step it back, which no bubble of synctest can.

func (l *Limiter) TakeAt(now time.Time, principal string, c Class, n int) error {
	return l.take(now, principal, c, n)
}

func (l *Limiter) RemainingAt(now time.Time, principal string) []Quota {
	return l.remaining(now, principal)
}

func (l *Limiter) RefundAt(now time.Time, principal string, c Class, n int) {
	l.refund(now, principal, c, n)
}

func (a *AuthFailures) AllowAt(now time.Time, ip netip.Addr) error { return a.allow(now, ip) }

func (a *AuthFailures) FailedAt(now time.Time, ip netip.Addr) { a.failed(now, ip) }

// Kept is how many principals have a bucket of their own.
func (l *Limiter) Kept() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(l.generate.buckets.Len(), l.status.buckets.Len())
}

// Kept is how many addresses and networks have a bucket of their own.
func (a *AuthFailures) Kept() (addresses, networks int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.addresses.buckets.Len(), a.networks.buckets.Len()
}

// Holders is how many principals hold a place.
func (p *Places) Holders() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.held)
}

// ChargeAt charges as if the monotonic clock stood so long after the budgets were made.
func (b *Budgets) ChargeAt(now time.Duration, principal string, work float64) (*Charge, error) {
	return b.charge(now, principal, work)
}
