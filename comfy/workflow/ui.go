package workflow

// A UI is a workflow in the format of ComfyUI's editor: nodes with lists of values and numbered links, and subgraphs, whose
// instances are nodes too. It is read by [Read], within its bounds, and immutable.
type UI struct {
	top  *level
	subs map[string]*subgraph
}

// Bounds of a workflow in the editor's format, beside those of a graph.
const (
	maxInstanceDepth = 16 // subgraphs within subgraphs
	maxSubgraphs     = 1000
	maxHops          = 256 // from a socket to what feeds it: bypassed nodes, reroutes and sides of subgraphs
	maxAllHops       = 200_000
)

// Numbers that stand for the two sides of a subgraph in its links, and the modes of nodes that do not run.
const (
	inputSide  = "-10"
	outputSide = "-20"

	modeMuted    = 2
	modeBypassed = 4
)

// Nodes that live in the editor only.
const (
	classReroute   = "Reroute"
	classPrimitive = "PrimitiveNode"
)

// A level is the nodes and links of the workflow itself or of one subgraph. Ids are unique within a level only.
type level struct {
	nodes []*uiNode
	byID  map[string]*uiNode
	links map[string]uiLink
	ends  map[int]uiLink // by output of the subgraph
}

// A uiNode is a node as it was saved.
type uiNode struct {
	id, class, title string
	mode             int
	inputs           []uiInput
	inputAt          map[string]int // by name
	outputs          []uiPort
	values           []any          // of its widgets, in their order
	named            map[string]any // of its widgets, by name; where values is nil
	proxies          []proxy        // of an instance: what it shows of its inside
	hosted           map[string]any // of an instance: values by the name of its input, which go before values
	files            []ModelFileHint
	origin           string // the package that the node came from
}

func (n *uiNode) off() bool { return n.mode == modeMuted || n.mode == modeBypassed }

// note reports whether a node is but text on the canvas.
func (n *uiNode) note() bool { return n.class == "Note" || n.class == "MarkdownNote" }

// input returns the input called name, or nil.
func (n *uiNode) input(name string) *uiInput {
	if i, ok := n.inputAt[name]; ok {
		return &n.inputs[i]
	}
	return nil
}

// A uiPort is an output of a node, or a side's slot of a subgraph.
type uiPort struct {
	name, label, kind string
	links             []string // of a subgraph's: ids within it, in the order in which they were made
}

// A uiInput is a socket of a node.
type uiInput struct {
	uiPort
	widget bool   // there is a widget behind it
	link   string // id within the level; empty when nothing is linked
}

// A uiLink leads from an output to an input.
type uiLink struct {
	from     string
	fromSlot int
	to       string
	toSlot   int
}

// A proxy is a widget that an instance shows: the inner node, or -1 for the instance's own input, and the widget's name.
type proxy struct{ node, widget string }

// A subgraph is a definition, which any number of nodes may be instances of.
type subgraph struct {
	*level
	id, name        string
	inputs, outputs []uiPort
	slots           map[string]int // of inputs, by name
	shown           []shown        // its inputs that lead to widgets, told when all within is known
	shownAt         map[int]shown  // the same, by slot
}

// A shown is an input of a subgraph that leads to a widget, which instances then have too. The first widget that it leads to says what
// it begins with.
type shown struct {
	slot   int
	node   *uiNode
	widget string
}
