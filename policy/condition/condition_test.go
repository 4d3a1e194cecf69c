package condition_test

import (
	"context"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/policy/condition"
)

func facts() map[string]any {
	return map[string]any{
		"principal": "anna", "role": "operator", "scopes": []string{"image:generate"}, "method": "token", "transport": "http",
		"tool": "generate", "args": map[string]any{"prompt": "a cat", "width": int64(1024), "cfg": 3.5, "loras": []any{map[string]any{"name": "x"}}},
		"models": []string{"sdxl/base.safetensors"}, "classes": []string{"KSampler", "SaveImage"}, "modules": []string{"nodes"},
		"nodes": int64(7), "width": int64(1024), "height": int64(768), "count": int64(2), "frames": int64(0), "steps": int64(20),
		"pixels": int64(1024 * 768 * 2), "cost": 31.5, "now": condition.Timestamp(1_790_000_000),
	}
}

func lookup(m map[string]any) func(string) (any, bool) {
	return func(name string) (any, bool) { v, ok := m[name]; return v, ok }
}

func language(tb testing.TB) *condition.Language {
	tb.Helper()
	l, err := condition.NewLanguage()
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func TestHolds(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		`true`: true, `tool == "generate" && width * height > 1024 * 1024`: false,
		`tool in ["generate", "upscale"]`:                             true,
		`cost > 30`:                                                   true,
		`has(args.seed)`:                                              false,
		`has(args.cfg) && args.cfg > 3`:                               true,
		`args.width == 1024`:                                          true,
		`models.exists(m, m.startsWith("sdxl/"))`:                     true,
		`classes.all(c, c in ["KSampler", "SaveImage"])`:              true,
		`"image:generate" in scopes`:                                  true,
		`now.getFullYear() == 2026`:                                   true,
		`now.getHours("Europe/Berlin") == now.getHours("UTC") + 2`:    true,
		`principal.matches("^an+a$")`:                                 true,
		`args.prompt.contains("dog")`:                                 false,
		`modules.exists(m, m != "nodes")`:                             false,
		`args.loras.exists(l, l.name == "x")`:                         true,
		`transport == "http" && method == "token" && role == "admin"`: false,
	}
	l := language(t)
	for text, want := range tests {
		t.Run(text, func(t *testing.T) {
			t.Parallel()
			c, err := l.Compile(text)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := c.Holds(t.Context(), lookup(facts())); err != nil || got != want || c.String() != text {
				t.Errorf("Holds = %v, %v; want %v", got, err, want)
			}
		})
	}
}

// POL-02: what is wrong is told before anything is asked, with place and reason.
func TestCompile_POL02_refuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ text, says string }{
		"unknown fact":      {`widht > 3`, "undeclared reference to 'widht'"},
		"wrong type":        {`width == "3"`, "no matching overload"},
		"no truth":          {`width + 1`, "type int; it has to be true or false"},
		"unknown function":  {`exec("ls")`, "undeclared reference to 'exec'"},
		"syntax":            {`width >`, "Syntax error"},
		"empty":             {``, "Syntax error"},
		"too long":          {strings.Repeat("true || ", 300) + "true", "more than 2000"},
		"mixed list":        {`width in [1, "a"]`, "expected type"},
		"dynamic no truth":  {`args.prompt`, "type dyn"},
		"a list of nothing": {`models[0].size() > "a"`, "no matching overload"},
	}
	l := language(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c, err := l.Compile(tt.text); err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("Compile = %v, %v; want an error that says %q", c, err, tt.says)
			}
		})
	}
}

// POL-01, POL-05: what cannot be told, or would cost too much, is an error, and an error is a denial.
func TestHolds_POL05_errors(t *testing.T) {
	t.Parallel()
	many := make([]string, 5000)
	for i := range many {
		many[i] = strings.Repeat("x", 200)
	}
	tests := map[string]struct {
		text  string
		edit  func(map[string]any)
		ended bool // the context, before it is asked
	}{
		"absent argument":  {`args.seed > 3`, nil, false},
		"division by zero": {`width / (height - 768) > 1`, nil, false},
		"overflow, T32":    {`width * 9223372036854775807 > 1`, nil, false},
		"a fact is absent": {`cost > 1.0`, func(m map[string]any) { delete(m, "cost") }, false},
		"cost overrun":     {`models.all(a, models.all(b, a == b))`, func(m map[string]any) { m["models"] = many }, false},
		"interrupted":      {`models.all(a, a.size() > 1)`, func(m map[string]any) { m["models"] = many }, true},
		"of another type":  {`args.prompt > 3`, nil, false},
		"index":            {`models[7] == "a"`, nil, false},
	}
	l := language(t)
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := l.Compile(tt.text)
			if err != nil {
				t.Fatal(err)
			}
			m := facts()
			if tt.edit != nil {
				tt.edit(m)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.ended {
				cancel()
			}
			if holds, err := c.Holds(ctx, lookup(m)); err == nil || holds {
				t.Errorf("Holds = %v, %v; want an error", holds, err)
			}
		})
	}
}

// Every fact is of the type that the table tells.
func TestFacts_complete(t *testing.T) {
	t.Parallel()
	l := language(t)
	given := facts()
	for _, f := range condition.Facts() {
		if _, ok := given[f.Name]; !ok || f.Doc == "" {
			t.Errorf("%s is not tried here, or has no words", f.Name)
		}
		c, err := l.Compile(f.Name + " == " + f.Name)
		if err != nil {
			t.Fatal(err)
		}
		if holds, err := c.Holds(t.Context(), lookup(given)); err != nil || !holds {
			t.Errorf("%s: %v, %v", f.Name, holds, err)
		}
	}
}

func BenchmarkHolds(b *testing.B) {
	l := language(b)
	c, err := l.Compile(`tool == "generate" && width * height > 1048576 && role != "admin"`)
	if err != nil {
		b.Fatal(err)
	}
	find := lookup(facts())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Holds(b.Context(), find); err != nil {
			b.Fatal(err)
		}
	}
}
