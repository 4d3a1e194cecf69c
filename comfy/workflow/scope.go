package workflow

import (
	"slices"
	"strings"
)

// A scope is one use of a level: the workflow itself, or a subgraph in the place of one of its instances. Nodes of the workflow keep
// their ids; node 12 of instance 57 becomes 57:12.
type scope struct {
	*level
	sub      *subgraph // nil for the workflow itself, as are parent and instance
	parent   *scope
	instance *uiNode
	prefix   string
	inner    map[string]*scope         // by instance
	given    map[string]map[string]any // node → widget → the value that an instance has for it
	fed      map[int]any               // by slot of the input side: the value that the instance has for its own input
}

func (s *scope) id(n *uiNode) string { return s.prefix + n.id }

// enter returns the scope of an instance that runs.
func (c *converter) enter(s *scope, instance *uiNode) *scope {
	if inner := s.inner[instance.id]; inner != nil {
		return inner
	}
	sub := c.ui.subs[instance.class]
	inner := &scope{
		level: sub.level, sub: sub, parent: s, instance: instance, prefix: s.prefix + instance.id + ":",
		inner: map[string]*scope{}, given: map[string]map[string]any{}, fed: map[int]any{},
	}
	s.inner[instance.id] = inner
	host(inner)
	return inner
}

// host gives a scope the values that its instance has for it: one for each proxy in turn, or for each input with a widget in turn, then
// those that are kept by name, and over all what the scope around says.
func host(s *scope) {
	for i, p := range s.turns() {
		if i < len(s.instance.values) {
			s.put(p.node, p.widget, s.instance.values[i])
		}
	}
	for _, named := range []map[string]any{s.instance.named, s.instance.hosted} {
		for name, v := range named {
			s.put("-1", name, v)
		}
	}
	around := s.parent.given[s.instance.id]
	for _, p := range s.instance.proxies {
		if v, there := around[p.widget]; there && s.slot(p.widget) < 0 {
			s.put(p.node, p.widget, v)
		}
	}
	for name, v := range around {
		s.put("-1", name, v)
	}
}

// turns returns what the values of an instance are for, in their order.
func (s *scope) turns() []proxy {
	if len(s.instance.proxies) > 0 {
		return s.instance.proxies
	}
	list := make([]proxy, 0, len(s.sub.shown))
	for _, shown := range s.sub.shown {
		list = append(list, proxy{"-1", s.sub.inputs[shown.slot].name})
	}
	return list
}

// put keeps a value for a widget of a node, or, where that is -1, for an input of the instance. Null keeps what is inside.
func (s *scope) put(node, widget string, v any) {
	switch slot := s.slot(widget); {
	case v == nil || node == "":
	case node != "-1":
		if s.given[node] == nil {
			s.given[node] = map[string]any{}
		}
		s.given[node][widget] = v
	case slot >= 0:
		s.fed[slot] = v
	}
}

// slot returns the slot of the input side that has a name, or -1.
func (s *scope) slot(name string) int {
	if s.sub == nil {
		return -1
	}
	if slot, there := s.sub.slots[name]; there {
		return slot
	}
	return -1
}

// hosted returns the value that an instance has for an unlinked input: its own, or what the first widget within has; nil where there is none.
func (c *converter) hosted(s *scope, slot int) any {
	if v, ok := s.fed[slot]; ok {
		return v
	}
	var v any
	if first, there := s.sub.shownAt[slot]; there {
		switch class := classOf(c.info, first.node.class); {
		case c.ui.subs[first.node.class] != nil && !first.node.off():
			inner := c.enter(s, first.node)
			v = c.hosted(inner, inner.slot(first.widget))
		case class != nil:
			v = valuesOf(s, first.node, class)[first.widget]
		}
	}
	s.fed[slot] = v
	return v
}

// A source is what feeds an input: a node's output, a value, or nothing.
type source struct {
	kind  sourceKind
	scope *scope
	node  *uiNode
	slot  int
	value any
	host  feed // of a value: the instance that has it; none for a primitive
}

type sourceKind int

const (
	sourceNone   sourceKind = iota // nothing was ever linked
	sourceCut                      // what was linked is muted, or bypassed without another way
	sourceOutput                   // of a node that runs
	sourceValue
)

