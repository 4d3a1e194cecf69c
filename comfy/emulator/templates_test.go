package emulator_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// The templates are files outside of /api, and the index is written as each version writes it.
func TestTemplates(t *testing.T) {
	t.Parallel()
	names := emulator.TemplateNames()
	if len(names) < 6 {
		t.Errorf("%d templates", len(names))
	}
	for version, want := range map[string]map[string]string{
		emulator.V0364: {"size": "1.99", "io": "<nil>", "openSource": "<nil>"},
		emulator.V0330: {"size": "2133000000", "openSource": "true"},
	} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := start(t, emulator.Options{Version: version})
			var index []struct{ Templates []map[string]any }
			s.getJSON("/templates/index.json", &index)
			listed := map[string]map[string]any{}
			for _, group := range index {
				for _, entry := range group.Templates {
					listed[fmt.Sprint(entry["name"])] = entry
				}
			}
			for key, value := range want {
				if got := fmt.Sprint(listed["text_to_picture"][key]); got != value {
					t.Errorf("%s is %s, want %s", key, got, value)
				}
			}
			for _, name := range names {
				var doc struct {
					Nodes       []map[string]any
					Definitions struct{ Subgraphs []map[string]any }
				}
				s.getJSON("/templates/"+name+".json", &doc)
				if len(doc.Nodes) == 0 || len(doc.Definitions.Subgraphs) == 0 || listed[name] == nil {
					t.Errorf("%s: %d nodes, %d subgraphs, in the index: %v", name, len(doc.Nodes), len(doc.Definitions.Subgraphs), listed[name] != nil)
				}
			}
			if len(listed) != len(names) {
				t.Errorf("%d in the index, %d files", len(listed), len(names))
			}
			for _, path := range []string{"/templates/nothing.json", "/templates/..%2findex.json", "/templates/text_to_picture", "/api/templates/index.json"} {
				if got := s.get(path); got.status != http.StatusNotFound || strings.Contains(string(got.body), "{") {
					t.Errorf("%s: %d %s", path, got.status, got.body)
				}
			}
		})
	}
}
