package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
)

// Linked is the value of a node's input that another node gives.
type Linked struct{}

// A constraint is a compiled [Constraint].
type constraint struct {
	Constraint
	matches *regexp.Regexp
}

func (c Constraint) compile() (constraint, error) {
	k := constraint{Constraint: c}
	bounds := c.Min != nil || c.Max != nil
	texts := len(c.Values) > 0 || c.Matches != ""
	switch {
	case !validGlob(c.Class) || !validGlob(c.Input):
		return k, errors.New("class and input are both needed, as names or patterns")
	case !bounds && !texts && !c.Never:
		return k, errors.New("it bounds nothing; give min, max, values, matches or never")
	case bounds && texts, c.Never && (bounds || texts):
		return k, errors.New("give either numbers (min, max), texts (values, matches) or never")
	case c.Min != nil && c.Max != nil && *c.Min > *c.Max:
		return k, fmt.Errorf("min %v is above max %v", *c.Min, *c.Max)
	}
	if c.Matches != "" {
		re, err := regexp.Compile(`^(?:` + c.Matches + `)$`)
		if err != nil {
			return k, fmt.Errorf("matches: %w", err)
		}
		k.matches = re
	}
	return k, nil
}

// denies says what is wrong with an input of n, or returns "".
func (k *constraint) denies(n *Node) (input, problem string) {
	if !globbed(k.Class, n.Class) {
		return "", ""
	}
	names := make([]string, 0, len(n.Inputs))
	for name := range n.Inputs {
		names = append(names, name)
	}
	slices.Sort(names) // so that the same graph is always denied for the same reason
	for _, name := range names {
		if !globbed(k.Input, name) {
			continue
		}
		if problem := k.judge(n.Inputs[name]); problem != "" {
			return name, problem
		}
	}
	return "", ""
}

func (k *constraint) judge(v any) string {
	if k.Never {
		return "may not be given"
	}
	if _, linked := v.(Linked); linked {
		return "comes from another node, so its value is not known"
	}
	if k.Min != nil || k.Max != nil {
		x, ok := number(v)
		switch {
		case !ok:
			return "is no number"
		case k.Min != nil && !(x >= *k.Min):
			return "is below " + strconv.FormatFloat(*k.Min, 'g', -1, 64)
		case k.Max != nil && !(x <= *k.Max):
			return "is above " + strconv.FormatFloat(*k.Max, 'g', -1, 64)
		}
		return ""
	}
	text, ok := v.(string)
	switch {
	case !ok:
		return "is no text"
	case len(k.Values) > 0 && !slices.Contains(k.Values, text):
		return "is not one of the values that are allowed"
	case k.matches != nil && !k.matches.MatchString(text):
		return "is not of the form that is allowed"
	}
	return ""
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case json.Number:
		x, err := v.Float64()
		return x, err == nil
	case float64:
		return v, true
	case int:
		return float64(v), true
	case int64:
		return float64(v), true
	case uint64:
		return float64(v), true
	}
	return 0, false
}

func globbed(glob, word string) bool {
	ok, err := path.Match(glob, word)
	return ok && err == nil
}
