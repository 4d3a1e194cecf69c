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
	return &Catalog{recipes: func() []*recipe { return []*recipe{r} }}, nil
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

// Learnt counts what c has learnt of the last server: files told by name, families looked at.
func (c *Catalog) Learnt() (files, families int) {
	known := c.learnt.Load()
	if known == nil {
		return 0, 0
	}
	return len(known.told), len(known.lacks)
}
