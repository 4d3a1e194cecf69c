package e2e_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/mcp"
)

// solid is what the graphs of this file make: 128×96 of one colour, the opposite of shade.
const (
	shade    = 0x204060
	opposite = 0xdfbf9f
)

// inverted is a graph that needs no model, in the API format: a small picture of a colour, enlarged and inverted.
func inverted() args {
	return args{
		"1": node("EmptyImage", args{"width": 64, "height": 48, "batch_size": 1, "color": shade}),
		"2": node("ImageScale", args{"image": from("1"), "upscale_method": "nearest-exact", "width": 128, "height": 96, "crop": "disabled"}),
		"3": node("ImageInvert", args{"image": from("2")}),
		"4": node("SaveImage", args{"images": from("3"), "filename_prefix": "ComfyUI"}),
	}
}

func node(class string, inputs args) args { return args{"class_type": class, "inputs": inputs} }

func from(node string) []any { return []any{node, 0} }

// drawn is the same as inverted(), in the editor's format.
const drawn = `{
	"last_node_id": 4, "last_link_id": 3, "version": 0.4, "groups": [], "config": {}, "extra": {},
	"nodes": [
		{"id": 1, "type": "EmptyImage", "mode": 0, "order": 0, "inputs": [], "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}], "widgets_values": [64, 48, 1, 2113632]},
		{"id": 2, "type": "ImageScale", "mode": 0, "order": 1, "inputs": [{"name": "image", "type": "IMAGE", "link": 1}],
			"outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [2]}], "widgets_values": ["nearest-exact", 128, 96, "disabled"]},
		{"id": 3, "type": "ImageInvert", "mode": 0, "order": 2, "inputs": [{"name": "image", "type": "IMAGE", "link": 2}], "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [3]}]},
		{"id": 4, "type": "SaveImage", "mode": 0, "order": 3, "inputs": [{"name": "images", "type": "IMAGE", "link": 3}], "outputs": [], "widgets_values": ["ComfyUI"]}
	],
	"links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"], [3, 3, 0, 4, 0, "IMAGE"]]
}`

// uploaded: a picture of the person's own is brought in, enlarged, and fed to a workflow, pixel by pixel.
func uploaded(t *testing.T, b *bench) {
	var file bytes.Buffer
	if err := png.Encode(&file, halves(64, 48)); err != nil {
		t.Fatal(err)
	}
	ours := b.agent.must(t, "upload_image", args{"data": base64.StdEncoding.EncodeToString(file.Bytes()), "name": "two halves"}).links[0]
	larger := b.agent.must(t, "upscale", args{"image": ours, "factor": 2})
	if w, h := b.picture(t, larger.links[0]).size(); w != 128 || h != 96 {
		t.Errorf("64×48 was enlarged twofold to %d×%d", w, h)
	}
	run := b.agent.must(t, "run_workflow", args{"inputs": args{"image": ours}, "graph": loading("example.png")})
	m := b.picture(t, run.links[0])
	if w, h := m.size(); w != 128 || h != 96 || m.at(20, 20) != 0x00ffff || m.at(100, 80) != 0xffff00 {
		t.Errorf("inverted: %d×%d with #%06x and #%06x, want 128×96 with #00ffff and #ffff00", w, h, m.at(20, 20), m.at(100, 80))
	}
	inputFolder(t, b)
}

// halves is a picture whose left is red and whose right is blue.
func halves(w, h int) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			c := color.NRGBA{R: 255, A: 255}
			if x >= w/2 {
				c = color.NRGBA{B: 255, A: 255}
			}
			m.SetNRGBA(x, y, c)
		}
	}
	return m
}

// loadable are the pictures of the server's input folder, as the server lists them.
func (x target) loadable(t *testing.T) []string {
	t.Helper()
	var info struct {
		LoadImage struct {
			Input struct {
				Required map[string][]json.RawMessage `json:"required"`
			} `json:"input"`
		}
	}
	x.get(t, "/api/object_info/LoadImage", &info)
	spec := info.LoadImage.Input.Required["image"]
	if len(spec) == 0 {
		t.Fatal("LoadImage takes no image")
	}
	var list []string
	if err := json.Unmarshal(spec[0], &list); err == nil {
		return list
	}
	var options struct {
		Options []string `json:"options"`
	}
	if err := json.Unmarshal(spec[1], &options); err != nil {
		t.Fatal(err)
	}
	return options.Options
}

