package tools_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/emulator"
	"github.com/comfygate/comfygate/comfy/workflow/library"
)

// listed is what list_workflows tells.
type listed struct {
	Workflows []listedWorkflow
	Total     int
	Paid      int `json:"paid_hidden"`
	Unopened  int `json:"not_looked_into"`
}

type listedWorkflow struct {
	Name, From, Makes, Fault string
	Installed                *bool
	Inputs                   map[string]string
	Required, Models         []string
	Missing                  []struct{ File, Folder, Source string }
	Bytes                    int64
	Denied                   string `json:"denied_by"`
}

func (l listed) names() (names []string) {
	for _, w := range l.Workflows {
		names = append(names, w.Name)
	}
	return names
}

func (h *house) listed(t *testing.T, args string) (v listed) {
	t.Helper()
	structured(t, find(t, h.list, "list_workflows"), h.must(t, "ann", "list_workflows", args), &v)
	return v
}

// The server's templates and the saved ones: what can run first, each with what it makes and takes.
func TestListWorkflows(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			var saved *library.Library
			h := newHouse(t, emulator.Options{
				Version: version, Models: []emulator.Model{{Folder: "upscale_models", Name: "RealESRGAN_x2plus.safetensors", Size: 1}},
			}, withLibrary(t, &saved))
			if err := saved.Save(library.Entry{Name: "zz_blue", Graph: []byte(blue), Sheet: library.Sheet{Title: "Blue"}}, false); err != nil {
				t.Fatal(err)
			}
			all := h.listed(t, `{}`)
			if all.Total != 8 || len(all.Workflows) != 8 || all.Unopened != 0 || all.Workflows[0].Name != "zz_blue" {
				t.Fatalf("%d of %d, %v", len(all.Workflows), all.Total, all.names())
			}
			for _, w := range all.Workflows {
				ready := !slices.Contains([]string{"text_to_picture", "picture_to_picture", "two_stage_picture"}, w.Name)
				if w.Installed == nil || *w.Installed != ready || (len(w.Missing) > 0) == ready || w.Denied != "" || w.Fault != "" {
					t.Errorf("%+v", w)
				}
				if makes := cmp.Or(map[string]string{"join_words": "text", "turning_picture": "video"}[w.Name], "picture"); w.Makes != makes {
					t.Errorf("%s makes %s", w.Name, w.Makes)
				}
			}
			if ready := all.Workflows[:5]; slices.ContainsFunc(ready, func(w listedWorkflow) bool { return !*w.Installed }) {
				t.Errorf("not those first that can run: %v", all.names())
			}
			for args, want := range map[string][]string{
				`{"search":"WINTER"}`:                 nil,
				`{"search":"frame turn"}`:             {"turn_and_frame"},
				`{"search":"blue"}`:                   {"zz_blue"},
				`{"kind":"text"}`:                     {"join_words"},
				`{"kind":"video"}`:                    {"turning_picture"},
				`{"kind":"3d"}`:                       nil,
				`{"installed":true,"kind":"picture"}`: {"zz_blue", "upscale_picture", "turn_and_frame"},
				`{"installed":false}`:                 {"text_to_picture", "picture_to_picture", "two_stage_picture"},
				`{"installed":false,"limit":1}`:       {"text_to_picture"},
				`{"search":"realesrgan"}`:             {"upscale_picture"},
			} {
				if got := h.listed(t, args).names(); !slices.Equal(got, want) {
					t.Errorf("%s: %v, want %v", args, got, want)
				}
			}
			one := h.listed(t, `{"search":"paints anew"}`).Workflows[0]
			if one.Inputs["prompt"] != "text" || one.Inputs["image"] != "picture" || !slices.Equal(one.Required, []string{"image"}) || one.Bytes == 0 ||
				one.Missing[0].Folder != "checkpoints" || !strings.HasPrefix(one.Missing[0].Source, "https://models.example/") {
				t.Errorf("%+v", one)
			}
		})
	}
}

// A broken file is listed with its fault; it and a template that cannot be read hide no other.
func TestListWorkflows_broken(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.server.templates = []comfy.Template{{Name: "gone"}, {Name: "bad"}, {Name: "good"}, {Name: "paid", Paid: true}, {Name: "strange"}}
	b.server.documents = map[string]string{
		"bad": `{"nodes":`, "good": tinyGraph, "paid": tinyGraph,
		"strange": `{"nodes":[{"id":1,"type":"Nope","mode":0,"inputs":[],"outputs":[]}],"links":[]}`,
	}
	var v listed
	structured(t, b.tool(t, "list_workflows"), b.mustRun(t, "list_workflows", `{}`), &v)
	if v.Paid != 1 || v.Total != 4 || v.Workflows[0].Name != "good" {
		t.Fatalf("%+v", v)
	}
	for _, w := range v.Workflows[1:] {
		if w.Fault == "" || w.Installed != nil {
			t.Errorf("%+v", w)
		}
	}
}

// However many there are, the answer is bounded, and a second one costs nothing.
func TestListWorkflows_bounded(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.server.documents = map[string]string{}
	for i := range 700 {
		name := fmt.Sprintf("template_%d", i)
		b.server.templates = append(b.server.templates, comfy.Template{Name: name, Title: strings.Repeat("long title ", 20), Description: strings.Repeat("long words ", 100)})
		b.server.documents[name] = tinyGraph
	}
	var v listed
	r := b.mustRun(t, "list_workflows", `{"limit":100}`)
	structured(t, b.tool(t, "list_workflows"), r, &v)
	if v.Total != 700 || v.Unopened != 100 || len(r.Text) > 21_000 || len(v.Workflows) < 20 {
		t.Errorf("%d of %d, %d not opened, %d bytes", len(v.Workflows), v.Total, v.Unopened, len(r.Text))
	}
	b.mustRun(t, "list_workflows", `{"search":"template_7"}`)
	if n := b.server.asked["template template_7"]; n != 1 {
		t.Errorf("a template was read %d times", n)
	}
}

func TestDescribeNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, nil)
	var v struct {
		Classes []struct {
			Class  string
			Inputs []struct {
				Name, Type string
				Options    []string
			}
			Outputs []string
		}
		Total int
	}
	structured(t, find(t, h.list, "describe_nodes"), h.must(t, "ann", "describe_nodes", `{"search":"KSampler"}`), &v)
	if v.Total == 0 || v.Classes[0].Class != "KSampler" || len(v.Classes[0].Inputs) < 8 {
		t.Errorf("%+v", v)
	}
	structured(t, find(t, h.list, "describe_nodes"), h.must(t, "ann", "describe_nodes", `{"input":"UPSCALE_MODEL","output":"IMAGE","limit":1}`), &v)
	if v.Total != 1 || v.Classes[0].Class != "ImageUpscaleWithModel" {
		t.Errorf("%+v", v)
	}
	structured(t, find(t, h.list, "describe_nodes"), h.must(t, "ann", "describe_nodes", `{"search":"no such thing"}`), &v)
	if v.Total != 0 || len(v.Classes) != 0 {
		t.Errorf("%+v", v)
	}
	if r := h.must(t, "ann", "describe_nodes", `{"limit":50}`); len(r.Text) > 20_000 {
		t.Errorf("%d bytes", len(r.Text))
	}
}
