package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/comfygate/comfygate/comfy"
)

// An OfferKind is what an offered input takes.
type OfferKind string

// The kinds of offered inputs, each with the JSON value it takes.
const (
	OfferText    OfferKind = "text"    // a text
	OfferInteger OfferKind = "integer" // a whole number
	OfferNumber  OfferKind = "number"  // a number
	OfferBoolean OfferKind = "boolean" // true or false
	OfferChoice  OfferKind = "choice"  // one of the offer's options, a text
	OfferPicture OfferKind = "picture" // an image id
	OfferModel   OfferKind = "model"   // one of the offer's options: a model file of the server's
	OfferSeed    OfferKind = "seed"    // a whole number of 64 bits, not below zero
)

// A Target is an input of a node.
type Target struct{ Node, Input string }

// An Offer is one named input of a workflow that a caller may set.
type Offer struct {
	Name        string // snake_case, unique in a workflow, at most 64 characters
	Label       string // the author's word for it, printable and cut short; may be empty
	Description string // ours; may be empty
	Kind        OfferKind
	Targets     []Target // where the value goes, at least one
	Default     any      // JSON value, numbers as they are in the graph; nil: it must be given
	Min, Max    *float64
	Options     []string // of a choice or a model
	Required    bool
}

// Offers returns the inputs of g that a caller may want to set, found from the samplers backwards: prompts, input pictures, size, seed,
// settings of the samplers, model files. Only what leads to a result is looked at, and only what is written in the graph: a width that
// another node computes is none. Pictures must be given; all else has what is in g as its default.
func Offers(g comfy.Graph, info *comfy.ObjectInfo) []Offer {
	return findOffers(g, info).done()
}

// descriptions of the inputs whose names say what they are.
//
//nolint:gochecknoglobals // an immutable table
var descriptions = map[string]string{
	"prompt":          "what the result shows",
	"negative_prompt": "what it shall not show",
	"image":           "the id of a picture to work on",
	"mask":            "the id of a picture that masks",
	"width":           "in pixels",
	"height":          "in pixels",
	"length":          "in frames",
	"seed":            "random unless given",
	"steps":           "of sampling",
	"cfg":             "how strictly the prompt is followed",
	"guidance":        "how strictly the prompt is followed",
	"denoise":         "how much is painted anew: 1 is all",
}

// Bounds of what one workflow offers: more than a person would read, and than a graph may have.
const (
	maxOffers  = 100
	maxTargets = 512
)

// An offerList is offers on their way: names may be doubled until done. It takes no more than maxOffers.
type offerList struct {
	list []*Offer
	at   map[Target]*Offer
}

// put adds an offer of one target. Where the list is full the offer is made and forgotten.
func (l *offerList) put(name string, kind OfferKind, t Target, in *comfy.Input, value any) *Offer {
	o := &Offer{Name: name, Kind: kind, Default: value, Description: descriptions[name]}
	if len(l.list) < maxOffers {
		l.list = append(l.list, o)
		l.aim(o, t, in)
	}
	return o
}

// add adds a target to the offer of that name and value, or makes one.
func (l *offerList) add(name string, kind OfferKind, t Target, in *comfy.Input, value any) {
	if l.at[t] != nil {
		return
	}
	if o := l.same(name, value); o != nil {
		l.aim(o, t, in)
		return
	}
	l.put(name, kind, t, in, value)
}

// find returns the first offer of a name, or nil.
func (l *offerList) find(name string) *Offer {
	if i := slices.IndexFunc(l.list, func(o *Offer) bool { return o.Name == name }); i >= 0 {
		return l.list[i]
	}
	return nil
}

// same returns the offer of that name and value, or nil. Empty texts are not the same: they may mean different things.
func (l *offerList) same(name string, value any) *Offer {
	if i := slices.IndexFunc(l.list, func(o *Offer) bool { return o.Name == name && equal(o.Default, value) }); i >= 0 && value != "" {
		return l.list[i]
	}
	return nil
}

// equal reports whether two values are the same text, number or truth value.
func equal(a, b any) bool {
	switch a.(type) {
	case string, bool, json.Number, int, int64, uint64, float64:
		return a == b
	}
	return false
}

// aim adds a target that no offer has yet, and takes over what it bounds. A nil input bounds nothing.
func (l *offerList) aim(o *Offer, t Target, in *comfy.Input) {
	if l.at[t] != nil || len(o.Targets) == maxTargets {
		return
	}
	if l.at == nil {
		l.at = map[Target]*Offer{}
	}
	l.at[t] = o
	o.Targets = append(o.Targets, t)
	o.limit(in)
	if in == nil || o.Kind != OfferChoice && o.Kind != OfferModel {
		return
	}
	if len(o.Targets) == 1 {
		o.Options = in.Options
		return
	}
	o.Options = slices.DeleteFunc(slices.Clone(o.Options), func(w string) bool { return !slices.Contains(in.Options, w) })
}

// limit narrows the bounds to those of an input that the value ends up in.
func (o *Offer) limit(in *comfy.Input) {
	if in == nil || o.Kind != OfferInteger && o.Kind != OfferNumber && o.Kind != OfferSeed {
		return
	}
	if in.Min != nil && (o.Min == nil || *in.Min > *o.Min) {
		o.Min = in.Min
	}
	if in.Max != nil && (o.Max == nil || *in.Max < *o.Max) {
		o.Max = in.Max
	}
	if zero := 0.0; o.Kind == OfferSeed && (o.Min == nil || *o.Min < 0) {
		o.Min = &zero
	}
	if most := float64(math.MaxUint64); o.Kind == OfferSeed && o.Max == nil {
		o.Max = &most
	}
}

// done returns the offers, each name once: the second of a name becomes name_2.
func (l *offerList) done() []Offer {
	taken := map[string]bool{}
	out := make([]Offer, 0, len(l.list))
	for _, o := range l.list {
		base := o.Name
		for n := 2; taken[o.Name]; n++ {
			o.Name = fmt.Sprintf("%s_%d", base, n)
		}
		taken[o.Name] = true
		out = append(out, *o)
	}
	return out
}

// snake writes a name in snake_case, at most 50 letters long; empty when it has no plain letters.
func snake(name string) string {
	plain := strings.Map(func(c rune) rune {
		if c > unicode.MaxASCII {
			return '-'
		}
		return c
	}, name)
	plain = strings.Trim(strings.ReplaceAll(spelled(plain), "-", "_"), "_")
	plain = strings.Trim(plain[:min(len(plain), 50)], "_")
	if plain == "" || plain[0] >= '0' && plain[0] <= '9' && strings.Trim(plain, "0123456789_") == "" {
		return ""
	}
	if plain[0] >= '0' && plain[0] <= '9' {
		return "input_" + plain
	}
	return plain
}

// label makes an author's word printable and short.
func label(word string) string {
	return cut(strings.TrimSpace(strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return ' '
	}, word)))
}
