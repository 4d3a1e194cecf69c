package workflow

import (
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
)

// A Size is how large the pictures are that a node gives, in pixels, and how many; Count is 1 where it is 0.
type Size struct{ Width, Height, Count int }

// A Weight is what a graph takes to run, never too little: what cannot be told counts as the most it may be. Its numbers never run
// over; what is too large to be counted is the largest number (T32).
type Weight struct {
	Width, Height int   // of the largest picture, pixels; 0 where there is none
	Count         int   // pictures of the largest pass: batch × frames
	Frames        int   // the most that make one video; 0 where the graph makes none
	Steps         int   // sampling steps, all samplers together
	Pixels        int64 // width × height × count of the largest pass; of sound, a sample counts as a pixel
	Work          int64 // pixels × steps, all samplers together; at least Pixels
	Known         bool  // nothing had to be guessed
}

// Weigh weighs what of g would run at a server that has info (CLIENT-SEC-8, CLIENT-GRAPH-7). sizes are those of the pictures that
// nodes such as LoadImage will load, by node id. It looks at each node once, in bounded time whatever g is.
func Weigh(g comfy.Graph, info *comfy.ObjectInfo, sizes map[string]Size) Weight {
	order := running(g, info)
	w := &weigher{graph: g, info: info, sizes: sizes, texts: knownTexts(g, order), done: make(map[string]*outcome, len(order))}
	w.sum.Known = len(cycles(g, order)) == 0
	for _, id := range order {
		w.weigh(id)
	}
	w.sum.Work = max(w.sum.Work, w.sum.Pixels)
	return w.sum
}

// An outcome is what a node gives to those after it.
type outcome struct {
	volume  volume
	numbers []amount // by output
	steps   []amount // of the noise levels, by output; the last holds for those after it too
	repeats int64    // how long a list it gives, at most; nodes after it run as often
	origin  string   // the node that made the list; empty where there is none, or several
}

type weigher struct {
	graph comfy.Graph
	info  *comfy.ObjectInfo
	sizes map[string]Size
	texts map[string]string
	done  map[string]*outcome
	sum   Weight
}

func (w *weigher) weigh(id string) {
	n, class := w.graph[id], classOf(w.info, w.graph[id].ClassType)
	out := &outcome{}
	e, known := effects[n.ClassType]
	in, used := w.incoming(n, e.from)
	switch {
	case e.sum:
		out.volume, used = w.joined(n)
	case known:
		out.volume = w.apply(&e, id, n, in)
	default:
		out.volume = w.usual(n, in)
	}
	if out.volume.empty() && gives(class, "IMAGE", "LATENT", "MASK", "VIDEO") {
		out.volume = volume{width: assumed, height: assumed, guessed: true}
	}
	w.repeat(id, class, out, used)
	if f := numberOf[n.ClassType]; f != nil {
		out.numbers = f(w, n, in)
	}
	out.steps = w.levels(n, class)
	w.count(out.volume)
	w.sample(n, class, out)
	w.done[id] = out // only now, so that a node that is linked to itself gets nothing
}

// gives reports whether a class that is known has an output of one of these types.
func gives(class *comfy.Class, types ...string) bool {
	return class != nil && slices.ContainsFunc(class.Outputs, func(p comfy.Port) bool { return slices.Contains(types, p.Type) })
}

// incoming returns the largest volume that comes in, and the input that brings it: the first of these inputs that brings any, or any
// input where none are named.
func (w *weigher) incoming(n comfy.Node, from []string) (in volume, used []string) {
	for _, input := range from {
		if v := w.brought(n, input); !v.empty() {
			return v, []string{input}
		}
	}
	if len(from) > 0 {
		return volume{}, nil
	}
	for _, input := range slices.Sorted(maps.Keys(n.Inputs)) {
		if v := w.brought(n, input); !v.empty() {
			if in.empty() || v.pixels() > in.pixels() {
				used = []string{input}
			}
			in = in.larger(v)
		}
	}
	return in, used
}

// brought returns the volume that comes in over one input.
func (w *weigher) brought(n comfy.Node, input string) volume {
	if from := w.behind(n, input); from != nil {
		return from.volume
	}
	return volume{}
}

