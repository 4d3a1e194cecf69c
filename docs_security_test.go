package comfygate_test

import (
	"fmt"
	"go/ast"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/doctor"
	"github.com/comfygate/comfygate/test/attack"
)

// checks lists the test functions and fuzz targets of the repository.
func checks(t *testing.T) map[string]bool {
	t.Helper()
	names := make(map[string]bool)
	files, _ := sources(t)
	for _, f := range files {
		for _, d := range f.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && f.test && (strings.HasPrefix(fn.Name.Name, "Test") || strings.HasPrefix(fn.Name.Name, "Fuzz")) {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}

func document(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocsSec_SC63_heldBy: what doctor --security says to be held by a test is held by a test that exists.
func TestDocsSec_SC63_heldBy(t *testing.T) {
	t.Parallel()
	have := checks(t)
	for id, tests := range doctor.HeldBy() {
		if strings.HasPrefix(id, "SC-") && len(tests) == 0 {
			t.Errorf("%s names no test", id)
		}
		for _, name := range tests {
			if !have[name] {
				t.Errorf("%s is said to be held by %s, which no test file has", id, name)
			}
		}
	}
}

// TestDocsSec_attackSuite: docs/attack-suite.md is of a run of the suite as it is now, and nothing failed in it.
func TestDocsSec_attackSuite(t *testing.T) {
	t.Parallel()
	var want, got []string
	for _, row := range attack.Rows() {
		want = append(want, row.ID+": "+row.What)
	}
	for _, m := range regexp.MustCompile(`(?m)^\| ([TAO]\d+) \| (.*?) \|.*\| (\S+) \|$`).FindAllStringSubmatch(document(t, "docs/attack-suite.md"), -1) {
		got = append(got, m[1]+": "+m[2])
		if m[3] != "pass" {
			t.Errorf("%s did not pass", m[1])
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("run make attack:\n%s", diff)
	}
}

// TestDocsSec_assumptions: SECURITY.md begins with what the trust rests on, and every test that it names exists (SC-06).
func TestDocsSec_assumptions(t *testing.T) {
	t.Parallel()
	text := document(t, "SECURITY.md")
	at := -1
	for _, heading := range []string{"## What comfygate assumes", "## Boundaries", "## In scope", "## Out of scope", "## Supported versions", "## Reporting", "## Security fixes"} {
		next := strings.Index(text, heading)
		if next <= at {
			t.Errorf("%q is not there, or not after what goes before it", heading)
		}
		at = next
	}
	have := checks(t)
	for _, m := range testRow.FindAllStringSubmatch(text, -1) {
		if !have[m[1]] {
			t.Errorf("SECURITY.md names %s, which no test file has", m[1])
		}
	}
	_, fixes, _ := strings.Cut(text, "## Security fixes")
	for _, row := range regexp.MustCompile(`(?m)^\| \d.*\|$`).FindAllString(fixes, -1) {
		if !testRow.MatchString(row) {
			t.Errorf("no test is named in: %s", row)
		}
	}
}

// TestDocsSec_SC07_versions: the Go release that CI takes is the one of go.mod, and the document names it.
func TestDocsSec_SC07_versions(t *testing.T) {
	t.Parallel()
	m := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(document(t, "go.mod"))
	if m == nil {
		t.Fatal("go.mod names no release of Go")
	}
	if !strings.Contains(document(t, "SECURITY.md"), "(Go "+m[1]+")") {
		t.Errorf("SECURITY.md does not name Go %s", m[1])
	}
	if ci := document(t, ".github/workflows/ci.yml"); strings.Count(ci, "go-version-file: go.mod") != strings.Count(ci, "actions/setup-go@") {
		t.Error("a job takes another Go than go.mod's")
	}
}

// TestDocsSec_SC38_proxyLimits: the proxies that we ship limit requests too.
func TestDocsSec_SC38_proxyLimits(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"deploy/comfygate-nginx.conf", "deploy/nginx.conf"} {
		if text := document(t, file); !strings.Contains(text, "limit_req_zone ") || !strings.Contains(text, "limit_req zone=") {
			t.Errorf("%s limits nothing", file)
		}
	}
}

// TestDocsSec_SC44_scans: each change and each week the checks, the security tests and the search for known holes run; dependencies are kept up.
func TestDocsSec_SC44_scans(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		".github/workflows/ci.yml": {"pull_request:", "schedule:", "cron:", ".ci/run", "govulncheck@", "make attack"},
		".ci/run":                  {"make check", "make test"},
		"Makefile":                 {"$(GO) vet", "golangci-lint run", "go mod verify"},
		".golangci.yml":            {"- gosec", "- staticcheck"},
		".github/dependabot.yml":   {"gomod", "github-actions", "interval: weekly"},
	} {
		text := strings.ReplaceAll(document(t, file), "$(GO) mod verify", "go mod verify")
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%s lacks %q (SC-44)", file, w)
			}
		}
	}
}

