package workflow

import (
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
)

// maxTrail bounds how far a value is followed to where it is written.
const maxTrail = 16

// A finder finds the inputs of one graph that a caller may want to set.
type finder struct {
	graph comfy.Graph
	info  *comfy.ObjectInfo
	live  []string // the nodes that lead to a result, sorted
	list  offerList
}

// findOffers returns what [Offers] does; names may be doubled yet.
func findOffers(g comfy.Graph, info *comfy.ObjectInfo) *offerList {
	f := newFinder(g, info)
	f.texts()
	f.pictures()
	f.sizes()
	f.seeds()
	f.settings()
	f.models()
	return &f.list
}

func newFinder(g comfy.Graph, info *comfy.ObjectInfo) *finder {
	f := &finder{graph: g, info: info}
	up := &fitter{graph: g, info: info}
	var results []string
	for _, id := range sortedIDs(g) {
		if class := classOf(info, g[id].ClassType); class != nil && class.OutputNode {
			results = append(results, id)
		}
	}
	f.live = up.upstream(results)
	return f
}

func (f *finder) class(id string) *comfy.Class { return classOf(f.info, f.graph[id].ClassType) }

// each calls do for every input of a live node, by node, in the order of its class.
func (f *finder) each(do func(id string, class *comfy.Class, in *comfy.Input)) {
	for _, id := range f.live {
		class := f.class(id)
		if class == nil {
			continue
		}
		for i := range class.Inputs {
			do(id, class, &class.Inputs[i])
		}
	}
}

// written returns the input where a value is written that an input has: its own, or that of the primitive which feeds it.
func (f *finder) written(t Target) (Target, *comfy.Input, bool) {
	for range maxTrail {
		class := f.class(t.Node)
		if class == nil {
			return t, nil, false
		}
		in := class.Input(t.Input)
		v, there := f.graph[t.Node].Inputs[t.Input]
		l, linked := asLink(v)
		if !linked {
			return t, in, there && in != nil
		}
		next, ok := f.only(l.Node)
		if !ok {
			return t, nil, false
		}
		t = next
	}
	return t, nil, false
}

// only returns the one input of a node that does nothing but give a value: the primitives, and the side of a switch that is on.
func (f *finder) only(id string) (Target, bool) {
	class := f.class(id)
	if class == nil {
		return Target{}, false
	}
	if side, ok := f.side(id); ok {
		return Target{id, side}, true
	}
	if len(class.Inputs) != 1 || !class.Inputs[0].Widget {
		return Target{}, false
	}
	return Target{id, class.Inputs[0].Name}, true
}

// side returns the input that a switch lets through, where that is written.
func (f *finder) side(id string) (string, bool) {
	if f.graph[id].ClassType != "ComfySwitchNode" {
		return "", false
	}
	t, _, ok := f.written(Target{id, "switch"})
	if !ok {
		return "", false
	}
	on, isBool := f.graph[t.Node].Inputs[t.Input].(bool)
	if !isBool {
		return "", false
	}
	if on {
		return "on_true", true
	}
	return "on_false", true
}

// takes reports whether a class has an input of a type.
func takes(class *comfy.Class, kind string) bool {
	return slices.ContainsFunc(class.Inputs, func(in comfy.Input) bool { return in.Type == kind })
}

// paints reports whether a class belongs to sampling: it samples, guides or makes the levels of noise.
func paints(class *comfy.Class) bool {
	return gives(class, "SIGMAS") || gives(class, "GUIDER") || gives(class, "LATENT") && (takes(class, "MODEL") || takes(class, "SIGMAS"))
}

