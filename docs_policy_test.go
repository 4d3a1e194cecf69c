package comfygate_test

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/monitor"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/policy/condition"
)

// TestDocsPolicy makes the tables of docs/policy.md of what they tell of.
func TestDocsPolicy(t *testing.T) {
	t.Parallel()
	const file = "docs/policy.md"
	var b strings.Builder
	for _, name := range policy.Postures() {
		data, _, _ := policy.Posture(name)
		p, err := policy.Parse(data)
		if err != nil {
			t.Fatal(err)
		}
		about, _, _ := strings.Cut(strings.TrimSpace(p.Description), "\n\n")
		about = about[:strings.LastIndex(about, ".")+1]
		fmt.Fprintf(&b, "**`@%s`**: %s\n\n| rule | effect | tools | roles | when |\n|---|---|---|---|---|\n", name, strings.Join(strings.Fields(about), " "))
		for _, r := range p.Rules {
			tools, roles := "all", "all"
			if len(r.Tools) > 0 {
				tools = strings.Join(r.Tools, ", ")
			}
			if len(r.Roles) > 0 {
				roles = strings.Trim(fmt.Sprint(r.Roles), "[]")
			}
			when := "always"
			if r.When != "" {
				when = "`" + cell(r.When) + "`"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", r.ID, r.Effect, cell(strings.ReplaceAll(tools, "*", `\*`)), roles, when)
		}
		b.WriteString("\n")
	}
	compare(t, file, section(t, file, "postures", b.String()))

	b.Reset()
	b.WriteString("| fact | type | what it is |\n|---|---|---|\n")
	for _, f := range condition.Facts() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, f.Type, cell(f.Doc))
	}
	compare(t, file, section(t, file, "facts", b.String()))

	b.Reset()
	b.WriteString("| rule | denies |\n|---|---|\n")
	for _, g := range policy.Guards() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", g.ID, cell(g.Denies))
	}
	compare(t, file, section(t, file, "guards", b.String()))
}

// TestDocsEvents makes the table of events of docs/incident-response.md.
func TestDocsEvents(t *testing.T) {
	t.Parallel()
	meaning := comments(t, filepath.Join("audit", "severity.go"))
	order := []string{audit.Critical, audit.High, audit.Medium, audit.Low, audit.Info}
	severities := audit.EventSeverities()
	names := make([]string, 0, len(severities))
	for name := range severities {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := slices.Index(order, severities[a]) - slices.Index(order, severities[b]); d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	var b strings.Builder
	b.WriteString("| event | severity | what it means |\n|---|---|---|\n")
	for _, name := range names {
		if meaning[name] == "" {
			t.Errorf("the constant of %s has no comment", name)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", name, severities[name], cell(meaning[name]))
	}
	const file = "docs/incident-response.md"
	compare(t, file, section(t, file, "events", b.String()))
}

// comments are those that stand behind the text constants of a Go file, by the constants' values.
func comments(t *testing.T, file string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if ok && len(spec.Values) == 1 && spec.Comment != nil {
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				value, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				found[value] = strings.TrimSpace(spec.Comment.Text())
			}
		}
		return true
	})
	return found
}

// TestDocsMetrics makes the table of metrics of docs/observability.md of what a registry really serves.
func TestDocsMetrics(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("| metric | type | labels | what it is |\n|---|---|---|---|\n")
	text := scrape(t)
	for _, m := range regexp.MustCompile(`(?m)^# HELP (comfygate_\S+) (.*)\n# TYPE \S+ (\S+)$`).FindAllStringSubmatch(text, -1) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m[1], m[3], labels(text, m[1]), cell(m[2]))
	}
	const file = "docs/observability.md"
	compare(t, file, section(t, file, "metrics", b.String()))

	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range regexp.MustCompile(`comfygate_[a-z_]+`).FindAllString(string(page), -1) {
		if !strings.Contains(text, "# TYPE "+name+" ") {
			t.Errorf("%s tells of %s, which is not served", file, name)
		}
	}
}

