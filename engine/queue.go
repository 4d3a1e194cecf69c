package engine

import (
	"context"
	"slices"
	"sync"
)

// An Item is one thing that waits: an id, and whose it is.
type Item struct{ Owner, ID string }

// A Queue lines up items, in order within an owner and in turn between owners, so that one who asks for much does not
// hold up one who asks for little (LIM-09, T54). It is safe for concurrent use.
type Queue interface {
	// Push appends it to its owner's line: ErrFull when there is no room.
	Push(ctx context.Context, it Item) error
	// Take removes and returns the next item among the owners that may have one; false when there is none.
	Take(ctx context.Context, may func(owner string) bool) (Item, bool, error)
	// Return puts back an item that Take gave, in its old place: it is next again.
	Return(ctx context.Context, it Item) error
	// Remove takes it out of the line and reports whether it was there.
	Remove(ctx context.Context, it Item) (bool, error)
	// Position returns how many items would be taken up to and including it, were all owners allowed; 0 when it does not wait.
	Position(ctx context.Context, it Item) (int, error)
}

// Lines is a [Queue] in the memory of this process, of bounded size.
type Lines struct {
	max int

	mu    sync.Mutex
	size  int
	turns []string            // owners that wait, the next one first
	lines map[string][]string // by owner; never empty
}

// NewLines returns an empty queue that holds at most limit items.
func NewLines(limit int) *Lines { return &Lines{max: limit, lines: make(map[string][]string)} }

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
	q.lines[it.Owner] = append(q.lines[it.Owner], it.ID)
	q.size++
	return nil
}

// Take implements [Queue]. The owner served goes to the end of the turns; owners passed over keep their turn.
func (q *Lines) Take(_ context.Context, may func(owner string) bool) (Item, bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.IndexFunc(q.turns, may)
	if i < 0 {
		return Item{}, false, nil
	}
	owner := q.turns[i]
	it := Item{owner, q.lines[owner][0]}
	q.turns = slices.Delete(q.turns, i, i+1)
	if q.cut(owner, 0) {
		q.turns = append(q.turns, owner)
	}
	return it, true, nil
}

// cut removes the i-th item of owner and reports whether others are left. It leaves turns alone.
func (q *Lines) cut(owner string, i int) bool {
	q.size--
	q.lines[owner] = slices.Delete(q.lines[owner], i, i+1)
	if len(q.lines[owner]) > 0 {
		return true
	}
	delete(q.lines, owner)
	return false
}

// Return implements [Queue]. The bound does not apply: the item had its room before.
func (q *Lines) Return(_ context.Context, it Item) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if i := slices.Index(q.turns, it.Owner); i >= 0 {
		q.turns = slices.Delete(q.turns, i, i+1)
	}
	q.turns = slices.Insert(q.turns, 0, it.Owner)
	q.lines[it.Owner] = slices.Insert(q.lines[it.Owner], 0, it.ID)
	q.size++
	return nil
}

// Remove implements [Queue].
func (q *Lines) Remove(_ context.Context, it Item) (bool, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.lines[it.Owner], it.ID)
	if i < 0 {
		return false, nil
	}
	if !q.cut(it.Owner, i) {
		turn := slices.Index(q.turns, it.Owner)
		q.turns = slices.Delete(q.turns, turn, turn+1)
	}
	return true, nil
}

// Position implements [Queue]: every owner before it in turn goes once more than those after it.
func (q *Lines) Position(_ context.Context, it Item) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	round := slices.Index(q.lines[it.Owner], it.ID)
	if round < 0 {
		return 0, nil
	}
	position, passed := round+1, false
	for _, owner := range q.turns {
		switch {
		case owner == it.Owner:
			passed = true
		case passed:
			position += min(len(q.lines[owner]), round)
		default:
			position += min(len(q.lines[owner]), round+1)
		}
	}
	return position, nil
}
