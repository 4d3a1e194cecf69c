package mcpserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
)

// maxFaults are named of one call.
const maxFaults = 20

// check reads arguments strictly and holds them to the tool's published schema. It returns them as data and as JSON in which every
// integer is written as one (512.0 is an integer to JSON Schema, but not to encoding/json), or an *[ArgumentsError] with every fault.
func (t *tool) check(raw json.RawMessage) (map[string]any, json.RawMessage, error) {
	if trimmed := bytes.TrimSpace(raw); len(trimmed) == 0 || string(trimmed) == "null" {
		raw = json.RawMessage("{}") // a call without arguments
	}
	var twice []string
	s := &scanner{b: raw}
	v, err := s.value("", func(path string) { twice = append(twice, path) })
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, nil, &ArgumentsError{Code: "INVALID_PARAMETER", Faults: []string{"arguments: not the JSON that is let in: " + err.Error()}}
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, nil, &ArgumentsError{Code: "INVALID_PARAMETER", Faults: []string{"arguments: must be an object"}}
	}
	sch, err := t.schema()
	if err != nil {
		return nil, nil, err
	}
	var list faults
	for _, path := range twice {
		list.add(path, "is given twice; give it once")
	}
	if integers(doc) {
		if raw, err = json.Marshal(doc); err != nil {
			return nil, nil, fmt.Errorf("writing arguments: %w", err)
		}
	}
	if err := sch.check.Validate(doc); err != nil {
		bad, ok := errors.AsType[*jsonschema.ValidationError](err)
		if !ok {
			return nil, nil, fmt.Errorf("checking arguments: %w", err)
		}
		list.collect(sch, t.Name, bad)
	}
	if len(list.texts) > 0 {
		return nil, nil, list.err()
	}
	return doc, raw, nil
}

// integers rewrites numbers like 512.0 and 1e3 below v as integers and reports whether there were any. Exponents are bounded by the scanner.
func integers(v any) (changed bool) {
	switch v := v.(type) {
	case map[string]any:
		for key, item := range v {
			if n, ok := integer(item); ok {
				v[key], changed = n, true
			} else if integers(item) {
				changed = true
			}
		}
	case []any:
		for i, item := range v {
			if n, ok := integer(item); ok {
				v[i], changed = n, true
			} else if integers(item) {
				changed = true
			}
		}
	}
	return changed
}

func integer(v any) (json.Number, bool) {
	n, ok := v.(json.Number)
	if !ok || !strings.ContainsAny(string(n), ".eE") {
		return "", false
	}
	r, ok := new(big.Rat).SetString(string(n))
	if !ok || !r.IsInt() || len(r.Num().String()) > maxNumber {
		return "", false
	}
	return json.Number(r.Num().String()), true
}

// faults gathers what is wrong, by field.
type faults struct {
	fields, texts []string
}

func (l *faults) add(field, text string) {
	if field == "" {
		field = "arguments"
	}
	l.fields = append(l.fields, field)
	l.texts = append(l.texts, clean(field, 80)+": "+text)
}

func (l *faults) err() error {
	code := codeOf(l.fields)
	texts := slices.Compact(slices.Sorted(slices.Values(l.texts)))
	if n := len(texts) - maxFaults; n > 0 {
		texts = append(texts[:maxFaults], fmt.Sprintf("and %d more", n))
	}
	return &ArgumentsError{Code: code, Faults: texts}
}

// collect words every leaf of the validator's tree.
func (l *faults) collect(s *schema, tool string, e *jsonschema.ValidationError) {
	switch e.ErrorKind.(type) {
	case *kind.AnyOf, *kind.OneOf, *kind.Not, *kind.Contains: // their causes contradict one another
	default:
		if len(e.Causes) > 0 {
			for _, cause := range e.Causes {
				l.collect(s, tool, cause)
			}
			return
		}
	}
	node := s.at(e.InstanceLocation)
	field := strings.Join(e.InstanceLocation, ".")
	switch k := e.ErrorKind.(type) {
	case *kind.Required:
		for _, name := range k.Missing {
			path := slices.Concat(e.InstanceLocation, []string{name})
			l.add(strings.Join(path, "."), "is required"+example(s.at(path), "; for example "))
		}
	case *kind.AdditionalProperties:
		for _, name := range k.Properties {
			l.add(strings.Join(slices.Concat(e.InstanceLocation, []string{name}), "."), unknown(name, tool, node))
		}
	default:
		text, instead := violation(k, node)
		if instead == "" {
			instead = example(node, "")
		}
		if instead != "" {
			text += "; use " + instead
		}
		l.add(field, text)
	}
}

func unknown(name, tool string, node map[string]any) string {
	known := propertiesOf(node)
	if near := nearest(name, known); near != "" {
		return "is not known; did you mean " + near + "?"
	}
	if len(known) == 0 {
		return "is not known; " + tool + " takes no arguments there"
	}
	return "is not known; known are " + strings.Join(known, ", ")
}

