package workflow

import (
	"cmp"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/policy"
)

// spelled writes a name as its lower-case words between dashes, in the form in which patterns are looked for:
// Z_Image-Turbo, "z image turbo" and ZImageTurbo are all z-image-turbo.
func spelled(name string) string {
	var b strings.Builder
	runes := []rune(name)
	last := '-'
	for i, c := range runes {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			c = '-'
		}
		if last != '-' && c != '-' && newWord(runes, i) {
			b.WriteByte('-')
		}
		if c != '-' || last != '-' {
			b.WriteRune(unicode.ToLower(c))
		}
		last = c
	}
	return strings.TrimSuffix(b.String(), "-")
}

// newWord reports whether a word of a CamelCase name begins at i > 0: after lower case, or where a capital heads small letters.
func newWord(runes []rune, i int) bool {
	return unicode.IsUpper(runes[i]) && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsLower(runes[i+1]))
}

// A pattern is what names are searched for: spelled, after a dash, since it must begin a word.
type pattern string

// UnmarshalYAML reads a pattern in whatever way a person spells it.
func (p *pattern) UnmarshalYAML(unmarshal func(any) error) error {
	var text string
	if err := unmarshal(&text); err != nil {
		return err
	}
	*p = pattern("-" + spelled(text))
	return nil
}

// in returns the pattern's length when name, which is spelled after a dash, holds it; else 0.
func (p pattern) in(name string) int {
	if len(p) > 1 && strings.Contains(name, string(p)) {
		return len(p)
	}
	return 0
}

// longest returns the length of the longest of patterns that name holds, which is spelled after a dash; 0 when it holds none.
func longest(patterns []pattern, name string) (n int) {
	for _, p := range patterns {
		n = max(n, p.in(name))
	}
	return n
}

// folded makes names comparable: case and kind of slash are all one.
func folded(name string) string { return strings.ToLower(strings.ReplaceAll(name, `\`, "/")) }

// baseOf returns a file's name without its folders.
func baseOf(name string) string { return path.Base(strings.ReplaceAll(name, `\`, "/")) }

func stem(name string) string { return strings.TrimSuffix(name, path.Ext(name)) }

// A hit is a file that a word may mean.
type hit struct {
	kind policy.Kind
	file comfy.ModelFile
}

func (h hit) String() string { return string(h.kind) + "/" + h.file.Name }

// lookUp returns the files of kinds that word means. Folder and extension may be left out, case and kind of slash do not matter, and
// the folder below models/ may be put before; the closest reading that any file fits is taken, so more than one hit means that word is ambiguous.
func lookUp(files map[policy.Kind][]comfy.ModelFile, kinds []policy.Kind, word string) []hit {
	want := folded(word)
	for _, reading := range []func(kind policy.Kind, name string) bool{
		func(_ policy.Kind, name string) bool { return name == word },
		func(_ policy.Kind, name string) bool { return folded(name) == want },
		func(kind policy.Kind, name string) bool { return string(kind)+"/"+folded(name) == want },
		func(_ policy.Kind, name string) bool { return stem(folded(name)) == want },
		func(kind policy.Kind, name string) bool { return string(kind)+"/"+stem(folded(name)) == want },
		func(_ policy.Kind, name string) bool { return folded(baseOf(name)) == want },
		func(_ policy.Kind, name string) bool { return stem(folded(baseOf(name))) == want },
	} {
		var hits []hit
		for _, kind := range kinds {
			for _, f := range files[kind] {
				if reading(kind, f.Name) {
					hits = append(hits, hit{kind, f})
				}
			}
		}
		if len(hits) > 0 {
			return hits
		}
	}
	return nil
}

// resolve returns the one file of kinds that word means. field names the argument for errors: *ModelError where there is no such
// file, *FieldError where there are several.
func resolve(inv Inventory, kinds []policy.Kind, field, word string) (hit, error) {
	hits := lookUp(inv.Files, kinds, word)
	switch {
	case len(hits) == 0:
		return hit{}, &ModelError{Kind: kinds[0], Name: word, Close: closest(word, namesOf(inv, kinds), 5)}
	case len(hits) > 1:
		var all []string
		for _, h := range hits[:min(len(hits), 5)] {
			all = append(all, h.String())
		}
		return hit{}, &FieldError{Field: field, Problem: "the name fits several models", Fits: "one of " + strings.Join(all, ", ")}
	}
	return hits[0], nil
}

func namesOf(inv Inventory, kinds []policy.Kind) (names []string) {
	for _, kind := range kinds {
		for _, f := range inv.Files[kind] {
			names = append(names, f.Name)
		}
	}
	return names
}

// closest returns the n of names that are most like word, the most alike first.
func closest(word string, names []string, n int) []string {
	type scored struct {
		name  string
		score int
	}
	want := clip(stem(folded(baseOf(word))))
	all := make([]scored, 0, len(names))
	for _, name := range names {
		have := clip(stem(folded(baseOf(name))))
		score := distance(want, have)
		if strings.Contains(have, want) || strings.Contains(want, have) {
			score = min(score, 1) // a part of a name is as good as a slip of the pen
		}
		all = append(all, scored{name, score})
	}
	slices.SortFunc(all, func(a, b scored) int {
		return cmp.Or(cmp.Compare(a.score, b.score), strings.Compare(a.name, b.name))
	})
	var out []string
	for _, s := range all[:min(n, len(all))] {
		out = append(out, s.name)
	}
	return out
}

// clip bounds what [distance] works on.
func clip(s string) string { return s[:min(len(s), 64)] }

// distance counts the bytes to insert, delete or exchange to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before, row[j+1] = row[j+1], min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
