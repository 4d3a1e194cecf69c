package comfygate_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/comfygate/comfygate/"

// rooms lists every package of the product from the top of the house down: a room may import what stands below it, and nothing above.
// docs/architecture.md is drawn from it.
var rooms = []struct{ name, what string }{
	{"cmd/comfygate", "the program: commands, logging, wiring in one file"},
	{"doctor", "findings about a set-up, each with its fix"},
	{"clientconfig", "comfygate install: MCP clients' own configuration files"},
	{"web", "the HTTP face: listener, body limit, Host and Origin, authentication, picture links"},
	{"mcpserver", "MCP: transports, registration, the pipeline, the error table"},
	{"tools", "one file a tool: arguments, Resolve, Plan, Run"},
	{"jobs", "life of a job: submit, progress, wait, cancel; owner-bound"},
	{"auth", "credentials become a Principal"},
	{"comfy/fleet", "health, breaker and slots of ComfyUI servers"},
	{"comfy/workflow/library", "saved workflows: files that people review, read again when they change"},
	{"comfy/workflow", "graphs: recipes, choice of model, does it fit the server"},
	{"comfy", "ComfyUI client: one server"},
	{"monitor", "sampling of disk, memory, queue and ComfyUI; alerts on transitions, anomalies, figures for Prometheus"},
	{"engine", "queue and key-value store behind narrow interfaces; in memory for now"},
	{"images", "bytes of pictures: sniff, bounds, strip, mark, scale, store"},
	{"limits", "rates and places, per principal and in all; bounded tables"},
	{"policy/live", "the policy in force, read again when its file changes"},
	{"policy", "may this principal do this; pure decisions"},
	{"policy/condition", "CEL conditions over the facts of a request; pure"},
	{"audit", "the record: write-ahead log, hash chain, verify"},
	{"logging", "the logger: zap, with every credential masked"},
	{"config", "environment becomes Config; Secret"},
	{"strictyaml", "the YAML that people write, read strictly"},
	{"comfy/emulator", "a ComfyUI in Go, an island: imports nothing of ours"},
}

// A source is one parsed Go file.
type source struct {
	name string // path from the root
	pkg  string // its folder
	test bool
	file *ast.File
}

// sources parses the repository itself rather than asking the go command, because the test cache does not see what a child process reads.
func sources(t *testing.T) (files []source, fset *token.FileSet) {
	t.Helper()
	fset = token.NewFileSet()
	err := fs.WalkDir(os.DirFS("."), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == "node_modules" || len(name) > 1 && strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir() || path.Ext(name) != ".go":
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		files = append(files, source{name, path.Dir(name), strings.HasSuffix(name, "_test.go"), f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, fset
}

func TestImportsPointDown(t *testing.T) {
	t.Parallel()
	height := make(map[string]int)
	for i, r := range rooms {
		height[r.name] = len(rooms) - i
	}
	seen := make(map[string]bool)
	files, _ := sources(t)
	for _, f := range files {
		if f.test || f.pkg == "." || strings.HasPrefix(f.pkg, "test/") {
			continue
		}
		seen[f.pkg] = true
		if height[f.pkg] == 0 {
			t.Errorf("%s: package %s is not in the list of rooms; say in arch_test.go where it stands", f.name, f.pkg)
			continue
		}
		for _, spec := range f.file.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			rel, ours := strings.CutPrefix(imp, module)
			switch {
			case !ours:
			case f.pkg == "comfy/emulator":
				t.Errorf("%s imports %s; the emulator is an island, so that the client's mistakes are not its own", f.name, rel)
			case rel == "comfy/emulator" && f.pkg != "cmd/comfygate":
				t.Errorf("%s imports the emulator; only the program starts it", f.name)
			case height[rel] >= height[f.pkg]:
				t.Errorf("%s imports %s, which stands above or beside it; dependencies point down the list of rooms", f.name, rel)
			}
		}
	}
	for _, r := range rooms {
		if !seen[r.name] {
			t.Errorf("the list of rooms names %s, which is gone", r.name)
		}
	}
}

// TestSec_SC30_whoReveals: a secret's value is asked for in few places, so that each can be read.
func TestSec_SC30_whoReveals(t *testing.T) {
	t.Parallel()
	allowed := []string{"auth", "comfy", "audit", "engine", "config"}
	files, fset := sources(t)
	for _, f := range files {
		if f.test || slices.Contains(allowed, f.pkg) {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Reveal" {
				t.Errorf("%s: only %s may reveal a secret", fset.Position(n.Pos()), strings.Join(allowed, ", "))
			}
			return true
		})
	}
}