func apiGraph(t *testing.T, b *bench) {
	b.solid(t, b.agent.must(t, "run_workflow", args{"graph": inverted()}), opposite)
}

func uiWorkflow(t *testing.T, b *bench) {
	out := b.agent.must(t, "run_workflow", args{"graph": json.RawMessage(drawn)})
	b.solid(t, out, opposite)
	if !strings.Contains(out.text, "node 4 (SaveImage") {
		t.Errorf("the answer does not name the node of its picture: %s", out.text)
	}
}

// solid wants one picture of 128×96 in one colour.
func (b *bench) solid(t *testing.T, out answer, want int) {
	t.Helper()
	if len(out.links) != 1 || len(out.pictures) != 1 {
		t.Fatalf("%d links and %d pictures, want one of each: %s", len(out.links), len(out.pictures), out.text)
	}
	m := b.picture(t, out.links[0])
	if w, h := m.size(); w != 128 || h != 96 {
		t.Fatalf("it is %d×%d, want 128×96", w, h)
	}
	for y := range 96 {
		for x := range 128 {
			if got := m.at(x, y); got != want {
				t.Fatalf("the pixel at %d,%d is #%06x, want #%06x", x, y, got, want)
			}
		}
	}
}

type picture struct{ image.Image }

func (p picture) size() (w, h int) { return p.Bounds().Dx(), p.Bounds().Dy() }

// at is the colour at a point, as 0xrrggbb.
func (p picture) at(x, y int) int {
	r, g, b, _ := p.At(x, y).RGBA()
	return int(r>>8)<<16 | int(g>>8)<<8 | int(b>>8)
}

// picture is a stored picture in its own size.
func (b *bench) picture(t *testing.T, id string) picture {
	t.Helper()
	m, _, err := image.Decode(bytes.NewReader(b.agent.must(t, "get_image", args{"image": id, "format": "png"}).pictures[0]))
	if err != nil {
		t.Fatal(err)
	}
	return picture{m}
}

// templates are workflows that some server ships and that run where the suite does: with no model, or with whatever checkpoint there is.
var templates = []struct {
	name     string
	model    bool
	inputs   args
	pictures int
	text     string
}{
	{name: "join_words", inputs: args{"subject": "a heron"}, text: "a heron, ink drawing"},
	{name: "text_to_picture", model: true, inputs: args{"prompt": "a heron", "width": 256, "height": 256, "steps": 2}, pictures: 1},
	{name: "basic_datatype_conversion", text: "Text (what the workflow gave"},
	{name: "sd3.5_simple_example", model: true, inputs: args{"prompt": "a heron", "width": 256, "height": 256, "steps": 2}, pictures: 1},
}

// templateByName: the server's own templates are found, checked and run by name, with inputs of the caller's.
func templateByName(t *testing.T, b *bench) {
	model := b.model
	if model == "" {
		model = b.find(t, "checkpoints", ".")
	}
	ran := 0
	for _, c := range templates {
		if !slices.Contains(b.workflows(t, c.name), c.name) || c.model && model == "" {
			continue
		}
		ran++
		inputs := maps.Clone(c.inputs)
		if c.model {
			inputs["model"] = model
		}
		in := args{"workflow": c.name}
		if inputs != nil {
			in["inputs"] = inputs
		}
		if said := b.agent.must(t, "check_workflow", in).text; !strings.Contains(said, `"runnable":true`) {
			t.Errorf("%s: check_workflow says %s", c.name, said)
			continue
		}
		in["wait_seconds"] = 120
		out := b.agent.must(t, "run_workflow", in)
		if len(out.links) != c.pictures || len(out.pictures) != c.pictures || !strings.Contains(out.text, c.text) {
			t.Errorf("%s: %d links, %d pictures, want %d of each, and %q in: %s", c.name, len(out.links), len(out.pictures), c.pictures, c.text, out.text)
		}
	}
	if ran == 0 {
		t.Skip("not run: the server ships none of the templates that this suite knows")
	}
	t.Logf("%d templates ran", ran)
}

