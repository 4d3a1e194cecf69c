package tools

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/comfy/workflow/library"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

// Bounds of tools made of saved workflows: agents pay for every byte of every tool.
const (
	maxOwnTools = 32
	ownBytes    = 4_000 // of one tool's schema
)

// ownTools are the saved workflows as tools of their own, in the order of their names. One that is broken, or whose inputs do not make
// arguments, is none; list_workflows says which are.
func (e *Env) ownTools() ([]Tool, error) {
	if e.Library == nil || !e.Settings.WorkflowTools {
		return nil, nil
	}
	saved, err := e.Library.List()
	if err != nil {
		return nil, err
	}
	var list []Tool
	for _, entry := range saved {
		if len(list) == maxOwnTools {
			break
		}
		whole, err := e.Library.Get(entry.Name)
		if err != nil {
			continue
		}
		if t, ok := e.ownTool(whole); ok {
			list = append(list, t)
			e.own[entry.Name] = true
		}
	}
	return list, nil
}

func (e *Env) ownTool(entry library.Entry) (Tool, bool) {
	props, ok := ownFields(entry)
	if !ok {
		return Tool{}, false
	}
	var required []string
	for _, in := range entry.Inputs {
		if in.Required {
			required = append(required, in.Name)
		}
	}
	t := Tool{
		Name: policy.SavedTool + entry.Name, Title: entry.Title, Toolset: "workflows", Scope: policy.WorkflowRun, Class: limits.Generate,
		Hints: Hints{OpenWorld: true}, Waits: true,
		Description: clean(entry.Description, 1000), Schema: object(props, required...).raw(),
		Decode: func(raw json.RawMessage) (Args, error) { return e.ownArgs(entry.Name, props, raw) },
	}
	if t.Title == "" {
		t.Title = entry.Name
	}
	if t.Description == "" {
		t.Description = "Runs the saved workflow " + entry.Name + "."
	}
	t.Description += " Answers with previews, ids and links of everything made; if the wait ends first, with a job_id for status."
	return t, len(t.Schema) <= ownBytes
}

// ownFields are the arguments that the inputs of a saved workflow make; of one without any, the inputs as run_workflow takes them.
func ownFields(entry library.Entry) (fields, bool) {
	doc, err := workflow.Read(entry.Graph)
	if err != nil {
		return nil, false
	}
	var props fields
	seeded := false
	for _, in := range entry.Inputs {
		s, ok := ownSchema(in, doc.Graph)
		if !ok || in.Name == "wait_seconds" || in.Name == "inputs" {
			return nil, false
		}
		seeded = seeded || in.Name == "seed"
		props = append(props, field{in.Name, s})
	}
	if len(entry.Inputs) == 0 {
		props = append(props, workflowFields()[2])
	}
	if !seeded {
		props = append(props, seedField())
	}
	return append(props, waitField()), true
}

func seedField() field {
	return field{"seed", schema{
		Type: "integer", Minimum: -1, Maximum: json.Number("18446744073709551615"), Default: -1, Examples: []any{42},
		Description: "The same seed and values give the same result. -1: a random one, told in the answer.",
	}}
}

