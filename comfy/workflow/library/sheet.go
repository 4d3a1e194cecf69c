package library

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

//nolint:gochecknoglobals // immutable
var (
	namePattern  = regexp.MustCompile(NamePattern)
	inputPattern = regexp.MustCompile(InputPattern)
)

func isName(name string) bool { return namePattern.MatchString(name) }

// readSheet reads a YAML file strictly. Its error joins every fault.
func readSheet(data []byte) (Sheet, error) {
	var s Sheet
	if len(strings.TrimSpace(string(data))) == 0 || strings.TrimSpace(string(data)) == "{}" {
		return s, nil
	}
	if !utf8.Valid(data) {
		return s, errors.New("it is not valid UTF-8")
	}
	if err := workflow.StrictYAML(data, &s); err != nil {
		return s, err
	}
	return s, s.check()
}

// check finds what YAML itself cannot tell.
func (s Sheet) check() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	text := func(field, value string, most int) {
		if n := utf8.RuneCountInString(value); n > most {
			fault("%s has %d characters; at most %d are kept", field, n, most)
		}
		if strings.ContainsFunc(value, control) {
			fault("%s has control characters", field)
		}
	}
	text("title", s.Title, 120)
	text("description", s.Description, 2000)
	for _, scope := range s.Scopes {
		if !slices.Contains(policy.ScopesOf(policy.Admin), scope) {
			fault("scopes: %s is none", printable(string(scope)))
		}
	}
	if len(s.Inputs) > MaxInputs {
		fault("inputs: there are %d; at most %d are offered", len(s.Inputs), MaxInputs)
	}
	seen := map[string]bool{}
	for i, in := range s.Inputs {
		at := fmt.Sprintf("inputs[%d]", i)
		if !inputPattern.MatchString(in.Name) {
			fault("%s.name is not of small letters, digits and _, beginning with a letter, at most 64", at)
		}
		if seen[in.Name] {
			fault("%s.name is there twice", at)
		}
		seen[in.Name] = true
		text(at+".label", in.Label, 100)
		text(at+".description", in.Description, 500)
		for field, value := range map[string]string{"node": in.Node, "input": in.Input} {
			if text(at+"."+field, value, 200); value == "" {
				fault("%s.%s is missing", at, field)
			}
		}
		if in.Kind != "" && !slices.Contains(kinds(), in.Kind) {
			fault("%s.kind is none of %v", at, kinds())
		}
		if in.Min != nil && in.Max != nil && *in.Min > *in.Max {
			fault("%s.min is above max", at)
		}
		for field, bound := range map[string]*float64{"min": in.Min, "max": in.Max} {
			if bound != nil && (math.IsNaN(*bound) || math.IsInf(*bound, 0)) {
				fault("%s.%s is not a number", at, field)
			}
		}
		if len(in.Options) > 200 {
			fault("%s.options are more than 200", at)
		}
		for _, option := range in.Options {
			text(at+".options", option, 300)
		}
	}
	return errors.Join(errs...)
}

func kinds() []workflow.OfferKind {
	return []workflow.OfferKind{
		workflow.OfferText, workflow.OfferInteger, workflow.OfferNumber, workflow.OfferBoolean, workflow.OfferChoice, workflow.OfferPicture,
		workflow.OfferModel, workflow.OfferSeed,
	}
}

// control reports whether r is a control character or steers the direction of text; line ends and tabs are neither.
func control(r rune) bool {
	return r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r))
}

// printable makes a text of a file safe to show, and short.
func printable(text string) string {
	const most = 400
	text = strings.Map(func(r rune) rune {
		if r == '\n' {
			return ' '
		}
		if control(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}
