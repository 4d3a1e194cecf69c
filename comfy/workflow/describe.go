package workflow

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/policy"
)

// Bounds of what [Describe] tells, so that one class cannot fill an answer.
const (
	defaultClasses  = 10
	defaultBytes    = 16_000
	maxInputs       = 60
	maxOutputs      = 30
	maxShownOptions = 12
	maxShownText    = 100
	maxShownWords   = 300 // of a description
)

// A Query asks for classes; empty fields ask for nothing. Case does not matter.
type Query struct {
	Search   string                 // words, each of which is in the name, title, category or description
	Input    string                 // a type that an input takes
	Output   string                 // a type that an output gives
	Category string                 // or the beginning of one
	Limit    int                    // classes at most; 0: 10
	Bytes    int                    // of the classes as JSON, at most; 0: 16,000
	Allow    func(policy.Node) bool // nil: every class
}

// A ClassSummary says what a class is for and takes, briefly. Texts are the class's own, cut short and printable.
type ClassSummary struct {
	Class       string         `json:"class"`
	Title       string         `json:"title,omitempty"`
	Category    string         `json:"category,omitempty"`
	Description string         `json:"description,omitempty"`
	Result      bool           `json:"result,omitempty"` // what it makes is a result of the graph
	Deprecated  bool           `json:"deprecated,omitempty"`
	Inputs      []InputSummary `json:"inputs,omitempty"`
	Outputs     []string       `json:"outputs,omitempty"` // types, in the order of their slots; with a name where that says more: "LATENT denoised_output"
}

// An InputSummary says what one input takes.
type InputSummary struct {
	Name     string                    `json:"name"`
	Type     string                    `json:"type"` // IMAGE_ID: the id of a picture that was made or uploaded here
	Optional bool                      `json:"optional,omitempty"`
	Default  any                       `json:"default,omitempty"`
	Min      json.Number               `json:"min,omitempty"`
	Max      json.Number               `json:"max,omitempty"`
	Options  []string                  `json:"options,omitempty"`      // the first of them
	More     int                       `json:"more_options,omitempty"` // how many are left out
	Choices  map[string][]InputSummary `json:"choices,omitempty"`      // the inputs that an option brings
}

// Describe returns the classes that fit q, the most relevant first, and how many there are in all, shown or not. What Allow denies is
// neither shown nor counted; give it an info that [Restrict] made, to keep denied models out too. Files of the server's input folder are never told.
func Describe(info *comfy.ObjectInfo, q Query) (found []ClassSummary, total int) {
	type hit struct {
		class *comfy.Class
		score int
	}
	var hits []hit
	words := strings.Split(spelled(q.Search), "-")
	for name, class := range info.Classes {
		if q.fits(class) && (q.Allow == nil || q.Allow(policy.Node{Class: name, Module: class.Module, API: class.API})) {
			if score := relevance(class, q.Search, words); score > 0 {
				hits = append(hits, hit{class, score})
			}
		}
	}
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(
			cmp.Compare(b.score, a.score), compareBool(a.class.Deprecated, b.class.Deprecated), compareBool(!core(a.class.Module), !core(b.class.Module)),
			cmp.Compare(len(a.class.Name), len(b.class.Name)), strings.Compare(a.class.Name, b.class.Name),
		)
	})
	left := cmp.Or(q.Bytes, defaultBytes)
	for _, h := range hits[:min(len(hits), cmp.Or(q.Limit, defaultClasses))] {
		summary, size := summarise(h.class, left)
		if size > left {
			break
		}
		left -= size
		found = append(found, summary)
	}
	return found, len(hits)
}

func (q *Query) fits(class *comfy.Class) bool {
	category := strings.ToLower(class.Category)
	return (q.Input == "" || slices.ContainsFunc(class.Inputs, func(in comfy.Input) bool { return ofType(in.Type, q.Input) })) &&
		(q.Output == "" || slices.ContainsFunc(class.Outputs, func(p comfy.Port) bool { return ofType(p.Type, q.Output) })) &&
		strings.HasPrefix(category, strings.ToLower(q.Category))
}

// ofType reports whether a type is, or as a union holds, another.
func ofType(kind, want string) bool {
	return slices.ContainsFunc(strings.Split(kind, ","), func(t string) bool { return strings.EqualFold(strings.TrimSpace(t), strings.TrimSpace(want)) })
}

