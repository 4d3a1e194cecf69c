package workflow

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/comfygate/comfygate/comfy"
)

// A Fault is one thing in a graph that the server would refuse or misread. Texts may hold what the graph's author wrote; they are
// cut short but not cleaned.
type Fault struct {
	Node, Class, Input string // Input is empty where the fault is the node's, Node too where it is the graph's
	Problem            string
	Got                string // what was there, as JSON, at most 100 characters
	Fits               string // what would fit; may be empty
	Rule               string // of [Secure], which the input breaks; empty where the server would refuse it
}

// Fit returns every fault of g at a server that has info, by node and input, the first [MaxFaults] where there are more; none means that
// the server takes it, so far as a list of classes tells. As at the server, the inputs of nodes that lead to no result do not matter, only their class.
// Cycles, absent nodes and absent slots are found here, for the servers do not name them well (CLIENT-PROMPT-5).
// It is stricter than the server where that takes what it cannot run, or misreads: a value in place of a link, null, a truth value for a
// number, a text for a truth value. To keep denied models out of what would fit, give it an info that [Restrict] made.
func Fit(g comfy.Graph, info *comfy.ObjectInfo) []Fault {
	f := &fitter{graph: g, info: info}
	if len(g) == 0 {
		return []Fault{{Problem: "the graph has no nodes"}}
	}
	ids := sortedIDs(g)
	var results []string
	for _, id := range ids {
		class := classOf(info, g[id].ClassType)
		if class == nil && len(f.faults) < MaxFaults {
			f.add(Fault{Node: id, Problem: "this ComfyUI has no node of this class", Got: quote(g[id].ClassType), Fits: f.classLike(g[id].ClassType)})
		} else if class != nil && class.OutputNode {
			results = append(results, id)
		}
	}
	if len(results) == 0 {
		f.add(Fault{Problem: "no node of the graph gives a result", Fits: "a node such as SaveImage"})
		results = ids
	}
	live := f.upstream(results)
	for _, id := range live {
		if len(f.faults) == MaxFaults {
			return f.faults
		}
		f.node(id)
	}
	for _, loop := range cycles(g, live) {
		f.cycle(loop)
	}
	return f.faults
}

// A fitter collects the faults of one graph.
type fitter struct {
	graph  comfy.Graph
	info   *comfy.ObjectInfo
	faults []Fault
}

// MaxFaults bounds the faults of one graph: to look for what would fit takes time.
const MaxFaults = 100

func (f *fitter) add(fault Fault) {
	if len(f.faults) == MaxFaults {
		return
	}
	fault.Class = f.graph[fault.Node].ClassType
	f.faults = append(f.faults, fault)
}

// maxTips bounds the classes of one graph for which a like one is looked for.
const maxTips = 20

func (f *fitter) classLike(name string) string {
	if len(f.faults) >= maxTips {
		return "a class of this ComfyUI"
	}
	return "one such as " + strings.Join(closest(name, slices.Collect(maps.Keys(f.info.Classes)), 3), ", ")
}

// upstream returns the nodes that the given ones need, and these, sorted. It does not recurse: a graph may be ten thousand nodes deep.
func (f *fitter) upstream(from []string) []string {
	seen := map[string]bool{}
	for todo := slices.Clone(from); len(todo) > 0; {
		id := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		n, there := f.graph[id]
		if !there || seen[id] {
			continue
		}
		seen[id] = true
		todo = append(todo, sources(n)...)
	}
	return slices.SortedFunc(maps.Keys(seen), compareIDs)
}