// texts finds what prompts are written in: behind the conditioning of every sampler, or where there is none, behind inputs called so.
func (f *finder) texts() {
	seen := map[string]bool{}
	f.each(func(id string, class *comfy.Class, in *comfy.Input) {
		if in.Type != "CONDITIONING" || !paints(class) {
			return
		}
		if l, ok := asLink(f.graph[id].Inputs[in.Name]); ok {
			f.conditioning(l, strings.HasPrefix(in.Name, "neg"), seen, 0)
		}
	})
	if len(f.list.list) > 0 {
		return
	}
	f.each(func(id string, _ *comfy.Class, in *comfy.Input) {
		if in.Type == "STRING" && slices.Contains([]string{"prompt", "text", "negative_prompt", "tags", "lyrics"}, in.Name) {
			f.text(Target{id, in.Name}, strings.HasPrefix(in.Name, "neg"), seen, 0)
		}
	})
}

// conditioning follows a link of a prompt's meaning back to where it is written. Where a node has a way for each side, it keeps to its side.
func (f *finder) conditioning(l comfy.Link, negative bool, seen map[string]bool, depth int) {
	class := f.class(l.Node)
	key := l.Node + sideName(negative)
	if class == nil || seen[key] || depth > maxGraphDepth || class.Name == "ConditioningZeroOut" {
		return // which forgets the text
	}
	seen[key] = true
	if side, ok := f.side(l.Node); ok {
		f.behind(l.Node, side, negative, seen, depth)
		return
	}
	both := class.Input("positive") != nil && class.Input("negative") != nil
	for i := range class.Inputs {
		switch in := &class.Inputs[i]; {
		case in.Type == "STRING":
			f.text(Target{l.Node, in.Name}, negative, seen, depth+1)
		case in.Type == "CONDITIONING" && (!both || strings.HasPrefix(in.Name, "neg") == negative), in.Type == matchType:
			f.behind(l.Node, in.Name, negative, seen, depth)
		}
	}
}

func (f *finder) behind(id, input string, negative bool, seen map[string]bool, depth int) {
	if next, ok := asLink(f.graph[id].Inputs[input]); ok {
		f.conditioning(next, negative, seen, depth+1)
	}
}

func sideName(negative bool) string {
	if negative {
		return "-"
	}
	return "+"
}

// text adds where a text is written: in the input, or in those of the nodes that make it of others.
func (f *finder) text(t Target, negative bool, seen map[string]bool, depth int) {
	if at, in, ok := f.written(t); ok {
		if text, isText := f.graph[at.Node].Inputs[at.Input].(string); isText && in.Type == "STRING" {
			f.list.add(textName(t.Input, negative), OfferText, at, in, text)
		}
		return
	}
	l, ok := asLink(f.graph[t.Node].Inputs[t.Input])
	class := f.class(l.Node)
	key := l.Node + "=" + sideName(negative)
	if !ok || class == nil || seen[key] || depth > maxGraphDepth {
		return
	}
	seen[key] = true
	if side, ok := f.side(l.Node); ok {
		f.text(Target{l.Node, side}, negative, seen, depth+1)
		return
	}
	for i := range class.Inputs {
		in := &class.Inputs[i]
		if slices.Contains([]string{"STRING", anyType, matchType}, in.Type) && !slices.Contains([]string{"delimiter", "find", "replace", "regex_pattern"}, in.Name) {
			f.text(Target{l.Node, in.Name}, negative, seen, depth+1)
		}
	}
}

// textName tells what a text is from the encoder's input that it is for.
func textName(input string, negative bool) string {
	switch {
	case negative:
		return "negative_prompt"
	case input == "lyrics", input == "system_prompt":
		return input
	}
	return "prompt"
}

// pictures finds the nodes that load a picture from the input folder.
func (f *finder) pictures() {
	f.each(func(id string, class *comfy.Class, in *comfy.Input) {
		if !in.Upload || in.Type != "COMBO" || in.Dynamic {
			return
		}
		if _, isText := f.graph[id].Inputs[in.Name].(string); !isText {
			return
		}
		name := "image"
		if !gives(class, "IMAGE") {
			name = "mask"
		}
		o := f.list.put(name, OfferPicture, Target{id, in.Name}, in, nil)
		o.Required = true
		if meta := f.graph[id].Meta; meta != nil {
			o.Label = label(meta.Title)
		}
	})
}

