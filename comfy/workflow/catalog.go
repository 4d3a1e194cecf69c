package workflow

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/comfygate/comfygate/policy"
)

//go:embed recipes
var embedded embed.FS

// Bounds of a folder of recipes.
const (
	maxRecipes     = 256
	maxRecipeBytes = 64 << 10
)

// A Catalog is the recipes. It is safe for concurrent use.
type Catalog struct {
	recipes func() []*recipe // by order, then id; those that cannot make pictures last
	learnt  atomic.Pointer[learnt]
}

// Load returns the embedded recipes, and those of dir unless it is empty: one file each, *.yaml or *.yml. A file of dir with the
// id of an embedded recipe replaces it. The error holds every fault of every file: its name, line and field, and what would fit.
func Load(dir string) (*Catalog, error) {
	var theirs map[string]*recipe
	if dir != "" {
		schema, err := compileSchema()
		if err != nil {
			return nil, err
		}
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, fmt.Errorf("opening the folder of recipes: %w", err)
		}
		defer root.Close() //nolint:errcheck // only read from
		if theirs, err = readRecipes(root.FS(), dir+"/", schema); err != nil {
			return nil, err
		}
	}
	return &Catalog{recipes: sync.OnceValue(func() []*recipe { return inOrder(ownRecipes(), theirs) })}, nil
}

// Warm reads the embedded recipes now, which costs some milliseconds and else is done when they are first needed.
func (c *Catalog) Warm() { c.recipes() }

// ownRecipes returns the embedded recipes. They are part of the program: tests hold them to their schema, and no start does it again.
func ownRecipes() map[string]*recipe {
	own, err := fs.Sub(embedded, "recipes")
	if err != nil {
		panic(err)
	}
	byID, err := readRecipes(own, "built-in ", nil)
	if err != nil {
		panic(err)
	}
	return byID
}

// inOrder merges recipes; of two with one id it takes theirs.
func inOrder(own, theirs map[string]*recipe) (list []*recipe) {
	maps.Copy(own, theirs)
	for _, r := range own {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *recipe) int {
		return cmp.Or(compareBool(!a.makes(), !b.makes()), cmp.Compare(a.Order, b.Order), strings.Compare(a.ID, b.ID))
	})
	return list
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// readRecipes reads every recipe of a folder, and holds it to schema, where that is not nil. Names in errors begin with prefix.
func readRecipes(dir fs.FS, prefix string, schema *checker) (map[string]*recipe, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, fmt.Errorf("reading the folder of recipes: %w", err)
	}
	var errs []error
	byID, from := map[string]*recipe{}, map[string]string{}
	for _, e := range entries {
		if ext := path.Ext(e.Name()); e.IsDir() || ext != ".yaml" && ext != ".yml" {
			continue
		}
		if len(from) == maxRecipes {
			errs = append(errs, fmt.Errorf("%s: more than %d recipes", strings.TrimRight(prefix, " /"), maxRecipes))
			break
		}
		r, err := readRecipe(dir, e.Name(), schema)
		if err != nil {
			errs = append(errs, prefixed(prefix+e.Name(), err))
			continue
		}
		if first, doubled := from[r.ID]; doubled {
			errs = append(errs, fmt.Errorf("%s: id: %s has the id %s already; give this one another", prefix+e.Name(), first, r.ID))
			continue
		}
		byID[r.ID], from[r.ID] = r, e.Name()
	}
	return byID, errors.Join(errs...)
}

func readRecipe(dir fs.FS, name string, schema *checker) (*recipe, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxRecipeBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxRecipeBytes {
		return nil, fmt.Errorf("the file is larger than %d bytes", maxRecipeBytes)
	}
	return parseRecipe(data, schema)
}

// prefixed puts the file's name before each of the faults that err joins.
func prefixed(name string, err error) error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return fmt.Errorf("%s: %w", name, err)
	}
	var out []error
	for _, e := range joined.Unwrap() {
		out = append(out, prefixed(name, e))
	}
	return errors.Join(out...)
}

// ids returns the ids of families that make pictures, in order.
func (c *Catalog) ids() (ids []string) {
	for _, r := range c.recipes() {
		if r.makes() {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// plain returns the recipe for files of kind that no other recipe knows, or nil.
func (c *Catalog) plain(kind policy.Kind) *recipe {
	for _, r := range c.recipes() {
		if r.makes() && r.plain() && r.kind() == kind {
			return r
		}
	}
	return nil
}
