package config

import (
	"fmt"
	"io"
	"strings"
)

// A Section documents the settings of one section.
type Section struct {
	Name     string // as in the variables, e.g. HTTP
	Doc      string
	Settings []Doc
}

// A Doc documents one setting.
type Doc struct {
	Variable string
	Alias    string // empty: none
	Default  string // as it would be written; empty: unset
	Unset    string // what being unset means, where that needs telling
	Fits     string // type and range
	Secret   bool   // can be given as Variable_FILE too, is never shown
	Text     string
}

// Docs documents every setting.
func Docs() []Section {
	byName := map[string][]Doc{}
	for _, s := range table(&Config{}) {
		name, _, _ := strings.Cut(s.name, "__")
		d := Doc{Variable: prefixOurs + s.name, Default: s.def, Unset: s.unset, Fits: s.fits, Secret: s.secret, Text: s.doc}
		if s.alias != "" {
			d.Alias = prefixOld + s.alias
		}
		byName[name] = append(byName[name], d)
	}
	var out []Section
	for _, sec := range sections() {
		out = append(out, Section{sec.name, sec.doc, byName[sec.name]})
	}
	return out
}

const docsHead = `# Settings

Made by ` + "`comfygate config docs`" + `; don't edit it by hand.

Settings are environment variables. Times are seconds and sizes are bytes, as plain numbers. Switches take true, 1 or yes and
false, 0 or no. In paths a leading ` + "`~/`" + ` is your home folder. A variable that begins with COMFYGATE_ and is not listed here is an
error, and so is one that is set but empty; all faults are told at once.

A secret can also be given as the path of a file that holds it, in the variable with _FILE at its end, but not in both. No
secret can be given by a flag. ` + "`comfygate config show`" + ` prints what is in force and where each value comes from, with secrets masked.

Seven names of comfy-headless work as aliases. Where an alias and its setting are both set, they must agree. A value that a
desktop client left as ` + "`${user_config.…}`" + ` counts as unset.
`

// WriteDocs prints [Docs] as Markdown.
func WriteDocs(w io.Writer) error {
	var b strings.Builder
	b.WriteString(docsHead)
	for _, sec := range Docs() {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n", sec.Name, sec.Doc)
		for _, d := range sec.Settings {
			fmt.Fprintf(&b, "\n### %s\n\n%s\n\n- Takes: %s\n- Default: %s\n", d.Variable, d.Text, d.Fits, d.defaultText())
			if d.Secret {
				fmt.Fprintf(&b, "- Secret; also as `%s_FILE`\n", d.Variable)
			}
			if d.Alias != "" {
				fmt.Fprintf(&b, "- Alias: `%s`\n", d.Alias)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (d Doc) defaultText() string {
	switch {
	case d.Default != "":
		return "`" + d.Default + "`"
	case d.Unset != "":
		return "unset: " + d.Unset
	default:
		return "unset"
	}
}
