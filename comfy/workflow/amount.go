package workflow

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/comfygate/comfygate/comfy"
)

// mostResolution is what an input may be at most whose class does not tell: ComfyUI's own bound of a side.
const mostResolution = 16384

// An amount is the most that a number may be. The zero value is a number that is not known.
type amount struct {
	n     float64
	known bool
	exact bool // it is this number, not only at most
}

func exactly(n float64) amount { return amount{n, true, true} }

// upTo returns the most that either may be.
func (a amount) upTo(b amount) amount {
	if a == (amount{}) || b == (amount{}) {
		return amount{}
	}
	return amount{math.Max(a.n, b.n), a.known && b.known, a.exact && b.exact && a.n == b.n}
}

// amount returns what an input is, and whether the node or its class has it at all. One that is not known is the most that its class
// takes; a value that comes over a link is not held to that by the server.
func (w *weigher) amount(n comfy.Node, input string) (amount, bool) {
	in := declared(w.info, n, input)
	v, there := n.Inputs[input]
	switch {
	case !there && (in == nil || in.Default == nil):
		return amount{}, false
	case !there:
		v = in.Default
	}
	if l, ok := asLink(v); ok {
		if got := w.given(l); got.known || got.n > 0 {
			return got, true
		}
	} else if x, _, ok := numeric(written(v), false); ok {
		return exactly(x), true
	} else if b, ok := written(v).(bool); ok && !b {
		return exactly(0), true
	}
	most := float64(mostResolution)
	if in != nil && in.Max != nil {
		most = *in.Max
	}
	return amount{n: most}, true
}

// side returns an input's amount as a size; 0 where the node has no such input.
func (w *weigher) side(n comfy.Node, input string, guessed *bool) int64 {
	if input == "" {
		return 0
	}
	a, there := w.amount(n, input)
	if !there {
		return 0
	}
	*guessed = *guessed || !a.known
	return whole(a.n)
}

// given returns the number that a link brings.
func (w *weigher) given(l comfy.Link) amount {
	from := w.done[l.Node]
	if from == nil || l.Slot < 0 || l.Slot >= len(from.numbers) {
		return amount{}
	}
	return from.numbers[l.Slot]
}

// declared returns what a class says of an input, also of one that an option brings: "resize_type.width".
func declared(info *comfy.ObjectInfo, n comfy.Node, input string) *comfy.Input {
	class := classOf(info, n.ClassType)
	if class == nil {
		return nil
	}
	if in := class.Input(input); in != nil {
		return in
	}
	inputs, prefix := class.Inputs, ""
	for {
		name, rest, nested := strings.Cut(strings.TrimPrefix(input, prefix), ".")
		var found *comfy.Input
		for i := range inputs {
			if inputs[i].Name == name {
				found = &inputs[i]
			}
		}
		if found == nil || !nested || rest == "" {
			return found
		}
		prefix += name + "."
		key, _ := written(n.Inputs[strings.TrimSuffix(prefix, ".")]).(string)
		inputs = found.Choices[key]
	}
}

// numberOf are the classes whose numbers can be told, by what they give on each output.
//
//nolint:gochecknoglobals // an immutable table
var numberOf = map[string]func(w *weigher, n comfy.Node, in volume) []amount{
	"PrimitiveInt":       (*weigher).value,
	"PrimitiveFloat":     (*weigher).value,
	"SeedNode":           func(w *weigher, n comfy.Node, _ volume) []amount { return w.one(n, "seed") },
	"GetImageSize":       (*weigher).measured,
	"GetVideoComponents": (*weigher).counted,
	"ComfyNumberConvert": func(w *weigher, n comfy.Node, in volume) []amount {
		value := w.value(n, in)
		return append(value, value...)
	},
	"ComfyMathExpression": (*weigher).calculated,
	"ComfySwitchNode":     (*weigher).switched,
	"CustomCombo":         (*weigher).chosen,
	"WanCameraEmbedding":  (*weigher).filmed,
	"ResolutionSelector":  (*weigher).selected,
	"CreateList":          (*weigher).listed,
}

func (w *weigher) value(n comfy.Node, _ volume) []amount { return w.one(n, "value") }

// one gives the number of an input; where that is not known it is for those after it to say what it may be at most.
func (w *weigher) one(n comfy.Node, input string) []amount {
	if l, ok := asLink(n.Inputs[input]); ok {
		return []amount{w.given(l)}
	}
	a, _ := w.amount(n, input)
	return []amount{a}
}

// measured gives the size of the pictures that come in.
func (*weigher) measured(_ comfy.Node, in volume) []amount {
	if in.empty() {
		return nil
	}
	exact := !in.guessed && !in.merged
	side := func(n int64) amount { return amount{float64(n), !in.guessed, exact} }
	return []amount{side(in.width), side(in.height), side(max(in.count, 1))}
}

// counted gives the number of a video's frames.
func (w *weigher) counted(n comfy.Node, in volume) []amount {
	if size := w.measured(n, in); size != nil {
		return []amount{{}, {}, {}, size[2]}
	}
	return nil
}

func (w *weigher) calculated(n comfy.Node, _ volume) []amount {
	expression, ok := textIn(w.texts, n, "expression")
	if !ok {
		return nil
	}
	result, ok := calculate(expression, func(name string) (float64, bool) {
		a, there := w.amount(n, "values."+name)
		return a.n, there && a.exact
	})
	if !ok {
		return nil
	}
	return []amount{exactly(result), exactly(math.Trunc(result))}
}

func (w *weigher) switched(n comfy.Node, _ volume) []amount {
	on, isBool := written(n.Inputs["switch"]).(bool)
	yes, no := w.one(n, "on_true"), w.one(n, "on_false")
	switch {
	case !isBool:
		return []amount{yes[0].upTo(no[0])}
	case on:
		return yes
	}
	return no
}

// listed gives the most of the numbers that make a list.
func (w *weigher) listed(n comfy.Node, _ volume) []amount {
	out := exactly(0)
	for name := range n.Inputs {
		out = out.upTo(w.one(n, name)[0])
	}
	return []amount{out}
}

// chosen gives the place of an option in a list of the graph's own; the first where it does not tell.
func (w *weigher) chosen(n comfy.Node, _ volume) []amount {
	index, there := w.amount(n, "index")
	if !there {
		index = exactly(0)
	}
	return []amount{{}, index}
}

// filmed passes on the size of a film that is to be made.
func (w *weigher) filmed(n comfy.Node, _ volume) []amount {
	return append([]amount{{}}, slices.Concat(w.one(n, "width"), w.one(n, "height"), w.one(n, "length"))...)
}

// selected gives the sides of an area with a ratio: "16:9 (Widescreen)".
func (w *weigher) selected(n comfy.Node, _ volume) []amount {
	ratio, ok := textIn(w.texts, n, "aspect_ratio")
	first, _, _ := strings.Cut(ratio, " ")
	across, down, cut := strings.Cut(first, ":")
	x, err1 := strconv.ParseFloat(across, 64)
	y, err2 := strconv.ParseFloat(down, 64)
	area, there := w.amount(n, "megapixels")
	multiple, _ := w.amount(n, "multiple")
	if !ok || !cut || err1 != nil || err2 != nil || !(x > 0 && y > 0) || !there {
		return nil
	}
	scale := math.Sqrt(math.Abs(area.n) * 1024 * 1024 / (x * y))
	step := math.Max(multiple.n, 1)
	side := func(part float64) amount {
		return amount{math.Round(part*scale/step) * step, area.known, area.exact && multiple.exact}
	}
	return []amount{side(x), side(y)}
}
