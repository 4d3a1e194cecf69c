package emulator_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What the contract tests compare, and what not. Everything that no rule below
// names is compared exactly: statuses, the recorded headers, texts, the types and
// order of frames, field names, values, the presence and absence of fields.

// rule says how the values under some keys are compared.
type rule struct {
	keys string // of JSON objects, or names of headers, separated by blanks
	how  func(recorded, got any) bool
	why  string
}

// rules is the table of what is compared less than exactly.
func rules() []rule {
	return []rule{
		{"timestamp create_time execution_start_time execution_end_time modified created", sameKind, "times"},
		{"number priority total prompt[0] queue[][0]", sameSign, "counters: the recordings began in the middle; the sign tells front from back"},
		{"filename Content-Disposition image", sameName, "file counters and the random letters of temporary files"},
		{"nodes executed current_outputs dependent_outputs", sameSet, "lists that Python makes from sets, and objects by node"},
		{"traceback", bothLines, "lines of Python"},
		{"Etag", present, "a digest"},
		{"Content-Range", sameDigits, "sizes of files"},
		{"Content-Length", anything, "sizes of files"},
		{"image_bytes bytes", bothOrNone, "sizes of pictures"},
	}
}

// difference is one that is wanted.
type difference struct {
	scenario string
	path     string // of the request, or of the value below an event
	why      string
	how      func(recorded, got any) bool
}

// wantedDifferences is the one list of ways in which the emulator is not as the
// recorded servers are, on purpose.
func wantedDifferences() []difference {
	return []difference{
		{"introspection", "/api/extensions", "the emulator has no web front end, hence no scripts of one", sameKind},
		{
			"introspection", "/api/system_stats.system.argv", "the emulator was not started with ComfyUI's command line",
			sameKind,
		},
		{
			"introspection", "/api/system_stats.system.comfy_package_versions",
			"it names the packages of the web front end alone, of the same version", sameKind,
		},
		{"introspection", "/api/system_stats.system.python_version", "there is no Python", sameKind},
		{"introspection", "/api/system_stats.system.pytorch_version", "there is no PyTorch", sameKind},
		{"introspection", "/api/system_stats.system.ram_total", "it makes up a machine", sameKind},
		{"introspection", "/api/system_stats.system.ram_free", "it makes up a machine", sameKind},
		{
			"introspection", "/api/system_stats.devices", "its device says that it runs no model, so that nobody is deceived",
			sameShape,
		},
		{
			"introspection", "description",
			"the recordings leave out ComfyUI's prose; the emulator has the field, as every real server does, and leaves it empty",
			func(_, got any) bool { return got == "" },
		},
		{
			"execution-error-save-outside", "current_inputs.images", "it has no tensors to print; the text is for people only",
			func(_, got any) bool { return strings.Contains(fmt.Sprint(got), "tensor(") },
		},
	}
}

// The ways to compare.

func anything(any, any) bool { return true }

func present(_, got any) bool { return got != nil && got != "" }

func sameKind(a, b any) bool { return fmt.Sprintf("%T", a) == fmt.Sprintf("%T", b) }

// sameSign compares the signs of numbers, where zero counts as positive.
func sameSign(a, b any) bool {
	x, okX := a.(json.Number)
	y, okY := b.(json.Number)
	if !okX && !okY {
		return fmt.Sprint(a) == fmt.Sprint(b)
	}
	return okX && okY && strings.HasPrefix(x.String(), "-") == strings.HasPrefix(y.String(), "-") &&
		strings.Contains(x.String(), ".") == strings.Contains(y.String(), ".")
}

var (
	counter   = regexp.MustCompile(`_\d{5}_`)
	temporary = regexp.MustCompile(`temp_[a-z]{5}_`)
	digits    = regexp.MustCompile(`\d+`)
)

func sameName(a, b any) bool {
	plain := func(v any) string {
		return temporary.ReplaceAllString(counter.ReplaceAllString(fmt.Sprint(v), "_#_"), "temp_*_")
	}
	return plain(a) == plain(b)
}

func sameDigits(a, b any) bool {
	return digits.ReplaceAllString(fmt.Sprint(a), "#") == digits.ReplaceAllString(fmt.Sprint(b), "#")
}