// violation says what is wrong with one value, and what would fit where the keyword itself tells.
func violation(k jsonschema.ErrorKind, node map[string]any) (text, instead string) {
	switch k := k.(type) {
	case *kind.Type:
		return fmt.Sprintf("is %s, must be %s", article(k.Got), article(strings.Join(k.Want, " or "))), ""
	case *kind.Minimum:
		return fmt.Sprintf("%s is less than %s", number(k.Got), number(k.Want)), number(k.Want) + " or more" + example(node, ", for example ")
	case *kind.ExclusiveMinimum:
		return fmt.Sprintf("%s is not more than %s", number(k.Got), number(k.Want)), "more than " + number(k.Want) + example(node, ", for example ")
	case *kind.Maximum:
		return fmt.Sprintf("%s is more than %s", number(k.Got), number(k.Want)), number(k.Want) + " or less" + example(node, ", for example ")
	case *kind.ExclusiveMaximum:
		return fmt.Sprintf("%s is not less than %s", number(k.Got), number(k.Want)), "less than " + number(k.Want) + example(node, ", for example ")
	case *kind.MultipleOf:
		return fmt.Sprintf("%s is not a multiple of %s", number(k.Got), number(k.Want)), multiple(k.Got, k.Want, node)
	case *kind.Enum:
		return shown(k.Got) + " is not one of the values", choices(k.Want)
	case *kind.Const:
		return shown(k.Got) + " is not the value", shown(k.Want)
	case *kind.MinLength:
		return fmt.Sprintf("has %d characters, fewer than %d", k.Got, k.Want), ""
	case *kind.MaxLength:
		return fmt.Sprintf("has %d characters, more than %d", k.Got, k.Want), fmt.Sprintf("at most %d", k.Want)
	case *kind.MinItems:
		return fmt.Sprintf("has %d entries, fewer than %d", k.Got, k.Want), ""
	case *kind.MaxItems:
		return fmt.Sprintf("has %d entries, more than %d", k.Got, k.Want), fmt.Sprintf("at most %d", k.Want)
	case *kind.UniqueItems:
		return "has an entry twice", "each once"
	case *kind.MinProperties:
		return fmt.Sprintf("has %d keys, fewer than %d", k.Got, k.Want), ""
	case *kind.MaxProperties:
		return fmt.Sprintf("has %d keys, more than %d", k.Got, k.Want), fmt.Sprintf("at most %d", k.Want)
	case *kind.Pattern:
		return shown(k.Got) + " is not of the form " + clean(k.Want, 80), ""
	case *kind.FalseSchema:
		return "is not allowed here", ""
	}
	return "does not fit the schema", ""
}

func article(noun string) string {
	switch {
	case noun == "null":
		return noun
	case strings.ContainsAny(noun[:1], "aeiou"):
		return "an " + noun
	}
	return "a " + noun
}

func number(r *big.Rat) string {
	if r.IsInt() {
		return clean(r.Num().String(), 30)
	}
	return strings.TrimRight(r.FloatString(6), "0")
}

// multiple is the nearest multiple of step that the node's bounds allow.
func multiple(got, step *big.Rat, node map[string]any) string {
	steps := new(big.Rat).Quo(got, step)
	steps.Add(steps, big.NewRat(1, 2))
	n := new(big.Int).Div(steps.Num(), steps.Denom()) // rounds down, so half goes up
	for _, try := range []int64{0, -1, 1} {
		v := new(big.Rat).Mul(step, new(big.Rat).SetInt(new(big.Int).Add(n, big.NewInt(try))))
		if within(v, node) {
			return number(v)
		}
	}
	return ""
}

func within(v *big.Rat, node map[string]any) bool {
	for key, bad := range map[string]int{"minimum": -1, "maximum": 1} {
		n, ok := node[key].(json.Number)
		if !ok {
			continue
		}
		if bound, ok := new(big.Rat).SetString(string(n)); ok && v.Cmp(bound) == bad {
			return false
		}
	}
	return true
}

// choices lists the values of an enum, some of many.
func choices(want []any) string {
	list := make([]string, 0, len(want))
	for _, v := range want {
		if list = append(list, shown(v)); len(list) == 12 && len(want) > 13 {
			return strings.Join(list, ", ") + fmt.Sprintf(" or one of %d more", len(want)-len(list))
		}
	}
	return strings.Join(list, ", ")
}

// shown is a value as the caller may read it back: short and harmless. Long texts are prompts, which nothing echoes.
func shown(v any) string {
	if text, ok := v.(string); ok && len(text) > 60 {
		return "the given text"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "the value"
	}
	return clean(string(b), 60)
}

// example is a value that works, from the schema's examples, default or enum; empty when it has none.
func example(node map[string]any, before string) string {
	if list, ok := node["examples"].([]any); ok && len(list) > 0 {
		return before + shown(list[0])
	}
	if v, ok := node["default"]; ok {
		return before + shown(v)
	}
	if list, ok := node["enum"].([]any); ok && len(list) > 0 {
		return before + shown(list[0])
	}
	return ""
}

// at returns the schema of the value at path, empty where it is not told.
func (s *schema) at(path []string) map[string]any {
	node := s.doc
	for _, key := range path {
		node = child(node, key)
	}
	return node
}

func child(node map[string]any, key string) map[string]any {
	if props, ok := node["properties"].(map[string]any); ok {
		if next, ok := props[key].(map[string]any); ok {
			return next
		}
	}
	for _, keyword := range []string{"items", "additionalProperties"} {
		if next, ok := node[keyword].(map[string]any); ok {
			return next
		}
	}
	return nil
}

func propertiesOf(node map[string]any) []string {
	props, _ := node["properties"].(map[string]any)
	list := make([]string, 0, len(props))
	for name := range props {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// nearest is the known name that differs least, if it is near enough to be meant.
func nearest(name string, known []string) string {
	name = strings.ToLower(clean(name, 60))
	best, least := "", 1+len(name)/3
	for _, k := range known {
		if d := distance(name, k); d <= least && (best == "" || d < least) {
			best, least = k, d
		}
	}
	if best == "" {
		for _, k := range known {
			if len(name) > 3 && (strings.HasPrefix(k, name) || strings.HasPrefix(name, k)) {
				return k
			}
		}
	}
	return best
}

// distance is Levenshtein's.
func distance(x, y string) int {
	row := make([]int, len(y)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(x) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(y) {
			cost := 1
			if x[i] == y[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(y)]
}
