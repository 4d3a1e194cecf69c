package attack_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/comfygate/comfygate/comfy/emulator"
	"github.com/comfygate/comfygate/test/attack"
)

var (
	whole  = flag.Bool("all", false, "also run the Go tests that the table names")
	update = flag.Bool("update", false, "write docs/attack-suite.md from this run")
)

const root = "../.."

// times is how often something is tried: n in the whole suite, a part of it in every run of the tests.
func times(n, part int) int {
	if *whole {
		return n
	}
	return part
}

func TestMain(m *testing.M) {
	flag.Parse()
	// Most cases wait for the program, or for it to give up: others may go on meanwhile.
	if err := flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// some are all of a list in the whole suite, and every third in every run of the tests.
func some[T any](list []T) []T {
	if *whole {
		return list
	}
	var out []T
	for i := 0; i < len(list); i += 3 {
		out = append(out, list[i])
	}
	return out
}

// A field is what is attacked: three programs that stand as deployments do, differing in their ComfyUI.
type field struct {
	judge *judge
	main  *site     // a ComfyUI that works
	slow  *site     // one whose jobs never end; vanished callers' jobs are cancelled
	evil  *site     // one that says what it should not
	trap  *trap     // a listener that nobody should ever visit
	once  sync.Once // see evilAnswers
}

// A wire attacks over the wire.
type wire func(t *testing.T, f *field)

// wires are the attacks, by the ids of the table. Those of last run when all others have ended: they look at what those left.
func wires() (first, last map[string]wire) {
	first = make(map[string]wire)
	for _, group := range []map[string]wire{transportWires(), sessionWires(), identityWires(), inputWires(), graphWires(), outputWires(), classWires()} {
		maps.Copy(first, group)
	}
	return first, lastWires()
}

// results are what each row came to.
type results struct {
	mu     sync.Mutex
	failed map[string][]string
	took   map[string]time.Duration
}

func (r *results) fail(id, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed[id] = append(r.failed[id], why)
}

// TestAttack runs the suite: over the wire always, with -all the Go tests too. It prints one line an id.
func TestAttack(t *testing.T) { //nolint:paralleltest // what runs in it does, and its report comes after all of it
	switch {
	case testing.Short():
		t.Skip("starts programs")
	case runtime.GOOS == "windows":
		t.Skip("ends programs by signals")
	}
	r := &results{failed: make(map[string][]string), took: make(map[string]time.Duration)}
	t.Run("wire", func(t *testing.T) { overTheWire(t, r) })
	if *whole {
		runTests(t, r)
	}
	for _, row := range attack.Rows() {
		verdict := "pass"
		if len(r.failed[row.ID]) > 0 {
			verdict = "FAIL"
			t.Errorf("%s: %s", row.ID, strings.Join(r.failed[row.ID], "; "))
		}
		if testing.Verbose() {
			fmt.Printf("%s  %-3s  %s (%s)\n", verdict, row.ID, row.What, how(row))
		}
	}
	if *update && *whole {
		writeReport(t, r)
	}
}

// how tells in short what was done.
func how(row attack.Row) string {
	var parts []string
	if row.Wire != "" {
		parts = append(parts, "wire: "+row.Wire)
	}
	for _, test := range row.Tests {
		parts = append(parts, test.Name)
	}
	return strings.Join(parts, "; ")
}

func overTheWire(t *testing.T, r *results) {
	program, p := built(t), newProvider(t)
	j := newJudge(p.tokens)
	f := &field{judge: j, trap: newTrap(t)}
	// Much more is tried here in a minute than a guard against guessing would stand.
	const tries = "COMFYGATE_HTTP__AUTH_FAILURES_PER_MINUTE=1000"
	f.main = newSite(t, program, p, newComfyUI(t, emulator.Options{NoPreviews: !*whole}), j, tries)
	f.slow = newSite(t, program, p, newComfyUI(t, emulator.Options{StepTime: time.Hour}), j, "COMFYGATE_JOBS__ON_DISCONNECT=cancel")
	f.evil = newSite(t, program, p, newComfyUI(t, emulator.Options{NoPreviews: true}), j, "COMFYGATE_RETRY__MAX_RETRIES=0")
	first, last := wires()
	run := func(t *testing.T, id string, w wire) {
		t.Run(id, func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() {
				if t.Failed() {
					r.fail(id, "over the wire, see above")
				}
			})
			w(t, f)
		})
	}
	t.Run("first", func(t *testing.T) {
		for _, id := range slices.Sorted(maps.Keys(first)) {
			run(t, id, first[id])
		}
	})
	t.Run("last", func(t *testing.T) {
		for _, id := range slices.Sorted(maps.Keys(last)) {
			run(t, id, last[id])
		}
	})
	for _, s := range []*site{f.main, f.slow, f.evil} {
		j.alive(s)
	}
	for _, o := range attack.Oracles() {
		findings, answers := j.result(o.ID)
		if answers < times(2000, 500) {
			r.fail(o.ID, fmt.Sprintf("only %d answers were judged", answers))
		}
		for _, finding := range findings[:min(len(findings), 10)] {
			t.Errorf("%s: %s", o.ID, finding)
			r.fail(o.ID, finding)
		}
	}
}

