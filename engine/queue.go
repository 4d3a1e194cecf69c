package engine

import "context"

// An Item is one thing that waits: an id, whose it is, and what it costs in megapixel-steps (0: unknown).
type Item struct {
	Owner, ID string
	Cost      float64
}

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
