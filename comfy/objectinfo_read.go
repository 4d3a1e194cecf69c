package comfy

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
)

// maxOptions bounds the options of one combo; a folder of models may have thousands.
const maxOptions = 50_000

// rawInfo is /object_info as sent. Classes are read one by one, because what a custom node says of itself may be anything.
type rawInfo map[string]json.RawMessage

type rawClass struct {
	Input map[string]map[string]json.RawMessage `json:"input"`
	Order map[string][]string                   `json:"input_order"`

	Output     []json.RawMessage `json:"output"`
	OutputList []bool            `json:"output_is_list"`
	OutputName json.RawMessage   `json:"output_name"`

	DisplayName  string `json:"display_name"`
	Description  string `json:"description"`
	Category     string `json:"category"`
	Module       string `json:"python_module"`
	OutputNode   bool   `json:"output_node"`
	API          bool   `json:"api_node"`
	Deprecated   bool   `json:"deprecated"`
	Experimental bool   `json:"experimental"`
}

type rawOptions struct {
	Default json.RawMessage `json:"default"`
	Min     *float64        `json:"min"`
	Max     *float64        `json:"max"`
	Step    float64         `json:"step"`
	Options json.RawMessage `json:"options"`
	Upload  bool            `json:"image_upload"`
	Remote  json.RawMessage `json:"remote"`
}

// A reading reads classes. Hundreds of inputs share a few lists of samplers and models, so each list is read and kept once.
type reading struct{ lists map[string][]string }

func (r rawInfo) read() *ObjectInfo {
	info := &ObjectInfo{Classes: make(map[string]*Class, min(len(r), maxList))}
	work := reading{make(map[string][]string)}
	for name, data := range r {
		if len(info.Classes) == maxList {
			break
		}
		var raw rawClass
		if json.Unmarshal(data, &raw) == nil {
			info.Classes[name] = work.class(name, &raw)
		}
	}
	return info
}

func (w reading) class(name string, raw *rawClass) *Class {
	c := &Class{
		Name: name, DisplayName: raw.DisplayName, Description: raw.Description, Category: raw.Category, Module: raw.Module,
		OutputNode: raw.OutputNode, API: raw.API, Deprecated: raw.Deprecated, Experimental: raw.Experimental,
		Inputs: make([]Input, 0, len(raw.Input["required"])+len(raw.Input["optional"])), Outputs: make([]Port, len(raw.Output)),
	}
	for _, section := range []string{"required", "optional"} {
		inputs := raw.Input[section]
		for _, key := range ordered(inputs, raw.Order[section]) {
			if in, ok := w.input(inputs[key]); ok {
				in.Name, in.Required = key, section == "required"
				c.Inputs = append(c.Inputs, in)
			}
		}
	}
	var names []string
	if json.Unmarshal(raw.OutputName, &names) != nil {
		names = nil // some nodes give one name in place of a list
	}
	for i, kind := range raw.Output {
		p := &c.Outputs[i]
		if json.Unmarshal(kind, &p.Type) != nil {
			p.Type = "COMBO" // a list of options
		}
		p.Name = p.Type
		if i < len(names) {
			p.Name = names[i]
		}
		p.List = i < len(raw.OutputList) && raw.OutputList[i]
	}
	return c
}

// ordered returns the inputs' names as input_order has them; what that leaves out follows by name.
func ordered(inputs map[string]json.RawMessage, order []string) []string {
	keys := make([]string, 0, len(inputs))
	for _, k := range order {
		if _, ok := inputs[k]; ok && !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	if len(keys) == len(inputs) {
		return keys
	}
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(inputs)), func(k string) bool { return slices.Contains(keys, k) })
	return append(keys, rest...)
}

// input reads [TYPE, {…}], [[options], {…}] or ["COMBO", {"options": …}]. An input with options that are not understood is still
// an input of its type.
func (w reading) input(data json.RawMessage) (Input, bool) {
	var pair []json.RawMessage
	if json.Unmarshal(data, &pair) != nil || len(pair) == 0 {
		return Input{}, false
	}
	var in Input
	var opts rawOptions
	if len(pair) > 1 && json.Unmarshal(pair[1], &opts) == nil {
		in.Default, in.Min, in.Max, in.Step = scalar(opts.Default), opts.Min, opts.Max, opts.Step
		in.Upload, in.Dynamic = opts.Upload, given(opts.Remote)
	}
	if json.Unmarshal(pair[0], &in.Type) == nil {
		in.Options = w.list(opts.Options)
		return in, true
	}
	in.Type, in.Options = "COMBO", w.list(pair[0])
	return in, true
}

// given reports whether a field was sent and is neither null nor false.
func given(data json.RawMessage) bool {
	return len(data) > 0 && !bytes.Equal(data, []byte("null")) && !bytes.Equal(data, []byte("false"))
}

func (w reading) list(data json.RawMessage) []string {
	if len(data) == 0 || data[0] != '[' {
		return nil
	}
	if known, ok := w.lists[string(data)]; ok {
		return known
	}
	var items []json.RawMessage
	if json.Unmarshal(data, &items) != nil {
		return nil
	}
	list := make([]string, 0, min(len(items), maxOptions))
	for _, item := range items[:cap(list)] {
		var s string
		var keyed struct {
			Key string `json:"key"`
		}
		if json.Unmarshal(item, &s) == nil {
			list = append(list, s)
		} else if json.Unmarshal(item, &keyed) == nil && keyed.Key != "" {
			list = append(list, keyed.Key)
		}
	}
	w.lists[string(data)] = list
	return list
}

// scalar reads a default; the usual ones without a decoder.
func scalar(data json.RawMessage) any {
	var v any
	switch first := cmp.Or(string(data[:min(len(data), 1)]), "n"); {
	case first == "n":
		return nil
	case first >= "0" && first <= "9" || first == "-":
		return json.Number(data)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}
