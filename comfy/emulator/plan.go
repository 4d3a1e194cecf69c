package emulator

import "slices"

// plan is the order in which ComfyUI runs the nodes of a graph: what is ready is
// taken in the order of discovery, but an output node first, then what feeds one,
// then what feeds that.
type plan struct {
	graph    *object
	isOutput func(id string) bool
	isCached func(id string) bool

	pending []string            // in the order of discovery
	blocked map[string]int      // how many nodes a node waits for
	feeds   map[string][]string // the nodes that wait for a node
}

func newPlan(graph *object, isOutput, isCached func(string) bool) *plan {
	return &plan{
		graph: graph, isOutput: isOutput, isCached: isCached,
		blocked: map[string]int{}, feeds: map[string][]string{},
	}
}

// add takes in an output node and whatever upstream of it has to run.
func (p *plan) add(output string) {
	type edge struct{ from, to string }
	var links []edge
	stack := []string{output}
	for len(stack) > 0 {
		id := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if _, known := p.blocked[id]; known {
			continue
		}
		p.pending = append(p.pending, id)
		p.blocked[id] = 0
		for _, from := range p.upstream(id) {
			if !p.isCached(from) {
				stack = append(stack, from)
				links = append(links, edge{from, id})
			}
		}
	}
	for _, l := range links {
		if !slices.Contains(p.feeds[l.from], l.to) {
			p.feeds[l.from] = append(p.feeds[l.from], l.to)
			p.blocked[l.to]++
		}
	}
}

// upstream names the nodes that a node's inputs link to, in the inputs' order.
func (p *plan) upstream(id string) []string {
	node, _ := p.graph.vals[id].(*object)
	raw, _ := node.get("inputs")
	inputs, _ := raw.(*object)
	if inputs == nil {
		return nil
	}
	var ids []string
	for _, key := range inputs.keys {
		if from, _, ok := asLink(inputs.vals[key]); ok {
			ids = append(ids, from)
		}
	}
	return ids
}

// next takes the node to run now; "" when all have run.
func (p *plan) next() string {
	var ready []string
	for _, id := range p.pending {
		if p.blocked[id] == 0 {
			ready = append(ready, id)
		}
	}
	if len(ready) == 0 {
		return ""
	}
	return p.choose(ready)
}

func (p *plan) choose(ready []string) string {
	for depth := range 3 {
		for _, id := range ready {
			if p.feedsOutput(id, depth) {
				return id
			}
		}
	}
	return ready[0]
}

// feedsOutput says whether a node is an output node, depth links away.
func (p *plan) feedsOutput(id string, depth int) bool {
	if depth == 0 {
		return p.isOutput(id)
	}
	for _, to := range p.feeds[id] {
		if p.feedsOutput(to, depth-1) {
			return true
		}
	}
	return false
}

// done takes out a node that has run.
func (p *plan) done(id string) {
	p.pending = slices.DeleteFunc(p.pending, func(other string) bool { return other == id })
	for _, to := range p.feeds[id] {
		p.blocked[to]--
	}
	delete(p.feeds, id)
}
