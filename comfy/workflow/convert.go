package workflow

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
)

// Convert returns the document as a graph for a server that has info: a graph in the API format as it is, one of the editor's as the
// editor itself would send it. Subgraphs are put in the places of their instances; muted nodes fall away, and with them what cannot run
// without them; bypassed ones are led around. Whether the server takes the graph is for [Check].
// Errors are *UnknownClassError and *GraphError.
func (d *Document) Convert(info *comfy.ObjectInfo) (Converted, error) {
	if d.UI == nil {
		return Converted{Graph: d.Graph, Offers: Offers(d.Graph, info)}, nil
	}
	c := &converter{ui: d.UI, info: info, nodes: map[string]*built{}, fed: map[feed][]Target{}}
	top := &scope{level: d.UI.top, inner: map[string]*scope{}, given: map[string]map[string]any{}, fed: map[int]any{}}
	c.walk(top)
	if len(c.unknown) > 0 {
		return Converted{}, &UnknownClassError{c.unknown}
	}
	for _, b := range c.order {
		if err := c.build(b); err != nil {
			return Converted{}, err
		}
	}
	c.prune()
	g := comfy.Graph{}
	for id, b := range c.nodes {
		g[id] = b.out
	}
	if len(g) == 0 {
		return Converted{}, bad("nothing of the workflow runs: it has no nodes, or all are muted, bypassed or need one that is")
	}
	return Converted{Graph: g, Offers: c.offers(top, g), Files: c.hints(), Notes: c.notes}, nil
}

// A built is a node on its way into the graph.
type built struct {
	scope *scope
	node  *uiNode
	class *comfy.Class
	out   comfy.Node
	dead  bool // it needs an input that was cut off
}

type converter struct {
	ui      *UI
	info    *comfy.ObjectInfo
	nodes   map[string]*built
	order   []*built
	unknown []UnknownClass
	notes   []string
	hops    int               // taken so far, by all links
	fed     map[feed][]Target // where the values of instances went
}

// walk collects the nodes that run, in a level and in the instances in it.
func (c *converter) walk(s *scope) {
	for _, n := range s.nodes {
		switch {
		case n.off(), n.note(), n.class == classReroute, n.class == classPrimitive:
		case c.ui.subs[n.class] != nil:
			c.walk(c.enter(s, n))
		default:
			class := classOf(c.info, n.class)
			if class == nil {
				c.miss(s, n)
				continue
			}
			b := &built{scope: s, node: n, class: class}
			c.nodes[s.id(n)] = b
			c.order = append(c.order, b)
		}
	}
}

// maxUnknown bounds the classes that are named as missing.
const maxUnknown = 50

// miss keeps a class that the server lacks, once.
func (c *converter) miss(s *scope, n *uiNode) {
	name := cut(n.class)
	if len(c.unknown) < maxUnknown && !slices.ContainsFunc(c.unknown, func(u UnknownClass) bool { return u.Class == name }) {
		c.unknown = append(c.unknown, UnknownClass{Class: name, Node: s.id(n), Package: n.origin})
	}
}

// build writes one node.
func (c *converter) build(b *built) error {
	links, values := map[string]any{}, valuesOf(b.scope, b.node, b.class)
	for i := range b.node.inputs {
		in := &b.node.inputs[i]
		if in.link == "" {
			continue
		}
		from, err := c.source(b.scope, in.link, in.kind)
		if err != nil {
			return bad("node %s, input %s: %s", short(b.scope.id(b.node)), short(in.name), err)
		}
		switch from.kind {
		case sourceOutput:
			links[in.name] = comfy.Link{Node: from.scope.id(from.node), Slot: from.slot}
		case sourceValue:
			values[in.name] = from.value
			c.fed[from.host] = append(c.fed[from.host], Target{b.scope.id(b.node), in.name})
		case sourceCut:
			b.dead = b.dead || vital(b.class, in.name)
		case sourceNone:
		}
	}
	b.out = comfy.Node{ClassType: b.class.Name, Inputs: settled(b.class, values, func(name string) bool { return links[name] != nil })}
	maps.Copy(b.out.Inputs, links)
	if b.node.title != "" && b.node.title != b.class.DisplayName {
		b.out.Meta = &comfy.NodeMeta{Title: label(b.node.title)}
	}
	return nil
}

// valuesOf returns what a node's widgets have by the file, and over it what an instance around says.
func valuesOf(s *scope, n *uiNode, class *comfy.Class) map[string]any {
	values := maps.Clone(n.named)
	if n.values != nil || values == nil {
		values = spread(class, n.values)
	}
	maps.Copy(values, s.given[n.id])
	return values
}

// vital reports whether a node cannot run without an input that nothing but a link can give.
func vital(class *comfy.Class, name string) bool {
	in := class.Input(name)
	return in != nil && in.Required && !in.Widget && !composed(in.Type)
}

// prune takes away the nodes that need what was cut off, and those that need these, and the links that then lead nowhere.
func (c *converter) prune() {
	type use struct {
		by    *built
		input string
	}
	needed := map[string][]use{}
	var todo []*built
	for _, b := range c.order {
		for name, v := range b.out.Inputs {
			if l, ok := v.(comfy.Link); ok {
				needed[l.Node] = append(needed[l.Node], use{b, name})
			}
		}
		if b.dead {
			todo = append(todo, b)
		}
	}
	var gone []string
	for len(todo) > 0 {
		b := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		id := b.scope.id(b.node)
		delete(c.nodes, id)
		gone = append(gone, fmt.Sprintf("%s (%s)", id, b.class.Name))
		for _, u := range needed[id] {
			delete(u.by.out.Inputs, u.input)
			if vital(u.by.class, u.input) && !u.by.dead {
				u.by.dead = true
				todo = append(todo, u.by)
			}
		}
	}
	if len(gone) > 0 {
		slices.SortFunc(gone, compareIDs)
		const most = 10
		more := ""
		if len(gone) > most {
			more = fmt.Sprintf(" and %d more", len(gone)-most)
		}
		c.notes = append(c.notes, "Left out, as they need nodes that are muted or bypassed: "+strings.Join(gone[:min(len(gone), most)], ", ")+more+".")
	}
}

// hints returns the model files that the nodes that run name.
func (c *converter) hints() []ModelFileHint {
	var files []ModelFileHint
	for _, b := range c.nodes {
		files = append(files, b.node.files...)
	}
	return sortedHints(files)
}

// Hints returns the model files that all nodes of the document name, also those that do not run. A graph in the API format names none.
func (d *Document) Hints() []ModelFileHint {
	if d.UI == nil {
		return nil
	}
	levels := []*level{d.UI.top}
	for _, s := range d.UI.subs {
		levels = append(levels, s.level)
	}
	var files []ModelFileHint
	for _, l := range levels {
		for _, n := range l.nodes {
			files = append(files, n.files...)
		}
	}
	return sortedHints(files)
}

// sortedHints sorts by folder and name, and keeps one of each.
func sortedHints(files []ModelFileHint) []ModelFileHint {
	slices.SortFunc(files, func(a, b ModelFileHint) int {
		return cmp.Or(strings.Compare(a.Folder, b.Folder), strings.Compare(a.Name, b.Name), strings.Compare(a.URL, b.URL))
	})
	return slices.CompactFunc(files, func(a, b ModelFileHint) bool { return a.Folder == b.Folder && a.Name == b.Name })
}