// workflows are the names that list_workflows finds.
func (b *bench) workflows(t *testing.T, search string) (names []string) {
	t.Helper()
	var list struct{ Workflows []struct{ Name string } }
	if err := json.Unmarshal([]byte(b.agent.must(t, "list_workflows", args{"search": search}).text), &list); err != nil {
		t.Fatal(err)
	}
	for _, w := range list.Workflows {
		names = append(names, w.Name)
	}
	return names
}

// textOutput: what a workflow says is answered as text.
func textOutput(t *testing.T, b *bench) {
	out := b.agent.must(t, "run_workflow", args{"graph": args{
		"1": node("PrimitiveString", args{"value": "forty"}),
		"2": node("StringConcatenate", args{"string_a": from("1"), "string_b": "two", "delimiter": "-"}),
		"3": node("PreviewAny", args{"source": from("2")}),
	}})
	if !strings.Contains(out.text, "forty-two") || len(out.links) > 0 {
		t.Errorf("%d links and no \"forty-two\" alone in: %s", len(out.links), out.text)
	}
}

// animation: an animated WebP is shown, saved, and given whole.
func animation(t *testing.T, b *bench) {
	out := b.agent.must(t, "run_workflow", args{"graph": args{
		"1": node("EmptyImage", args{"width": 64, "height": 48, "batch_size": 1, "color": 0xff0000}),
		"2": node("EmptyImage", args{"width": 64, "height": 48, "batch_size": 1, "color": 0x0000ff}),
		"3": node("ImageBatch", args{"image1": from("1"), "image2": from("2")}),
		"4": node("SaveAnimatedWEBP", args{"images": from("3"), "filename_prefix": "ComfyUI", "fps": 6, "lossless": true, "quality": 80, "method": "default"}),
	}})
	if len(out.links) != 1 || len(out.pictures) != 1 {
		t.Fatalf("%d links and %d pictures, want one of each: %s", len(out.links), len(out.pictures), out.text)
	}
	if !strings.Contains(out.text, "64×48 WEBP of 2 frames") {
		t.Errorf("not told of two frames: %s", out.text)
	}
	saved := savedLine.FindStringSubmatch(out.text)
	if saved == nil {
		t.Fatalf("no saved file in: %s", out.text)
	}
	data, err := os.ReadFile(saved[1])
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(data, []byte("RIFF")) || bytes.Count(data, []byte("ANMF")) != 2 {
		t.Errorf("the saved file, %d bytes, is no animation of two frames", len(data))
	}
	req := mcp.ReadResourceRequest{}
	req.Params.URI = out.links[0]
	res, err := b.agent.c.ReadResource(t.Context(), req)
	if err != nil || len(res.Contents) != 1 {
		t.Fatalf("reading %s: %v", out.links[0], err)
	}
	blob, _ := res.Contents[0].(mcp.BlobResourceContents)
	if whole, err := base64.StdEncoding.DecodeString(blob.Blob); err != nil || blob.MIMEType != "image/webp" || !bytes.Equal(whole, data) {
		t.Errorf("the resource, %s of %d bytes, is not the saved file: %v", blob.MIMEType, len(whole), err)
	}
}

var savedLine = regexp.MustCompile(`(?m)^  Saved: (.+)$`)

// savedWorkflow: a workflow is kept with an input of its own, found, run by name, and not replaced unasked.
func savedWorkflow(t *testing.T, b *bench) {
	keep := args{"name": "opposite_colour", "title": "Opposite", "graph": inverted(), "inputs": []any{
		args{"name": "shade", "node": "1", "input": "color", "min": 0, "max": 0xffffff},
	}}
	b.agent.must(t, "save_workflow", keep)
	b.agent.refused(t, "save_workflow", keep, "WORKFLOW_EXISTS")
	if found := b.workflows(t, "opposite"); !slices.Contains(found, "opposite_colour") {
		t.Errorf("list_workflows finds %v", found)
	}
	b.solid(t, b.agent.must(t, "run_workflow", args{"workflow": "opposite_colour"}), opposite)
	b.solid(t, b.agent.must(t, "run_workflow", args{"workflow": "opposite_colour", "inputs": args{"shade": 0x00ff00}}), 0xff00ff)
	b.agent.refused(t, "run_workflow", args{"workflow": "opposite_colour", "inputs": args{"shade": 0x1000000}}, "INVALID_PARAMETER")
	b.agent.refused(t, "run_workflow", args{"workflow": "opposite_colour", "inputs": args{"hue": 1}}, "INVALID_PARAMETER")
}

