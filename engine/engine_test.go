package engine_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/comfygate/comfygate/engine"
)

// ENG-01: of two who write from the same revision, one is refused.
func TestMemory_ENG01_compareAndSet(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	kv := engine.NewMemory[string](8)
	first, err := kv.Create(ctx, "a", "one")
	if err != nil || first == 0 {
		t.Fatalf("Create = %d, %v", first, err)
	}
	if _, err := kv.Create(ctx, "a", "again"); !errors.Is(err, engine.ErrExists) {
		t.Errorf("Create of what is there: %v", err)
	}
	second, err := kv.Update(ctx, "a", "two", first)
	if err != nil || second <= first {
		t.Errorf("Update = %d, %v", second, err)
	}
	if _, err := kv.Update(ctx, "a", "late", first); !errors.Is(err, engine.ErrRevision) {
		t.Errorf("Update from an old revision: %v", err)
	}
	if got, err := kv.Get(ctx, "a"); err != nil || got.Value != "two" || got.Revision != second {
		t.Errorf("Get = %+v, %v", got, err)
	}
	if err := kv.Delete(ctx, "a"); err != nil {
		t.Error(err)
	}
	if _, err := kv.Get(ctx, "a"); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("Get of what is gone: %v", err)
	}
	if _, err := kv.Update(ctx, "a", "three", second); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("Update of what is gone: %v", err)
	}
	if err := kv.Delete(ctx, "a"); err != nil {
		t.Errorf("Delete of what is gone: %v", err)
	}
	if third, err := kv.Create(ctx, "a", "new"); err != nil || third <= second {
		t.Errorf("made anew it has revision %d, %v: one that was seen before", third, err)
	}
}

func TestMemory_race(t *testing.T) {
	t.Parallel()
	kv := engine.NewMemory[int](1)
	revision, err := kv.Create(t.Context(), "n", 0)
	if err != nil {
		t.Fatal(err)
	}
	var won sync.Map
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if _, err := kv.Update(t.Context(), "n", i, revision); err == nil {
				won.Store(i, true)
			}
		})
	}
	wg.Wait()
	winners := 0
	won.Range(func(any, any) bool { winners++; return true })
	if winners != 1 {
		t.Errorf("%d of 50 writers won, want 1", winners)
	}
}

func TestMemory_bounded(t *testing.T) {
	t.Parallel()
	kv := engine.NewMemory[int](2)
	for i := range 3 {
		_, err := kv.Create(t.Context(), fmt.Sprint(i), i)
		if full := errors.Is(err, engine.ErrFull); full != (i == 2) {
			t.Errorf("entry %d: %v", i, err)
		}
	}
}

func TestMemory_list(t *testing.T) {
	t.Parallel()
	kv := engine.NewMemory[int](9)
	for i, key := range []string{"b/2", "a/1", "b/1", "ba/1"} {
		if _, err := kv.Create(t.Context(), key, i); err != nil {
			t.Fatal(err)
		}
	}
	found, err := kv.List(t.Context(), "b/")
	if err != nil || len(found) != 2 || found[0].Key != "b/1" || found[1].Key != "b/2" {
		t.Errorf("List = %+v, %v", found, err)
	}
}

func TestLines_bounded(t *testing.T) {
	t.Parallel()
	q := engine.NewLines(1)
	ctx := t.Context()
	if err := q.Push(ctx, engine.Item{Owner: "a", ID: "1"}); err != nil {
		t.Fatal(err)
	}
	if err := q.Push(ctx, engine.Item{Owner: "b", ID: "2"}); !errors.Is(err, engine.ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	it, ok, err := q.Take(ctx, func(string) bool { return true })
	if !ok || err != nil {
		t.Fatal(it, ok, err)
	}
	if err := q.Push(ctx, engine.Item{Owner: "b", ID: "2"}); err != nil {
		t.Errorf("after a Take there is room: %v", err)
	}
	if err := q.Return(ctx, it); err != nil {
		t.Errorf("what was taken may always come back: %v", err)
	}
}

// A model of the queue: owners in turn, each with a list.
type model struct {
	turns []string
	lists map[string][]string
}

func (m *model) take(may func(string) bool) (engine.Item, bool) {
	for i, owner := range m.turns {
		if !may(owner) {
			continue
		}
		it := engine.Item{Owner: owner, ID: m.lists[owner][0]}
		m.lists[owner] = m.lists[owner][1:]
		m.turns = slices.Delete(m.turns, i, i+1)
		if len(m.lists[owner]) > 0 {
			m.turns = append(m.turns, owner)
		}
		return it, true
	}
	return engine.Item{}, false
}

func (m *model) copy() *model {
	c := &model{turns: slices.Clone(m.turns), lists: make(map[string][]string)}
	for owner, list := range m.lists {
		c.lists[owner] = slices.Clone(list)
	}
	return c
}

// position plays the queue forward until it comes to it.
func (m *model) position(it engine.Item) int {
	c := m.copy()
	for n := 1; ; n++ {
		switch next, ok := c.take(func(string) bool { return true }); {
		case !ok:
			return 0
		case next == it:
			return n
		}
	}
}

// REL-04, LIM-09: the queue against its model. Owners in turn is the fairness; positions are what will happen.
func TestLines_LIM09_model(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		ctx := t.Context()
		q := engine.NewLines(1000)
		m := &model{lists: make(map[string][]string)}
		owner := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		var known []engine.Item
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				it := engine.Item{Owner: owner.Draw(t, "owner"), ID: fmt.Sprint(len(known))}
				known = append(known, it)
				if err := q.Push(ctx, it); err != nil {
					t.Fatal(err)
				}
				if len(m.lists[it.Owner]) == 0 {
					m.turns = append(m.turns, it.Owner)
				}
				m.lists[it.Owner] = append(m.lists[it.Owner], it.ID)
			},
			"take": func(t *rapid.T) {
				not, back := owner.Draw(t, "not"), rapid.Bool().Draw(t, "back")
				may := func(o string) bool { return o != not }
				before := m.copy()
				want, wantOK := m.take(may)
				got, ok, err := q.Take(ctx, may)
				if err != nil || ok != wantOK || got != want {
					t.Fatalf("Take = %v, %v, %v, want %v, %v", got, ok, err, want, wantOK)
				}
				if !ok || !back {
					return
				}
				if err := q.Return(ctx, got); err != nil {
					t.Fatal(err)
				}
				*m = *before
				i := slices.Index(m.turns, got.Owner) // what is returned is next
				m.turns = slices.Insert(slices.Delete(m.turns, i, i+1), 0, got.Owner)
			},
			"remove": func(t *rapid.T) {
				if len(known) == 0 {
					return
				}
				it := rapid.SampledFrom(known).Draw(t, "item")
				i := slices.Index(m.lists[it.Owner], it.ID)
				ok, err := q.Remove(ctx, it)
				if err != nil || ok != (i >= 0) {
					t.Fatalf("Remove = %v, %v, want %v", ok, err, i >= 0)
				}
				if !ok {
					return
				}
				m.lists[it.Owner] = slices.Delete(m.lists[it.Owner], i, i+1)
				if len(m.lists[it.Owner]) == 0 {
					turn := slices.Index(m.turns, it.Owner)
					m.turns = slices.Delete(m.turns, turn, turn+1)
				}
			},
			"": func(t *rapid.T) {
				for _, it := range known {
					if got, err := q.Position(ctx, it); err != nil || got != m.position(it) {
						t.Fatalf("Position(%v) = %d, %v, want %d", it, got, err, m.position(it))
					}
				}
			},
		})
	})
}
