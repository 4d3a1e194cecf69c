package workflow

import (
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
)

// written returns the value of an input as the server takes it: {"__value__": v} stands for v, once.
func written(v any) any {
	if wrapped, ok := v.(map[string]any); ok {
		if inner, ok := wrapped["__value__"]; ok {
			return inner
		}
	}
	return v
}

// running returns the ids of the nodes that would run, each after those it needs; in a circle, somewhere. Those are what results
// need, or every node where it is not known which give results. It does not recurse: a graph may be ten thousand nodes deep.
func running(g comfy.Graph, info *comfy.ObjectInfo) []string {
	ids := sortedIDs(g)
	results := slices.DeleteFunc(slices.Clone(ids), func(id string) bool {
		class := classOf(info, g[id].ClassType)
		return class != nil && !class.OutputNode
	})
	if len(results) == 0 {
		results = ids
	}
	var order []string
	seen := make(map[string]bool, len(g))
	enter := func(id string) visit {
		seen[id] = true
		return visit{id, sources(g[id])}
	}
	for _, root := range results {
		if seen[root] {
			continue
		}
		for stack := []visit{enter(root)}; len(stack) > 0; {
			top := &stack[len(stack)-1]
			if len(top.todo) == 0 {
				order = append(order, top.id)
				stack = stack[:len(stack)-1]
				continue
			}
			next := top.todo[0]
			top.todo = top.todo[1:]
			if _, there := g[next]; there && !seen[next] {
				stack = append(stack, enter(next))
			}
		}
	}
	return order
}

// maxText bounds a text that nodes put together; one that is longer counts as not known.
const maxText = 64 << 10

// knownTexts returns the texts that nodes give whatever happens, by node id: of those that hold one, pass one on, or put such together.
// order is that of [running].
func knownTexts(g comfy.Graph, order []string) map[string]string {
	texts := map[string]string{}
	for _, id := range order {
		n := g[id]
		text, ok := "", false
		switch n.ClassType {
		case "PrimitiveString", "PrimitiveStringMultiline":
			text, ok = textIn(texts, n, "value")
		case "CustomCombo":
			text, ok = textIn(texts, n, "choice")
		case "StringConcatenate":
			a, ok1 := textIn(texts, n, "string_a")
			b, ok2 := textIn(texts, n, "string_b")
			between, ok3 := textIn(texts, n, "delimiter")
			text, ok = a+between+b, ok1 && ok2 && ok3
		case "ComfySwitchNode":
			if on, isBool := written(n.Inputs["switch"]).(bool); isBool {
				text, ok = textIn(texts, n, map[bool]string{true: "on_true", false: "on_false"}[on])
			}
		}
		if ok && len(text) <= maxText {
			texts[id] = text
		}
	}
	return texts
}

// textIn returns the text of an input, also where a known text is linked to it. An absent one is the empty text.
func textIn(texts map[string]string, n comfy.Node, input string) (string, bool) {
	v, there := n.Inputs[input]
	if !there {
		return "", true
	}
	if l, ok := asLink(v); ok {
		text, known := texts[l.Node]
		return text, known && l.Slot == 0
	}
	text, ok := written(v).(string)
	return text, ok
}

// hasWord reports whether one of a CamelCase or snake_case name's words is in words.
func hasWord(name string, words ...string) bool {
	return slices.ContainsFunc(strings.Split(spelled(name), "-"), func(w string) bool { return slices.Contains(words, w) })
}