// source follows a link, of a level, to what feeds it, through subgraphs, reroutes and bypassed nodes. want is the type of the input.
func (c *converter) source(s *scope, id, want string) (source, error) {
	none := sourceNone
	link, there := s.links[id]
	for hop := 0; hop < maxHops && c.hops < maxAllHops; hop++ {
		c.hops++
		if !there {
			return source{kind: none}, nil
		}
		if link.from == inputSide {
			outer := s.outer(link.fromSlot)
			if outer == "" {
				return c.unlinked(s, link.fromSlot, none), nil
			}
			s = s.parent
			link, there = s.links[outer]
			continue
		}
		n := s.byID[link.from]
		switch {
		case n == nil:
			return source{kind: none}, nil
		case n.mode == modeMuted:
			return source{kind: sourceCut}, nil
		case n.class == classReroute:
			link, there = s.through(n, 0)
		case n.mode == modeBypassed:
			none = sourceCut
			way := bypass(n, link.fromSlot, want)
			if way >= 0 && n.inputs[way].kind != "" {
				want = n.inputs[way].kind
			}
			link, there = s.through(n, way)
		case n.class == classPrimitive:
			return primitive(n), nil
		case c.ui.subs[n.class] != nil:
			slot := outputOf(c.ui.subs[n.class], n, link.fromSlot)
			s = c.enter(s, n)
			link, there = s.ends[slot]
		default:
			return source{kind: sourceOutput, scope: s, node: n, slot: link.fromSlot}, nil
		}
	}
	return source{}, bad("its link leads in a circle, or through too many nodes")
}

// outer returns the id of the link, of the level around, into the instance's input for a slot; empty when none is linked.
func (s *scope) outer(slot int) string {
	if s.sub == nil || slot >= len(s.sub.inputs) {
		return ""
	}
	if in := s.instance.input(s.sub.inputs[slot].name); in != nil {
		return in.link
	}
	return ""
}

// unlinked returns the value that an instance has for a slot whose input is not linked.
func (c *converter) unlinked(s *scope, slot int, none sourceKind) source {
	if s.sub != nil {
		if v := c.hosted(s, slot); v != nil {
			return source{kind: sourceValue, value: v, host: feed{s, slot}}
		}
	}
	return source{kind: none}
}

// through returns the link into an input of n.
func (s *scope) through(n *uiNode, input int) (uiLink, bool) {
	if input < 0 || input >= len(n.inputs) {
		return uiLink{}, false
	}
	link, there := s.links[n.inputs[input].link]
	return link, there
}

func primitive(n *uiNode) source {
	if len(n.values) == 0 || n.values[0] == nil {
		return source{}
	}
	return source{kind: sourceValue, value: n.values[0]}
}

// outputOf returns the slot of the output side that an instance's output stands for: that of its name, or else of its place.
func outputOf(sub *subgraph, n *uiNode, slot int) int {
	if slot < len(n.outputs) {
		if i := slices.IndexFunc(sub.outputs, func(p uiPort) bool { return p.name == n.outputs[slot].name }); i >= 0 {
			return i
		}
	}
	return slot
}

// bypass returns the input that stands in for an output of a bypassed node, as in the editor: the one of the same place if its type
// fits, else the first of the wanted type, else the first that fits; or -1.
func bypass(n *uiNode, slot int, want string) int {
	out := anyType
	if slot < len(n.outputs) {
		out = n.outputs[slot].kind
	}
	if want == anyType || want == "" {
		if slot < len(n.inputs) {
			return slot
		}
		return min(0, len(n.inputs)-1)
	}
	fits := func(in uiInput) bool { return alike(in.kind, out) && alike(in.kind, want) }
	if slot < len(n.inputs) && fits(n.inputs[slot]) {
		return slot
	}
	if i := slices.IndexFunc(n.inputs, func(in uiInput) bool { return in.kind == want }); i >= 0 {
		return i
	}
	return slices.IndexFunc(n.inputs, fits)
}

// alike reports whether the editor lets sockets of two types be linked.
func alike(a, b string) bool {
	if a == b || a == "" || b == "" || a == anyType || b == anyType {
		return true
	}
	have := strings.Split(strings.ToLower(a), ",")
	return slices.ContainsFunc(strings.Split(strings.ToLower(b), ","), func(t string) bool { return slices.Contains(have, t) })
}
