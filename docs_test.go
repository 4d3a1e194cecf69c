package comfygate_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the generated documents")

// compare holds a generated text to its file, or rewrites the file with -update.
func compare(t *testing.T, file string, got []byte) {
	t.Helper()
	want, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	if *update {
		if err := os.WriteFile(file, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("%s is not what the code says; run make docs and read the difference:\n%s", file, cmp.Diff(string(want), string(got)))
}

// section replaces what stands between a file's "generated: name" mark and its end mark.
func section(t *testing.T, file, name, text string) []byte {
	t.Helper()
	old, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok1 := strings.Cut(string(old), "<!-- generated: "+name+" -->\n")
	_, tail, ok2 := strings.Cut(rest, "<!-- end -->")
	if !ok1 || !ok2 {
		t.Fatalf("%s has no section %q", file, name)
	}
	return []byte(head + "<!-- generated: " + name + " -->\n" + text + "<!-- end -->" + tail)
}

func TestDocsRooms(t *testing.T) {
	t.Parallel()
	imports := make(map[string][]string)
	files, _ := sources(t)
	for _, f := range files {
		if f.test {
			continue
		}
		for _, spec := range f.file.Imports {
			if rel, ok := strings.CutPrefix(strings.Trim(spec.Path.Value, `"`), module); ok && !slices.Contains(imports[f.pkg], rel) {
				imports[f.pkg] = append(imports[f.pkg], rel)
			}
		}
	}
	var b strings.Builder
	b.WriteString("| room | what it is | stands on |\n|---|---|---|\n")
	for _, r := range rooms {
		slices.Sort(imports[r.name])
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.name, r.what, strings.Join(imports[r.name], ", "))
	}
	compare(t, "docs/architecture.md", section(t, "docs/architecture.md", "rooms", b.String()))
}

var (
	mdLink  = regexp.MustCompile(`\]\(([^)#:]+?)(#[^)]*)?\)`)
	testRow = regexp.MustCompile("`(Test[A-Za-z0-9_]+)`")
)

// markdown lists the documents of the repository.
func markdown(t *testing.T) []string {
	t.Helper()
	top, err1 := filepath.Glob("*.md")
	docs, err2 := filepath.Glob("docs/*.md")
	decisions, err3 := filepath.Glob("docs/decisions/*.md")
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return slices.Concat(top, docs, decisions)
}

func TestDocsLinks(t *testing.T) {
	t.Parallel()
	for _, file := range markdown(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mdLink.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", file, m[1])
			}
		}
	}
}

// TestDocsClientConfigurations: what the README shows of a client's configuration is a file in examples/, which a test of the program starts.
func TestDocsClientConfigurations(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)<!-- config: (\\S+) -->\n```json\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 4 {
		t.Fatalf("the README shows %d client configurations, want at least 4", len(blocks))
	}
	for _, b := range blocks {
		compare(t, b[1], []byte(b[2]))
	}
}

// tests lists the test functions of the repository.
func tests(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	files, _ := sources(t)
	for _, f := range files {
		for _, d := range f.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test && strings.HasPrefix(fn.Name.Name, "Test") {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

// TestDocsSec_SC06_fixesNameTests: each row of the security-fixes table that names a test names one that exists.
func TestDocsSec_SC06_fixesNameTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	_, fixes, ok := strings.Cut(string(text), "## Security fixes")
	if !ok {
		t.Fatal("SECURITY.md has no security-fixes table")
	}
	have := tests(t)
	rows := testRow.FindAllStringSubmatch(fixes, -1)
	if len(rows) == 0 {
		t.Fatal("the table names no test")
	}
	for _, m := range rows {
		if !have[m[1]] {
			t.Errorf("SECURITY.md names %s, which no test file has", m[1])
		}
	}
}

// TestDocsSec_policy holds SC-01 to SC-05, SC-40 and SC-42: versions, private reporting, what a report has, one table of times.
func TestDocsSec_policy(t *testing.T) {
	t.Parallel()
	security, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	changes, err := os.ReadFile("CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	release := regexp.MustCompile(`(?m)^## (\d+)\.(\d+)\.\d+$`).FindStringSubmatch(string(changes))
	if release == nil {
		t.Fatal("CHANGELOG.md's top heading is no version (SC-05)")
	}
	source, err := os.ReadFile("cmd/comfygate/version.go")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("const version = %q", strings.TrimPrefix(release[0], "## ")); !strings.Contains(string(source), want) {
		t.Errorf("the program's version is not CHANGELOG.md's newest, %s (SC-05)", release[0])
	}
	for what, pattern := range map[string]string{
		"this version as supported (SC-01)":       `(?m)^\| ` + release[1] + `\.` + release[2] + `\.x \| yes \|$`,
		"private reporting (SC-02)":               `do not open a public issue[\s\S]*/security/advisories/new`,
		"what a report has (SC-03)":               `description, impact, reproduction, affected versions,[\s\S]*suggested fix`,
		"the answer for critical (SC-04, 40, 42)": `(?m)^\| critical \|[^|]*\| 24 h \| 24 h \| 7 days \|$`,
		"the answer for high (SC-04, 42)":         `(?m)^\| high \|[^|]*\| 48 h \| 72 h \| 14 days \|$`,
		"the answer for medium (SC-04, 42)":       `(?m)^\| medium \|[^|]*\| 48 h \| 1 week \| 30 days \|$`,
		"the answer for low (SC-04, 42)":          `(?m)^\| low \|[^|]*\| 48 h \| 2 weeks \| next release \|$`,
		"to watch and subscribe (SC-05)":          `Watch the repository's releases and subscribe`,
	} {
		if n := len(regexp.MustCompile(pattern).FindAllIndex(security, -1)); n != 1 {
			t.Errorf("SECURITY.md says %s %d times, want once", what, n)
		}
	}
	if !strings.Contains(string(changes), "### Security") {
		t.Error("CHANGELOG.md's release has no Security section (SC-05)")
	}
}
