package workflow

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
)

// The rules of [Secure], as faults name them.
const (
	RuleClass   = "unknown-class" // what a class does that the server does not list, nobody knows; the server may put another in its place (T34)
	RulePicture = "input-picture" // pictures are loaded by the ids of ours only (CLIENT-SEC-5)
	RuleList    = "input-list"    // files and options are taken from the server's lists only (CLIENT-SEC-7)
	RulePath    = "input-path"    // no other input names a file or a folder (SC-26)
	RuleURL     = "input-url"     // no input names an address to fetch from or send to (T35)
	RuleOutput  = "output-path"   // results go where our prefix says, and nowhere else (CLIENT-SEC-6)
)

// A Destination says where the results of a graph go.
type Destination struct {
	Prefix string // of every file name, as comfygate/ID; made by us (CLIENT-SEC-6)
	ToTemp bool   // pictures to the server's temp folder instead of its output folder (CLIENT-FILE-4)
}

// An Upload is a picture, or another file of ours, that must be put on the server, and its name there into Input of Node, before the
// graph is submitted.
type Upload struct{ Node, Input, ImageID string }

// A Secured is a graph that may be submitted once its uploads are made: the inputs that they are for hold nothing yet.
type Secured struct {
	Graph   comfy.Graph
	Uploads []Upload // by node and input
	Stays   []string // nodes whose results stay in the output folder though temp was asked for, since their class knows no other
}

// Secure returns a copy of what of g would run at a server that has info, which reads nothing but the server's listed files and our own
// pictures, and writes nothing but under our prefix; faults are every reason why it is not, each with its Rule. With faults the graph is
// to be looked at, not to be run. pictures are ids of our pictures by node (those that [Set] returns); an input that takes a picture may also hold the id itself,
// or comfygate://images/ID. Whether a picture is there and the caller's is not for this to say, nor which classes and models may be used: that is policy's.
func Secure(g comfy.Graph, info *comfy.ObjectInfo, to Destination, pictures map[string]string) (Secured, []Fault) {
	order := running(g, info)
	s := &securer{graph: g, info: info, to: to, pictures: pictures, texts: knownTexts(g, order)}
	s.out.Graph = make(comfy.Graph, len(order))
	if !ourPrefix.MatchString(to.Prefix) {
		s.fault(Fault{Rule: RuleOutput, Problem: "results need a prefix of ours"})
	}
	slices.SortFunc(order, compareIDs)
	for _, id := range order {
		s.node(id)
	}
	for _, id := range slices.SortedFunc(maps.Keys(pictures), compareIDs) {
		if !slices.ContainsFunc(s.out.Uploads, func(u Upload) bool { return u.Node == id }) {
			s.fault(Fault{Node: id, Rule: RulePicture, Problem: "this node takes no picture, or leads to no result", Fits: "a node such as LoadImage"})
		}
	}
	return s.out, s.faults
}

