package images

import (
	"context"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// cacheBytes bounds what a store's cache of renditions holds: about a hundred previews.
const cacheBytes = 8 << 20

// A cache holds the latest renditions, bounded by their bytes. It is safe for concurrent use.
type cache struct {
	mu   sync.Mutex
	lru  *simplelru.LRU[rendering, Rendition]
	size int
	max  int
	busy map[rendering]chan struct{} // being drawn; closed when they are, or failed
}

func newCache(limit int) *cache {
	c := &cache{max: limit, busy: make(map[rendering]chan struct{})}
	// The count never bounds: every rendition has at least a byte.
	c.lru, _ = simplelru.NewLRU(limit, func(_ rendering, r Rendition) { c.size -= len(r.Data) })
	return c
}

// claim returns k, or whose turn it is to draw it: with done the caller's, who calls it when k was put or failed. Who wants the same
// meanwhile waits, until ctx ends.
func (c *cache) claim(ctx context.Context, k rendering) (r Rendition, done func(), err error) {
	for {
		c.mu.Lock()
		r, found := c.lru.Get(k)
		drawn, busy := c.busy[k]
		if !found && !busy {
			drawn = make(chan struct{})
			c.busy[k] = drawn
		}
		c.mu.Unlock()
		switch {
		case found:
			return r, nil, nil
		case !busy:
			return r, func() { c.release(k, drawn) }, nil
		}
		select {
		case <-drawn:
		case <-ctx.Done():
			return r, nil, context.Cause(ctx)
		}
	}
}

func (c *cache) release(k rendering, drawn chan struct{}) {
	c.mu.Lock()
	delete(c.busy, k)
	c.mu.Unlock()
	close(drawn)
}

// put notes r, unless it would push out most of the others.
func (c *cache) put(k rendering, r Rendition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(r.Data) > c.max/4 || c.lru.Contains(k) {
		return
	}
	c.lru.Add(k, r)
	for c.size += len(r.Data); c.size > c.max; {
		c.lru.RemoveOldest()
	}
}
