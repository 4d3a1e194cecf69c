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
	"github.com/comfygate/comfygate/strictyaml"
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
	if err := strictyaml.Unmarshal(data, &s); err != nil {
		return s, err
	}
	return s, s.check()
}

// check finds what YAML itself cannot tell.
func (s Sheet) check() error {
	var f faults
	f.text("title", s.Title, 120)
	f.text("description", s.Description, 2000)
	for _, scope := range s.Scopes {
		if !slices.Contains(policy.ScopesOf(policy.Admin), scope) {
			f.add("scopes: %s is none", printable(string(scope)))
		}
	}
	if len(s.Inputs) > MaxInputs {
		f.add("inputs: there are %d; at most %d are offered", len(s.Inputs), MaxInputs)
	}
	seen := map[string]bool{}
	for i, in := range s.Inputs {
		at := fmt.Sprintf("inputs[%d]", i)
		if seen[in.Name] {
			f.add("%s.name is there twice", at)
		}
		seen[in.Name] = true
		f.input(at, in)
	}
	return errors.Join(f...)
}

// faults are everything that is wrong with a sheet.
type faults []error

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Errorf(format, args...)) }

func (f *faults) text(field, value string, most int) {
	if n := utf8.RuneCountInString(value); n > most {
		f.add("%s has %d characters; at most %d are kept", field, n, most)
	}
	if strings.ContainsFunc(value, control) {
		f.add("%s has control characters", field)
	}
}

func (f *faults) input(at string, in Input) {
	if !inputPattern.MatchString(in.Name) {
		f.add("%s.name is not of small letters, digits and _, beginning with a letter, at most 64", at)
	}
	f.text(at+".label", in.Label, 100)
	f.text(at+".description", in.Description, 500)
	f.text(at+".node", in.Node, 200)
	f.text(at+".input", in.Input, 200)
	if in.Node == "" {
		f.add("%s.node is missing", at)
	}
	if in.Input == "" {
		f.add("%s.input is missing", at)
	}
	if in.Kind != "" && !slices.Contains(kinds(), in.Kind) {
		f.add("%s.kind is none of %v", at, kinds())
	}
	f.bounds(at, in)
	if len(in.Options) > 200 {
		f.add("%s.options are more than 200", at)
	}
	for _, option := range in.Options {
		f.text(at+".options", option, 300)
	}
}

func (f *faults) bounds(at string, in Input) {
	for _, bound := range []*float64{in.Min, in.Max} {
		if bound != nil && (math.IsNaN(*bound) || math.IsInf(*bound, 0)) {
			f.add("%s: min or max is not a number", at)
		}
	}
	if in.Min != nil && in.Max != nil && *in.Min > *in.Max {
		f.add("%s.min is above max", at)
	}
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
