package strictyaml_test

import (
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/strictyaml"
)

type file struct {
	Name  string    `yaml:"name"`
	Sizes []int     `yaml:"sizes"`
	Made  time.Time `yaml:"made"`
}

func TestUnmarshal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"name: a\nsizes: [1, 2]\nmade: 2026-01-02T03:04:05Z": "",
		"name: a\nnames: b":      "line 2: unknown field",
		"name: a\nname: b":       "line 2: ",
		"name: a\nsizes: many":   "line 2: ",
		"name: &x a\nsizes: [1]": "line 1: anchors",
		"name: a\nsizes: *x":     "line 2: anchors",
		"name: !!binary aGk=":    "anchors, aliases and tags",
		"name: a\n---\nname: b":  "one YAML document",
		"":                       "one YAML document",
		"name: [":                "line 1: ",
		"- name: a":              "line 1: ",
	} {
		var f file
		err := strictyaml.Unmarshal([]byte(text), &f)
		if want == "" {
			if err != nil || f.Name != "a" || len(f.Sizes) != 2 || f.Made.Year() != 2026 {
				t.Errorf("%q: %+v, %v", text, f, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// A small file that would be huge is refused before anything is made of it.
func TestUnmarshal_laughs(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x]\n")
	for i := range 30 {
		b.WriteString("a" + string(rune('b'+i)) + ": [*a0, *a0]\n")
	}
	var v map[string]any
	if err := strictyaml.Unmarshal([]byte(b.String()), &v); err == nil || !strings.Contains(err.Error(), "anchors") {
		t.Error(err)
	}
}
