package workflow

import (
	"errors"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
)

// StrictYAML reads one YAML document into v: unknown and doubled keys, anchors, aliases and tags are errors, each with its line.
func StrictYAML(data []byte, v any) error {
	tokens := lexer.Tokenize(string(data))
	if err := plainYAML(tokens); err != nil {
		return err
	}
	tree, err := parser.Parse(tokens, 0)
	if err != nil {
		return yamlError(err)
	}
	if len(tree.Docs) != 1 || tree.Docs[0].Body == nil {
		return errors.New("the file must hold one YAML document")
	}
	if err := yaml.NodeToValue(tree.Docs[0].Body, v, yaml.Strict()); err != nil {
		return yamlError(err)
	}
	return nil
}
