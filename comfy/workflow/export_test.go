package workflow

import "sync"

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
	return &Catalog{[]*recipe{r}}, nil
}

var onceSchema = sync.OnceValues(compileSchema)
