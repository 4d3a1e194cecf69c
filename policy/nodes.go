package policy

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// allowedModule reports whether classes of a Python module may run: ComfyUI's own, nothing else (CLIENT-SEC-1).
// A class name alone proves nothing, for a custom node may take a core name (CLIENT-SEC-2).
func allowedModule(module string) bool {
	return module == "nodes" || strings.HasPrefix(module, "comfy_extras.") && module != "comfy_extras."
}

// deniedClasses are core classes that reach further than a picture needs: they write weights, latents or data sets,
// read folders or code, train, compile, or can be made to run for ever (CLIENT-SEC-3). The form is that of [dashed].
func deniedClasses() []string {
	return []string{
		"-save*latent-", "-load*latent-",
		"-checkpoint-save-", "-clip-save-", "-vae-save-", "-model-save-", "-lora-save-", "-image-only-checkpoint-save-",
		"-save-lora-", "-save-lora-node-",
		"-train*", "*-training-*",
		"*folder*",
		"-diffusers-loader-",
		"-checkpoint-loader-", // reads a YAML file; CheckpointLoaderSimple does not
		"-regex*",
		"-torch-compile*",
		"-webcam*",
		"-load-3-d-*",
	}
}

// deniedWords are [deniedClasses] made ready: whole names without their dashes, and patterns of words.
var deniedWords = func() (ready struct {
	whole    map[string]bool
	patterns []string
},
) {
	ready.whole = map[string]bool{}
	for _, glob := range deniedClasses() {
		if strings.Contains(glob, "*") {
			ready.patterns = append(ready.patterns, glob)
		} else {
			ready.whole[strings.ReplaceAll(glob, "-", "")] = true
		}
	}
	return ready
}()

// deniedClass reports whether class is one of [deniedClasses]. A whole name matches however its words are told apart.
func deniedClass(class string) bool {
	words := dashed(class)
	return deniedWords.whole[strings.ReplaceAll(words, "-", "")] ||
		slices.ContainsFunc(deniedWords.patterns, func(glob string) bool { return matchWords(glob, words) })
}

// matchWords is [path.Match] for patterns whose only sign is *, and much quicker.
func matchWords(glob, words string) bool {
	head, rest, _ := strings.Cut(glob, "*")
	words, ok := strings.CutPrefix(words, head)
	for ok {
		var part string
		var more bool
		if part, rest, more = strings.Cut(rest, "*"); !more {
			return strings.HasSuffix(words, part)
		}
		_, words, ok = strings.Cut(words, part)
	}
	return false
}

// dashed writes a CamelCase name as its lower-case words between dashes: CLIPSave is -clip-save-. So a pattern may ask
// for whole words: "code" is not in TextEncode (CLIENT-SEC-4).
func dashed(class string) string {
	out := make([]byte, 1, 2*len(class)+2)
	out[0] = '-'
	dash := func() {
		if out[len(out)-1] != '-' {
			out = append(out, '-')
		}
	}
	runes := []rune(class)
	for i, c := range runes {
		switch {
		case !unicode.IsLetter(c) && !unicode.IsDigit(c):
			dash()
			continue
		case i > 0 && wordStart(runes, i):
			dash()
		}
		out = utf8.AppendRune(out, unicode.ToLower(c))
	}
	dash()
	return string(out)
}

// wordStart reports whether a word begins at i: where lower case turns to upper, an initialism to a word,
// or letters to digits and back.
func wordStart(runes []rune, i int) bool {
	prev, c := runes[i-1], runes[i]
	if unicode.IsDigit(prev) != unicode.IsDigit(c) {
		return true
	}
	if !unicode.IsUpper(c) {
		return false
	}
	return unicode.IsLower(prev) || i+1 < len(runes) && unicode.IsLower(runes[i+1])
}
