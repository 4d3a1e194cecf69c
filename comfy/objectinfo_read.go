package comfy

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
)

// maxOptions bounds the options of one combo; a folder of models may have thousands.
const maxOptions = 50_000

// rawInfo is /object_info as sent: valid JSON. What a custom node says of itself in it may be anything.
type rawInfo = json.RawMessage

// A reading reads classes. Hundreds of inputs share a few lists of samplers and models, so each list is read and kept once.
type reading struct{ lists map[string][]string }

func readClasses(data rawInfo) *ObjectInfo {
	info := &ObjectInfo{Classes: make(map[string]*Class)}
	work := reading{make(map[string][]string)}
	for name, raw := range members(data) {
		if len(info.Classes) == maxList {
			break
		}
		if len(raw) > 0 && raw[0] == '{' {
			info.Classes[name] = work.class(name, raw)
		}
	}
	return info
}

func (w reading) class(name string, raw []byte) *Class {
	c := &Class{Name: name}
	var input, order, outputs, lists, names []byte
	for field, value := range members(raw) {
		switch field {
		case "input":
			input = value
		case "input_order":
			order = value
		case "output":
			outputs = value
		case "output_is_list":
			lists = value
		case "output_name":
			names = value
		case "display_name":
			c.DisplayName, _ = text(value)
		case "description":
			c.Description, _ = text(value)
		case "category":
			c.Category, _ = text(value)
		case "python_module":
			c.Module, _ = text(value)
		case "output_node":
			c.OutputNode = yes(value)
		case "api_node":
			c.API = yes(value)
		case "deprecated":
			c.Deprecated = yes(value)
		case "experimental":
			c.Experimental = yes(value)
		}
	}
	sections, orders := maps.Collect(members(input)), maps.Collect(members(order))
	c.Inputs = append(w.inputs(sections["required"], orders["required"], true), w.inputs(sections["optional"], orders["optional"], false)...)
	c.Outputs = ports(outputs, lists, names)
	return c
}

// inputs reads one section, in the order that the server tells; without one, in the order it has.
func (w reading) inputs(section, order []byte, required bool) []Input {
	return w.section(section, order, required, 0)
}

func (w reading) section(section, order []byte, required bool, level int) []Input {
	var list []Input
	for name, raw := range members(section) {
		if in, ok := w.input(raw, level); ok {
			in.Name, in.Required = name, required
			list = append(list, in)
		}
	}
	place := map[string]int{}
	for raw := range elements(order) {
		if name, ok := text(raw); ok {
			place[name] = len(place) - 1<<20 // before all that are not named
		}
	}
	slices.SortStableFunc(list, func(a, b Input) int { return place[a.Name] - place[b.Name] })
	return list
}

// input reads [TYPE, {…}], [[options], {…}] or ["COMBO", {"options": …}]. An input with options that are not understood is still
// an input of its type.
func (w reading) input(raw []byte, level int) (in Input, ok bool) {
	i := 0
	var more []byte
	for part := range elements(raw) {
		switch i++; {
		case i == 2:
			more = part
		case i > 2:
		case part[0] == '[':
			in.Type, in.Options = "COMBO", w.list(part)
		default:
			in.Type, ok = text(part)
			if !ok {
				return Input{}, false
			}
		}
	}
	w.options(&in, more)
	w.editor(&in, more, level)
	return in, i > 0
}

func (w reading) options(in *Input, raw []byte) {
	for key, value := range members(raw) {
		switch key {
		case "default":
			in.Default = jsonValue(value)
		case "min":
			if n, ok := number(value); ok {
				in.Min = &n
			}
		case "max":
			if n, ok := number(value); ok {
				in.Max = &n
			}
		case "step":
			in.Step, _ = number(value)
		case "options":
			if in.Options == nil {
				in.Options = w.list(value)
			}
		case "image_upload":
			in.Upload = yes(value)
		case "remote":
			in.Dynamic = !bytes.Equal(value, []byte("null")) && !bytes.Equal(value, []byte("false"))
		}
	}
}

// list reads the strings of a list, and the keys of the objects in it.
func (w reading) list(raw []byte) []string {
	if known, ok := w.lists[string(raw)]; ok {
		return known
	}
	var list []string
	for item := range elements(raw) {
		if len(list) == maxOptions {
			break
		}
		if s, ok := text(item); ok {
			list = append(list, s)
			continue
		}
		for key, value := range members(item) {
			if s, ok := text(value); ok && key == "key" {
				list = append(list, s)
			}
		}
	}
	w.lists[string(raw)] = list
	return list
}

func ports(outputs, lists, names []byte) []Port {
	var ports []Port
	for raw := range elements(outputs) {
		kind, ok := text(raw)
		if !ok {
			kind = "COMBO" // a list of options
		}
		ports = append(ports, Port{Name: kind, Type: kind})
	}
	i := 0
	for raw := range elements(names) {
		if name, ok := text(raw); ok && i < len(ports) {
			ports[i].Name = name
		}
		i++
	}
	i = 0
	for raw := range elements(lists) {
		if i < len(ports) {
			ports[i].List = yes(raw)
		}
		i++
	}
	return ports
}

// jsonValue reads a value, numbers as json.Number.
func jsonValue(raw []byte) any {
	if s, ok := text(raw); ok {
		return s
	}
	if _, ok := number(raw); ok {
		return json.Number(raw)
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil
	}
	return v
}
