package tools_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/emulator"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/comfy/workflow/library"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/tools"
)

// blue is a graph without a model.
const blue = `{"1":{"class_type":"EmptyImage","inputs":{"width":96,"height":64,"batch_size":1,"color":255}},
	"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"../../x"},"_meta":{"title":"Blue"}}}`

// withLibrary gives a house a folder of saved workflows.
func withLibrary(t *testing.T, saved **library.Library) func(*jobs.Config, *tools.Env) {
	t.Helper()
	l, err := library.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if saved != nil {
		*saved = l
	}
	return func(_ *jobs.Config, e *tools.Env) { e.Library = l }
}

// A graph of the caller's runs, its files lie under our prefix, and what it makes is named by node.
func TestRunWorkflow_graph(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, emulator.Options{Version: version}, nil)
			r := h.must(t, "ann", "run_workflow", `{"graph":`+blue+`,"wait_seconds":60}`)
			if len(r.Pictures) != 1 || len(r.Links) != 1 || !strings.Contains(r.Text, "Blue") || !strings.Contains(r.Text, "96×64") {
				t.Errorf("%d pictures, %d links: %s", len(r.Pictures), len(r.Links), r.Text)
			}
			if files := fmt.Sprint(h.emulator.Files("output")); strings.Contains(files, "/x_") || strings.Contains(files, "[x_") || !strings.Contains(files, "comfygate/") { // CLIENT-SEC-6
				t.Errorf("files %v", files)
			}
		})
	}
}

// Every template that the emulator ships runs by its name, at both versions; those that need a picture take it by its id.
func TestRunWorkflow_templates(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		h := newHouse(t, emulator.Options{Version: version}, nil)
		id := pictureOf(t, h.must(t, "ann", "run_workflow", `{"graph":`+blue+`,"wait_seconds":60}`))
		for _, name := range emulator.TemplateNames() {
			t.Run(version+" "+name, func(t *testing.T) {
				t.Parallel()
				set := map[string]any{}
				var needs []string
				for _, in := range h.offers(t, "ann", name) {
					switch in.Name {
					case "width", "height":
						set[in.Name] = 64
					case "steps", "steps_2":
						set[in.Name] = 1
					}
					if in.Kind == "picture" {
						needs = append(needs, in.Name)
						set[in.Name] = id
					}
				}
				text, err := json.Marshal(set)
				if err != nil {
					t.Fatal(err)
				}
				if len(needs) > 0 { // without it, it is the argument that is named, and nothing runs
					_, err := h.call(t.Context(), t, callerOf("ann"), "run_workflow", fmt.Sprintf(`{"workflow":%q}`, name))
					if got := fieldsOf(err); !slices.Contains(got, "inputs."+needs[0]) {
						t.Errorf("without a picture: %v", err)
					}
				}
				r := h.must(t, "ann", "run_workflow", fmt.Sprintf(`{"workflow":%q,"wait_seconds":100,"inputs":%s}`, name, text))
				if len(r.Pictures) != 1 && name != "join_words" {
					t.Errorf("%s", r.Text)
				}
			})
		}
	}
}

// An offered is an input as check_workflow tells it.
type offered struct {
	Name, Kind string
	Default    any
	Required   bool
	Options    []string
}

func (h *house) offers(t *testing.T, owner, name string) []offered {
	t.Helper()
	var view struct{ Inputs []offered }
	structured(t, find(t, h.list, "check_workflow"), h.must(t, owner, "check_workflow", fmt.Sprintf(`{"workflow":%q}`, name)), &view)
	return view.Inputs
}

// The seed is random unless it is given; all else stays as it is in the file.
func TestRunWorkflow_seed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, nil)
	small := `"workflow":"text_to_picture","inputs":{"width":64,"height":64,"steps":1%s},"wait_seconds":60%s`
	pixels := func(inputs, rest string) string {
		r := h.must(t, "ann", "run_workflow", "{"+fmt.Sprintf(small, inputs, rest)+"}")
		return fmt.Sprint(h.pixels(t, "ann", pictureOf(t, r)))
	}
	fixed := pixels("", `,"seed":18446744073709551615`)
	if again := pixels(`,"seed":18446744073709551615`, ""); again != fixed {
		t.Error("the same seed, given as an input, makes other pixels")
	}
	if random := pixels("", ""); random == fixed || random == pixels("", `,"seed":-1`) {
		t.Error("the seed is not random")
	}
	if other := pixels(`,"prompt":"a boat"`, `,"seed":18446744073709551615`); other == fixed {
		t.Error("the prompt is not set")
	}
}

