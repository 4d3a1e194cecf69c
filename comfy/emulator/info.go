package emulator

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
)

// The classes' descriptions as the two servers gave them, cut to the classes
// that the emulator has. The lists of files in them are empty: they are filled in
// from the emulator's own files. TestObjectInfo_embedded writes them (-update).
//
//go:embed info/*.json.gz
var infoFiles embed.FS //nolint:gochecknoglobals // embedded, never changed

// nodeInfo is what GET /object_info says of one class.
type nodeInfo struct {
	class   string
	raw     *object
	inputs  []inputInfo // required ones first, in their order
	outputs []any       // a string, or a list of strings
	output  bool        // an output node
	module  string
}

// inputInfo is one input of a class.
type inputInfo struct {
	name     string
	required bool
	kind     string   // "INT", "MODEL", "COMBO", …
	combo    bool     // its values are a list
	v3       bool     // the list stands in its config, under "options"
	options  []string // of a combo; nil if files fills it
	files    []string // model folders, or fileInputs, whose names are the options
	extra    []string // options after the files
	config   *object  // bounds and hints, never nil
}

// fileInputs stands for the input folder among the sources of a combo.
const fileInputs = "/input"

// loadInfo reads the classes of one version.
func loadInfo(version string) (map[string]*nodeInfo, []string, error) {
	packed, err := infoFiles.ReadFile("info/v" + version + ".json.gz")
	if err != nil {
		return nil, nil, err
	}
	zr, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, nil, err
	}
	plain, err := io.ReadAll(zr)
	if err != nil {
		return nil, nil, err
	}
	v, err := decodePython(plain)
	if err != nil {
		return nil, nil, err
	}
	all, ok := v.(*object)
	if !ok {
		return nil, nil, fmt.Errorf("info of %s is no object", version)
	}
	infos := make(map[string]*nodeInfo, len(all.keys))
	for _, class := range all.keys {
		raw, ok := all.vals[class].(*object)
		if !ok {
			return nil, nil, fmt.Errorf("info of %s: %s is no object", version, class)
		}
		// The recordings leave out ComfyUI's prose, but a client may count on the field.
		raw.set("description", "")
		infos[class] = readInfo(class, raw)
	}
	return infos, all.keys, nil
}

func readInfo(class string, raw *object) *nodeInfo {
	n := &nodeInfo{class: class, raw: raw}
	outputs, _ := raw.get("output")
	n.outputs, _ = outputs.([]any)
	output, _ := raw.get("output_node")
	n.output, _ = output.(bool)
	module, _ := raw.get("python_module")
	n.module, _ = module.(string)
	input, _ := raw.get("input")
	inputs, _ := input.(*object)
	for _, group := range []string{"required", "optional"} {
		g, _ := inputs.get(group)
		fields, ok := g.(*object)
		if !ok {
			continue
		}
		for _, name := range fields.keys {
			in := readInput(class, name, fields.vals[name])
			in.required = group == "required"
			n.inputs = append(n.inputs, in)
		}
	}
	return n
}

func readInput(class, name string, v any) inputInfo {
	in := inputInfo{name: name, config: obj()}
	spec, _ := v.([]any)
	if len(spec) > 1 {
		if c, ok := spec[1].(*object); ok {
			in.config = c
		}
	}
	switch t := spec[0].(type) {
	case string:
		in.kind = t
		if t == "COMBO" {
			in.combo, in.v3 = true, true
			options, _ := in.config.get("options")
			in.options = asStrings(options)
		}
	case []any:
		in.kind, in.combo = "COMBO", true
		in.options = asStrings(t)
	}
	if src, ok := fileSources()[class+"."+name]; ok {
		in.files, in.extra, in.options = src.files, src.extra, nil
	}
	return in
}

func asStrings(v any) []string {
	list, _ := v.([]any)
	out := make([]string, 0, len(list))
	for _, e := range list {
		if s, ok := e.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

// fileSource says which files a combo lists.
type fileSource struct {
	files []string // model folders, or fileInputs
	extra []string
}

// fileSources are the combos that list files, by "Class.input".
func fileSources() map[string]fileSource {
	from := func(folder string, extra ...string) fileSource {
		return fileSource{files: []string{folder}, extra: extra}
	}
	src := map[string]fileSource{
		"CheckpointLoaderSimple.ckpt_name":  from("checkpoints"),
		"UNETLoader.unet_name":              from("diffusion_models"),
		"VAELoader.vae_name":                from("vae", "pixel_space"),
		"LoraLoader.lora_name":              from("loras"),
		"LoraLoaderModelOnly.lora_name":     from("loras"),
		"ControlNetLoader.control_net_name": from("controlnet"),
		"UpscaleModelLoader.model_name":     from("upscale_models"),
		"LoadImage.image":                   from(fileInputs),
		"LoadImageMask.image":               from(fileInputs),
	}
	for _, class := range []string{"CLIPLoader", "DualCLIPLoader", "TripleCLIPLoader", "QuadrupleCLIPLoader"} {
		for _, input := range []string{"clip_name", "clip_name1", "clip_name2", "clip_name3", "clip_name4"} {
			src[class+"."+input] = from("text_encoders")
		}
	}
	return src
}

// spec is the type of the input as error texts and /object_info show it, with
// its list filled in.
func (in *inputInfo) spec(options []string) any {
	if !in.combo || in.v3 {
		return in.kind
	}
	return anyStrings(options)
}

// settings is the config of the input with its list filled in.
func (in *inputInfo) settings(options []string) *object {
	if !in.v3 || in.files == nil {
		return in.config
	}
	c := in.config.clone()
	c.set("options", anyStrings(options))
	return c
}

func anyStrings(list []string) []any {
	out := make([]any, len(list))
	for i, s := range list {
		out[i] = s
	}
	return out
}

// describe is the class's description with the lists that options gives.
func (n *nodeInfo) describe(options func(*inputInfo) []string) *object {
	filled := false
	for i := range n.inputs {
		filled = filled || n.inputs[i].files != nil
	}
	if !filled {
		return n.raw
	}
	out := n.raw.clone()
	raw, _ := out.vals["input"].(*object)
	inputs := raw.clone()
	for i := range n.inputs {
		in := &n.inputs[i]
		if in.files == nil {
			continue
		}
		group := "optional"
		if in.required {
			group = "required"
		}
		fields, _ := inputs.vals[group].(*object)
		fields = fields.clone()
		old, _ := fields.vals[in.name].([]any)
		spec := append([]any{}, old...)
		list := options(in)
		spec[0] = in.spec(list)
		if in.v3 {
			spec[1] = in.settings(list)
		}
		fields.set(in.name, spec)
		inputs.set(group, fields)
	}
	out.set("input", inputs)
	return out
}