// joined puts the pictures of all inputs together, or the sounds where there are no pictures. Each link counts, also two from one node.
func (w *weigher) joined(n comfy.Node) (all volume, used []string) {
	var count, sounds int64
	guessed := false
	for _, input := range slices.Sorted(maps.Keys(n.Inputs)) {
		from := w.brought(n, input)
		if from.empty() {
			continue
		}
		used = append(used, input)
		guessed = guessed || from.guessed
		if from.sound {
			sounds = plus(sounds, max(from.count, 1))
		} else {
			count = plus(count, max(from.count, 1))
		}
		frames := max(all.frames, from.frames)
		all = all.larger(from)
		all.frames = frames
	}
	if all.count = count; all.sound {
		all.count = sounds
	}
	all.guessed = guessed
	return all, used
}

// The inputs by which most classes tell what they make.
//
//nolint:gochecknoglobals // immutable tables
var (
	widthNames  = []string{"width", "target_width", "output_width", "final_width"}
	heightNames = []string{"height", "target_height", "output_height", "final_height"}
	frameNames  = []string{"length", "video_frames", "num_frames", "frames"}
)

// usual weighs a class by the names of its inputs: one that makes pictures of a size makes them, or passes the largest of what comes in.
func (w *weigher) usual(n comfy.Node, in volume) volume {
	if !makesPictures(classOf(w.info, n.ClassType)) {
		return in
	}
	own := volume{guessed: in.guessed}
	sound := in
	if in.sound { // which has no size that a picture could take over
		in.width, in.height = 0, 0
	}
	own.width, own.height = w.named(n, widthNames, &own.guessed), w.named(n, heightNames, &own.guessed)
	frames := w.named(n, frameNames, &own.guessed)
	batch := max(w.named(n, []string{"batch_size"}, &own.guessed), 1)
	own.width, own.height = max(own.width, in.width*b2i(own.width == 0)), max(own.height, in.height*b2i(own.height == 0))
	own.count = max(times(batch, max(frames, 1)), in.count)
	own.frames = max(in.frames, frames*b2i(frames > 1))
	if own.empty() {
		return sound
	}
	out := own
	if in.pixels() > own.pixels() {
		out, out.merged = in, true
	}
	out.frames = own.frames
	return out
}

