package workflow

import (
	"cmp"
	"slices"

	"github.com/comfygate/comfygate/comfy"
)

// offers returns the inputs that the workflow's author shows on its subgraphs, with the author's words, and then those that are found.
// One that is found too has the name of what it is: an author's "text" that feeds the sampler's positive side is the prompt.
func (c *converter) offers(top *scope, g comfy.Graph) []Offer {
	found := findOffers(g, c.info)
	var list offerList
	for _, n := range top.nodes {
		if n.off() || c.ui.subs[n.class] == nil {
			continue
		}
		inner := c.enter(top, n)
		for _, shown := range inner.sub.shown {
			port := inner.sub.inputs[shown.slot]
			if in := n.input(port.name); in != nil && in.link != "" {
				continue
			}
			c.show(&list, g, wordFor(n, port), c.fed[feed{inner, shown.slot}])
		}
		for _, p := range n.proxies {
			c.show(&list, g, p.widget, c.proxied(inner, p, 0))
		}
	}
	for _, o := range list.list {
		list.merge(o, found)
	}
	for _, f := range found.list {
		f.Targets = slices.DeleteFunc(f.Targets, func(t Target) bool { return list.at[t] != nil })
		if len(f.Targets) > 0 && len(list.list) < maxOffers {
			list.list = append(list.list, f)
		}
	}
	c.nameSources(top, &list)
	return list.done()
}

// nameSources gives pictures that have no word of their own that of the instance's input which they go to: the first frame, the style.
func (c *converter) nameSources(top *scope, list *offerList) {
	words := map[string]string{} // by node
	for _, n := range top.nodes {
		sub := c.ui.subs[n.class]
		if n.off() || sub == nil {
			continue
		}
		for _, port := range sub.inputs {
			in := n.input(port.name)
			if in == nil || in.link == "" {
				continue
			}
			if from, err := c.source(top, in.link, in.kind); err == nil && from.kind == sourceOutput {
				id := from.scope.id(from.node)
				words[id] = cmp.Or(words[id], label(wordFor(n, port)))
			}
		}
	}
	for _, o := range list.list {
		if o.Kind == OfferPicture {
			o.Label = cmp.Or(o.Label, words[o.Targets[0].Node])
		}
	}
}

// A feed is an input of an instance that has a value.
type feed struct {
	scope *scope // the inside
	slot  int
}

func wordFor(n *uiNode, port uiPort) string {
	if in := n.input(port.name); in != nil && in.label != "" {
		return in.label
	}
	if port.label != "" {
		return port.label
	}
	return port.name
}

// proxied returns where a proxy's value goes: to a widget within, or on to what an inner instance shows.
func (c *converter) proxied(s *scope, p proxy, depth int) []Target {
	n := s.byID[p.node]
	switch {
	case n == nil || n.off() || depth > maxInstanceDepth:
		return nil
	case c.ui.subs[n.class] == nil:
		return []Target{{s.id(n), p.widget}}
	}
	inner := c.enter(s, n)
	if slot := inner.slot(p.widget); slot >= 0 {
		return c.fed[feed{inner, slot}]
	}
	for _, further := range n.proxies {
		if further.widget == p.widget {
			return c.proxied(inner, further, depth+1)
		}
	}
	return nil
}

// show adds an author's input, unless its value is not written in the graph, or another shows it already.
func (c *converter) show(list *offerList, g comfy.Graph, word string, targets []Target) {
	targets = slices.DeleteFunc(slices.Clone(targets), func(t Target) bool {
		v, there := g[t.Node].Inputs[t.Input]
		_, linked := asLink(v)
		return !there || linked || list.at[t] != nil
	})
	var o *Offer
	var value any
	for _, t := range targets {
		class := classOf(c.info, g[t.Node].ClassType)
		in := inputOf(class, g[t.Node].Inputs, t.Input)
		switch kind := kindOf(class, in); {
		case kind == "":
		case o == nil:
			value = g[t.Node].Inputs[t.Input]
			o = list.put(cmp.Or(snake(word), snake(t.Input), "input"), kind, t, in, value)
			o.Label = label(word)
			if kind == OfferPicture {
				o.Default, o.Required = nil, true
			}
		case o.Kind == kind:
			list.aim(o, t, in)
		}
	}
	if o == nil {
		return
	}
	for _, t := range targets { // inputs of any type, which have the same value of the instance
		if equal(g[t.Node].Inputs[t.Input], value) {
			list.aim(o, t, nil)
		}
	}
}

// kindOf tells what an offer for an input takes; empty for an input that is not offered, such as one that brings others.
func kindOf(class *comfy.Class, in *comfy.Input) OfferKind {
	if in == nil {
		return ""
	}
	switch in.Type {
	case "STRING":
		return OfferText
	case "BOOLEAN":
		return OfferBoolean
	case "INT":
		if in.Name == "seed" || in.Name == "noise_seed" {
			return OfferSeed
		}
		return OfferInteger
	case "FLOAT", "FLOAT,INT", "INT,FLOAT":
		return OfferNumber
	case "COMBO":
		switch {
		case in.Upload && !in.Dynamic:
			return OfferPicture
		case in.Media || in.Dynamic:
			return ""
		case modelKind(class.Name, in.Name) != "":
			return OfferModel
		case len(in.Options) > 0:
			return OfferChoice
		}
	}
	return ""
}

// inputOf returns the input of a class by its name, also one that the chosen option of a dynamic combo brings; or nil.
func inputOf(class *comfy.Class, values map[string]any, name string) *comfy.Input {
	for todo := widgetsOf(class.Inputs, ""); len(todo) > 0; {
		s := todo[0]
		todo = todo[1:]
		if s.name == name {
			return s.in
		}
		if key, ok := values[s.name].(string); ok && s.in.Choices != nil {
			todo = append(todo, widgetsOf(s.in.Choices[key], s.name+".")...)
		}
	}
	return nil
}

// merge gives an author's offer what the found one for the same value knows: its name and kind, and where else that value goes. An author's
// that is several things at once, a width and a height, keeps its own name.
func (l *offerList) merge(o *Offer, found *offerList) {
	var f *Offer
	for _, t := range o.Targets {
		switch same := found.at[t]; {
		case same == nil:
		case f != nil && same != f:
			return
		default:
			f = same
		}
	}
	if f == nil || len(f.Targets) == 0 {
		return
	}
	o.Name, o.Description, o.Kind = f.Name, f.Description, f.Kind
	o.Min, o.Max, o.Options, o.Default, o.Required = f.Min, f.Max, f.Options, f.Default, f.Required
	for _, t := range f.Targets {
		l.aim(o, t, nil)
	}
	f.Targets = nil
}
