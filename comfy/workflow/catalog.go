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

	"github.com/comfygate/comfygate/policy"
)

//go:embed recipes
var embedded embed.FS

// Bounds of a folder of recipes.
const (
	maxRecipes     = 256
	maxRecipeBytes = 64 << 10
)

// A Catalog is the recipes. It is immutable and safe for concurrent use.
type Catalog struct {
	recipes []*recipe // by order, then id; those that cannot make pictures last
}

// Load returns the embedded recipes, and those of dir unless it is empty: one file each, *.yaml or *.yml. A file of dir with the
// id of an embedded recipe replaces it. The error holds every fault of every file: its name, line and field, and what would fit.
func Load(dir string) (*Catalog, error) {
	schema, err := compileSchema()
	if err != nil {
		return nil, err
	}
	own, err := fs.Sub(embedded, "recipes")
	if err != nil {
		return nil, err
	}
	byID, err := readRecipes(own, "built-in ", schema)
	if err != nil {
		return nil, err
	}
	if dir != "" {
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, fmt.Errorf("opening the folder of recipes: %w", err)
		}
		defer root.Close() //nolint:errcheck // only read from
		theirs, err := readRecipes(root.FS(), dir+"/", schema)
		if err != nil {
			return nil, err
		}
		maps.Copy(byID, theirs)
	}
	c := &Catalog{}
	for _, r := range byID {
		c.recipes = append(c.recipes, r)
	}
	slices.SortFunc(c.recipes, func(a, b *recipe) int {
		return cmp.Or(compareBool(!a.makes(), !b.makes()), cmp.Compare(a.Order, b.Order), strings.Compare(a.ID, b.ID))
	})
	return c, nil
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

// readRecipes reads every recipe of a folder. Names in errors begin with prefix.
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
	for _, r := range c.recipes {
		if r.makes() {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// plain returns the recipe for files of kind that no other recipe knows, or nil.
func (c *Catalog) plain(kind policy.Kind) *recipe {
	for _, r := range c.recipes {
		if r.makes() && r.plain() && r.kind() == kind {
			return r
		}
	}
	return nil
}
