package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
)

// Errors of both interfaces; test with errors.Is.
var (
	ErrNotFound = errors.New("no such key")
	ErrExists   = errors.New("key exists")
	ErrRevision = errors.New("another revision is stored") // somebody else has written since
	ErrFull     = errors.New("no room")
)

// An Entry is one stored value. Revision is never 0 and grows with each write of its key.
type Entry[V any] struct {
	Key      string
	Value    V
	Revision uint64
}

// A KV keeps values under keys, with compare-and-set. Values are immutable: neither side changes one after it was handed over.
// A KV is safe for concurrent use.
type KV[V any] interface {
	// Get returns the entry of key, or ErrNotFound.
	Get(ctx context.Context, key string) (Entry[V], error)
	// Create stores v under a new key: ErrExists when it is there, ErrFull when there is no room.
	Create(ctx context.Context, key string, v V) (revision uint64, err error)
	// Update replaces the value whose revision the caller has seen: ErrRevision when that is no longer the stored one.
	Update(ctx context.Context, key string, v V, revision uint64) (uint64, error)
	// Delete removes key; a key that is not there is no error.
	Delete(ctx context.Context, key string) error
	// List returns the entries whose keys begin with prefix, sorted by key.
	List(ctx context.Context, prefix string) ([]Entry[V], error)
}

// Memory is a [KV] in the memory of this process, of bounded size.
type Memory[V any] struct {
	max int

	mu      sync.Mutex
	last    uint64
	entries map[string]Entry[V]
}

// NewMemory returns an empty KV that holds at most limit entries.
func NewMemory[V any](limit int) *Memory[V] {
	return &Memory[V]{max: limit, entries: make(map[string]Entry[V])}
}

// Get implements [KV].
func (m *Memory[V]) Get(_ context.Context, key string) (Entry[V], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.entries[key]
	if !ok {
		return Entry[V]{}, ErrNotFound
	}
	return e, nil
}

// Create implements [KV].
func (m *Memory[V]) Create(_ context.Context, key string, v V) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.entries[key]; ok {
		return 0, ErrExists
	}
	if len(m.entries) >= m.max {
		return 0, ErrFull
	}
	return m.put(key, v), nil
}

// Update implements [KV].
func (m *Memory[V]) Update(_ context.Context, key string, v V, revision uint64) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch e, ok := m.entries[key]; {
	case !ok:
		return 0, ErrNotFound
	case e.Revision != revision:
		return 0, ErrRevision
	}
	return m.put(key, v), nil
}

// put is called with mu held. Revisions are one sequence for all keys, so that a key that was deleted and made anew does not repeat one.
func (m *Memory[V]) put(key string, v V) uint64 {
	m.last++
	m.entries[key] = Entry[V]{Key: key, Value: v, Revision: m.last}
	return m.last
}

// Delete implements [KV].
func (m *Memory[V]) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, key)
	return nil
}

// List implements [KV].
func (m *Memory[V]) List(_ context.Context, prefix string) ([]Entry[V], error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var found []Entry[V]
	for key, e := range m.entries {
		if strings.HasPrefix(key, prefix) {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b Entry[V]) int { return strings.Compare(a.Key, b.Key) })
	return found, nil
}
