package policy

import (
	"path"
	"slices"
	"strings"
	"unicode"
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

// deniedClass reports whether class is one of [deniedClasses]. A whole name matches however its words are told apart.
func deniedClass(class string) bool {
	words := dashed(class)
	run := strings.ReplaceAll(words, "-", "")
	return slices.ContainsFunc(deniedClasses(), func(glob string) bool {
		ok, err := path.Match(glob, words)
		return ok || err != nil || strings.ReplaceAll(glob, "-", "") == run
	})
}

// dashed writes a CamelCase name as its lower-case words between dashes: CLIPSave is -clip-save-. So a pattern may ask
// for whole words: "code" is not in TextEncode (CLIENT-SEC-4).
func dashed(class string) string {
	var b strings.Builder
	b.WriteByte('-')
	runes := []rune(class)
	for i, c := range runes {
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) {
			c = '-'
		} else if i > 0 && wordStart(runes, i) {
			writeDash(&b)
		}
		if c == '-' {
			writeDash(&b)
			continue
		}
		b.WriteRune(unicode.ToLower(c))
	}
	writeDash(&b)
	return b.String()
}

func writeDash(b *strings.Builder) {
	if !strings.HasSuffix(b.String(), "-") {
		b.WriteByte('-')
	}
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