// sizes finds width, height and length: of what is painted on, and of nodes that are told the same.
func (f *finder) sizes() {
	for _, kind := range []string{"LATENT", "IMAGE"} { // without samplers it is the pictures that are made or scaled
		if f.list.find("width") != nil {
			return
		}
		for _, again := range []bool{false, true} {
			f.each(func(id string, class *comfy.Class, in *comfy.Input) {
				if !slices.Contains([]string{"width", "height", "length"}, in.Name) || class.Input("width") == nil || class.Input("height") == nil {
					return
				}
				if gives(class, kind) != again {
					f.number(in.Name, OfferInteger, Target{id, in.Name}, again)
				}
			})
		}
	}
}

// number adds where a number is written. When it is only to join, that is to an offer of the same value.
func (f *finder) number(name string, kind OfferKind, t Target, join bool) {
	at, in, ok := f.written(t)
	if !ok {
		return
	}
	v := f.graph[at.Node].Inputs[at.Input]
	if _, _, isNumber := numeric(v, false); !isNumber || join && f.list.same(name, v) == nil {
		return
	}
	f.list.add(name, kind, at, in, v)
}

// seeds finds every seed: they are set together.
func (f *finder) seeds() {
	f.each(func(id string, _ *comfy.Class, in *comfy.Input) {
		if in.Type != "INT" || in.Name != "seed" && in.Name != "noise_seed" {
			return
		}
		at, source, ok := f.written(Target{id, in.Name})
		if !ok {
			return
		}
		v := f.graph[at.Node].Inputs[at.Input]
		if _, _, isNumber := numeric(v, true); !isNumber {
			return
		}
		if o := f.list.find("seed"); o != nil {
			f.list.aim(o, at, source)
			o.limit(in)
			return
		}
		o := f.list.put("seed", OfferSeed, at, source, v)
		o.limit(in)
	})
}

// settings finds what samplers are told.
func (f *finder) settings() {
	for _, s := range []struct {
		name string
		kind OfferKind
	}{{"steps", OfferInteger}, {"cfg", OfferNumber}, {"guidance", OfferNumber}, {"denoise", OfferNumber}} {
		f.each(func(id string, class *comfy.Class, in *comfy.Input) {
			if in.Name == s.name && (paints(class) || s.name == "guidance") && (s.name != "steps" || !f.partly(id)) {
				f.number(s.name, s.kind, Target{id, in.Name}, false)
			}
		})
	}
}

// partly reports whether a sampler does only some of its steps, and others the rest: then one number alone cannot be changed.
func (f *finder) partly(id string) bool {
	inputs := f.graph[id].Inputs
	steps, _, ok := numeric(inputs["steps"], false)
	start, _, _ := numeric(inputs["start_at_step"], false)
	end, _, limited := numeric(inputs["end_at_step"], false)
	_, startLinked := asLink(inputs["start_at_step"])
	_, endLinked := asLink(inputs["end_at_step"])
	return start > 0 || limited && ok && end < steps || startLinked || endLinked
}

// models finds the model files that are loaded.
func (f *finder) models() {
	f.each(func(id string, class *comfy.Class, in *comfy.Input) {
		kind := modelKind(class.Name, in.Name)
		name, isText := f.graph[id].Inputs[in.Name].(string)
		if kind == "" || !isText || in.Type != "COMBO" {
			return
		}
		f.list.add(modelName(string(kind), in.Name), OfferModel, Target{id, in.Name}, in, name)
	})
}

func modelName(kind, input string) string {
	switch kind {
	case "checkpoints", "diffusion_models":
		return "model"
	case "models":
		return snake(strings.TrimSuffix(input, "_name"))
	}
	return strings.TrimSuffix(strings.Replace(snake(kind), "patches", "patch", 1), "s")
}
