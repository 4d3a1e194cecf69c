package comfy

import (
	"context"
	"sync"
	"time"
)

const (
	cacheAge  = time.Minute // of lists and classes; ComfyUI notices a new file on the next request (CLIENT-FAIL-22)
	cacheKeys = 512         // of one cache; past it everything is forgotten, for who asks for so many asks for rubbish
)

// A starter runs a function beside its caller; see [Client.background].
type starter = func(context.Context, func(context.Context)) error

// A cache keeps answers for cacheAge. Concurrent callers of one key share one request, which goes on when one of them leaves.
// Errors are not kept. The values must not be changed.
type cache[T any] struct {
	start starter
	mu    sync.Mutex
	cells map[string]*cell[T]
	most  int // keys; 0 means cacheKeys
}

type cell[T any] struct {
	done  chan struct{}
	value T
	err   error
	until time.Time
}

func (c *cache[T]) get(ctx context.Context, key string, load func(context.Context) (T, error)) (T, error) {
	cell, err := c.cell(ctx, key, load)
	if err != nil {
		var zero T
		return zero, err
	}
	select {
	case <-cell.done:
		return cell.value, cell.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}

func (c *cache[T]) cell(ctx context.Context, key string, load func(context.Context) (T, error)) (*cell[T], error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.cells[key]; have != nil && have.fresh() {
		return have, nil
	}
	if c.cells == nil || len(c.cells) >= orDefault(c.most, cacheKeys) {
		c.cells = make(map[string]*cell[T])
	}
	fresh := &cell[T]{done: make(chan struct{})}
	err := c.start(ctx, func(ctx context.Context) {
		defer close(fresh.done)
		fresh.value, fresh.err = load(ctx)
		fresh.until = time.Now().Add(cacheAge)
	})
	if err != nil {
		return nil, err
	}
	c.cells[key] = fresh
	return fresh, nil
}

// fresh reports whether the cell can still serve: being loaded, or loaded well and lately.
func (c *cell[T]) fresh() bool {
	select {
	case <-c.done:
		return c.err == nil && time.Now().Before(c.until)
	default:
		return true
	}
}

// forget drops everything; a load under way still serves those who wait for it.
func (c *cache[T]) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cells = nil
}
