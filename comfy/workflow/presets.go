package workflow

// A Preset is a named size and quality.
type Preset struct {
	Name          string
	Width, Height int
	Steps         int
	CFG           float64
}

// Presets returns the presets in the order in which they are shown. Width and height hold for recipes of 1024 × 1024; others take the
// aspect ratio. Steps and cfg hold where a recipe allows it.
func Presets() []Preset {
	return []Preset{
		{"draft", 512, 512, 12, 6},
		{"fast", 768, 768, 20, 7},
		{"quality", 1024, 1024, 30, 7.5},
		{"hd", 1024, 1024, 40, 7.5},
		{"portrait", 768, 1152, 30, 7},
		{"landscape", 1152, 768, 30, 7},
		{"cinematic", 1536, 640, 35, 7.5},
		{"square", 1024, 1024, 25, 7},
	}
}

func presetNames() (names []string) {
	for _, p := range Presets() {
		names = append(names, p.Name)
	}
	return names
}

// presetBy returns the preset called name, or nil.
func presetBy(name string) *Preset {
	for _, p := range Presets() {
		if p.Name == name {
			return &p
		}
	}
	return nil
}
