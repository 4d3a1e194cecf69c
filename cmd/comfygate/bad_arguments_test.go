package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

// A property is one argument in a tool's schema, as a client sees it.
type property struct {
	Type       string              `json:"type"`
	Enum       []any               `json:"enum"`
	Minimum    *float64            `json:"minimum"`
	Maximum    *float64            `json:"maximum"`
	MinLength  int                 `json:"minLength"`
	MaxLength  int                 `json:"maxLength"`
	MaxItems   int                 `json:"maxItems"`
	MaxProps   int                 `json:"maxProperties"`
	Pattern    string              `json:"pattern"`
	Examples   []any               `json:"examples"`
	Default    any                 `json:"default"`
	Items      *property           `json:"items"`
	Properties map[string]property `json:"properties"`
	Required   []string            `json:"required"`
}

// bad are values just outside what p allows, each with what the refusal has to say of the bound.
func (p property) bad() map[string]any {
	wrong := map[string]any{"string": 7, "integer": "x", "number": "x", "boolean": "yes", "array": "x", "object": "x"}[p.Type]
	values := map[string]any{"must be a": wrong}
	switch p.Type {
	case "string":
		if p.MinLength > 0 {
			values[fmt.Sprintf("fewer than %d", p.MinLength)] = ""
		}
		if p.MaxLength > 0 && p.MaxLength <= 1<<20 {
			values[fmt.Sprintf("more than %d", p.MaxLength)] = strings.Repeat("a", p.MaxLength+1)
		}
		if tilde := strings.Repeat("~", max(p.MinLength, 1)); !regexp.MustCompile(p.Pattern).MatchString(tilde) {
			values["is not of the form"] = tilde
		}
	case "integer", "number":
		if p.Minimum != nil && *p.Minimum-1 != *p.Minimum {
			values["is less than"] = *p.Minimum - 1
		}
		if p.Maximum != nil && *p.Maximum+1 != *p.Maximum {
			values["is more than"] = *p.Maximum + 1
		}
	case "array":
		if p.MaxItems > 0 && p.Items != nil {
			values[fmt.Sprintf("more than %d", p.MaxItems)] = slices.Repeat([]any{p.Items.good()}, p.MaxItems+1)
		}
	}
	if len(p.Enum) > 0 {
		delete(values, "must be a")
		values["is not one of the values"] = "no such value"
	}
	return values
}

// good is a value that p allows: its first example, its default, its first choice, or what its parts allow.
func (p property) good() any {
	switch {
	case len(p.Examples) > 0:
		return p.Examples[0]
	case p.Default != nil:
		return p.Default
	case len(p.Enum) > 0:
		return p.Enum[0]
	case p.Type == "object":
		v := make(map[string]any)
		for _, name := range p.Required {
			v[name] = p.Properties[name].good()
		}
		return v
	case p.Type == "string":
		return strings.Repeat("a", max(p.MinLength, 1))
	}
	return nil
}

// TestBadArguments_SC48: each argument of each tool that clients are shown, with values just outside its bounds, found from the schema so
// that a new argument is never forgotten: the refusal names argument and bound and tells a value that works, and no job comes of it.
func TestBadArguments_SC48(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded, "COMFYGATE_WORKFLOWS__DIR="+t.TempDir(), "COMFYGATE_RATELIMIT__GENERATE_PER_MINUTE=off", "COMFYGATE_RATELIMIT__STATUS_PER_MINUTE=off", "COMFYGATE_RATELIMIT__GLOBAL_PER_MINUTE=off")
	a := w.stdio(t)
	list, err := a.c.ListTools(soon(t), mcp.ListToolsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tool := range list.Tools {
		var whole property
		raw, err := json.Marshal(tool.InputSchema)
		if err == nil {
			err = json.Unmarshal(raw, &whole)
		}
		if err != nil {
			t.Fatalf("%s: %v", tool.Name, err)
		}
		good, ok := whole.good().(map[string]any)
		if !ok {
			t.Fatalf("%s takes no object", tool.Name)
		}
		for name, p := range whole.Properties {
			for bound, value := range p.bad() {
				args := maps.Clone(good)
				args[name] = value
				a.refuses(t, tool.Name, args, name, bound)
			}
			if p.Items == nil {
				continue
			}
			for part, q := range p.Items.Properties {
				for bound, value := range q.bad() {
					item, _ := p.Items.good().(map[string]any)
					item = maps.Clone(item)
					item[part] = value
					args := maps.Clone(good)
					args[name] = []any{item}
					a.refuses(t, tool.Name, args, name+".0."+part, bound)
				}
			}
		}
	}
	if jobs := a.report(t).Jobs; len(jobs) > 0 {
		t.Errorf("%d jobs", len(jobs))
	}
}

// refuses calls a tool and checks that the refusal names the argument and the bound, and what would fit.
func (a *agent) refuses(t *testing.T, tool string, in args, name, bound string) {
	t.Helper()
	out := a.call(t, tool, in)
	if out.fault == nil {
		t.Errorf("%s takes %.200v", tool, in)
		return
	}
	for _, want := range []string{name + ": ", bound, "; use "} { // nothing else is wrong with the call
		if !strings.Contains(out.fault.Message, want) {
			t.Errorf("%s %s: %s %.300q lacks %q", tool, name, out.fault.Code, out.fault.Message, want)
		}
	}
}
