package workflow

import (
	"sync"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/policy"
)

// A learnt is what a catalog found out of the files and nodes of a server, for as long as the server's nodes are the same list: that
// changes once a minute, and with it goes what was learnt of files that are no more. It is safe for concurrent use.
type learnt struct {
	info *comfy.ObjectInfo

	mu    sync.Mutex
	told  map[hit]*recipe      // by name; nil for what no name tells
	lacks map[*recipe][]string // of families whose files are there
}

// learn returns what was learnt of the server that has info; without a list nothing is kept.
func (c *Catalog) learn(info *comfy.ObjectInfo) *learnt {
	if known := c.learnt.Load(); known != nil && known.info == info {
		return known
	}
	fresh := &learnt{info: info, told: make(map[hit]*recipe), lacks: make(map[*recipe][]string)}
	if info != nil {
		c.learnt.Store(fresh)
	}
	return fresh
}

// recipe returns what h's name tells.
func (l *learnt) recipe(h hit, tell func(policy.Kind, string) *recipe) *recipe {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, known := l.told[h]
	if !known {
		r = tell(h.kind, h.file.Name)
		l.told[h] = r
	}
	return r
}

// lack returns what the server lacks for r.
func (l *learnt) lack(r *recipe, look func() []string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	lacks, known := l.lacks[r]
	if !known {
		lacks = look()
		l.lacks[r] = lacks
	}
	return lacks
}
