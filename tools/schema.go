package tools

import (
	"bytes"
	"encoding/json"
)

// A schema is as much of JSON Schema 2020-12 as tools need. Fields are written in this order, which is the order in which a
// model reads them.
type schema struct {
	Type        string   `json:"type"`
	Description string   `json:"description,omitempty"`
	Enum        []string `json:"enum,omitempty"`
	Pattern     string   `json:"pattern,omitempty"`
	MinLength   int      `json:"minLength,omitempty"`
	MaxLength   int      `json:"maxLength,omitempty"`
	Minimum     any      `json:"minimum,omitempty"` // a number: nil is no bound
	Maximum     any      `json:"maximum,omitempty"` // likewise
	MultipleOf  int      `json:"multipleOf,omitempty"`
	Items       *schema  `json:"items,omitempty"`
	MinItems    int      `json:"minItems,omitempty"`
	MaxItems    int      `json:"maxItems,omitempty"`
	Properties  fields   `json:"properties,omitempty"`
	Required    []string `json:"required,omitempty"`
	MaxProps    int      `json:"maxProperties,omitempty"`        // bounds an object whose properties are the caller's to name
	Closed      *bool    `json:"additionalProperties,omitempty"` // false closes an object
	Default     any      `json:"default,omitempty"`
	Examples    []any    `json:"examples,omitempty"`
}

// A field is one property of an object.
type field struct {
	Name string
	schema
}

// fields are properties in the order in which they are shown.
type fields []field

// MarshalJSON implements [json.Marshaler].
func (f fields) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		for _, part := range []struct {
			v   any
			end string
		}{{one.Name, ":"}, {one.schema, ""}} {
			text, err := json.Marshal(part.v)
			if err != nil {
				return nil, err
			}
			b.Write(text)
			b.WriteString(part.end)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// object is the schema of an object that has these properties and no others.
func object(props fields, required ...string) schema {
	return schema{Type: "object", Properties: props, Required: required, Closed: new(bool)}
}

// raw is s as it is published.
func (s schema) raw() json.RawMessage {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("tools: a schema does not encode: " + err.Error()) // strings and numbers always do
	}
	return bytes.TrimSpace(b.Bytes())
}

// idPattern is the form of ids of pictures and jobs: 130 random bits (T27).
const (
	idPattern = "^[a-z2-7]{26}$"
	exampleID = "abcdefghijklmnopqrstuvwxyz"
)

func idField(name, description string) field {
	return field{name, schema{
		Type: "string", Description: description, Pattern: idPattern, MinLength: 26, MaxLength: 26, Examples: []any{exampleID},
	}}
}

func waitField() field {
	return field{"wait_seconds", schema{
		Type: "integer", Minimum: 0, Maximum: int(maxWait.Seconds()), Default: int(defaultWait.Seconds()), Examples: []any{120},
		Description: "How long to wait for the end. The job runs on when the time is over: ask status. 0 returns at once.",
	}}
}

func modelField(name, description string, example string) field {
	return field{name, schema{Type: "string", Description: description, MinLength: 1, MaxLength: 300, Examples: []any{example}}}
}