// TestSec_SC17_noSkipVerify: there is no way to switch certificate checks off.
func TestSec_SC17_noSkipVerify(t *testing.T) {
	t.Parallel()
	files, fset := sources(t)
	for _, f := range files {
		ast.Inspect(f.file, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && id.Name == "InsecureSkipVerify" {
				t.Errorf("%s: certificates are always verified", fset.Position(n.Pos()))
			}
			return true
		})
	}
}

// TestLogLines holds what no linter knows of zap's typed API: messages are literals, keys are snake_case literals.
func TestLogLines(t *testing.T) {
	t.Parallel()
	snake := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	levels := []string{"Debug", "Info", "Warn", "Error"}
	files, fset := sources(t)
	for _, f := range files {
		if f.test || !importsZap(f.file) {
			continue
		}
		ast.Inspect(f.file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			lit, isLit := call.Args[0].(*ast.BasicLit)
			pkg, _ := sel.X.(*ast.Ident)
			switch {
			case pkg != nil && pkg.Name == "zap" && isLit && lit.Kind == token.STRING:
				if key, _ := strconv.Unquote(lit.Value); !snake.MatchString(key) {
					t.Errorf("%s: log key %q is not snake_case", fset.Position(n.Pos()), key)
				}
			case slices.Contains(levels, sel.Sel.Name) && looksLikeLogger(sel.X) && (!isLit || lit.Kind != token.STRING):
				t.Errorf("%s: a log message is a string literal; what varies is a field", fset.Position(n.Pos()))
			}
			return true
		})
	}
}

func importsZap(f *ast.File) bool {
	return slices.ContainsFunc(f.Imports, func(s *ast.ImportSpec) bool { return s.Path.Value == `"go.uber.org/zap"` })
}

// looksLikeLogger goes by the name, log or logger, because this scan has no types.
func looksLikeLogger(x ast.Expr) bool {
	var name string
	switch x := x.(type) {
	case *ast.Ident:
		name = x.Name
	case *ast.SelectorExpr:
		name = x.Sel.Name
	}
	return strings.EqualFold(name, "log") || strings.EqualFold(name, "logger")
}

// TestNoInit: importing a room does nothing, so that a test or a command takes only what it wants.
func TestNoInit(t *testing.T) {
	t.Parallel()
	files, fset := sources(t)
	for _, f := range files {
		for _, d := range f.file.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Name.Name == "init" && fn.Recv == nil {
				t.Errorf("%s: nothing happens on import; let the caller construct it", fset.Position(fn.Pos()))
			}
		}
	}
}

// TestSleeps: a test that waits by the clock is slow or flaky, mostly both. Looking again after some milliseconds, with a deadline, is
// not that; nor is letting time pass where nothing announces that nothing has happened, if a comment on the line says what for.
func TestSleeps(t *testing.T) {
	t.Parallel()
	poll := regexp.MustCompile(`^time\.Sleep\((?:[1-5] ?\* ?)?time\.Millisecond\)`)
	files, fset := sources(t)
	for _, f := range files {
		if !f.test || usesSynctest(f.file) {
			continue
		}
		text, err := os.ReadFile(f.name)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		ast.Inspect(f.file, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok || sel.Sel.Name != "Sleep" {
				return true
			}
			at := fset.Position(n.Pos())
			line := lines[at.Line-1]
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "time" && !poll.MatchString(line[at.Column-1:]) && !strings.Contains(line, " // ") {
				t.Errorf("%s: wait for a channel, or use testing/synctest, in whose bubble a sleep takes no time", at)
			}
			return true
		})
	}
}

func usesSynctest(f *ast.File) bool {
	return slices.ContainsFunc(f.Imports, func(s *ast.ImportSpec) bool { return s.Path.Value == `"testing/synctest"` })
}
