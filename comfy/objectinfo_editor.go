package comfy

import (
	"bytes"
	"slices"
	"strings"
)

// The types that the editor has a widget for, and the most levels of options within options that are read.
const (
	dynamicCombo = "COMFY_DYNAMICCOMBO_V3"
	maxLevels    = 4
)

// hasWidget reports whether the editor has a widget for a type, whatever the input says of itself.
func hasWidget(kind string) bool {
	return slices.Contains([]string{"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", dynamicCombo, "LOAD_3D", "LOAD_3D_ANIMATION", "AUDIO_RECORD", "WEBCAM"}, kind)
}

// editor reads what tells how the editor shows an input. An input of another type has a widget when it has a value to begin with,
// names the type of its widget, or says whether it has a socket beside.
func (w reading) editor(in *Input, raw []byte, level int) {
	in.Widget = hasWidget(in.Type)
	forced := false
	for key, value := range members(raw) {
		switch key {
		case "default", "widgetType", "socketless":
			in.Widget = true
		case "forceInput":
			forced = yes(value)
		case "control_after_generate":
			in.Control = !bytes.Equal(value, []byte("false")) && !bytes.Equal(value, []byte("null"))
		case "options":
			if in.Type == dynamicCombo && level < maxLevels {
				in.Choices = w.choices(value, level+1)
			}
		default:
			in.Media = in.Media || strings.HasSuffix(key, "_upload") && yes(value)
		}
	}
	in.Widget = in.Widget && !forced
}

// choices reads the options of a dynamic combo: [{"key": …, "inputs": {"required": {…}, "optional": {…}}}].
func (w reading) choices(raw []byte, level int) map[string][]Input {
	all := map[string][]Input{}
	for item := range elements(raw) {
		var key string
		var inputs []Input
		for field, value := range members(item) {
			switch field {
			case "key":
				key, _ = text(value)
			case "inputs":
				for name, section := range members(value) {
					if name == "required" || name == "optional" {
						inputs = append(inputs, w.section(section, nil, name == "required", level)...)
					}
				}
			}
		}
		if len(all) < maxOptions {
			all[key] = inputs
		}
	}
	return all
}
