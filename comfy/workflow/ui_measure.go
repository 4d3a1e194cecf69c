package workflow

import (
	"maps"
	"slices"
)

// measure refuses a workflow that would be too large once its subgraphs are put in the places of their instances. No instance is
// followed more than once for each definition, so that a file that multiplies itself costs nothing.
func (ui *UI) measure() error {
	m := &measuring{ui: ui, known: map[string]measured{}}
	total, err := m.level(ui.top, 0)
	if err != nil {
		return err
	}
	if total.nodes > MaxGraphNodes {
		return bad("the workflow has more than %d nodes, those of its subgraphs counted once for each use", MaxGraphNodes)
	}
	return nil
}

// A measured is how many nodes a level comes to, and how many levels deep it is.
type measured struct{ nodes, depth int }

type measuring struct {
	ui    *UI
	known map[string]measured
	open  []string // definitions that are being measured
}

func (m *measuring) level(l *level, depth int) (measured, error) {
	if depth > maxInstanceDepth {
		return measured{}, bad("subgraphs are nested more than %d deep", maxInstanceDepth)
	}
	total := measured{nodes: len(l.nodes)}
	for _, n := range l.nodes {
		s := m.ui.subs[n.class]
		if s == nil {
			continue
		}
		inner, err := m.subgraph(s, depth+1)
		if err != nil {
			return measured{}, err
		}
		total.nodes = min(total.nodes+inner.nodes, MaxGraphNodes+1)
		total.depth = max(total.depth, inner.depth+1)
	}
	return total, nil
}

func (m *measuring) subgraph(s *subgraph, depth int) (measured, error) {
	if slices.Contains(m.open, s.id) {
		return measured{}, bad("the subgraph %s contains itself", short(s.name))
	}
	if known, ok := m.known[s.id]; ok {
		if depth+known.depth > maxInstanceDepth {
			return measured{}, bad("subgraphs are nested more than %d deep", maxInstanceDepth)
		}
		return known, nil
	}
	m.open = append(m.open, s.id)
	total, err := m.level(s.level, depth)
	m.open = m.open[:len(m.open)-1]
	if err == nil {
		m.known[s.id] = total
		m.ui.show(s)
	}
	return total, err
}

// show tells the inputs of a subgraph that lead to widgets, by slot. Those of the subgraphs within are known already.
func (ui *UI) show(sub *subgraph) {
	sub.shownAt = map[int]shown{}
	for _, n := range sub.nodes {
		for i := range n.inputs {
			in := &n.inputs[i]
			link, ok := sub.links[in.link]
			if !ok || link.from != inputSide || link.fromSlot >= len(sub.inputs) || !in.widget && !ui.shows(n, in.name) {
				continue
			}
			ids := sub.inputs[link.fromSlot].links
			if _, there := sub.shownAt[link.fromSlot]; !there || len(ids) > 0 && ids[0] == in.link {
				sub.shownAt[link.fromSlot] = shown{link.fromSlot, n, in.name}
			}
		}
	}
	for _, slot := range slices.Sorted(maps.Keys(sub.shownAt)) {
		sub.shown = append(sub.shown, sub.shownAt[slot])
	}
}

// shows reports whether an instance's input leads to a widget.
func (ui *UI) shows(n *uiNode, input string) bool {
	sub := ui.subs[n.class]
	if sub == nil {
		return false
	}
	slot, there := sub.slots[input]
	_, leads := sub.shownAt[slot]
	return there && leads
}
