package limits

import (
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"github.com/comfygate/comfygate/policy"
)

// A BudgetError refuses a job for its cost. Its text is safe to show.
type BudgetError struct {
	Limit string // BudgetPerHour or BudgetPerDay
	Cost  float64
	Left  float64
	Max   float64
	// RetryAfter: a retry after this succeeds unless the budget is spent on something else (T55). In whole milliseconds. Zero when the job
	// costs more than the whole budget, and no waiting helps.
	RetryAfter time.Duration
}

func (e *BudgetError) Error() string { return "budget " + e.Limit + " does not suffice" }

// BudgetConfig of [Budgets]. In units of work (megapixel-steps); 0 or less is no budget.
type BudgetConfig struct {
	PerHour       float64 // LIMITS__BUDGET_PER_HOUR: of each principal
	PerDay        float64 // LIMITS__BUDGET_PER_DAY
	MaxPrincipals int     // kept apart; default 65,536; those beyond share one budget until others' are full again (LIM-02)
	// Own, where set, tells a principal's own limits, which go before these. An own budget of 0 is none at all.
	Own func(principal string) policy.Limits
}

// Budgets hold what each principal may still have computed, in an hour and in a day. It is safe for concurrent use.
type Budgets struct {
	cfg   BudgetConfig
	start time.Time // of the monotonic clock on which all times are durations

	mu       sync.Mutex
	spent    *simplelru.LRU[string, *tats] // oldest use first
	overflow tats
}

// tats are a principal's theoretical arrival times, of its hour and of its day.
type tats [2]time.Duration

func (t *tats) full(now time.Duration) bool { return max(t[0], t[1]) <= now }

// NewBudgets returns full budgets.
func NewBudgets(cfg BudgetConfig) (*Budgets, error) {
	if math.IsNaN(cfg.PerHour) || math.IsNaN(cfg.PerDay) || math.IsInf(cfg.PerHour, 0) || math.IsInf(cfg.PerDay, 0) {
		return nil, fmt.Errorf("limits: a budget of %v an hour and %v a day; they must be numbers", cfg.PerHour, cfg.PerDay)
	}
	if cfg.MaxPrincipals < 0 {
		return nil, fmt.Errorf("limits: room for %d principals; it must be 1 or more", cfg.MaxPrincipals)
	}
	cfg.MaxPrincipals = or(cfg.MaxPrincipals, defaultEntries)
	if cfg.Own == nil {
		cfg.Own = func(string) policy.Limits { return policy.Limits{} }
	}
	spent, err := simplelru.NewLRU[string, *tats](cfg.MaxPrincipals+1, nil) // never evicts by itself
	if err != nil {
		return nil, fmt.Errorf("limits: %w", err)
	}
	return &Budgets{cfg: cfg, start: time.Now(), spent: spent}, nil
}

// A budget is one that holds for a principal.
type budget struct {
	window

	limit string
	none  bool // nothing may be spent
}

// budgets are those that hold for principal; a period without one has no limit.
func (b *Budgets) budgets(principal string) (list [2]*budget) {
	own := b.cfg.Own(principal)
	for i, w := range []struct {
		limit   string
		period  time.Duration
		setting float64
		own     *float64
	}{{BudgetPerHour, time.Hour, b.cfg.PerHour, own.WorkPerHour}, {BudgetPerDay, 24 * time.Hour, b.cfg.PerDay, own.WorkPerDay}} {
		units := w.setting
		if w.own != nil {
			units = *w.own
		}
		if units > 0 || w.own != nil {
			list[i] = &budget{window: window{units: units, period: w.period}, limit: w.limit, none: !(units > 0)}
		}
	}
	return list
}

// A Charge is what an admitted job was estimated to cost.
type Charge struct {
	of     *Budgets
	spent  *tats
	price  tats // zero where there is no budget
	work   float64
	settle sync.Once
}

// Charge takes work from principal's budgets, from all or from none, or returns a [*BudgetError] that names the one with the longest
// wait: whoever waits for the stricter passes the other too (LIM-11).
func (b *Budgets) Charge(principal string, work float64) (*Charge, error) {
	return b.charge(time.Since(b.start), principal, work)
}

func (b *Budgets) charge(now time.Duration, principal string, work float64) (*Charge, error) {
	budgets := b.budgets(principal)
	c := &Charge{of: b, work: work}
	if budgets == [2]*budget{} || work == 0 {
		return c, nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	spent := b.of(nameKey(principal), now)
	var refusal *BudgetError
	for i, w := range budgets {
		if w == nil {
			continue
		}
		never := &BudgetError{Limit: w.limit, Cost: work, Max: w.units}
		if w.none {
			return nil, never
		}
		price, ok := w.price(work)
		if never.Left = w.left(spent[i], now); !ok {
			return nil, never
		}
		c.price[i] = price
		if wait := w.wait(spent[i], now, price); wait > 0 && (refusal == nil || honest(wait) > refusal.RetryAfter) {
			never.RetryAfter = honest(wait)
			refusal = never
		}
	}
	if refusal != nil {
		return nil, refusal
	}
	for i := range c.price {
		if budgets[i] != nil {
			spent[i] = spend(spent[i], now, c.price[i])
		}
	}
	c.spent = spent
	return c, nil
}

// of returns what principal has spent, making room for it if there is any to make: only what is full again leaves, for that says nothing
// that a new one would not. While nothing may leave, newcomers spend together.
func (b *Budgets) of(key string, now time.Duration) *tats {
	if t, ok := b.spent.Get(key); ok {
		return t
	}
	for range 2 { // two for one: the table shrinks to those in use without anybody sweeping it
		if _, oldest, ok := b.spent.GetOldest(); !ok || !oldest.full(now) {
			break
		}
		b.spent.RemoveOldest()
	}
	if b.spent.Len() >= b.cfg.MaxPrincipals {
		return &b.overflow
	}
	t := &tats{}
	b.spent.Add(key, t)
	return t
}

// Settle tells what a job really took, and gives the rest back (LIM-03, T53). What it took beyond the estimate is not charged. Only the
// first call counts.
func (c *Charge) Settle(work float64) {
	c.settle.Do(func() {
		if c.spent == nil || !(work < c.work) {
			return
		}
		unspent := 1 - max(work, 0)/c.work
		c.of.mu.Lock()
		defer c.of.mu.Unlock()
		now := time.Since(c.of.start)
		for i, price := range c.price {
			c.spent[i] = giveBack(c.spent[i], now, time.Duration(float64(price)*unspent))
		}
	})
}

// A Budget tells one budget in force and what is left of it, in megapixel-steps.
type Budget struct {
	Limit string  `json:"limit"`
	Max   float64 `json:"max"`
	Left  float64 `json:"left"`
}

// Remaining lists the budgets that hold for principal. It takes and keeps nothing.
func (b *Budgets) Remaining(principal string) (list []Budget) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Since(b.start)
	spent := b.look(nameKey(principal), now)
	for i, w := range b.budgets(principal) {
		switch {
		case w == nil:
		case w.none:
			list = append(list, Budget{Limit: w.limit})
		default:
			list = append(list, Budget{Limit: w.limit, Max: w.units, Left: math.Floor(w.left(spent[i], now))})
		}
	}
	return list
}

// look returns what principal would be judged by now. It changes nothing.
func (b *Budgets) look(key string, now time.Duration) tats {
	if t, ok := b.spent.Peek(key); ok {
		return *t
	}
	if _, oldest, ok := b.spent.GetOldest(); ok && b.spent.Len() >= b.cfg.MaxPrincipals && !oldest.full(now) {
		return b.overflow
	}
	return tats{}
}