// runTests runs the tests that the table names, a package at a time, and notes those that did not run and pass.
func runTests(t *testing.T, r *results) {
	t.Helper()
	ids := make(map[attack.Test][]string)
	byPackage := make(map[string][]string)
	for _, row := range attack.Rows() {
		for _, test := range row.Tests {
			if ids[test] == nil {
				byPackage[test.Package] = append(byPackage[test.Package], test.Name)
			}
			ids[test] = append(ids[test], row.ID)
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(byPackage)) {
		passed, out := goTest(t, folder, byPackage[folder])
		for _, name := range byPackage[folder] {
			if !passed[name] {
				for _, id := range ids[attack.Test{Package: folder, Name: name}] {
					r.fail(id, folder+"."+name+" did not pass")
				}
				t.Logf("%s.%s: %s", folder, name, out)
			}
		}
	}
}

// goTest runs tests by their names and tells which passed. One that is not there, or is skipped, did not.
func goTest(t *testing.T, folder string, names []string) (passed map[string]bool, out string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-json", "-timeout=30m", "-run", "^("+strings.Join(names, "|")+")$", "./"+folder)
	cmd.Dir = root
	raw, _ := cmd.CombinedOutput() // what passed tells
	passed = make(map[string]bool)
	for line := range bytes.Lines(raw) {
		var e struct{ Action, Test, Output string }
		if json.Unmarshal(line, &e) != nil {
			out += string(line)
			continue
		}
		if e.Action == "pass" {
			passed[e.Test] = true
		}
		if e.Action == "output" && strings.HasPrefix(e.Output, "    ") {
			out += e.Output
		}
	}
	return passed, out[max(0, len(out)-4<<10):]
}

// TestTable holds that each id is attacked as the table says: a wire that there is, tests that exist in their package and name the id.
func TestTable(t *testing.T) {
	t.Parallel()
	first, last := wires()
	seen := make(map[string]bool)
	for _, row := range attack.Rows() {
		if seen[row.ID] {
			t.Errorf("%s is there twice", row.ID)
		}
		seen[row.ID] = true
		oracle := strings.HasPrefix(row.ID, "O")
		if has := first[row.ID] != nil || last[row.ID] != nil; has != (row.Wire != "") && !oracle {
			t.Errorf("%s: the table says %q, there is an attack over the wire: %v", row.ID, row.Wire, has)
		}
		if row.Wire == "" && len(row.Tests) == 0 {
			t.Errorf("%s: nothing is done", row.ID)
		}
		for _, test := range row.Tests {
			if !names(t, test, row.ID) {
				t.Errorf("%s: no test %s in %s that names it", row.ID, test.Name, test.Package)
			}
		}
	}
	for _, m := range []map[string]wire{first, last} {
		for id := range m {
			if !seen[id] {
				t.Errorf("%s is attacked and not in the table", id)
			}
		}
	}
	for id := 1; id <= 66; id++ { // security-design.md: T39, T45 to T49 and T57 to T59 are free
		free := id == 39 || id >= 45 && id <= 49 || id >= 57 && id <= 59
		if seen[fmt.Sprintf("T%02d", id)] == free {
			t.Errorf("T%02d: in the table: %v", id, !free)
		}
	}
}

// names reports whether a test exists and speaks of an id: in its name, its comment or its body.
func names(t *testing.T, test attack.Test, id string) bool {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(root, test.Package, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	body := regexp.MustCompile(`(?ms)((?:^//[^\n]*\n)*)^func ` + test.Name + `\(.*?^}`)
	for _, file := range list {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if m := body.Find(text); m != nil {
			return regexp.MustCompile(`(^|Test|[^A-Za-z0-9])` + id + `($|[^0-9])`).Match(m)
		}
	}
	return false
}

// writeReport writes the document from the run.
func writeReport(t *testing.T, r *results) {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Attack suite\n\n`make attack` starts the program as a deployment does (HTTP behind a proxy, an OpenID provider, the policy `@team`, a ComfyUI with a password), " +
		"attacks it over the wire, runs the Go tests of what nobody outside can cause, and writes this file. Every answer is put to seven oracles. It fails on any finding.\n\n" +
		"T01 to T66 are the project's own list; A1 to A12 are the classes of MCPSEC with cases of our own; O1 to O7 are the findings of mcp-fuzzer.\n\n" +
		"| id | must hold | over the wire | Go tests | result |\n|---|---|---|---|---|\n")
	for _, row := range attack.Rows() {
		var tests []string
		for _, test := range row.Tests {
			tests = append(tests, "`"+test.Name+"`")
		}
		verdict := "pass"
		if len(r.failed[row.ID]) > 0 {
			verdict = "**fail**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", row.ID, row.What, row.Wire, strings.Join(tests, ", "), verdict)
	}
	if err := os.WriteFile(filepath.Join(root, "docs", "attack-suite.md"), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
