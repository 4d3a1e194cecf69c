package workflow

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/policy"
)

// OfferOf returns what may be set at one input of g: its kind, its bounds and options at a server that has info, and what is there now. Name
// and words are for whoever offers it. False: the input is not there, or takes no value.
func OfferOf(g comfy.Graph, info *comfy.ObjectInfo, t Target) (Offer, bool) {
	node, there := g[t.Node]
	class := classOf(info, node.ClassType)
	if !there || class == nil {
		return Offer{}, false
	}
	in := class.Input(t.Input)
	value := node.Inputs[t.Input]
	if in == nil || slices.Contains(linked, in.Type) {
		return Offer{}, false
	}
	if _, isLink := asLink(value); isLink {
		return Offer{}, false
	}
	o := Offer{Targets: []Target{t}, Default: value, Min: in.Min, Max: in.Max}
	switch {
	case in.Upload:
		o.Kind, o.Default, o.Required = OfferPicture, nil, true
	case modelKind(class.Name, in.Name) != "":
		o.Kind, o.Options = OfferModel, in.Options
	case in.Type == "COMBO":
		o.Kind, o.Options = OfferChoice, in.Options
	case in.Type == "INT" && (in.Name == "seed" || in.Name == "noise_seed"):
		o.Kind = OfferSeed
	default:
		kind, ok := map[string]OfferKind{"INT": OfferInteger, "FLOAT": OfferNumber, "STRING": OfferText, "BOOLEAN": OfferBoolean}[in.Type]
		if !ok {
			return Offer{}, false
		}
		o.Kind = kind
	}
	return o, true
}

// Absent returns the model files that nodes of g name and that a server with info does not list, sorted, none twice.
func Absent(g comfy.Graph, info *comfy.ObjectInfo) []policy.Model {
	found := map[policy.Model]bool{}
	for _, n := range g {
		class := classOf(info, n.ClassType)
		if class == nil {
			continue
		}
		for name, value := range n.Inputs {
			kind, in := modelKind(n.ClassType, name), class.Input(name)
			text, isText := value.(string)
			if kind == "" || in == nil || !isText || in.Dynamic || loaders[n.ClassType] == nil && !weights(text) || slices.Contains(in.Options, text) {
				continue
			}
			found[policy.Model{Kind: kind, Name: text}] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), func(a, b policy.Model) int {
		return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), strings.Compare(a.Name, b.Name))
	})
}