var (
	ourPrefix = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}(/[A-Za-z0-9_-]{1,64})?$`)
	ourID     = regexp.MustCompile(`^[A-Za-z0-9_-]{16,64}$`)
)

// ourScheme begins the address of a picture of ours.
const ourScheme = "comfygate://images/"

type securer struct {
	graph    comfy.Graph
	info     *comfy.ObjectInfo
	to       Destination
	pictures map[string]string
	texts    map[string]string
	out      Secured
	faults   []Fault
}

func (s *securer) fault(f Fault) {
	if f.Class = s.graph[f.Node].ClassType; len(s.faults) < MaxFaults {
		s.faults = append(s.faults, f)
	}
}

func (s *securer) node(id string) {
	n := s.graph[id]
	n.Inputs = maps.Clone(n.Inputs)
	if n.Inputs == nil {
		n.Inputs = map[string]any{}
	}
	class := classOf(s.info, n.ClassType)
	if class == nil {
		s.out.Graph[id] = n
		s.fault(Fault{Node: id, Rule: RuleClass, Problem: "this ComfyUI has no node of this class", Got: quote(n.ClassType)})
		return
	}
	s.picture(id, n, class)
	for _, input := range slices.Sorted(maps.Keys(n.Inputs)) {
		s.input(id, n, class, input)
	}
	s.out.Graph[id] = s.output(id, n, class)
}

// picture puts the picture that was set for a node into the first of its inputs that takes one.
func (s *securer) picture(id string, n comfy.Node, class *comfy.Class) {
	picture, ok := s.pictures[id]
	if !ok {
		return
	}
	for i := range class.Inputs {
		if name := class.Inputs[i].Name; s.roleOf(n, name) == takesPicture {
			n.Inputs[name] = picture
			return
		}
	}
}

// input judges one input of a node whose inputs may be changed.
func (s *securer) input(id string, n comfy.Node, class *comfy.Class, input string) {
	if class.Input(input) == nil && slices.Contains(hiddenInputs, input) {
		delete(n.Inputs, input)
		return
	}
	if editorViews[Target{n.ClassType, input}] {
		n.Inputs[input] = map[string]any{}
		return
	}
	v := n.Inputs[input]
	text, known := textIn(s.texts, n, input)
	_, isLink := asLink(v)
	fault := Fault{Node: id, Input: input, Got: quote(v)}
	switch role := s.roleOf(n, input); role {
	case takesPrefix:
		delete(n.Inputs, input) // ours is put in its place
	case takesPicture:
		s.upload(id, n, input, text, known)
	case takesPath, takesURL:
		if isLink && !known && !s.givesText(v) || known && text == "" {
			return
		}
		fault.Rule, fault.Problem = RulePath, "it names a file or a folder"
		if role == takesURL {
			fault.Rule, fault.Problem = RuleURL, "it names an address"
		}
		fault.Fits = "no value"
		s.fault(fault)
	case takesOption:
		if !isLink { // a model that comes over a link has no name, which policy denies
			s.option(n, class, input, fault)
		}
	case takesAnything:
		s.free(n, class, isLink, fault)
	}
}

// upload takes the id of a picture out of an input.
func (s *securer) upload(id string, n comfy.Node, input, text string, known bool) {
	picture := strings.TrimPrefix(text, ourScheme)
	switch in := declared(s.info, n, input); {
	case known && text == "" && in != nil && in.Type == "STRING": // as where nothing was painted
	case known && ourID.MatchString(picture):
		n.Inputs[input] = ""
		s.out.Uploads = append(s.out.Uploads, Upload{id, input, picture})
	default:
		s.fault(Fault{
			Node: id, Input: input, Got: quote(n.Inputs[input]), Rule: RulePicture, Problem: "it names no picture of ours",
			Fits: "the id of a picture that was made or uploaded here",
		})
	}
}

// option holds a value to the list of the server. One that the server fills later must be a plain name.
func (s *securer) option(n comfy.Node, class *comfy.Class, input string, fault Fault) {
	in := declared(s.info, n, input)
	problem, fits := judge(class.Name, in, n.Inputs[input])
	text, isText := written(n.Inputs[input]).(string)
	switch {
	case problem != "":
		fault.Rule, fault.Problem, fault.Fits = RuleList, problem, fits
	case n.ClassType == "CustomCombo": // whose options the graph itself brings
		return
	case isText && !slices.Contains(in.Options, text) && namesFile(text):
		fault.Rule, fault.Problem, fault.Fits = RulePath, "it names a file or a folder", "one of the options"
	default:
		return
	}
	s.fault(fault)
}

// free judges an input that is no file's by its name or type. A text may say what it likes, but to a class that fetches or sends.
func (s *securer) free(n comfy.Node, class *comfy.Class, isLink bool, fault Fault) {
	in, v := declared(s.info, n, fault.Input), n.Inputs[fault.Input]
	_, isText := written(v).(string)
	text := in != nil && strings.Contains(in.Type, "STRING") || in == nil && core(class.Module) || // which reads no input that it does not declare
		in != nil && isText && (in.Type == anyType || in.Type == matchType) // where it goes from there is looked at there
	switch {
	case hasWord(n.ClassType, fetchWords...) && (isLink && s.givesText(v) || namesAddress(written(v), 0)):
		fault.Rule, fault.Problem, fault.Fits = RuleURL, "it may name an address", "a text without one"
	case isLink, text:
		return
	case deepFile(written(v), 0):
		fault.Rule, fault.Problem, fault.Fits = RulePath, "it names a file or a folder", "a value that does not"
	default:
		return
	}
	s.fault(fault)
}

// givesText reports whether a link may bring a text.
func (s *securer) givesText(v any) bool {
	l, _ := asLink(v)
	class := classOf(s.info, s.graph[l.Node].ClassType)
	if class == nil || l.Slot < 0 || l.Slot >= len(class.Outputs) {
		return true
	}
	return slices.ContainsFunc(strings.Split(class.Outputs[l.Slot].Type, ","), func(kind string) bool {
		return slices.Contains([]string{"STRING", "COMBO", anyType, matchType}, strings.TrimSpace(kind))
	})
}

// output has the results of a node go where they should.
func (s *securer) output(id string, n comfy.Node, class *comfy.Class) comfy.Node {
	if to, ok := previews[n.ClassType]; ok && s.to.ToTemp && classOf(s.info, to.class) != nil {
		return comfy.Node{ClassType: to.class, Inputs: map[string]any{to.input: n.Inputs[to.from]}, Meta: n.Meta}
	}
	prefixed := false
	for i := range class.Inputs {
		if name := class.Inputs[i].Name; s.roleOf(n, name) == takesPrefix {
			n.Inputs[name] = s.to.Prefix
			prefixed = true
		}
	}
	switch {
	case prefixed && s.to.ToTemp:
		s.out.Stays = append(s.out.Stays, id)
	case !prefixed && hasWord(n.ClassType, writeWords...) && n.ClassType != "SaveImageWebsocket": // which writes none
		s.fault(Fault{Node: id, Rule: RuleOutput, Problem: "it writes files whose place nobody can tell it", Fits: "a node such as SaveImage"})
	}
	return n
}
