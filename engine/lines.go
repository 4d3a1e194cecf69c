package engine

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
)

// quantum is what an owner's turn is worth, in megapixel-steps: a picture of common size and steps. Smaller ones go several in a turn,
// for larger ones an owner saves up.
const quantum = 25

// Lines is a [Queue] in the memory of this process, of bounded size. Between owners it goes by deficit round robin: each turn is worth the
// same, so that everybody gets the same share of ComfyUI's work, and not of jobs, however large one makes them. Nobody starves: who has
// waited n rounds can pay n turns.
type Lines struct {
	max int

	mu sync.Mutex
	lineup
	positions map[ticket]int // of all, once somebody asked; nil when something has changed since
}

// A ticket names an item.
type ticket struct{ owner, id string }

// A lineup is who waits.
type lineup struct {
	size  int
	turns []string           // owners that wait, the next one first
	lines map[string][]Item  // by owner; never empty
	saved map[string]float64 // what an owner can pay
	paid  map[string]bool    // whose turn has begun: what it is worth is in what the owner saved
}

func newLineup() lineup {
	return lineup{lines: make(map[string][]Item), saved: make(map[string]float64), paid: make(map[string]bool)}
}

// NewLines returns an empty queue that holds at most limit items.
func NewLines(limit int) *Lines { return &Lines{max: limit, lineup: newLineup()} }

// price is what an item costs of its owner's turns. One of unknown cost is a turn.
func (it Item) price() float64 {
	if !(it.Cost > 0) {
		return quantum
	}
	return min(it.Cost, math.MaxInt32) // so that sums stay exact
}

// Push implements [Queue].
func (q *Lines) Push(_ context.Context, it Item) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.size >= q.max {
		return ErrFull
	}
	if len(q.lines[it.Owner]) == 0 {
		q.turns = append(q.turns, it.Owner)
	}
	q.lines[it.Owner] = append(q.lines[it.Owner], it)
	q.size++
	q.positions = nil
	return nil
}

// Take implements [Queue]. Owners passed over keep their turn and what they saved, but are not paid.
func (q *Lines) Take(_ context.Context, may func(owner string) bool) (Item, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	allowed := make(map[string]bool, len(q.turns))
	for _, owner := range q.turns {
		allowed[owner] = may(owner)
	}
	it, ok := q.take(func(owner string) bool { return allowed[owner] })
	q.positions = nil
	return it, ok, nil
}

func (l *lineup) take(may func(owner string) bool) (Item, bool) {
	l.skipRounds(may)
	for { // at most two rounds: somebody can pay within the next
		i := slices.IndexFunc(l.turns, may)
		if i < 0 {
			return Item{}, false
		}
		owner := l.turns[i]
		if !l.paid[owner] {
			l.saved[owner] += quantum
			l.paid[owner] = true
		}
		it := l.lines[owner][0]
		if l.saved[owner] < it.price() {
			l.endTurn(i)
			continue
		}
		l.saved[owner] -= it.price()
		if l.cut(owner, 0) && l.saved[owner] < l.lines[owner][0].price() {
			l.endTurn(i)
		}
		return it, true
	}
}

// skipRounds pays at once the rounds in which none of those who may could pay for anything.
func (l *lineup) skipRounds(may func(owner string) bool) {
	turns := math.Inf(1) // that the first to be able to pay needs
	for _, owner := range l.turns {
		if may(owner) {
			turns = min(turns, math.Ceil((l.lines[owner][0].price()-l.saved[owner])/quantum))
		}
	}
	if turns <= 1 || math.IsInf(turns, 1) {
		return
	}
	for _, owner := range l.turns {
		if may(owner) {
			l.saved[owner] += (turns - 1) * quantum
		}
	}
}

// endTurn ends the turn of the i-th owner.
func (l *lineup) endTurn(i int) {
	owner := l.turns[i]
	l.paid[owner] = false
	l.turns = append(slices.Delete(l.turns, i, i+1), owner)
}

// cut removes the i-th item of owner and reports whether others are left. Who has nothing in line saves nothing.
func (l *lineup) cut(owner string, i int) bool {
	l.size--
	if i == 0 {
		l.lines[owner] = l.lines[owner][1:]
	} else {
		l.lines[owner] = slices.Delete(l.lines[owner], i, i+1)
	}
	if len(l.lines[owner]) > 0 {
		return true
	}
	turn := slices.Index(l.turns, owner)
	l.turns = slices.Delete(l.turns, turn, turn+1)
	delete(l.lines, owner)
	delete(l.saved, owner)
	delete(l.paid, owner)
	return false
}

// Return implements [Queue]. The bound does not apply: the item had its room before. What it paid its owner gets back.
func (q *Lines) Return(_ context.Context, it Item) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.turns, it.Owner); i >= 0 {
		q.turns = slices.Delete(q.turns, i, i+1)
	}
	q.turns = slices.Insert(q.turns, 0, it.Owner)
	q.lines[it.Owner] = append([]Item{it}, q.lines[it.Owner]...)
	q.size++
	q.saved[it.Owner] += it.price()
	q.paid[it.Owner] = true
	q.positions = nil
	return nil
}

// Remove implements [Queue].
func (q *Lines) Remove(_ context.Context, it Item) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := q.index(it)
	if i < 0 {
		return false, nil
	}
	q.cut(it.Owner, i)
	q.positions = nil
	return true, nil
}

func (l *lineup) index(it Item) int {
	return slices.IndexFunc(l.lines[it.Owner], func(o Item) bool { return o.ID == it.ID })
}

// Position implements [Queue], by taking all from a copy.
func (q *Lines) Position(_ context.Context, it Item) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.positions == nil {
		q.positions = make(map[ticket]int, q.size)
		for l := q.copied(); l.size > 0; {
			next, _ := l.take(func(string) bool { return true })
			q.positions[ticket{next.Owner, next.ID}] = len(q.positions) + 1
		}
	}
	return q.positions[ticket{it.Owner, it.ID}], nil
}

// copied is a copy that can be taken from: lines only ever lose their first.
func (l *lineup) copied() *lineup {
	return &lineup{
		size: l.size, turns: slices.Clone(l.turns), lines: maps.Clone(l.lines), saved: maps.Clone(l.saved), paid: maps.Clone(l.paid),
	}
}
