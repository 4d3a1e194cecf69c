package limits

import (
	"sync"

	"github.com/comfygate/comfygate/policy"
)

// Defaults of [NewPlaces] (design.md, "queue").
const (
	defaultPending          = 16
	defaultPendingPrincipal = 8
)

// Places are the places of jobs that wait for a server, so many in all and so many for each principal. It is safe for concurrent use.
type Places struct {
	max, maxPerPrincipal int
	own                  func(principal string) policy.Limits

	mu   sync.Mutex
	all  int
	held map[string]int // only principals that hold a place, so never more entries than max
}

// NewPlaces returns so many free places (LIMITS__PENDING), of which one principal gets at most perPrincipal. A number below 1
// stands for its default, 16 and 8: there is no queue without a bound.
func NewPlaces(places, perPrincipal int) *Places {
	if places < 1 {
		places = defaultPending
	}
	if perPrincipal < 1 {
		perPrincipal = defaultPendingPrincipal
	}
	return &Places{
		max: places, maxPerPrincipal: perPrincipal, held: make(map[string]int),
		own: func(string) policy.Limits { return policy.Limits{} },
	}
}

// WithOwn makes p ask for principals' own limits, which go before its own for each; an own limit of 0 lets nothing wait. It is called
// before p is used, and returns p.
func (p *Places) WithOwn(own func(principal string) policy.Limits) *Places {
	p.own = own
	return p
}

// most is how many places principal may hold.
func (p *Places) most(principal string) int {
	if own := p.own(principal).Pending; own != nil {
		return *own
	}
	return p.maxPerPrincipal
}

// Take takes a place for principal until release is called, or returns a [*QueueFullError]. It never waits. Calling release
// again does nothing.
func (p *Places) Take(principal string) (release func(), err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// Where both are full the caller reads about its own: those are the jobs it can do something about.
	if n, most := p.held[principal], p.most(principal); n >= most {
		return nil, &QueueFullError{Limit: PendingPrincipal, Waiting: n, Max: most}
	}
	if p.all >= p.max {
		return nil, &QueueFullError{Limit: Pending, Waiting: p.all, Max: p.max}
	}
	p.all++
	p.held[principal]++
	return sync.OnceFunc(func() { p.giveBack(principal) }), nil
}

func (p *Places) giveBack(principal string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all--
	if p.held[principal]--; p.held[principal] == 0 {
		delete(p.held, principal)
	}
}

// Usage tells how many places are held, and how many there are.
type Usage struct {
	Held            int `json:"held"`
	Max             int `json:"max"`
	HeldByPrincipal int `json:"held_by_you"`
	MaxPerPrincipal int `json:"max_per_principal"`
}

// Usage returns how principal and all others stand now.
func (p *Places) Usage(principal string) Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Usage{Held: p.all, Max: p.max, HeldByPrincipal: p.held[principal], MaxPerPrincipal: p.most(principal)}
}