// loading is a graph that inverts a picture.
func loading(image string) args {
	g := inverted()
	g["1"] = node("LoadImage", args{"image": image})
	return g
}

// refusedWorkflows: what a graph may not do is refused, by the rule's name, and never reaches the server.
func refusedWorkflows(t *testing.T, b *bench) {
	custom := inverted()
	custom["4"] = node("SaveImageWebsocket", args{"images": from("3")})
	before := b.history(t)
	for _, c := range []struct {
		name  string
		graph args
		code  string
		says  string
	}{
		{"a custom node", custom, b.lacks(t, "SaveImageWebsocket", "NODES_MISSING", "POLICY_DENIED"), "SaveImageWebsocket"},
		{"a file of the server's", loading("example.png"), "INVALID_PARAMETER", "the id of a picture"},
		{"a file elsewhere", loading("../../etc/passwd"), "INVALID_PARAMETER", "the id of a picture"},
		{"a picture that is nobody's", loading(strings.Repeat("a", 26)), "IMAGE_NOT_FOUND", ""},
	} {
		in := args{"graph": c.graph}
		f := b.agent.refused(t, "run_workflow", in, c.code)
		if !strings.Contains(fmt.Sprint(f.Message, f.Suggestions), c.says) {
			t.Errorf("%s: %+v does not name %s", c.name, f, c.says)
		}
		if said := b.agent.must(t, "check_workflow", in).text; !strings.Contains(said, `"runnable":false`) {
			t.Errorf("%s: check_workflow says %s", c.name, said)
		}
	}
	if after := b.history(t); len(after) != len(before) {
		t.Errorf("the server has done %d jobs for what was refused", len(after)-len(before))
	}
}

// lacks is yes where the server has no such class, else no.
func (x target) lacks(t *testing.T, class, yes, no string) string {
	t.Helper()
	var info map[string]json.RawMessage
	x.get(t, "/api/object_info/"+class, &info)
	if info[class] == nil {
		return yes
	}
	return no
}

// A record is what the server's history tells of one job: its files, by node and kind.
type record struct {
	Outputs map[string]map[string]json.RawMessage
}

// files are where the server put pictures.
func (r record) files(t *testing.T) (list []string) {
	t.Helper()
	for _, out := range r.Outputs {
		if out["images"] == nil {
			continue
		}
		var files []struct{ Filename, Subfolder string }
		if err := json.Unmarshal(out["images"], &files); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			list = append(list, f.Subfolder+"/"+f.Filename)
		}
	}
	return list
}

func (x target) history(t *testing.T) (jobs map[string]record) {
	t.Helper()
	x.get(t, "/api/history", &jobs)
	return jobs
}

// foreignPrefix: whatever a graph says of where its results go, they go under our own prefix.
func foreignPrefix(t *testing.T, b *bench) {
	for _, prefix := range []string{"../../stray", "/tmp/stray", `..\stray`, "stray/%date%", "stray"} {
		before := b.history(t)
		g := inverted()
		g["4"] = node("SaveImage", args{"images": from("3"), "filename_prefix": prefix})
		b.solid(t, b.agent.must(t, "run_workflow", args{"graph": g}), opposite)
		after := b.history(t)
		maps.DeleteFunc(after, func(id string, _ record) bool { _, old := before[id]; return old })
		var files []string
		for _, r := range after {
			files = append(files, r.files(t)...)
		}
		if len(files) != 1 || !strings.HasPrefix(files[0], "comfygate/") || strings.Contains(files[0], "stray") {
			t.Errorf("%q: the server wrote %v, want one file below comfygate", prefix, files)
		}
	}
	if b.baseDir == "" {
		return
	}
	if found, err := filepath.Glob(filepath.Join(b.baseDir, "*", "stray*")); err != nil || len(found) > 0 {
		t.Errorf("it wrote %v, %v", found, err)
	}
}
