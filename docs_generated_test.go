package comfygate_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/mcpserver"
)

func TestDocsConfiguration(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := config.WriteDocs(&b); err != nil {
		t.Fatal(err)
	}
	compare(t, "docs/configuration.md", b.Bytes())
}

func TestDocsErrors(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# Errors\n\nWhat a tool answers when it refuses or fails: `{code, message, suggestions, retryable, retry_after_ms, call_id}`, as text, with `isError`. " +
		"The message says what was wrong in this call. Generated from the table in `mcpserver/errors.go` (`make docs`).\n\n| code | meaning | what to do | again later? |\n|---|---|---|---|\n")
	seen := make(map[string]bool)
	for _, e := range mcpserver.ErrorTable() {
		if seen[e.Code+e.Meaning] {
			continue
		}
		seen[e.Code+e.Meaning] = true
		again := "no"
		if e.Retryable {
			again = "yes"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", e.Code, cell(e.Meaning), cell(e.Advice), again)
	}
	compare(t, "docs/errors.md", []byte(b.String()))
}

// cell is text as a table's cell takes it.
func cell(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "\n", " "), "|", `\|`) }

// TestDocsReadmeErrors: the codes that the README explains exist.
func TestDocsReadmeErrors(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, e := range mcpserver.ErrorTable() {
		known[e.Code] = true
	}
	_, table, _ := strings.Cut(string(readme), "## When something does not work")
	for _, m := range regexp.MustCompile("`([A-Z]+(?:_[A-Z]+)+)`").FindAllStringSubmatch(table, -1) {
		if !known[m[1]] {
			t.Errorf("README.md explains %s, which no error has", m[1])
		}
	}
}

// A property is what the document tells of one argument.
type property struct {
	Type        string
	Description string
	Enum        []any
	Default     any
	Minimum     json.Number
	Maximum     json.Number
	MinLength   int
	MaxLength   int
	MaxItems    int
	Examples    []any
}

func (p property) fits() string {
	var parts []string
	switch {
	case len(p.Enum) > 0:
		var names []string
		for _, e := range p.Enum {
			names = append(names, fmt.Sprintf("`%v`", e))
		}
		return strings.Join(names, ", ")
	case p.Minimum != "" && p.Maximum != "":
		parts = append(parts, fmt.Sprintf("%s to %s", p.Minimum, p.Maximum))
	case p.Minimum != "":
		parts = append(parts, "from "+p.Minimum.String())
	}
	if p.MaxLength > 0 {
		parts = append(parts, fmt.Sprintf("at most %d characters", p.MaxLength))
	}
	if p.MaxItems > 0 {
		parts = append(parts, fmt.Sprintf("at most %d", p.MaxItems))
	}
	return strings.Join(parts, "; ")
}

// TestDocsTools makes docs/tools.md of the golden files, which are a real tools/list.
func TestDocsTools(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# Tools\n\nWhat clients see, from the golden files of `tools/testdata/tools` (`make golden docs`). Bounds are those of the default settings.\n")
	files, err := filepath.Glob("tools/testdata/tools/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var tool struct {
			Name, Title, Description string
			InputSchema              struct {
				Properties map[string]property
				Required   []string
			}
		}
		dec := json.NewDecoder(bytes.NewReader(data))
		dec.UseNumber()
		if err := dec.Decode(&tool); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "\n## `%s`: %s\n\n%s\n", tool.Name, tool.Title, tool.Description)
		if len(tool.InputSchema.Properties) == 0 {
			continue
		}
		b.WriteString("\n| argument | type | what it is | fits | default |\n|---|---|---|---|---|\n")
		for _, name := range slices.Sorted(maps.Keys(tool.InputSchema.Properties)) {
			p := tool.InputSchema.Properties[name]
			def := ""
			if p.Default != nil {
				def = fmt.Sprintf("`%v`", p.Default)
			}
			if slices.Contains(tool.InputSchema.Required, name) {
				def = "required"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", name, p.Type, cell(p.Description), cell(p.fits()), def)
		}
	}
	compare(t, "docs/tools.md", []byte(b.String()))
}

// TestDocsPipeline draws the stages from the one list in mcpserver/pipeline.go.
func TestDocsPipeline(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("mcpserver/pipeline.go")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile(`(?m)^\t\t\{"(\w+)", p\.\w+\},\s*// (.+)$`).FindAllStringSubmatch(string(source), -1)
	if len(rows) < 10 {
		t.Fatalf("found %d stages", len(rows))
	}
	var b strings.Builder
	b.WriteString("| stage | why here |\n|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| `%s` | %s |\n", r[1], cell(r[2]))
	}
	compare(t, "docs/architecture.md", section(t, "docs/architecture.md", "pipeline", b.String()))
}

// TestDocsFamilies lists the built-in recipes.
func TestDocsFamilies(t *testing.T) {
	t.Parallel()
	catalog, err := workflow.Load("")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("| family | what it is | files |\n|---|---|---|\n")
	for _, f := range catalog.Families(workflow.Inventory{}) {
		var files []string
		for _, m := range f.Missing { // of an empty server: all of them
			files = append(files, fmt.Sprintf("`%s/%s` (%s)", m.Folder, m.Name, m.Repository))
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.ID, f.Title, strings.Join(files, "<br>"))
	}
	compare(t, "docs/recipes.md", section(t, "docs/recipes.md", "families", b.String()))
}
