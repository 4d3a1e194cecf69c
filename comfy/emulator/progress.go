package emulator

// nodeProgress is how far one node is. value and max are shown as Python has
// them: floats where nothing was reported.
type nodeProgress struct {
	id         string
	value, max any
	state      string // "running", "finished"
}

// progress is how far the nodes of a job are, in the order in which they began.
type progress struct {
	job   string
	nodes []*nodeProgress
	send  func(event string, data any)
}

func (p *progress) node(id string) *nodeProgress {
	for _, n := range p.nodes {
		if n.id == id {
			return n
		}
	}
	n := &nodeProgress{id: id, value: 0, max: 1}
	p.nodes = append(p.nodes, n)
	return n
}

func (p *progress) start(id string) {
	n := p.node(id)
	n.state, n.value, n.max = "running", pyFloat(0), pyFloat(1)
	p.tell()
}

func (p *progress) update(id string, value, highest int) {
	n := p.node(id)
	n.state, n.value, n.max = "running", value, highest
	p.tell()
}

func (p *progress) finish(id string) {
	n := p.node(id)
	n.state, n.value = "finished", n.max
	p.tell()
}

func (p *progress) tell() {
	nodes := obj()
	for _, n := range p.nodes {
		state := obj(pair{"value", n.value}, pair{"max", n.max}, pair{"state", n.state}, pair{"node_id", n.id},
			pair{"prompt_id", p.job})
		for _, more := range nodePlace(n.id) {
			state.set(more.key, more.val)
		}
		nodes.set(n.id, state)
	}
	p.send("progress_state", obj(pair{"prompt_id", p.job}, pair{"nodes", nodes}))
}

// nodePlace says where a node stands: no node of the emulator makes others, so
// that every node is its own.
func nodePlace(id string) []pair {
	return []pair{{"display_node_id", id}, {"parent_node_id", nil}, {"real_node_id", id}}
}
