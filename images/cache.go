package images

import (
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
}

func newCache(limit int) *cache {
	c := &cache{max: limit}
	// The count never bounds: every rendition has at least a byte.
	c.lru, _ = simplelru.NewLRU(limit, func(_ rendering, r Rendition) { c.size -= len(r.Data) })
	return c
}

func (c *cache) get(k rendering) (Rendition, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Get(k)
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
