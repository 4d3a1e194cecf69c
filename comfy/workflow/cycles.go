package workflow

import (
	"slices"

	"github.com/comfygate/comfygate/comfy"
)

// cycles returns the groups of nodes that need each other in a circle, each sorted, in the order of their first.
// It is Tarjan's search for strongly connected components on a stack of its own, since a graph may be deep.
func cycles(g comfy.Graph, ids []string) [][]string {
	s := &search{graph: g, index: make(map[string]int, len(ids)), low: make(map[string]int, len(ids)), open: make(map[string]bool, len(ids))}
	for _, id := range ids {
		if s.index[id] == 0 {
			s.from(id)
		}
	}
	slices.SortFunc(s.loops, func(a, b []string) int { return compareIDs(a[0], b[0]) })
	return s.loops
}

type search struct {
	graph comfy.Graph
	index map[string]int // 1 = first visited; 0 = not yet
	low   map[string]int // the earliest that can be reached
	open  map[string]bool
	path  []string // visited, and not yet known to be of a finished component
	loops [][]string
}

// A visit is a node being visited, with the sources still to be looked at.
type visit struct {
	id   string
	todo []string
}

func (s *search) from(root string) {
	stack := []visit{s.enter(root)}
	for len(stack) > 0 {
		top := &stack[len(stack)-1]
		if len(top.todo) > 0 {
			next := top.todo[0]
			top.todo = top.todo[1:]
			if _, there := s.graph[next]; !there {
				continue
			}
			if s.index[next] == 0 {
				stack = append(stack, s.enter(next))
			} else if s.open[next] {
				s.low[top.id] = min(s.low[top.id], s.index[next])
			}
			continue
		}
		done := top.id
		stack = stack[:len(stack)-1]
		if len(stack) > 0 {
			parent := stack[len(stack)-1].id
			s.low[parent] = min(s.low[parent], s.low[done])
		}
		if s.low[done] == s.index[done] {
			s.leave(done)
		}
	}
}

func (s *search) enter(id string) visit {
	n := len(s.index) + 1
	s.index[id], s.low[id], s.open[id] = n, n, true
	s.path = append(s.path, id)
	return visit{id, sources(s.graph[id])}
}

// leave takes the component that began with id off the path, and keeps it when it is a circle.
func (s *search) leave(id string) {
	at := len(s.path) - 1
	for s.path[at] != id {
		at--
	}
	loop := slices.Clone(s.path[at:])
	s.path = s.path[:at]
	for _, member := range loop {
		s.open[member] = false
	}
	if len(loop) > 1 || slices.Contains(sources(s.graph[id]), id) {
		slices.SortFunc(loop, compareIDs)
		s.loops = append(s.loops, loop)
	}
}
