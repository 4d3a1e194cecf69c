package policy

import (
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxNameBytes bounds a model's name with its subfolders; a path component is at most 255 on every file system we know.
const maxNameBytes = 1024

// AllowModel reports whether the rules let a model of kind be loaded under name. It is the filter that lists go
// through before anything is chosen or suggested, so that a denied model is nowhere named (SC-52).
//
// The name must be a plain relative one (SC-26), have an extension allowed for its kind, match one of the allow globs
// if there are any, and none of the deny globs. Globs are as in [path.Match], upper and lower case alike, / and \ alike.
// One without a slash is held against every part of the name; one with a slash against the whole name and every folder
// that it lies in, so "private/*" and "private" cover what is below too.
//
// Embeddings are listed without extension; only an extension that can hold pickled code refuses one.
func (r *Rules) AllowModel(kind Kind, name string) bool {
	if r == nil || r.hash == "" || kind == "" || !plainName(name) {
		return false
	}
	name = fold(name)
	return r.allowExtension(kind, path.Ext(name)) &&
		listedModel(r.cfg.ModelAllow, r.cfg.ModelDeny, name) &&
		(r.file == nil || listedModel(r.file.file.Models.Allow, r.file.file.Models.Deny, name))
}

func listedModel(allow, deny []string, name string) bool {
	return (len(allow) == 0 || matchAny(allow, name)) && !matchAny(deny, name)
}

// Filter returns those of names that [Rules.AllowModel] lets through, in their order.
func (r *Rules) Filter(kind Kind, names []string) []string {
	var out []string
	for _, name := range names {
		if r.AllowModel(kind, name) {
			out = append(out, name)
		}
	}
	return out
}

func (r *Rules) allowExtension(kind Kind, ext string) bool {
	if kind == Upscaler {
		return slices.Contains(r.cfg.UpscaleExtensions, ext)
	}
	if kind == Embedding {
		return !pickled(ext)
	}
	return slices.Contains(r.cfg.ModelExtensions, ext)
}

// pickled reports whether files of this extension can hold code that runs when they are loaded.
func pickled(ext string) bool {
	return slices.Contains([]string{".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle"}, ext)
}

// fold makes names comparable: case and kind of slash are all one.
func fold(name string) string {
	return strings.ToLower(strings.ReplaceAll(name, `\`, "/"))
}

func matchAny(globs []string, name string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool { return match(glob, name) })
}

func match(glob, name string) bool {
	if !strings.Contains(glob, "/") {
		return slices.ContainsFunc(strings.Split(name, "/"), func(part string) bool {
			ok, err := path.Match(glob, part)
			return ok && err == nil
		})
	}
	glob = strings.TrimSuffix(glob, "/")
	for p := name; p != "." && p != "/"; p = path.Dir(p) {
		if ok, err := path.Match(glob, p); ok && err == nil {
			return true
		}
	}
	return false
}

// plainName reports whether name is a relative file name that means the same to every program that handles it (SC-26).
func plainName(name string) bool {
	if name == "" || len(name) > maxNameBytes || !utf8.ValidString(name) || strings.ContainsFunc(name, unprintable) {
		return false
	}
	low := fold(name)
	for _, bad := range []string{
		"..", ":", // parent, drive letter or alternate stream
		"%2e", "%2f", "%5c", "%25", // the same, encoded once or twice
		"[input]", "[output]", "[temp]", // ComfyUI's annotations
	} {
		if strings.Contains(low, bad) {
			return false
		}
	}
	return !slices.ContainsFunc(strings.Split(low, "/"), func(part string) bool {
		return part == "" || part == "." || device(part) // "" also where name begins with a slash: absolute or UNC
	})
}

func unprintable(c rune) bool { return !unicode.IsPrint(c) }

// device reports whether a part of a path names a device on Windows, with or without an extension.
func device(part string) bool {
	stem, _, _ := strings.Cut(part, ".")
	stem = strings.TrimRight(stem, " ")
	if slices.Contains([]string{"con", "prn", "aux", "nul"}, stem) {
		return true
	}
	return len(stem) == 4 && (stem[:3] == "com" || stem[:3] == "lpt") && stem[3] >= '0' && stem[3] <= '9'
}
