package policy_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/policy"
)

// Every id that a decision of a guard can have is told to people, and kept from rules of files: a new constant without a row fails.
func TestGuards_complete(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var told, ids []string
	for _, g := range policy.Guards() {
		told = append(told, g.ID)
		if g.Denies == "" {
			t.Errorf("%s: nothing is told of it", g.ID)
		}
		_, err := policy.Read(policy.Config{}, []byte("version: 1\nrules: [{id: "+g.ID+", effect: allow}]\n"))
		if err == nil || !strings.Contains(err.Error(), "built-in guard") {
			t.Errorf("a rule may be called %s: %v", g.ID, err)
		}
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if ok && strings.HasPrefix(spec.Names[0].Name, "Rule") && len(spec.Values) == 1 {
				if lit, ok := spec.Values[0].(*ast.BasicLit); ok {
					id, _ := strconv.Unquote(lit.Value)
					ids = append(ids, id)
				}
			}
			return true
		})
	}
	slices.Sort(told)
	slices.Sort(ids)
	if !slices.Equal(told, ids) {
		t.Errorf("told are %v, there are %v", told, ids)
	}
}
