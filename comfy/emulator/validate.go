package emulator

import (
	"errors"
	"slices"
	"strings"
)

// errPython stands for an exception that ComfyUI does not catch: a 500.
var errPython = errors.New("python exception")

// pyError is an exception that ComfyUI catches and shows.
type pyError struct{ kind, text string }

func (e *pyError) Error() string { return e.kind + ": " + e.text }

// verdict is what validation says of a prompt.
type verdict struct {
	refused    *object // the body of the 400; nil if at least one output is good
	graph      *object
	outputs    []string // that will run
	nodeErrors *object  // may name faults also if refused is nil
}

// finding is what validation says of one node. A node that is bad for what lies
// upstream has no reasons of its own.
type finding struct {
	ok      bool
	reasons []any
}

// validation is one prompt on its way to its verdict.
type validation struct {
	server   *Server
	graph    *object
	found    map[string]*finding
	order    []string // of found
	visiting []string
}

// validate checks a prompt as the server's version does, and converts the values
// in it. It fails where ComfyUI answers 500.
func (s *Server) validate(prompt, targets any) (*verdict, error) {
	graph, ok := prompt.(*object)
	if !ok {
		list, isList := prompt.([]any)
		if !isList || len(list) > 0 || s.kind.replacesNodes {
			return nil, errPython
		}
		graph = obj()
	}
	outputs, refused, err := s.findOutputs(graph, targets)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		return &verdict{refused: refused}, nil
	}
	v := &validation{server: s, graph: graph, found: map[string]*finding{}}
	return v.judge(s.outputOrder(outputs)), nil
}

// outputOrder is the order in which output nodes are looked at and run. In Python
// it is a set's, hence anything; this is what each recording happens to have.
func (s *Server) outputOrder(outputs []string) []string {
	if s.kind.sortedOutputs {
		slices.Sort(outputs)
	}
	return outputs
}

// findOutputs checks the classes of all nodes and names the output nodes.
func (s *Server) findOutputs(graph *object, targets any) (outputs []string, refused *object, err error) {
	for _, id := range graph.keys {
		n, isNode := graph.vals[id].(*object)
		if !isNode {
			refused, err = s.oddNode(id, graph.vals[id])
			return nil, refused, err
		}
		info, refused, err := s.classOf(id, n)
		if err != nil || refused != nil {
			return nil, refused, err
		}
		wanted, err := isTarget(targets, id, info)
		if err != nil {
			return nil, nil, err
		}
		if wanted {
			outputs = append(outputs, id)
		}
	}
	if len(outputs) == 0 {
		return nil, refusal("prompt_no_outputs", "Prompt has no outputs", "", obj(), obj()), nil
	}
	return outputs, nil, nil
}

// classOf finds the class of a node.
func (s *Server) classOf(id string, n *object) (info *nodeInfo, refused *object, err error) {
	if inputs, given := n.get("inputs"); given && s.kind.replacesNodes {
		if _, ok := inputs.(*object); !ok {
			return nil, nil, errPython
		}
	}
	class, given := n.get("class_type")
	if !given {
		refused, err = s.missingClass(id, n)
		return nil, refused, err
	}
	name, _ := class.(string)
	info, known := s.infos[name]
	if !known {
		refused, err = s.unknownClass(id, n, class)
		return nil, refused, err
	}
	return info, nil, nil
}

// isTarget says whether a node is an output node that is wanted: Python's
// "id in targets", where no targets mean all.
func isTarget(targets any, id string, info *nodeInfo) (bool, error) {
	if !info.output {
		return false, nil
	}
	switch t := targets.(type) {
	case nil:
		return true, nil
	case []any:
		return contains(t, id), nil
	case string:
		return strings.Contains(t, id), nil
	case *object:
		_, ok := t.get(id)
		return ok, nil
	default:
		return false, errPython
	}
}

// oddNode is a node that is no object, as the nodes of the UI format's outermost
// object are.
func (s *Server) oddNode(id string, node any) (*object, error) {
	has := true
	switch n := node.(type) {
	case string:
		has = strings.Contains(n, "class_type")
	case []any:
		has = contains(n, "class_type")
	}
	if has || s.kind.replacesNodes {
		return nil, errPython
	}
	return s.missingClass(id, obj())
}

func (s *Server) missingClass(id string, n *object) (*object, error) {
	details := "Node ID '#" + id + "'"
	if !s.kind.namedMissing {
		return refusal("invalid_prompt", "Cannot execute because a node is missing the class_type property.",
			details, obj(), obj()), nil
	}
	title, err := nodeTitle(n, nil)
	if err != nil {
		return nil, err
	}
	shown := "ID #" + id
	if pyTrue(title) {
		shown = pyStr(title)
	}
	return refusal("missing_node_type",
		"Node '"+shown+"' has no class_type. The workflow may be corrupted or a custom node is missing.",
		details, obj(pair{"node_id", id}, pair{"class_type", nil}, pair{"node_title", title}), obj()), nil
}

func (s *Server) unknownClass(id string, n *object, class any) (*object, error) {
	switch class.(type) {
	case []any, *object:
		return nil, errPython // no key of a dict
	}
	details := "Node ID '#" + id + "'"
	if !s.kind.namedMissing {
		return refusal("invalid_prompt", "Cannot execute because node "+pyStr(class)+" does not exist.",
			details, obj(), obj()), nil
	}
	title, err := nodeTitle(n, class)
	if err != nil {
		return nil, err
	}
	return refusal("missing_node_type",
		"Node '"+pyStr(title)+"' not found. The custom node may not be installed.",
		details, obj(pair{"node_id", id}, pair{"class_type", class}, pair{"node_title", title}), obj()), nil
}