func b2i(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// makesPictures reports whether a class gives pictures or what becomes pictures. One that is not known may.
func makesPictures(class *comfy.Class) bool {
	return class == nil || gives(class, "IMAGE", "LATENT", "MASK", "VIDEO", anyType, matchType)
}

// named returns the largest number among a node's inputs of such names, also within an option's: "size_mode.width".
func (w *weigher) named(n comfy.Node, names []string, guessed *bool) (most int64) {
	for _, name := range names {
		most = max(most, w.side(n, name, guessed))
	}
	for input := range n.Inputs {
		if _, last, nested := strings.Cut(input, "."); nested && slices.Contains(names, last[strings.LastIndexByte(last, '.')+1:]) {
			most = max(most, w.side(n, input, guessed))
		}
	}
	return most
}

// someItems is how long a list is taken to be that nobody knows.
const someItems = 64

// repeat works out how often a node runs, and how long a list it gives: it runs once for each item of the longest list that comes in.
// The items of used inputs are counted already, and so are those of lists that come from where theirs comes from.
func (w *weigher) repeat(id string, class *comfy.Class, out *outcome, used []string) {
	n := w.graph[id]
	counted := map[string]bool{}
	for _, input := range used {
		if from := w.behind(n, input); from != nil {
			counted[from.origin] = from.origin != ""
		}
	}
	var runs, all int64 = 1, 0
	origins := map[string]bool{}
	out.repeats = 1
	for input := range n.Inputs {
		from := w.behind(n, input)
		if from == nil {
			continue
		}
		out.repeats, all = max(out.repeats, from.repeats), plus(all, from.repeats)
		if from.repeats > 1 {
			origins[from.origin] = true
		}
		if !slices.Contains(used, input) && !counted[from.origin] {
			runs = max(runs, from.repeats)
		}
	}
	if runs > 1 && !out.volume.empty() {
		out.volume.count = times(max(out.volume.count, 1), runs)
	}
	if len(origins) == 1 {
		out.origin = slices.Collect(maps.Keys(origins))[0]
	}
	w.list(id, class, out, all)
}

// list works out what list a node gives that makes one of its own.
func (w *weigher) list(id string, class *comfy.Class, out *outcome, items int64) {
	lists := class != nil && slices.ContainsFunc(class.Outputs, func(p comfy.Port) bool { return p.List })
	if !lists && w.graph[id].ClassType != "CreateList" {
		return
	}
	switch out.origin = id; {
	case w.graph[id].ClassType == "CreateList":
		out.repeats = max(items, 1)
	case out.volume.empty():
		out.repeats, w.sum.Known = times(out.repeats, someItems), false
	default:
		out.repeats = max(out.repeats, out.volume.count)
	}
}

// behind returns what the node behind an input gives, or nil.
func (w *weigher) behind(n comfy.Node, input string) *outcome {
	if l, ok := asLink(n.Inputs[input]); ok {
		return w.done[l.Node]
	}
	return nil
}

// levels returns how many steps the noise levels make that a node gives.
func (w *weigher) levels(n comfy.Node, class *comfy.Class) []amount {
	coming, guessed := amount{}, false
	for _, v := range n.Inputs {
		if l, ok := asLink(v); ok {
			from := w.stepsOf(l)
			coming.n, coming.known = math.Max(coming.n, from.n), coming.known || from.known
			guessed = guessed || from.n > 0 && !from.known
		}
	}
	coming.known = coming.known && !guessed
	if !givesLevels(class, n.ClassType) {
		return []amount{coming}
	}
	own, there := w.amount(n, "steps")
	switch n.ClassType {
	case "ManualSigmas":
		text, ok := textIn(w.texts, n, "sigmas")
		return []amount{{n: float64(strings.Count(text, ",")), known: ok}}
	case "SplitSigmas":
		at, _ := w.amount(n, "step")
		after := coming
		if at.exact {
			after.n = math.Max(coming.n-at.n, 0)
		}
		return []amount{{n: math.Min(at.n, coming.n), known: coming.known && at.known}, after}
	case "ExtendIntermediateSigmas":
		return []amount{{n: coming.n * math.Max(own.n, 1), known: coming.known && own.known}}
	}
	if there {
		return []amount{own}
	}
	return []amount{coming}
}

func (w *weigher) stepsOf(l comfy.Link) amount {
	from := w.done[l.Node]
	if from == nil || len(from.steps) == 0 {
		return amount{}
	}
	return from.steps[min(max(l.Slot, 0), len(from.steps)-1)]
}

func givesLevels(class *comfy.Class, name string) bool {
	if class == nil {
		return hasWord(name, "scheduler", "sigmas")
	}
	return gives(class, "SIGMAS")
}

// mostSteps is ComfyUI's own bound.
const mostSteps = 10_000

// sample counts the passes of a node that samples: one that takes noise levels and a latent, or a number of steps, and gives pictures.
func (w *weigher) sample(n comfy.Node, class *comfy.Class, out *outcome) {
	if givesLevels(class, n.ClassType) || !samplesLatents(class) || n.ClassType == "AddNoise" {
		return
	}
	steps, there := w.amount(n, "steps")
	if l, ok := asLink(n.Inputs["sigmas"]); ok {
		steps, there = w.stepsOf(l), true
		if steps.n == 0 && !steps.known {
			steps.n = mostSteps
		}
	}
	if !there {
		return
	}
	if end, ok := w.amount(n, "end_at_step"); ok {
		steps.n = math.Min(steps.n, end.n)
	}
	if start, ok := w.amount(n, "start_at_step"); ok && start.exact {
		steps.n = math.Max(steps.n-start.n, 0)
	}
	w.sum.Known = w.sum.Known && steps.known
	passes := whole(steps.n)
	w.sum.Steps = clamped(plus(int64(w.sum.Steps), passes))
	w.sum.Work = plus(w.sum.Work, times(out.volume.pixels(), passes))
}

func samplesLatents(class *comfy.Class) bool {
	return class == nil || gives(class, "IMAGE", "LATENT", "VIDEO", "AUDIO", anyType, matchType)
}

// count keeps the largest.
func (w *weigher) count(v volume) {
	if v.empty() {
		return
	}
	w.sum.Known = w.sum.Known && !v.guessed
	if v.frames > 1 {
		w.sum.Frames = max(w.sum.Frames, clamped(v.frames))
	}
	if !v.sound && v.pixels() > w.sum.largest() {
		w.sum.Width, w.sum.Height, w.sum.Count = clamped(v.width), clamped(v.height), clamped(max(v.count, 1))
	}
	w.sum.Pixels = max(w.sum.Pixels, v.pixels())
}

func (s *Weight) largest() int64 { return times(int64(s.Width), int64(s.Height), int64(s.Count)) }
