package emulator

import (
	"embed"
	"math"
	"net/http"
	"strings"
)

// The workflows that the emulator ships, in the editor's format, and their index in the spelling of 0.33.0. They run on the classes and
// the files that it has.
//
//go:embed templates/*.json
var templateFiles embed.FS //nolint:gochecknoglobals // embedded, never changed

// getTemplate serves one file of /templates, which is a folder of plain files at the server too.
func (x *exchange) getTemplate() {
	data, err := templateFiles.ReadFile("templates/" + x.params["file"])
	if err == nil && x.params["file"] == "index.json" && !x.server.kind.templateFiles {
		data, err = oldIndex(data)
	}
	if err != nil {
		writeText(x.w, http.StatusNotFound, "404: Not Found")
		return
	}
	x.w.Header().Set("Content-Type", "application/json")
	x.w.WriteHeader(http.StatusOK)
	_, _ = x.w.Write(data) // the client may be gone
}

// oldIndex writes the index as 0.3.64 does: sizes in units of 2³⁰, and nothing of what goes in and comes out.
func oldIndex(data []byte) ([]byte, error) {
	v, err := decodePython(data)
	if err != nil {
		return nil, err
	}
	groups, _ := v.([]any)
	for _, g := range groups {
		group, _ := g.(*object)
		list, _ := group.get("templates")
		templates, _ := list.([]any)
		for _, t := range templates {
			entry, ok := t.(*object)
			if !ok {
				continue
			}
			for _, key := range []string{"io", "openSource", "usage"} {
				entry.remove(key)
			}
			for _, key := range []string{"size", "vram"} {
				if n, ok := entry.get(key); ok {
					entry.set(key, inUnits(n))
				}
			}
		}
	}
	return encodePython(v)
}

// inUnits is a number of bytes in units of 2³⁰, with two places.
func inUnits(v any) any {
	n, err := toFloat(v)
	if err != nil || n == 0 {
		return v
	}
	return pyFloat(math.Round(float64(n)/(1<<30)*100) / 100)
}

// TemplateNames are the names of the workflows that the emulator ships.
func TemplateNames() (names []string) {
	entries, err := templateFiles.ReadDir("templates")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if name := strings.TrimSuffix(e.Name(), ".json"); name != "index" {
			names = append(names, name)
		}
	}
	return names
}