// ownSchema is what one input takes, so far as that is known without a server: the sheet says it, or the value that stands in the graph.
func ownSchema(in library.Input, g comfy.Graph) (schema, bool) {
	kind := in.Kind
	if kind == "" {
		kind = kindOf(g[in.Node].Inputs[in.Input])
	}
	s, ok := map[workflow.OfferKind]schema{
		workflow.OfferText:    {Type: "string", MaxLength: 10_000, Examples: []any{"a red fox"}},
		workflow.OfferInteger: {Type: "integer", Minimum: -maxExact, Maximum: maxExact, Examples: []any{1}},
		workflow.OfferNumber:  {Type: "number", Minimum: json.Number("-1e18"), Maximum: json.Number("1e18"), Examples: []any{1}},
		workflow.OfferBoolean: {Type: "boolean", Examples: []any{true}},
		workflow.OfferChoice:  {Type: "string", MaxLength: 300, Examples: []any{"euler"}},
		workflow.OfferModel:   {Type: "string", MaxLength: 300, Examples: []any{"sd_xl_base_1.0.safetensors"}},
		workflow.OfferPicture: idField("", "").schema,
		workflow.OfferSeed:    {Type: "integer", Minimum: 0, Maximum: json.Number("18446744073709551615"), Examples: []any{42}},
	}[kind]
	s.Description = ownWords(in, kind)
	if s.Type == "integer" || s.Type == "number" {
		s.narrow(in.Min, in.Max)
	}
	if len(in.Options) > 0 && s.Type == "string" && kind != workflow.OfferModel { // which of them there are, policy says at each call
		s = schema{Type: "string", Description: s.Description, Enum: in.Options, Examples: []any{in.Options[0]}}
	}
	return s, ok
}

// narrow sets the bounds that a sheet declares.
func (s *schema) narrow(least, most *float64) {
	if least != nil {
		s.Minimum, s.Examples = *least, []any{*least}
	}
	if most != nil {
		s.Maximum, s.Examples = *most, []any{*most}
	}
}

func ownWords(in library.Input, kind workflow.OfferKind) string {
	text := in.Label
	if in.Description != "" {
		if text != "" {
			text += ". "
		}
		text += in.Description
	}
	if text == "" {
		text = in.Name
	}
	if kind == workflow.OfferPicture {
		text += " (id of a picture)"
	}
	return clean(text, 300)
}

// kindOf tells what an input takes by the value that is there; "" where there is none that tells.
func kindOf(value any) workflow.OfferKind {
	switch v := value.(type) {
	case string:
		return workflow.OfferText
	case bool:
		return workflow.OfferBoolean
	case json.Number:
		if _, err := v.Int64(); err == nil {
			return workflow.OfferInteger
		}
		return workflow.OfferNumber
	}
	return ""
}

// ownArgs makes of a tool's arguments those of run_workflow.
func (e *Env) ownArgs(name string, props fields, raw json.RawMessage) (Args, error) {
	a := runArgs{env: e, tool: policy.SavedTool + name, saved: true}
	a.in.Workflow = name
	var given map[string]json.RawMessage
	if err := decode(raw, &given); err != nil {
		return nil, err
	}
	known := make(map[string]bool, len(props))
	for _, f := range props {
		known[f.Name] = true
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		if !known[key] {
			return nil, fmt.Errorf("json: unknown field %q", key)
		}
	}
	if err := e.takeOwn(&a, given); err != nil {
		return nil, err
	}
	rest, err := json.Marshal(given)
	if err != nil {
		return nil, err
	}
	if generic, ok := given["inputs"]; ok {
		rest = generic
	}
	return a, a.in.Inputs.UnmarshalJSON(rest)
}

// takeOwn takes the arguments that are no inputs out of those given.
func (e *Env) takeOwn(a *runArgs, given map[string]json.RawMessage) error {
	if text, ok := given["wait_seconds"]; ok {
		if err := json.Unmarshal(text, &a.in.Seconds); err != nil {
			return err
		}
		delete(given, "wait_seconds")
	}
	entry, err := e.Library.Get(a.in.Workflow)
	if err == nil && slices.ContainsFunc(entry.Inputs, func(in library.Input) bool { return in.Name == "seed" }) {
		return nil // an input of the workflow's own
	}
	if text, ok := given["seed"]; ok {
		delete(given, "seed")
		return a.in.Seed.UnmarshalJSON(text)
	}
	return nil
}

// still reports whether a tool's workflow is there, which may have been removed since the tool was offered.
func (e *Env) still(name string) error {
	_, err := e.Library.Get(name)
	if errors.Is(err, library.ErrNotFound) {
		return &WorkflowUnknownError{Name: name}
	}
	return err
}
