// Package strictyaml reads the YAML that people write for comfygate: recipes, policies, tokens, saved workflows. What is not plainly meant is an error.
package strictyaml

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Unmarshal reads one document into v: unknown and doubled keys, values of another type, anchors, aliases and tags are errors, each with
// its line. A file without a document is an error too.
func Unmarshal(data []byte, v any) error {
	tree, err := Parse(data)
	if err != nil {
		return err
	}
	return Decode(tree, v)
}

// Parse reads one document and leaves it a tree, for those who check it before they decode it.
func Parse(data []byte) (*ast.File, error) {
	tokens := lexer.Tokenize(string(data))
	if err := plain(tokens); err != nil {
		return nil, err
	}
	tree, err := parser.Parse(tokens, 0)
	if err != nil {
		return nil, placed(err)
	}
	if len(tree.Docs) != 1 || tree.Docs[0].Body == nil {
		return nil, errors.New("the file must hold one YAML document")
	}
	return tree, nil
}

// Decode makes a value of a tree that [Parse] returned, as strictly as [Unmarshal].
func Decode(tree *ast.File, v any) error {
	if err := yaml.NodeToValue(tree.Docs[0].Body, v, yaml.Strict()); err != nil {
		return placed(err)
	}
	return nil
}

// plain refuses anchors and aliases, with which a small file can name a huge document, and tags.
func plain(tokens token.Tokens) error {
	for _, t := range tokens {
		switch t.Type { //nolint:exhaustive // all others are welcome
		case token.AnchorType, token.AliasType, token.MergeKeyType, token.TagType:
			return fmt.Errorf("line %d: anchors, aliases and tags are not read; write the value out", t.Position.Line)
		}
	}
	return nil
}

// placed keeps line and cause of a fault in the YAML itself.
func placed(err error) error {
	var at yaml.Error
	if !errors.As(err, &at) {
		return err
	}
	if t := at.GetToken(); t != nil && t.Position != nil {
		return fmt.Errorf("line %d: %s", t.Position.Line, at.GetMessage())
	}
	return errors.New(at.GetMessage())
}
