package workflow

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/policy"
)

// linked are the types that only another node can give. Other types, of custom nodes say, may have values of their own.
//
//nolint:gochecknoglobals // an immutable table
var linked = []string{
	"MODEL", "CLIP", "VAE", "CONDITIONING", "LATENT", "IMAGE", "MASK", "NOISE", "GUIDER", "SAMPLER", "SIGMAS", "UPSCALE_MODEL",
	"CONTROL_NET", "CLIP_VISION", "CLIP_VISION_OUTPUT", "STYLE_MODEL", "AUDIO", "VIDEO",
}

// judge returns what is wrong with a value that is written into a node, and what would fit; the problem is empty when nothing is.
func judge(class string, in *comfy.Input, v any) (problem, fits string) {
	v = written(v)
	if _, isList := v.([]any); isList {
		return "", ""
	}
	switch in.Type {
	case "INT":
		return judgeNumber(in, v, true)
	case "FLOAT":
		return judgeNumber(in, v, false)
	case "BOOLEAN":
		if _, isText := v.(string); isText || v == nil { // which ComfyUI reads as true, whatever it says
			return "it is not true or false", "true or false"
		}
	case "STRING":
		if v == nil {
			return "it is not a text", "a text"
		}
	case "COMBO", dynamicCombo:
		return judgeOption(class, in, v)
	}
	if slices.Contains(linked, in.Type) {
		return "it takes a link to another node, not a value", wanted(in)
	}
	return "", ""
}

func judgeOption(class string, in *comfy.Input, v any) (problem, fits string) {
	text, isText := v.(string)
	switch {
	case v == nil, !isText && (len(in.Options) > 0 || in.Upload || modelKind(class, in.Name) != ""):
		return "it is none of the options", wanted(in)
	case in.Upload, in.Media, in.Dynamic, slices.Contains(in.Options, text):
		return "", "" // pictures are looked for when the graph runs
	case isText && modelKind(class, in.Name) != "" && len(in.Options) == 0:
		return "no such file is there", "a file in " + folderOf(modelKind(class, in.Name)) + ", which is empty"
	case !isText, in.Options == nil:
		return "", "" // where all options are numbers, say, none is told
	case modelKind(class, in.Name) != "":
		return "no such file is there", "a file in " + folderOf(modelKind(class, in.Name)) + ", such as " + strings.Join(closest(text, in.Options, 5), ", ")
	}
	return "it is none of the options", oneOf(text, in.Options)
}

// folderOf names the folder that files of a kind lie in.
func folderOf(kind policy.Kind) string {
	if kind == anyModel {
		return "the models folder"
	}
	return "models/" + string(kind)
}

// oneOf lists the options, or of many the closest.
func oneOf(text string, options []string) string {
	const most = 12
	switch {
	case len(options) == 0:
		return "nothing: the list is empty"
	case len(options) > most:
		return "one such as " + strings.Join(closest(text, options, 5), ", ")
	}
	return "one of " + strings.Join(options, ", ")
}

func judgeNumber(in *comfy.Input, v any, whole bool) (problem, fits string) {
	n, exact, ok := numeric(v, whole)
	switch {
	case !ok:
		return "it is not a number", wanted(in)
	case in.Min != nil && n < *in.Min:
		return fmt.Sprintf("it is smaller than %s", bound(*in.Min)), wanted(in)
	case in.Max != nil && (n > *in.Max || !exact && n >= math.MaxUint64):
		return fmt.Sprintf("it is larger than %s", bound(*in.Max)), wanted(in)
	}
	return "", ""
}

// numeric reads a number as the server does, which takes texts for numbers too. exact says that a whole number fits 64 bits.
func numeric(v any, whole bool) (n float64, exact, ok bool) {
	switch v := v.(type) {
	case json.Number:
		return parsed(v.String())
	case string:
		n, exact, ok = parsed(strings.TrimSpace(v))
		return n, exact, ok && (exact || !whole)
	case bool, nil:
		return 0, false, false
	}
	switch r := reflect.ValueOf(v); {
	case r.CanInt():
		return float64(r.Int()), true, true
	case r.CanUint():
		return float64(r.Uint()), true, true
	case r.CanFloat():
		return r.Float(), r.Float() == math.Trunc(r.Float()) && math.Abs(r.Float()) < math.MaxUint64, !math.IsNaN(r.Float())
	}
	return 0, false, false
}

func parsed(s string) (n float64, exact, ok bool) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return float64(i), true, true
	}
	if u, err := strconv.ParseUint(s, 10, 64); err == nil {
		return float64(u), true, true
	}
	f, err := strconv.ParseFloat(s, 64)
	return f, false, err == nil && !math.IsNaN(f) || math.IsInf(f, 0)
}

// bound writes a bound; the largest seed is not a float64, so the one next to it stands for it.
func bound(f float64) string {
	switch {
	case f >= math.MaxUint64:
		return strconv.FormatUint(math.MaxUint64, 10)
	case f == math.Trunc(f) && math.Abs(f) < 1<<53:
		return strconv.FormatInt(int64(f), 10)
	}
	return number(f)
}

// wanted says what an input takes.
func wanted(in *comfy.Input) string {
	if in.Upload || in.Media { // what else lies in the server's input folder is nobody's business
		return "the id of a picture that was made or uploaded here"
	}
	switch in.Type {
	case "INT", "FLOAT":
		kind := map[string]string{"INT": "a whole number", "FLOAT": "a number"}[in.Type]
		if in.Min != nil && in.Max != nil {
			return fmt.Sprintf("%s from %s to %s", kind, bound(*in.Min), bound(*in.Max))
		}
		return kind
	case "STRING":
		return "a text"
	case "BOOLEAN":
		return "true or false"
	case "COMBO", dynamicCombo:
		return oneOf("", in.Options)
	}
	return "a link to an output of type " + in.Type
}

// Fill returns g with missing required inputs set to the server's defaults, and missing options to the first (CLIENT-GRAPH-2): nodes
// grow inputs from version to version. A model or a picture is never filled in. g is not changed.
func Fill(g comfy.Graph, info *comfy.ObjectInfo) comfy.Graph {
	out := maps.Clone(g)
	for id, n := range g {
		class := classOf(info, n.ClassType)
		if class == nil {
			continue
		}
		inputs := maps.Clone(n.Inputs)
		if inputs == nil {
			inputs = map[string]any{}
		}
		for i := range class.Inputs {
			in := &class.Inputs[i]
			if _, there := inputs[in.Name]; there || !in.Required {
				continue
			}
			if v := fallback(n.ClassType, in); v != nil {
				inputs[in.Name] = v
			}
		}
		n.Inputs = inputs
		out[id] = n
	}
	return out
}

// fallback returns the value that an input takes when a graph does not say, or nil.
func fallback(class string, in *comfy.Input) any {
	switch in.Type {
	case "INT", "FLOAT", "STRING", "BOOLEAN":
		return in.Default
	case "COMBO":
		if in.Upload || in.Dynamic || modelKind(class, in.Name) != "" {
			return nil
		}
		if in.Default != nil {
			return in.Default
		}
		if len(in.Options) > 0 {
			return in.Options[0]
		}
	}
	return nil
}
