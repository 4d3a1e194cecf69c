package workflow

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"github.com/comfygate/comfygate/strictyaml"
)

// A checker holds the compiled schema of recipes.
type checker struct {
	schema *jsonschema.Schema
	print  *message.Printer
}

func compileSchema() (*checker, error) {
	data, err := embedded.ReadFile("recipes/schema.json")
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("reading the schema of recipes: %w", err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("recipe.json", doc); err != nil {
		return nil, fmt.Errorf("reading the schema of recipes: %w", err)
	}
	s, err := c.Compile("recipe.json")
	if err != nil {
		return nil, fmt.Errorf("compiling the schema of recipes: %w", err)
	}
	return &checker{s, message.NewPrinter(language.English)}, nil
}

// parseRecipe reads one recipe; schema may be nil. Its error joins every fault, each with line and field.
func parseRecipe(data []byte, schema *checker) (*recipe, error) {
	tree, err := strictyaml.Parse(data)
	if err != nil {
		return nil, err
	}
	if schema != nil {
		if err := schema.check(tree); err != nil {
			return nil, err
		}
	}
	var r recipe
	if err := strictyaml.Decode(tree, &r); err != nil {
		return nil, err
	}
	r.spelled = spelled(r.ID)
	return &r, r.check()
}

func (c *checker) check(tree *ast.File) error {
	var doc any
	if err := strictyaml.Decode(tree, &doc); err != nil {
		return err
	}
	err := c.schema.Validate(doc)
	var invalid *jsonschema.ValidationError
	if !errors.As(err, &invalid) {
		return err
	}
	var errs []error
	for _, leaf := range leaves(invalid) {
		field := fieldPath(leaf.InstanceLocation)
		problem := leaf.ErrorKind.LocalizedString(c.print)
		if line := lineOf(tree, leaf.InstanceLocation); line > 0 {
			errs = append(errs, fmt.Errorf("line %d: %s: %s", line, field, problem))
		} else {
			errs = append(errs, fmt.Errorf("%s: %s", field, problem))
		}
	}
	return errors.Join(errs...)
}

// leaves returns the faults that have no finer cause.
func leaves(e *jsonschema.ValidationError) []*jsonschema.ValidationError {
	if len(e.Causes) == 0 {
		return []*jsonschema.ValidationError{e}
	}
	var out []*jsonschema.ValidationError
	for _, c := range e.Causes {
		out = append(out, leaves(c)...)
	}
	return out
}

// fieldPath writes a location as people do: files.text_encoders.files[0].
func fieldPath(at []string) string {
	var b strings.Builder
	for i, part := range at {
		if _, err := strconv.Atoi(part); err == nil {
			b.WriteString("[" + part + "]")
			continue
		}
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(part)
	}
	if b.Len() == 0 {
		return "the recipe"
	}
	return b.String()
}

// lineOf returns the line of a location in the file, or of the nearest that is there; 0 when there is none.
func lineOf(tree *ast.File, at []string) int {
	for ; len(at) > 0; at = at[:len(at)-1] {
		b := (&yaml.PathBuilder{}).Root()
		for _, part := range at {
			if n, err := strconv.ParseUint(part, 10, 31); err == nil {
				b = b.Index(uint(n))
			} else {
				b = b.Child(part)
			}
		}
		if n, err := b.Build().FilterFile(tree); err == nil && n.GetToken() != nil {
			return n.GetToken().Position.Line
		}
	}
	return 0
}