// A value that does not fit, or an input that is not there, is told before anything is submitted.
func TestRunWorkflow_badValues(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, nil)
	for inputs, want := range map[string][]string{
		`{"steps":0}`:                  {"inputs.steps"},
		`{"steps":10001}`:              {"inputs.steps"},
		`{"steps":"many"}`:             {"inputs.steps"},
		`{"prompt":7}`:                 {"inputs.prompt"},
		`{"nothing":1}`:                {"inputs.nothing"},
		`{"model":"nope.safetensors"}`: {"inputs.model"},
		`{"steps":0,"nothing":1,"model":"../x","cfg":7}`: {"inputs.steps", "inputs.nothing", "inputs.model"},
		`{"seed":-2}`:    {"inputs.seed"},
		`{"width":null}`: {"inputs.width"},
	} {
		_, err := h.call(t.Context(), t, callerOf("ann"), "run_workflow", `{"workflow":"text_to_picture","inputs":`+inputs+`}`)
		got := fieldsOf(err)
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v (%v), want %v", inputs, got, err, want)
		}
	}
	if n := h.emulator.Requests("POST /prompt"); n != 0 {
		t.Errorf("%d graphs were submitted", n)
	}
}

// What is meant must be said once.
func TestRunWorkflow_which(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, withLibrary(t, nil))
	for args, field := range map[string]string{`{}`: "workflow", `{"workflow":"join_words","graph":{"1":{}}}`: "graph"} {
		for _, tool := range []string{"run_workflow", "check_workflow"} {
			if _, err := h.call(t.Context(), t, callerOf("ann"), tool, args); !slices.Contains(fieldsOf(err), field) {
				t.Errorf("%s %s: %v", tool, args, err)
			}
		}
	}
	var unknown *tools.WorkflowUnknownError
	for _, name := range []string{"text_to_pictures", "../text_to_picture", "index"} {
		if _, err := h.call(t.Context(), t, callerOf("ann"), "run_workflow", fmt.Sprintf(`{"workflow":%q}`, name)); !errors.As(err, &unknown) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if unknown != nil && !errors.As(firstOf(h.call(t.Context(), t, callerOf("ann"), "run_workflow", `{"workflow":"picture_text"}`)), &unknown) || !slices.Contains(unknown.Close, "text_to_picture") {
		t.Errorf("similar names: %v", unknown.Close)
	}
}

func firstOf(_ tools.Result, err error) error { return err }

// T26, SC-32: another's picture, and a file of the server's, cannot be loaded.
func TestRunWorkflow_T26_pictures(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, nil)
	id := pictureOf(t, h.must(t, "ann", "run_workflow", `{"graph":`+blue+`,"wait_seconds":60}`))
	use := func(owner, image string) error {
		return firstOf(h.call(t.Context(), t, callerOf(owner), "run_workflow", fmt.Sprintf(`{"workflow":"turn_and_frame","inputs":{"image":%q},"wait_seconds":60}`, image)))
	}
	foreign, unknown := use("bob", id), use("bob", strings.Repeat("c", 26))
	if !errors.Is(foreign, images.ErrNotFound) || foreign.Error() != unknown.Error() {
		t.Errorf("another's picture: %v; an unknown one: %v", foreign, unknown)
	}
	graph := func(image string) string {
		return fmt.Sprintf(`{"graph":{"1":{"class_type":"LoadImage","inputs":{"image":%q}},"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"x"}}}}`, image)
	}
	for _, image := range []string{"example.png", "../../etc/passwd", "x.png [output]", "https://example.org/x.png", "comfygate_x.png"} {
		err := firstOf(h.call(t.Context(), t, callerOf("ann"), "run_workflow", graph(image)))
		if fields := fieldsOf(err); !slices.Equal(fields, []string{"inputs.image"}) {
			t.Errorf("%s: %v", image, err)
		}
		v := h.check(t, callerOf("ann"), graph(image))
		if v.Runnable || !slices.ContainsFunc(v.Faults, func(f checkedFault) bool { return f.Node == "1" && f.Rule != "" }) {
			t.Errorf("%s: no rule is broken: %+v", image, v.Faults)
		}
	}
	if r := h.must(t, "ann", "run_workflow", graph(id)); len(r.Pictures) != 1 {
		t.Errorf("one's own picture in a graph: %s", r.Text)
	}
}