// relevance says how well a class answers a search: 0 where one of the words is nowhere.
func relevance(class *comfy.Class, search string, words []string) int {
	if search == "" {
		return 1
	}
	if strings.EqualFold(class.Name, search) {
		return 10_000
	}
	score := 1
	name := spelled(class.Name)
	places := []struct {
		text  string
		worth int
	}{{name, 100}, {spelled(class.DisplayName), 60}, {spelled(class.Category), 20}, {strings.ToLower(class.Description), 5}}
	for _, word := range words {
		best := 0
		for _, p := range places {
			switch {
			case slices.Contains(strings.Split(p.text, "-"), word):
				best = max(best, 2*p.worth)
			case strings.Contains(p.text, word):
				best = max(best, p.worth)
			}
		}
		if best == 0 {
			return joinedRelevance(name, words)
		}
		score += best
	}
	return score
}

// joinedRelevance finds "ksampler" in KSamplerAdvanced, whose words are other ones.
func joinedRelevance(name string, words []string) int {
	if run := strings.Join(words, ""); run != "" && strings.Contains(strings.ReplaceAll(name, "-", ""), run) {
		return 50
	}
	return 0
}

// summarise describes a class, less closely when it would take more bytes than there are, and returns how many it takes.
func summarise(class *comfy.Class, bytes int) (ClassSummary, int) {
	out := ClassSummary{
		Class: printable(class.Name, maxShownText), Category: printable(class.Category, maxShownText), Description: printable(class.Description, maxShownWords),
		Result: class.OutputNode, Deprecated: class.Deprecated,
	}
	if title := printable(class.DisplayName, maxShownText); title != out.Class {
		out.Title = title
	}
	for _, p := range class.Outputs[:min(len(class.Outputs), maxOutputs)] {
		text := printable(p.Type, maxShownText)
		if name := printable(p.Name, maxShownText); !strings.EqualFold(name, text) && name != "" {
			text += " " + name
		}
		out.Outputs = append(out.Outputs, text)
	}
	size := 0
	for _, options := range []int{maxShownOptions, 3, 0} {
		out.Inputs = summariseInputs(class.Inputs, "", options, 0)
		data, err := json.Marshal(out)
		if size = len(data) + 1; err == nil && size <= bytes {
			break
		}
		out.Description = ""
	}
	return out, size
}

func summariseInputs(inputs []comfy.Input, prefix string, options, level int) []InputSummary {
	all := make([]InputSummary, 0, len(inputs))
	for i := range inputs[:min(len(inputs), maxInputs)] {
		all = append(all, summariseInput(&inputs[i], prefix, options, level))
	}
	return all
}

func summariseInput(in *comfy.Input, prefix string, options, level int) InputSummary {
	out := InputSummary{Name: printable(prefix+in.Name, maxShownText), Type: printable(in.Type, maxShownText), Optional: !in.Required}
	if in.Upload || in.Media {
		out.Type = "IMAGE_ID"
		return out
	}
	switch v := in.Default.(type) {
	case string:
		if v != "" {
			out.Default = printable(v, maxShownText)
		}
	case bool, json.Number:
		out.Default = v
	}
	if in.Min != nil {
		out.Min = json.Number(bound(*in.Min))
	}
	if in.Max != nil {
		out.Max = json.Number(bound(*in.Max))
	}
	shown := min(len(in.Options), options)
	for _, o := range in.Options[:shown] {
		out.Options = append(out.Options, printable(o, maxShownText))
	}
	out.More = len(in.Options) - shown
	if level == 0 && options == maxShownOptions && len(in.Choices) > 0 {
		out.Choices = map[string][]InputSummary{}
		for _, key := range slices.Sorted(maps.Keys(in.Choices)) {
			if len(in.Choices[key]) > 0 && len(out.Choices) < maxShownOptions {
				out.Choices[printable(key, maxShownText)] = summariseInputs(in.Choices[key], in.Name+".", options, level+1)
			}
		}
	}
	return out
}

// printable makes a text safe to show, cut to most characters.
func printable(text string, most int) string {
	var b strings.Builder
	for _, r := range text {
		if most--; most < 0 {
			break
		}
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		}
	}
	return strings.TrimSpace(b.String())
}