// sameSet compares lists of strings without their order, and everything else as usual.
func sameSet(a, b any) bool {
	x, okX := a.([]any)
	y, okY := b.([]any)
	if !okX || !okY {
		return len(diffValues("", a, b, nil)) == 0
	}
	text := func(list []any) []string {
		var out []string
		for _, v := range list {
			out = append(out, fmt.Sprint(v))
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(text(x), text(y))
}

func bothLines(a, b any) bool {
	x, okX := a.([]any)
	y, okY := b.([]any)
	return okX && okY && (len(x) == 0) == (len(y) == 0)
}

func bothOrNone(a, b any) bool { return (fmt.Sprint(a) == "0") == (fmt.Sprint(b) == "0") }

// sameShape compares names and kinds, all the way down.
func sameShape(a, b any) bool {
	switch x := a.(type) {
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || !slices.Equal(slices.Sorted(maps.Keys(x)), slices.Sorted(maps.Keys(y))) {
			return false
		}
		for k := range x {
			if !sameShape(x[k], y[k]) {
				return false
			}
		}
		return true
	case []any:
		y, ok := b.([]any)
		return ok && len(x) == len(y) && (len(x) == 0 || sameShape(x[0], y[0]))
	default:
		return sameKind(a, b)
	}
}

// diffValues lists in words how got differs from recorded, by the rules and by
// the wanted differences given.
func diffValues(path string, recorded, got any, wanted []difference) []string {
	for _, w := range wanted {
		if w.path == path || strings.HasSuffix(path, "."+w.path) {
			if w.how(recorded, got) {
				return nil
			}
			return []string{fmt.Sprintf("%s: recorded %.200v, got %.200v, which is not the wanted difference (%s)", path, recorded, got, w.why)}
		}
	}
	if r := ruleFor(path[strings.LastIndexByte(path, '.')+1:]); r != nil && !isStep(recorded) {
		if _, isMap := recorded.(map[string]any); !isMap {
			if r.how(recorded, got) {
				return nil
			}
			return []string{fmt.Sprintf("%s (%s): recorded %.300v, got %.300v", path, r.why, recorded, got)}
		}
	}
	switch a := recorded.(type) {
	case map[string]any:
		b, ok := got.(map[string]any)
		if !ok {
			break
		}
		return diffObjects(path, a, b, wanted)
	case []any:
		b, ok := got.([]any)
		if !ok || len(a) != len(b) {
			break
		}
		var diffs []string
		for i := range a {
			diffs = append(diffs, diffValues(fmt.Sprintf("%s[%d]", path, i), a[i], b[i], wanted)...)
		}
		return diffs
	default:
		if fmt.Sprintf("%T %v", recorded, recorded) == fmt.Sprintf("%T %v", got, got) {
			return nil
		}
	}
	return []string{fmt.Sprintf("%s: recorded %.600v, got %.600v", path, recorded, got)}
}

func diffObjects(path string, a, b map[string]any, wanted []difference) []string {
	var diffs []string
	for _, k := range slices.Sorted(maps.Keys(a)) {
		v, ok := b[k]
		if !ok {
			diffs = append(diffs, fmt.Sprintf("%s.%s: missing, recorded %.200v", path, k, a[k]))
			continue
		}
		diffs = append(diffs, diffValues(path+"."+k, a[k], v, wanted)...)
	}
	for _, k := range slices.Sorted(maps.Keys(b)) {
		if _, ok := a[k]; ok {
			continue
		}
		extra := func(w difference) bool { return strings.HasSuffix(path+"."+k, "."+w.path) }
		if i := slices.IndexFunc(wanted, extra); i < 0 || !wanted[i].how(nil, b[k]) {
			diffs = append(diffs, fmt.Sprintf("%s.%s: %.200v, not recorded", path, k, b[k]))
		}
	}
	return diffs
}

var queued = regexp.MustCompile(`^queue_\w+\[\d+\]`)

func ruleFor(key string) *rule {
	key = queued.ReplaceAllString(key, "queue[]")
	for _, r := range rules() {
		if slices.Contains(strings.Fields(r.keys), key) {
			return &r
		}
	}
	return nil
}

// isStep says whether v is a whole graph's node, in which "image" or "number" are
// somebody's inputs and not the server's words.
func isStep(v any) bool {
	m, ok := v.(map[string]any)
	_, node := m["class_type"]
	return ok && node
}