// A template whose model is not there tells which, where it belongs and where it is from, and what could stand in for it.
func TestRunWorkflow_missingModels(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{Models: []emulator.Model{{Folder: "checkpoints", Name: "other.safetensors", Size: 1}}}, nil)
	var missing *tools.ModelsMissingError
	err := firstOf(h.call(t.Context(), t, callerOf("ann"), "run_workflow", `{"workflow":"text_to_picture"}`))
	if !errors.As(err, &missing) || len(missing.Files) != 1 {
		t.Fatalf("%v", err)
	}
	want := workflow.MissingFile{Name: "v1-5-pruned-emaonly-fp16.safetensors", Folder: "checkpoints", Repository: "https://models.example/checkpoints/v1-5-pruned-emaonly-fp16.safetensors"}
	if missing.Files[0] != want || len(missing.Instead) != 1 || !strings.Contains(missing.Instead[0], "other.safetensors") {
		t.Errorf("%+v", missing)
	}
	r := h.must(t, "ann", "run_workflow", `{"workflow":"text_to_picture","inputs":{"model":"other.safetensors","width":64,"height":64,"steps":1},"wait_seconds":60}`)
	if !strings.Contains(r.Text, "other.safetensors") {
		t.Errorf("%s", r.Text)
	}
}

// AUD-12, POL-07: the record holds no prompt, and policy and limits see the whole.
func TestRunWorkflow_AUD12_plan(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, nil)
	args, err := find(t, h.list, "run_workflow").Decode([]byte(`{"workflow":"text_to_picture","inputs":{"prompt":"my secret words","width":1024,"height":512,"steps":10},"seed":3}`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := args.Resolve(t.Context(), callerOf("ann"))
	if err != nil {
		t.Fatal(err)
	}
	record := fmt.Sprint(p.Record())
	for _, want := range []string{"text_to_picture", "template", "prompt", "seed:3", "graph_sha256", "1024"} {
		if !strings.Contains(record, want) {
			t.Errorf("the record lacks %s: %s", want, record)
		}
	}
	if strings.Contains(record, "secret words") || strings.Contains(record, "blurry") {
		t.Errorf("the record holds texts: %s", record)
	}
	r := p.Policy()
	if len(r.Models) != 1 || len(r.Nodes) != 7 || r.Width != 1024 || r.Height != 512 || r.Steps != 10 || r.Pixels != 1024*512 {
		t.Errorf("policy sees %+v", r)
	}
	if c := p.Cost(); c.Work != 6 || !c.Place || c.Tokens != 1 { // 1024 × 512 × 10
		t.Errorf("cost %+v", c)
	}
}

// What makes a video is judged as one: by all its frames and by each.
func TestRunWorkflow_video(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	whole := func(name string) comfy.Input { return comfy.Input{Name: name, Type: "INT", Required: true} }
	b.server.info.Classes["EmptyHunyuanLatentVideo"] = &comfy.Class{
		Name: "EmptyHunyuanLatentVideo", Module: "comfy_extras.nodes_hunyuan", OutputNode: true,
		Inputs:  []comfy.Input{whole("width"), whole("height"), whole("length"), whole("batch_size")},
		Outputs: []comfy.Port{{Name: "LATENT", Type: "LATENT"}},
	}
	p := b.plan(t, "run_workflow", `{"graph":{"1":{"class_type":"EmptyHunyuanLatentVideo","inputs":{"width":640,"height":480,"length":81,"batch_size":1}}}}`)
	if r := p.Policy(); r.Frames != 81 || r.Count != 81 || r.Pixels != 640*480*81 {
		t.Errorf("policy sees %d frames, %d pictures, %d pixels", r.Frames, r.Count, r.Pixels)
	}
}

// LIM-03: a batch counts as many calls as it makes pictures, up to what one call of generate may make.
func TestRunWorkflow_tokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, nil)
	for batch, want := range map[int]int{1: 1, 3: 3, 60: 4} {
		args, err := find(t, h.list, "run_workflow").Decode([]byte(`{"graph":` + strings.Replace(blue, `"batch_size":1`, fmt.Sprintf(`"batch_size":%d`, batch), 1) + `}`))
		if err != nil {
			t.Fatal(err)
		}
		p, err := args.Resolve(t.Context(), callerOf("ann"))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Cost().Tokens; got != want {
			t.Errorf("a batch of %d costs %d", batch, got)
		}
	}
}