// overdue tells that a review is, or that its dates are none.
func overdue(text string, now time.Time) error {
	dates := make(map[string]time.Time)
	for _, m := range regexp.MustCompile(`(?m)^- (Last|Next) review: (\S+)$`).FindAllStringSubmatch(text, -1) {
		d, err := time.Parse(time.DateOnly, m[2])
		if err != nil {
			return err
		}
		dates[m[1]] = d
	}
	last, next := dates["Last"], dates["Next"]
	switch {
	case last.IsZero() || next.IsZero():
		return fmt.Errorf("the dates of the last and the next review are not there")
	case next.Sub(last) > 100*24*time.Hour || !next.After(last):
		return fmt.Errorf("the next review, %s, is not within three months of the last", next.Format(time.DateOnly))
	case now.After(next):
		return fmt.Errorf("the review of %s is overdue", next.Format(time.DateOnly))
	}
	return nil
}

// TestDocsSec_SC45_review: reviews have date, scope and findings. That one is overdue is a warning: the calendar breaks no build.
func TestDocsSec_SC45_review(t *testing.T) {
	t.Parallel()
	text := document(t, "docs/security-review.md")
	m := regexp.MustCompile(`(?m)^- Last review: (\S+)$`).FindStringSubmatch(text)
	if m == nil || !strings.Contains(text, "| date | scope | findings |") || !regexp.MustCompile(`(?m)^\| `+m[1]+` \| [^|]{10,} \| [^|]{10,} \|$`).MatchString(text) {
		t.Error("the last review has no row with date, scope and findings")
	}
	day := func(s string) time.Time {
		d, err := time.Parse(time.DateOnly, s)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if err := overdue(text, day(m[1])); err != nil {
		t.Error(err)
	}
	if overdue(text, day("2099-01-01")) == nil || overdue("", day(m[1])) == nil || overdue("- Last review: 2026-01-01\n- Next review: 2027-01-01\n", day("2026-01-02")) == nil {
		t.Error("a review that is overdue, has no dates, or is too far off is not told")
	}
	if err := overdue(text, time.Now()); err != nil {
		fmt.Printf("::warning file=docs/security-review.md::%v\n", err) //nolint:forbidigo // where CI reads warnings
	}
}

// TestDocsSec_SC46_threatModel: each of OWASP's ten and each risk of uploads has controls and tests that exist.
func TestDocsSec_SC46_threatModel(t *testing.T) {
	t.Parallel()
	have, promises := checks(t), doctor.HeldBy()
	owasp, uploads := 0, 0
	text := document(t, "docs/threat-model.md")
	_, pictures, _ := strings.Cut(text, "## Uploads and pictures")
	pictures, _, _ = strings.Cut(pictures, "\n## ")
	for line := range strings.Lines(text) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if !strings.HasPrefix(line, "| ") || len(cells) != 4 || strings.TrimSpace(cells[0]) == "risk" {
			continue
		}
		if strings.HasPrefix(cells[0], fmt.Sprintf(" API%d ", owasp+1)) {
			owasp++
		}
		if strings.Contains(pictures, line) {
			uploads++
		}
		controls, tests := regexp.MustCompile(`SC-\d\d`).FindAllString(cells[2], -1), testRow.FindAllStringSubmatch(cells[3], -1)
		if len(controls) == 0 || len(tests) == 0 {
			t.Errorf("no control or no test: %s", line)
		}
		for _, id := range controls {
			if _, ok := promises[id]; !ok {
				t.Errorf("no promise %s: %v", id, slices.Sorted(maps.Keys(promises)))
			}
		}
		for _, m := range tests {
			if !have[m[1]] {
				t.Errorf("%s is in no test file", m[1])
			}
		}
	}
	if owasp != 10 || uploads < 5 {
		t.Errorf("%d of OWASP's ten, %d of uploads", owasp, uploads)
	}
}
