package mcpserver

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/comfygate/comfygate/tools"
)

// A tool is a registered tool with its compiled schema.
type tool struct {
	tools.Tool
	schema      func() (*schema, error) // compiled at the first call, so that starting stays cheap (MCP-32)
	defaultWait time.Duration
}

// A schema is a published schema twice: compiled, to check, and as data, to say what would fit.
type schema struct {
	check *jsonschema.Schema
	doc   map[string]any
}

// maxName leaves room for what clients put before a name, mcp__comfygate__, within their 128 characters (MCP-34).
const maxName = 128 - len("mcp__comfygate__")

func newTool(t tools.Tool) (*tool, error) {
	switch {
	case !toolName.MatchString(t.Name):
		return nil, fmt.Errorf("mcpserver: %q is no name for a tool", t.Name)
	case len(t.Name) > maxName:
		return nil, fmt.Errorf("mcpserver: the name %s has %d characters, more than %d", t.Name, len(t.Name), maxName)
	case t.Description == "" || len(t.Description) > maxText:
		return nil, fmt.Errorf("mcpserver: the description of %s has %d bytes, not 1 to %d", t.Name, len(t.Description), maxText)
	case bytes.Contains(t.Schema, []byte("x-mcp-header")): // MCP-36
		return nil, fmt.Errorf("mcpserver: %s would send arguments in headers", t.Name)
	case t.Decode == nil:
		return nil, fmt.Errorf("mcpserver: %s has no Decode", t.Name)
	}
	wait := defaultWait
	if t.Waits {
		var one struct {
			Properties struct {
				Wait struct {
					Default *float64 `json:"default"`
				} `json:"wait_seconds"`
			} `json:"properties"`
		}
		if err := json.Unmarshal(t.Schema, &one); err != nil {
			return nil, fmt.Errorf("mcpserver: schema of %s: %w", t.Name, err)
		}
		if d := one.Properties.Wait.Default; d != nil {
			wait = min(time.Duration(*d*float64(time.Second)), maxWait)
		}
	}
	return &tool{
		Tool:        t,
		schema:      sync.OnceValues(func() (*schema, error) { return compile(t.Schema) }),
		defaultWait: wait,
	}, nil
}

// closed refuses to load anything: a schema stands for itself.
type closed struct{}

func (closed) Load(url string) (any, error) {
	return nil, errors.New("a schema must not refer to " + url)
}

func compile(raw json.RawMessage) (*schema, error) {
	s := &scanner{b: raw}
	v, err := s.value("", func(string) {})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, fmt.Errorf("reading schema: %w", err)
	}
	doc, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("reading schema: not an object")
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.UseLoader(closed{})
	if err := c.AddResource("schema:arguments", doc); err != nil {
		return nil, fmt.Errorf("adding schema: %w", err)
	}
	check, err := c.Compile("schema:arguments")
	if err != nil {
		return nil, fmt.Errorf("compiling schema: %w", err)
	}
	return &schema{check: check, doc: doc}, nil
}
