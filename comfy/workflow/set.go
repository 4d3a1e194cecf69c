package workflow

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/comfygate/comfygate/comfy"
)

// maxTextLength bounds a text that a caller sets, in characters.
const maxTextLength = 20_000

// Set returns a copy of g with a caller's values, by the names of offers. What is not named keeps what it has in g, but seeds become seed,
// brought into their bounds. Values are as JSON decodes them, numbers also as json.Number or Go's own. pictures tells the image id for each
// node that loads a picture; the file's name is for whoever submits the graph. used is the seed of the graph: the caller's where one was
// named, else seed as it was set. The error is [FieldErrors]: every fault at once. g is not changed.
func Set(g comfy.Graph, offers []Offer, values map[string]any, seed uint64) (g2 comfy.Graph, pictures map[string]string, used uint64, err error) {
	s := &setter{graph: maps.Clone(g), own: map[string]bool{}, pictures: map[string]string{}}
	used = seed
	seeded := false
	for i := range offers {
		o := &offers[i]
		v, named := values[o.Name]
		switch {
		case named:
			v = s.judged(o, v)
		case o.Kind == OfferSeed:
			v = bounded(o, seed)
		case o.Required:
			s.fault(o, "it must be given", o.wants())
			continue
		}
		if v == nil {
			continue
		}
		if n, isSeed := v.(uint64); isSeed && o.Kind == OfferSeed && !seeded {
			used, seeded = n, true
		}
		s.put(o, v)
	}
	s.unknown(offers, values)
	if len(s.faults) > 0 {
		return nil, nil, 0, s.faults
	}
	return s.graph, s.pictures, used, nil
}

type setter struct {
	graph    comfy.Graph
	own      map[string]bool // nodes that are copied already
	pictures map[string]string
	faults   FieldErrors
}

func (s *setter) fault(o *Offer, problem, fits string) {
	s.faults = append(s.faults, &FieldError{Field: o.Name, Problem: problem, Fits: fits})
}

// unknown names the values that no offer is called, sorted.
func (s *setter) unknown(offers []Offer, values map[string]any) {
	names := make([]string, 0, len(offers))
	for i := range offers {
		names = append(names, offers[i].Name)
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if slices.Contains(names, name) {
			continue
		}
		fits := "one such as " + strings.Join(closest(name, names, 5), ", ")
		if len(names) == 0 {
			fits = "nothing: this workflow has no inputs to set"
		}
		s.faults = append(s.faults, &FieldError{Field: cut(name), Problem: "this workflow has no such input", Fits: fits})
	}
}

// judged returns a caller's value as it goes into the graph, or nil and a fault.
func (s *setter) judged(o *Offer, v any) any {
	var problem string
	switch o.Kind {
	case OfferText:
		v, problem = wantText(v)
	case OfferPicture:
		text, ok := v.(string)
		if v = text; !ok || text == "" || len(text) > 200 {
			problem = "it is not an image id"
		}
	case OfferBoolean:
		if _, ok := v.(bool); !ok {
			problem = "it is not true or false"
		}
	case OfferChoice, OfferModel:
		text, ok := v.(string)
		if !ok || !slices.Contains(o.Options, text) {
			problem = "it is none of the options"
		}
		if problem != "" {
			s.fault(o, problem, oneOf(text, o.Options))
			return nil
		}
	case OfferInteger, OfferNumber, OfferSeed:
		v, problem = o.number(v)
	default:
		problem = "this input cannot be set"
	}
	if problem != "" {
		s.fault(o, problem, o.wants())
		return nil
	}
	return v
}

func wantText(v any) (any, string) {
	text, ok := v.(string)
	switch {
	case !ok:
		return nil, "it is not a text"
	case !utf8.ValidString(text):
		return nil, "it is not valid UTF-8"
	case utf8.RuneCountInString(text) > maxTextLength:
		return nil, fmt.Sprintf("it is longer than %d characters", maxTextLength)
	}
	return text, ""
}

