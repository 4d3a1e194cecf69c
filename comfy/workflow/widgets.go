package workflow

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
)

// A slot is a widget that is looked for in a node's list of values.
type slot struct {
	name string
	in   *comfy.Input
}

// slots returns the widgets of inputs, in the editor's order.
func slots(inputs []comfy.Input, prefix string) (list []slot) {
	for i := range inputs {
		if inputs[i].Widget {
			list = append(list, slot{prefix + inputs[i].Name, &inputs[i]})
		}
	}
	return list
}

// spread gives the values of a node's list to its widgets by their places. The list has more places than the class has widgets: the
// choice of what happens to a seed after a run, buttons of uploads, and the widgets that a dynamic combo brings. Values tell these
// apart. Null is no value.
func spread(class *comfy.Class, values []any) map[string]any {
	out := map[string]any{}
	todo := slots(class.Inputs, "")
	for at := 0; len(todo) > 0 && at < len(values); {
		s := todo[0]
		todo = todo[1:]
		if newer(class.Name, s.in, values[at:], todo) {
			continue
		}
		at = fitting(class.Name, s.in, values, at, len(todo))
		v := values[at]
		at++
		if v != nil {
			out[s.name] = v
		}
		if key, ok := v.(string); ok && s.in.Choices != nil {
			todo = append(slots(s.in.Choices[key], s.name+"."), todo...)
		}
		if at < len(values) && controlled(s.in) && control(values[at], len(values)-at > len(todo), todo) {
			at++
		}
	}
	return out
}

// newer reports whether a widget came to be after the file was saved: there are too few values for all, and this one is the next widget's.
func newer(class string, in *comfy.Input, values []any, todo []slot) bool {
	return len(values) <= len(todo) && !plausible(class, in, values[0]) && plausible(class, todo[0].in, values[0])
}

// fitting returns the place of the value for an input, from at on: the first that fits, if then enough values are left for the rest.
func fitting(class string, in *comfy.Input, values []any, at, rest int) int {
	const most = 16 // places that no widget of ours has
	for i := at; i < min(len(values)-rest, at+most); i++ {
		if plausible(class, in, values[i]) {
			return i
		}
	}
	return at
}

// buttons are what the editor's buttons leave in lists of values.
//
//nolint:gochecknoglobals // an immutable table
var buttons = []string{"image", "upload", "upload3dmodel", "uploadExtraResources", "clear"}

// plausible reports whether a value may be one of an input's, by its type.
func plausible(class string, in *comfy.Input, v any) bool {
	text, isText := v.(string)
	switch in.Type {
	case "INT", "FLOAT":
		_, _, ok := numeric(v, false)
		return ok
	case "BOOLEAN":
		_, ok := v.(bool)
		return ok
	case "STRING":
		return isText
	case "COMBO", "COMFY_DYNAMICCOMBO_V3":
		if len(in.Options) == 0 { // none, or numbers
			return v != nil
		}
		return isText && (slices.Contains(in.Options, text) || in.Media || in.Dynamic || modelKind(class, in.Name) != "")
	}
	return v != nil && (!isText || !slices.Contains(buttons, text))
}

// controlled reports whether a widget may have another behind it that tells what happens to it after a run.
func controlled(in *comfy.Input) bool {
	return in.Control || in.Type == "INT" && (in.Name == "seed" || in.Name == "noise_seed")
}

// control reports whether a value is that of the widget behind a seed: a word, or true or false in old files, unless that is the value
// of the next widget; more says that there are more values than widgets left.
func control(v any, more bool, todo []slot) bool {
	switch v := v.(type) {
	case string:
		return slices.Contains([]string{"fixed", "increment", "decrement", "randomize", "increment-wrap"}, v)
	case bool:
		return more || len(todo) > 0 && todo[0].in.Type != "BOOLEAN"
	}
	return false
}

// settled returns the values for a node's widgets, those that have none taken from the server's defaults (rule of workflows older than
// their nodes). Values of options that were not chosen are left out. linked tells what has a link instead.
func settled(class *comfy.Class, values map[string]any, linked func(name string) bool) map[string]any {
	out := map[string]any{}
	for todo := widgetsOf(class.Inputs, ""); len(todo) > 0; {
		s := todo[0]
		todo = todo[1:]
		v, there := values[s.name]
		if linked(s.name) {
			continue
		}
		if !there && s.in.Required {
			v = initial(class.Name, s.in)
		}
		if v != nil {
			out[s.name] = boxed(spelledAs(s.in, v))
		}
		if key, ok := v.(string); ok && s.in.Choices != nil {
			todo = append(todo, widgetsOf(s.in.Choices[key], s.name+".")...)
		}
	}
	return out
}

// widgetsOf returns what may have a value: also inputs that the editor shows as sockets only, for an instance or a primitive may feed one.
func widgetsOf(inputs []comfy.Input, prefix string) (list []slot) {
	for i := range inputs {
		list = append(list, slot{prefix + inputs[i].Name, &inputs[i]})
	}
	return list
}

// initial returns the value that a required widget begins with, or nil: a model or a picture is never chosen for the caller.
func initial(class string, in *comfy.Input) any {
	if !in.Widget {
		return nil
	}
	if v := fallback(class, in); v != nil {
		return v
	}
	switch in.Type {
	case "INT", "FLOAT":
		if in.Min != nil && *in.Min > 0 {
			return json.Number(bound(*in.Min))
		}
		return json.Number("0")
	case "BOOLEAN":
		return false
	case "STRING":
		return ""
	case "COMFY_DYNAMICCOMBO_V3":
		if in.Default == nil && len(in.Options) > 0 {
			return in.Options[0]
		}
	}
	switch {
	case in.Type == "COMBO":
		return nil
	case in.Default == nil: // of a widget that shows, but holds nothing
		return map[string]any{}
	}
	return in.Default
}

// spelledAs writes a file's name with the slashes that the server's list has.
func spelledAs(in *comfy.Input, v any) any {
	text, ok := v.(string)
	if !ok || in.Type != "COMBO" || slices.Contains(in.Options, text) {
		return v
	}
	for _, other := range []string{strings.ReplaceAll(text, `\`, "/"), strings.ReplaceAll(text, "/", `\`)} {
		if slices.Contains(in.Options, other) {
			return other
		}
	}
	return v
}

// boxed writes a list so that the server does not take it for a link.
func boxed(v any) any {
	if list, ok := v.([]any); ok {
		return map[string]any{"__value__": list}
	}
	return v
}
