package workflow

import (
	"io/fs"
	"sync"
)

// OneRecipe returns a catalog of this recipe alone. Load reads all of ours each time, which is too slow to fuzz with.
func OneRecipe(data []byte) (*Catalog, error) {
	schema, err := onceSchema()
	if err != nil {
		return nil, err
	}
	r, err := parseRecipe(data, schema)
	if err != nil {
		return nil, err
	}
	return &Catalog{func() []*recipe { return []*recipe{r} }}, nil
}

var onceSchema = sync.OnceValues(compileSchema)

// CheckOwn holds the embedded recipes to their schema.
func CheckOwn() error {
	schema, err := onceSchema()
	if err != nil {
		return err
	}
	own, err := fs.Sub(embedded, "recipes")
	if err != nil {
		return err
	}
	_, err = readRecipes(own, "built-in ", schema)
	return err
}