// sources returns the ids that a node's links name, sorted.
func sources(n comfy.Node) (ids []string) {
	for _, v := range n.Inputs {
		if l, ok := asLink(v); ok {
			ids = append(ids, l.Node)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return slices.Compact(ids)
}

// asLink reads a link in any form that a graph may hold it in; one within {"__value__": …} is checked by no server, but followed.
func asLink(v any) (comfy.Link, bool) {
	switch v := written(v).(type) {
	case comfy.Link:
		return v, true
	case *comfy.Link:
		return *v, true
	case []any:
		if len(v) != 2 {
			return comfy.Link{}, false
		}
		id, isText := v[0].(string)
		slot, err := strconv.Atoi(fmt.Sprint(v[1]))
		return comfy.Link{Node: id, Slot: slot}, isText && err == nil
	}
	return comfy.Link{}, false
}

func (f *fitter) node(id string) {
	n := f.graph[id]
	class := classOf(f.info, n.ClassType)
	if class == nil {
		f.strays(id, n, nil)
		return
	}
	f.inputs(id, n, class.Inputs, "")
	f.strays(id, n, class)
}

// inputs holds a node against what its class, or the option that was chosen, says of its inputs. Names of the latter begin with prefix.
func (f *fitter) inputs(id string, n comfy.Node, list []comfy.Input, prefix string) {
	for i := range list {
		in := list[i]
		in.Name = prefix + in.Name
		v, there := n.Inputs[in.Name]
		if !there {
			if in.Required && (in.Type == dynamicCombo || !composed(in.Type)) {
				f.add(Fault{Node: id, Input: in.Name, Problem: "this input is required", Fits: wanted(&in)})
			}
			continue
		}
		f.input(id, &in, v)
		if key, ok := written(v).(string); ok && in.Type == dynamicCombo {
			f.inputs(id, n, in.Choices[key], in.Name+".") // at most as deep as options are read
		}
	}
}

// strays finds absent nodes behind inputs that the class does not have; the server follows those links too.
func (f *fitter) strays(id string, n comfy.Node, class *comfy.Class) {
	for _, name := range slices.Sorted(maps.Keys(n.Inputs)) {
		if class != nil && declared(f.info, n, name) != nil {
			continue
		}
		if l, ok := asLink(n.Inputs[name]); ok {
			f.link(id, &comfy.Input{Name: name, Type: anyType}, l)
		}
	}
}

func (f *fitter) input(id string, in *comfy.Input, v any) {
	if l, ok := asLink(v); ok {
		f.link(id, in, l)
		return
	}
	if list, isList := v.([]any); isList {
		f.add(Fault{Node: id, Input: in.Name, Problem: `a list is read as a link, ["node id", slot]`, Got: quote(list), Fits: `a link, or {"__value__": […]} for a list of values`})
		return
	}
	if problem, fits := judge(f.graph[id].ClassType, in, v); problem != "" {
		f.add(Fault{Node: id, Input: in.Name, Problem: problem, Got: quote(v), Fits: fits})
	}
}

func (f *fitter) link(id string, in *comfy.Input, l comfy.Link) {
	fault := Fault{Node: id, Input: in.Name}
	source, there := f.graph[l.Node]
	class := classOf(f.info, source.ClassType)
	switch {
	case !there:
		fault.Problem, fault.Fits = "it is linked to a node that is not in the graph", "a link to one of its nodes"
	case class == nil:
		return // named already
	case l.Slot < 0 || l.Slot >= len(class.Outputs):
		fault.Problem = fmt.Sprintf("the node %s has no output %d", l.Node, l.Slot)
		fault.Fits = outputs(class)
	case !compatible(class.Outputs[l.Slot].Type, in.Type):
		fault.Problem = fmt.Sprintf("it takes %s, and is linked to %s", in.Type, class.Outputs[l.Slot].Type)
		fault.Fits = "a link to an output of type " + in.Type
		if i := slices.IndexFunc(class.Outputs, func(p comfy.Port) bool { return compatible(p.Type, in.Type) }); i >= 0 {
			fault.Fits += fmt.Sprintf(", such as %s", quote(comfy.Link{Node: l.Node, Slot: i}))
		}
	default:
		return
	}
	fault.Got = quote(l)
	f.add(fault)
}

func outputs(class *comfy.Class) string {
	if len(class.Outputs) == 0 {
		return "a link to another node; " + class.Name + " has no outputs"
	}
	var all []string
	for i, p := range class.Outputs {
		all = append(all, fmt.Sprintf("%d (%s)", i, p.Type))
	}
	return "one of " + strings.Join(all, ", ")
}

const (
	anyType      = "*"
	matchType    = "COMFY_MATCHTYPE_V3"
	dynamicCombo = "COMFY_DYNAMICCOMBO_V3"
)

// compatible reports whether an output of one type may feed an input of another, by the server's rule: types may be unions.
func compatible(out, in string) bool {
	if out == in || out == matchType || composed(in) {
		return true
	}
	have, want := strings.Split(out, ","), strings.Split(in, ",")
	for i := range have {
		have[i] = strings.TrimSpace(have[i])
	}
	return slices.Contains(have, anyType) || slices.ContainsFunc(want, func(t string) bool {
		t = strings.TrimSpace(t)
		return t == anyType || slices.Contains(have, t)
	})
}

// composed reports whether a type stands for inputs of other names, which the server makes when it sees the graph.
func composed(kind string) bool { return strings.HasPrefix(kind, "COMFY_") }

func (f *fitter) cycle(loop []string) {
	shown := loop[:min(len(loop), 10)]
	names := make([]string, 0, len(shown)+1)
	for _, id := range shown {
		names = append(names, id+" ("+f.graph[id].ClassType+")")
	}
	if len(loop) > len(shown) {
		names = append(names, fmt.Sprintf("%d more", len(loop)-len(shown)))
	}
	f.add(Fault{Node: loop[0], Problem: "these nodes need each other in a circle: " + strings.Join(names, ", "), Fits: "links that lead one way"})
}

// quote writes a value as JSON, cut short.
func quote(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	const most = 100
	if runes := []rune(string(data)); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return string(data)
}

// sortedIDs returns g's node ids, numbers by value, before words.
func sortedIDs(g comfy.Graph) []string { return slices.SortedFunc(maps.Keys(g), compareIDs) }

func compareIDs(a, b string) int {
	na, errA := strconv.ParseUint(a, 10, 64)
	nb, errB := strconv.ParseUint(b, 10, 64)
	if errA != nil || errB != nil {
		return cmp.Or(compareBool(errA != nil, errB != nil), strings.Compare(a, b))
	}
	return cmp.Or(cmp.Compare(na, nb), strings.Compare(a, b))
}