// nodeTitle is the title in a node's _meta.
func nodeTitle(n *object, def any) (any, error) {
	meta, given := n.get("_meta")
	if !given {
		return def, nil
	}
	m, ok := meta.(*object)
	if !ok {
		return nil, errPython
	}
	if title, given := m.get("title"); given {
		return title, nil
	}
	return def, nil
}

// judge checks every output with all that lies upstream of it.
func (v *validation) judge(outputs []string) *verdict {
	out := &verdict{graph: v.graph, nodeErrors: obj()}
	var texts []string
	for _, id := range outputs {
		f, err := v.check(id)
		if err != nil {
			f = &finding{reasons: []any{reason("exception_during_validation", "Exception when validating node", err.text,
				obj(pair{"exception_type", err.kind}, pair{"traceback", traceback(1)}))}}
			v.find(id, f)
		}
		if f.ok {
			out.outputs = append(out.outputs, id)
			continue
		}
		for _, r := range f.reasons {
			o, _ := r.(*object)
			texts = append(texts, pyStr(o.vals["message"])+": "+pyStr(o.vals["details"]))
		}
		v.blame(out.nodeErrors, id)
	}
	if len(out.outputs) == 0 {
		out.refused = refusal("prompt_outputs_failed_validation", "Prompt outputs failed validation",
			strings.Join(texts, "\n"), obj(), out.nodeErrors)
	}
	return out
}

// blame adds every faulty node that was found so far to the errors, as one that
// the output depends on: ComfyUI does not look whether it does.
func (v *validation) blame(nodeErrors *object, output string) {
	for _, id := range v.order {
		f := v.found[id]
		if f.ok || len(f.reasons) == 0 {
			continue
		}
		e, known := nodeErrors.vals[id].(*object)
		if !known {
			node, _ := v.graph.vals[id].(*object)
			e = obj(
				pair{"errors", f.reasons}, pair{"dependent_outputs", []any{}}, pair{"class_type", node.vals["class_type"]},
			)
			nodeErrors.set(id, e)
		}
		outputs, _ := e.vals["dependent_outputs"].([]any)
		e.set("dependent_outputs", append(outputs, output))
	}
}

func (v *validation) find(id string, f *finding) {
	if _, known := v.found[id]; !known {
		v.order = append(v.order, id)
	}
	v.found[id] = f
}

func reason(kind, message, details string, extra *object) *object {
	return obj(pair{"type", kind}, pair{"message", message}, pair{"details", details}, pair{"extra_info", extra})
}

// traceback stands for n lines of Python that nobody should read.
func traceback(n int) []any {
	lines := make([]any, n)
	for i := range lines {
		lines[i] = "  File \"/srv/comfyui/execution.py\", in embedded emulator\n"
	}
	return lines
}

// check validates a node and what lies upstream of it.
func (v *validation) check(id string) (*finding, *pyError) {
	if f, ok := v.found[id]; ok {
		return f, nil
	}
	if i := slices.Index(v.visiting, id); i >= 0 {
		return v.cycle(slices.Clone(v.visiting[i:])), nil
	}
	node, _ := v.graph.vals[id].(*object)
	raw, given := node.get("inputs")
	if !given {
		return nil, &pyError{"KeyError", "'inputs'"}
	}
	inputs, ok := raw.(*object)
	if !ok {
		inputs = obj()
	}
	class, _ := node.vals["class_type"].(string)
	info := v.server.infos[class]
	v.visiting = append(v.visiting, id)
	defer func() { v.visiting = v.visiting[:len(v.visiting)-1] }()
	f := &finding{ok: true}
	for i := range info.inputs {
		in := &info.inputs[i]
		r, upstream, err := v.checkInput(in, inputs)
		if err != nil {
			return nil, err
		}
		f.ok = f.ok && upstream && r == nil
		if r != nil {
			f.reasons = append(f.reasons, r)
		}
	}
	if custom := v.server.nodes[class].validate; custom != nil {
		r, err := custom(v.server, inputs)
		if err != nil {
			return nil, err
		}
		if r != nil {
			f.ok, f.reasons = false, append(f.reasons, r)
		}
	}
	if old, ok := v.found[id]; ok && v.server.kind.namedCycles {
		f.ok, f.reasons = f.ok && old.ok, append(slices.Clone(old.reasons), f.reasons...)
	}
	v.find(id, f)
	return f, nil
}

// cycle is what a node says that is met again on the way upstream.
func (v *validation) cycle(ids []string) *finding {
	if !v.server.kind.namedCycles {
		return &finding{} // Python's recursion limit ends it, and nothing is left to show
	}
	var way []string
	for _, id := range append(slices.Clone(ids), ids[0]) {
		node, _ := v.graph.vals[id].(*object)
		way = append(way, id+" ("+pyStr(node.vals["class_type"])+")")
	}
	for _, id := range ids {
		v.find(id, &finding{reasons: []any{reason("dependency_cycle", "Dependency cycle detected", strings.Join(way, " -> "),
			obj(pair{"node_id", id}, pair{"cycle_nodes", anyStrings(ids)}))}})
	}
	return v.found[ids[0]]
}
