package tools

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/comfy/workflow/library"
)

// pictureScheme is before the id in the address of a picture of ours.
const pictureScheme = "comfygate://images/"

var imageIDs = regexp.MustCompile(idPattern) //nolint:gochecknoglobals // immutable

// offersOf returns the inputs that a workflow offers: those that its sheet declares, or else those that are found in it. hidden are seeds
// that it does not offer, which still must not stay as they are. A declared input that the graph does not have is a fault.
func offersOf(src source, conv workflow.Converted, g comfy.Graph, info *comfy.ObjectInfo) (offers, hidden []workflow.Offer, faults workflow.FieldErrors) {
	if len(src.sheet.Inputs) == 0 {
		return withPictures(conv.Offers, g), nil, nil
	}
	taken := make(map[workflow.Target]bool)
	for _, in := range src.sheet.Inputs {
		o, problem := declaredOffer(in, g, info)
		if problem != "" {
			faults = append(faults, &workflow.FieldError{Field: inputField(in.Name), Problem: problem})
			continue
		}
		offers = append(offers, o)
		taken[o.Targets[0]] = true
	}
	for _, o := range conv.Offers {
		if o.Kind != workflow.OfferSeed || slices.ContainsFunc(o.Targets, func(t workflow.Target) bool { return taken[t] }) {
			continue
		}
		o.Name = "seed"
		for i := 2; slices.ContainsFunc(slices.Concat(offers, hidden), func(other workflow.Offer) bool { return other.Name == o.Name }); i++ {
			o.Name = fmt.Sprintf("seed_%d", i)
		}
		hidden = append(hidden, o)
	}
	return withPictures(offers, g), hidden, faults
}

// withPictures lets pictures that a graph names by their ids be left out by the caller.
func withPictures(offers []workflow.Offer, g comfy.Graph) []workflow.Offer {
	offers = slices.Clone(offers)
	for i, o := range offers {
		if o.Kind != workflow.OfferPicture || len(o.Targets) == 0 {
			continue
		}
		value, _ := g[o.Targets[0].Node].Inputs[o.Targets[0].Input].(string)
		if id := strings.TrimPrefix(value, pictureScheme); imageIDs.MatchString(id) {
			offers[i].Required, offers[i].Default = false, id
		}
	}
	return offers
}

// declaredOffer is what a sheet offers, within what the server takes.
func declaredOffer(in library.Input, g comfy.Graph, info *comfy.ObjectInfo) (o workflow.Offer, problem string) {
	target := workflow.Target{Node: in.Node, Input: in.Input}
	o, ok := workflow.OfferOf(g, info, target)
	if !ok {
		return o, fmt.Sprintf("is declared for the input %s of node %s, which takes no value", clean(in.Input, 60), clean(in.Node, 40))
	}
	if in.Kind != "" && in.Kind != o.Kind && (in.Kind != workflow.OfferInteger || o.Kind != workflow.OfferSeed) {
		return o, fmt.Sprintf("is declared as %s, and the node takes %s", in.Kind, o.Kind)
	}
	o.Name, o.Label, o.Description, o.Required = in.Name, in.Label, in.Description, o.Required || in.Required
	o.Min, o.Max = narrower(o.Min, in.Min, 1), narrower(o.Max, in.Max, -1)
	if o.Min != nil && o.Max != nil && *o.Min > *o.Max {
		return o, "is declared with bounds that the node does not take"
	}
	if len(in.Options) > 0 {
		kept := slices.DeleteFunc(slices.Clone(in.Options), func(s string) bool { return !slices.Contains(o.Options, s) })
		if len(kept) == 0 {
			return o, "is declared with options of which the node takes none"
		}
		o.Options = kept
	}
	return o, ""
}

// narrower is the bound that lets less pass; sign is 1 for lower bounds, −1 for upper ones.
func narrower(a, b *float64, sign float64) *float64 {
	if a == nil || b != nil && sign**b > sign**a {
		return b
	}
	return a
}