// scrape is what Prometheus reads of a house in which everything has happened once.
func scrape(t *testing.T) string {
	t.Helper()
	watch, err := monitor.New(monitor.Config{Probes: []monitor.Probe{{Name: "disk", Read: func(context.Context) (monitor.Reading, error) { return monitor.Reading{Unit: "bytes"}, nil }}}})
	if err != nil {
		t.Fatal(err)
	}
	watch.Look(t.Context())
	m := monitor.NewMetrics("1", monitor.Gauges{
		Jobs: func() (queued, running int) { return 0, 0 }, Up: func() bool { return true }, Breaker: func() string { return "closed" },
		Record: func() error { return nil }, Monitor: watch,
	})
	m.Call("generate", "ok", time.Second)
	m.Refused("role")
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	return rec.Body.String()
}

// labels are those of a metric's first sample.
func labels(text, name string) string {
	m := regexp.MustCompile(`(?m)^` + name + `(?:_bucket)?\{(.*)\} `).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	var names []string
	for _, pair := range regexp.MustCompile(`([a-z_]+)="`).FindAllStringSubmatch(m[1], -1) {
		if pair[1] != "le" {
			names = append(names, "`"+pair[1]+"`")
		}
	}
	return strings.Join(names, ", ")
}

// guides are the pages for operators.
func guides() []string {
	return []string{"docs/policy.md", "docs/identity.md", "docs/incident-response.md", "docs/observability.md", "docs/how-to/team-server.md"}
}

// TestDocsGuides: the policies that pages show can be loaded and keep their cases, the settings that they name are settings, and their
// links lead somewhere.
func TestDocsGuides(t *testing.T) {
	t.Parallel()
	known := knownSettings(t)
	for _, page := range guides() {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mdLink.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil && !strings.Contains(m[1], "://") {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
		for _, b := range regexp.MustCompile("(?s)<!-- config: (\\S+) -->\n```json\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
			compare(t, b[1], []byte(b[2]))
		}
	}
	var rules *policy.Rules
	for _, page := range guides() {
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		for _, name := range regexp.MustCompile(`COMFYGATE_[A-Z]+__[A-Z0-9_]*[A-Z0-9]`).FindAllString(text, -1) {
			if !known[name] && !known[strings.TrimSuffix(name, "_FILE")] {
				t.Errorf("%s: there is no setting %s", page, name)
			}
		}
		for _, m := range regexp.MustCompile("(?s)<!-- (policy|policy fragment) -->\n```yaml\n(.*?)```").FindAllStringSubmatch(text, -1) {
			source := m[2]
			if m[1] == "policy fragment" {
				source = "version: 1\nrules: [{id: all, effect: allow}]\n" + source
			}
			read, err := policy.Read(policy.Config{}, []byte(source))
			if err != nil {
				t.Errorf("%s: %v", page, err)
			}
			if m[1] == "policy" {
				rules = read
			}
		}
		for _, m := range regexp.MustCompile("(?s)<!-- cases -->\n```yaml\n(.*?)```").FindAllStringSubmatch(text, -1) {
			cases, err := policy.ParseCases([]byte(m[1]))
			if err != nil {
				t.Fatalf("%s: %v", page, err)
			}
			for _, c := range cases {
				if problem := rules.Try(t.Context(), c); problem != "" {
					t.Errorf("%s: %s: %s", page, c.Name, problem)
				}
			}
		}
	}
	if rules == nil {
		t.Error("no page shows a whole policy")
	}
}

func knownSettings(t *testing.T) map[string]bool {
	t.Helper()
	var b strings.Builder
	if err := config.WriteDocs(&b); err != nil {
		t.Fatal(err)
	}
	known := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^### (COMFYGATE_\S+)$`).FindAllStringSubmatch(b.String(), -1) {
		known[m[1]] = true
	}
	return known
}

// TestDocsSettings: the settings that docs/identity.md shows are taken as they are.
func TestDocsSettings(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("docs/identity.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)<!-- settings -->\n```\n(.*?)```").FindAllStringSubmatch(string(data), -1)
	if len(blocks) < 3 {
		t.Fatalf("%d blocks of settings", len(blocks))
	}
	for _, block := range blocks {
		env := append(strings.Split(strings.TrimSpace(block[1]), "\n"), "HOME="+t.TempDir(), "COMFYGATE_COMFYUI__BACKEND=embedded")
		if _, _, err := config.Load(env, os.ReadFile, nil); err != nil {
			t.Errorf("%s: %v", block[1], err)
		}
	}
}
