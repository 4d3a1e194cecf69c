package policy

import (
	"encoding/json"
	"slices"

	"github.com/comfygate/comfygate/policy/condition"
)

// facts are a request as conditions see it. Lists are made when they are first asked for, since most conditions ask for few.
type facts struct {
	req  *Request
	args map[string]any
}

// lookup returns a fact of [condition.Facts].
func (f *facts) lookup(name string) (any, bool) {
	of, known := factTable[name]
	if !known {
		return nil, false
	}
	return of(f), true
}

var factTable = map[string]func(*facts) any{
	"principal": func(f *facts) any { return f.req.Principal },
	"role":      func(f *facts) any { return string(f.req.Role) },
	"scopes":    func(f *facts) any { return words(f.req.Scopes, func(s Scope) string { return string(s) }) },
	"method":    func(f *facts) any { return f.req.Method },
	"transport": func(f *facts) any { return f.req.Transport },
	"tool":      func(f *facts) any { return f.req.Tool },
	"args":      func(f *facts) any { return f.arguments() },
	"models":    func(f *facts) any { return words(f.req.Models, func(m Model) string { return m.Name }) },
	"classes":   func(f *facts) any { return words(f.req.Nodes, func(n Node) string { return n.Class }) },
	"modules":   func(f *facts) any { return words(f.req.Nodes, func(n Node) string { return n.Module }) },
	"nodes":     func(f *facts) any { return int64(len(f.req.Nodes)) },
	"width":     func(f *facts) any { return int64(f.req.Width) },
	"height":    func(f *facts) any { return int64(f.req.Height) },
	"count":     func(f *facts) any { return int64(f.req.Count) },
	"frames":    func(f *facts) any { return int64(f.req.Frames) },
	"steps":     func(f *facts) any { return int64(f.req.Steps) },
	"pixels":    func(f *facts) any { return f.req.Pixels },
	"cost":      func(f *facts) any { return f.req.Cost },
	"now":       func(f *facts) any { return condition.Timestamp(f.req.Now) },
}

// words returns a text of each of list, sorted, each once.
func words[T any](list []T, text func(T) string) []string {
	out := make([]string, len(list))
	for i, v := range list {
		out[i] = text(v)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (f *facts) arguments() map[string]any {
	if f.args == nil {
		f.args, _ = plain(f.req.Args).(map[string]any)
		if f.args == nil {
			f.args = map[string]any{}
		}
	}
	return f.args
}

// plain turns JSON's numbers into whole ones where they are, which is how conditions compare them.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = plain(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = plain(x)
		}
		return out
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		if x, err := v.Float64(); err == nil {
			return x
		}
		return v.String()
	case float64:
		if n := int64(v); float64(n) == v {
			return n
		}
	}
	return v
}