// number returns a number within the offer's bounds: uint64 for seeds, int64 or uint64 for whole numbers, else float64.
func (o *Offer) number(v any) (any, string) {
	if _, isText := v.(string); isText { // ComfyUI would read it, but it is a slip
		return nil, "it is not a number"
	}
	n, exact, ok := numeric(v, true)
	out, problem := wholeNumber(v)
	switch {
	case !ok || math.IsNaN(n) || math.IsInf(n, 0):
		return nil, "it is not a number"
	case o.Min != nil && n < *o.Min:
		return nil, "it is smaller than " + bound(*o.Min)
	case o.Max != nil && (n > *o.Max || !exact && n >= math.MaxUint64):
		return nil, "it is larger than " + bound(*o.Max)
	case o.Kind == OfferNumber:
		return n, ""
	case problem != "":
		return nil, problem
	case o.Kind == OfferSeed:
		return toSeed(out)
	}
	return out, ""
}

// wholeNumber returns a whole number as int64, or uint64 where only that holds it.
func wholeNumber(v any) (any, string) {
	switch v := v.(type) {
	case json.Number:
		if i, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return i, ""
		}
		if u, err := strconv.ParseUint(v.String(), 10, 64); err == nil {
			return u, ""
		}
		f, err := v.Float64()
		if err != nil {
			return nil, "it is not a whole number"
		}
		return wholeNumber(f)
	case int:
		return int64(v), ""
	case int64, uint64:
		return v, ""
	case float64:
		if v == math.Trunc(v) && math.Abs(v) <= 1<<53 {
			return int64(v), ""
		}
	}
	return nil, "it is not a whole number"
}

func toSeed(v any) (any, string) {
	switch v := v.(type) {
	case uint64:
		return v, ""
	case int64:
		if v >= 0 {
			return uint64(v), ""
		}
	}
	return nil, "it is smaller than 0"
}

// bounded brings a random seed into an offer's bounds.
func bounded(o *Offer, seed uint64) any {
	var low uint64
	if o.Min != nil && *o.Min > 0 && *o.Min < math.MaxUint64 {
		low = uint64(*o.Min)
	}
	if o.Max == nil || *o.Max >= math.MaxUint64 {
		return max(low, seed)
	}
	most := uint64(max(*o.Max, 0))
	if most < low {
		return low
	}
	if span := most - low + 1; span != 0 {
		return low + seed%span
	}
	return seed
}

// wants says what an offer takes.
func (o *Offer) wants() string {
	switch o.Kind {
	case OfferText:
		return "a text"
	case OfferBoolean:
		return "true or false"
	case OfferPicture:
		return "the id of a picture that was made or uploaded here"
	case OfferChoice, OfferModel:
		return oneOf("", o.Options)
	case OfferInteger, OfferNumber, OfferSeed:
	}
	kind := "a whole number"
	if o.Kind == OfferNumber {
		kind = "a number"
	}
	switch {
	case o.Min != nil && o.Max != nil:
		return fmt.Sprintf("%s from %s to %s", kind, bound(*o.Min), bound(*o.Max))
	case o.Min != nil:
		return fmt.Sprintf("%s from %s", kind, bound(*o.Min))
	case o.Max != nil:
		return fmt.Sprintf("%s up to %s", kind, bound(*o.Max))
	}
	return kind
}

// put writes a value into every target of an offer, in nodes of our own.
func (s *setter) put(o *Offer, v any) {
	for _, t := range o.Targets {
		n, there := s.graph[t.Node]
		if !there {
			s.fault(o, "the workflow does not have the node "+short(t.Node)+", which this input is for", "")
			return
		}
		if o.Kind == OfferPicture {
			s.pictures[t.Node], _ = v.(string)
			continue
		}
		if !s.own[t.Node] {
			s.own[t.Node] = true
			n.Inputs = maps.Clone(n.Inputs)
			if n.Inputs == nil {
				n.Inputs = map[string]any{}
			}
			s.graph[t.Node] = n
		}
		s.graph[t.Node].Inputs[t.Input] = v
	}
}
