package workflow_test

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
)

// onlyServer are recorded answers that no list of classes tells: which files lie in a folder.
var onlyServer = []string{"absent picture", "load-image-traversal"}

// CLIENT-PROMPT-5: what each real server was ever sent, Check judges as it did; where an output of two was bad, it names that one.
func TestCheck_PROMPT5_everythingRecorded(t *testing.T) {
	t.Parallel()
	for _, version := range versions {
		files, err := filepath.Glob(filepath.Join("testdata", "recorded", version, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		refused, taken := 0, 0
		for _, file := range files {
			var sent step
			for _, s := range scenario(t, version, strings.TrimSuffix(filepath.Base(file), ".json")) {
				if s.Send == "http" {
					sent = s
					continue
				}
				if s.Status == 0 || len(sent.JSON.Prompt) == 0 || !strings.HasSuffix(sent.Path, "/prompt") {
					continue
				}
				bad := s.Status == 400 || len(s.JSON.Nodes) > 0
				g, err := workflow.ReadGraph(sent.JSON.Prompt)
				faults := workflow.Check(g, recorded(t, version))
				switch known := slices.Contains(onlyServer, sent.Note) || slices.ContainsFunc(onlyServer, func(s string) bool { return strings.Contains(file, s) }); {
				case known:
					if _, faults := workflow.Secure(g, recorded(t, version), toOurs, nil); len(faults) == 0 {
						t.Errorf("%s: neither Check nor Secure refuses %q", file, sent.Note)
					}
				case bad != (err != nil || len(faults) > 0):
					t.Errorf("%s, %q: the server answered %d, Check %v %+v", file, sent.Note, s.Status, err, faults)
				case bad:
					refused++
				default:
					taken++
				}
				for id := range s.JSON.Nodes {
					if err == nil && !slices.Contains(onlyServer, sent.Note) && !strings.Contains(file, "traversal") && bad && s.Status == 200 &&
						!slices.ContainsFunc(faults, func(f workflow.Fault) bool { return f.Node == id }) {
						t.Errorf("%s: node %s is not named: %+v", file, id, faults)
					}
				}
				sent = step{}
			}
		}
		if refused < 16 || taken < 7 {
			t.Errorf("%s: only %d refused and %d taken", version, refused, taken)
		}
	}
}

// Issue 6, 5: a graph with seven faults, each of another kind, has all seven named, each with its node, input, what was there and what would fit.
func TestCheck_sevenFaults(t *testing.T) {
	t.Parallel()
	g := readGraph(t, base)
	g["4"].Inputs["ckpt_name"] = "tiny_sd3.safetensors"                                                   // a file that is missing
	g["5"].Inputs["width"] = json.Number("8")                                                             // a bound
	g["3"].Inputs["scheduler"] = "karas"                                                                  // an option
	g["3"].Inputs["positive"] = comfy.Link{Node: "4"}                                                     // a type
	g["8"].Inputs["vae"] = comfy.Link{Node: "44", Slot: 2}                                                // an absent node
	delete(g["7"].Inputs, "clip")                                                                         // a missing input
	g["10"] = comfy.Node{ClassType: "ImageInver", Inputs: map[string]any{"image": comfy.Link{Node: "8"}}} // a missing class
	var got []string
	for _, f := range workflow.Check(g, recorded(t, "v0.33.0")) {
		got = append(got, strings.Join([]string{f.Node, f.Class, f.Input, f.Problem, f.Got, f.Fits}, " | "))
	}
	want := []string{
		`10 | ImageInver |  | this ComfyUI has no node of this class | "ImageInver" | one such as ImageInvert, ImageBlur, ImageBatch`,
		`3 | KSampler | scheduler | it is none of the options | "karas" | one of simple, sgm_uniform, karras, exponential, ddim_uniform, beta, normal, linear_quadratic, kl_optimal`,
		`3 | KSampler | positive | it takes CONDITIONING, and is linked to MODEL | ["4",0] | a link to an output of type CONDITIONING`,
		`4 | CheckpointLoaderSimple | ckpt_name | no such file is there | "tiny_sd3.safetensors" | a file in models/checkpoints, such as tiny_sd3_random.safetensors`,
		`5 | EmptySD3LatentImage | width | it is smaller than 16 | 8 | a whole number from 16 to 16384`,
		`7 | CLIPTextEncode | clip | this input is required |  | a link to an output of type CLIP`,
		`8 | VAEDecode | vae | it is linked to a node that is not in the graph | ["44",2] | a link to one of its nodes`,
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Other kinds, alone: a folder that is empty, an option's own inputs, a link in a wrapping, what lies in the server's input folder.
func TestCheck_more(t *testing.T) {
	t.Parallel()
	info := recorded(t, "v0.33.0")
	for name, tt := range map[string]struct {
		nodes string
		want  string // a part of the one fault, or empty
	}{
		"empty folder":            {`"x": {"class_type": "UNETLoader", "inputs": {"unet_name": "a.safetensors", "weight_dtype": "default"}}`, "unet_name | no such file is there | a file in models/diffusion_models, which is empty"},
		"option's input missing":  {`"x": {"class_type": "ResizeImageMaskNode", "inputs": {"input": ["e", 0], "scale_method": "area", "resize_type": "scale by multiplier"}}`, "resize_type.multiplier | this input is required | a number from 0.01 to 8"},
		"option's input too much": {`"x": {"class_type": "ResizeImageMaskNode", "inputs": {"input": ["e", 0], "scale_method": "area", "resize_type": "scale by multiplier", "resize_type.multiplier": 9}}`, "resize_type.multiplier | it is larger than 8 | a number"},
		"another option's input":  {`"x": {"class_type": "ResizeImageMaskNode", "inputs": {"input": ["e", 0], "scale_method": "area", "resize_type": "scale by multiplier", "resize_type.multiplier": 2, "resize_type.width": "?"}}`, ""},
		"an unknown option":       {`"x": {"class_type": "ResizeImageMaskNode", "inputs": {"input": ["e", 0], "scale_method": "area", "resize_type": "by magic"}}`, "resize_type | it is none of the options | one of scale dimensions"},
		"the option missing":      {`"x": {"class_type": "ResizeImageMaskNode", "inputs": {"input": ["e", 0], "scale_method": "area"}}`, "resize_type | this input is required | one of"},
		"a wrapped link":          {`"x": {"class_type": "ImageInvert", "inputs": {"image": {"__value__": ["77", 0]}}}`, "image | it is linked to a node that is not in the graph | a link"},
		"a picture missing":       {`"x": {"class_type": "LoadImage", "inputs": {}}`, "image | this input is required | the id of a picture that was made or uploaded here"},
		"a video":                 {`"x": {"class_type": "LoadVideo", "inputs": {"file": "` + pictureA + `"}}`, ""},
		"an option of its own":    {`"x": {"class_type": "CustomCombo", "inputs": {"choice": "mine", "option1": "mine"}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := readGraph(t, `{`+tt.nodes+`, "o": {"class_type": "PreviewAny", "inputs": {"source": ["x", 0]}},
"e": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}}}`)
			var got []string
			for _, f := range workflow.Check(g, info) {
				got = append(got, f.Input+" | "+f.Problem+" | "+f.Fits)
			}
			if tt.want == "" && len(got) > 0 || tt.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0], tt.want)) {
				t.Errorf("faults %q", got)
			}
			if strings.Contains(strings.Join(got, ""), "up691600") {
				t.Error("a file of the server's input folder is told")
			}
		})
	}
}

// Ten thousand faults take no longer than the first hundred of them.
func TestCheck_bounded(t *testing.T) {
	t.Parallel()
	g := comfy.Graph{}
	for i := range 10_000 {
		g[strconv.Itoa(i)] = comfy.Node{ClassType: "SaveImag" + strings.Repeat("e", i%50), Inputs: map[string]any{"images": comfy.Link{Node: "x"}}}
	}
	faults := workflow.Check(g, recorded(t, "v0.33.0"))
	if len(faults) != workflow.MaxFaults {
		t.Errorf("%d faults", len(faults))
	}
}
