package workflow_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

func classes(found []workflow.ClassSummary) (names []string) {
	for _, c := range found {
		names = append(names, c.Class)
	}
	return names
}

func TestDescribe_finds(t *testing.T) {
	t.Parallel()
	info := recorded(t, "v0.33.0")
	for name, tt := range map[string]struct {
		query workflow.Query
		first string
		among []string
	}{
		"by its name":          {workflow.Query{Search: "ksampler"}, "KSampler", []string{"KSamplerAdvanced", "KSamplerSelect"}},
		"by words":             {workflow.Query{Search: "empty latent image", Limit: 20}, "EmptyLatentImage", []string{"EmptySD3LatentImage"}},
		"by words in any case": {workflow.Query{Search: "SAVE Image"}, "SaveImage", nil},
		"by an output":         {workflow.Query{Output: "sigmas", Limit: 50, Bytes: 100_000}, "", []string{"BasicScheduler", "Flux2Scheduler"}},
		"by an input":          {workflow.Query{Input: "UPSCALE_MODEL"}, "ImageUpscaleWithModel", nil},
		"by both and a word":   {workflow.Query{Search: "scale", Input: "IMAGE", Output: "IMAGE", Limit: 30, Bytes: 100_000}, "", []string{"ImageScale", "ImageScaleBy"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found, total := workflow.Describe(info, tt.query)
			got := classes(found)
			if len(got) == 0 || tt.first != "" && got[0] != tt.first || total < len(got) {
				t.Fatalf("%d in all: %v", total, got)
			}
			for _, c := range tt.among {
				if !slices.Contains(got, c) {
					t.Errorf("%s is not among %v", c, got)
				}
			}
		})
	}
	if found, total := workflow.Describe(info, workflow.Query{Search: "no such thing at all"}); len(found) > 0 || total > 0 {
		t.Errorf("found %v", classes(found))
	}
}

// What a class takes is told with types, bounds, defaults and options, and what an option brings.
func TestDescribe_tells(t *testing.T) {
	t.Parallel()
	info := recorded(t, "v0.33.0")
	of := func(class string) string {
		found, _ := workflow.Describe(info, workflow.Query{Search: class, Limit: 1})
		data, err := json.Marshal(found)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for class, want := range map[string][]string{
		"KSampler": {
			`"class":"KSampler"`, `{"name":"seed","type":"INT","default":0,"min":0,"max":18446744073709551615}`, `{"name":"model","type":"MODEL"}`,
			`"name":"sampler_name","type":"COMBO","options":["euler",`, `"more_options":`, `"outputs":["LATENT"]`,
		},
		"SaveImage":           {`"result":true`},
		"ResizeImageMaskNode": {`"scale by multiplier":[{"name":"resize_type.multiplier","type":"FLOAT","default":1.0,"min":0.01,"max":8}]`},
		"LoadImage":           {`{"name":"image","type":"IMAGE_ID"}`},
		"LoadVideo":           {`{"name":"file","type":"IMAGE_ID"}`},
	} {
		got := of(class)
		for _, part := range want {
			if !strings.Contains(got, part) {
				t.Errorf("%s lacks %s: %s", class, part, got)
			}
		}
		if strings.Contains(got, "up691600") {
			t.Errorf("%s tells files of the server's: %s", class, got)
		}
	}
}

// An answer keeps to its budget, whatever classes there are, and names nothing that is denied (SC-52).
func TestDescribe_boundsAndDenials(t *testing.T) {
	t.Parallel()
	core := recorded(t, "v0.33.0")
	huge := &comfy.ObjectInfo{Classes: map[string]*comfy.Class{}}
	for i := range 10 {
		c := &comfy.Class{Name: fmt.Sprintf("Huge\x1b%d", i), Description: strings.Repeat("word \u202e", 10_000), Category: strings.Repeat("c", 5000)}
		for j := range 100 {
			c.Inputs = append(c.Inputs, comfy.Input{Name: fmt.Sprintf("in%d", j), Type: "COMBO", Options: slices.Repeat([]string{strings.Repeat("o", 500)}, 50)})
			c.Outputs = append(c.Outputs, comfy.Port{Name: strings.Repeat("n", 1000), Type: "IMAGE"})
		}
		huge.Classes[c.Name] = c
	}
	for name, info := range map[string]*comfy.ObjectInfo{"core": core, "huge": huge} {
		for _, budget := range []int{1, 500, 4000, 0, 64_000} {
			found, total := workflow.Describe(info, workflow.Query{Limit: 1000, Bytes: budget})
			data, err := json.Marshal(found)
			if most := max(budget, 1); err != nil || budget > 0 && len(found) > 0 && len(data) > most+2 || budget == 0 && len(data) > 16_002 || total != len(info.Classes) {
				t.Errorf("%s, %d: %d bytes of %d classes, %d in all, %v", name, budget, len(data), len(found), total, err)
			}
			if budget == 64_000 && len(found) < 3 {
				t.Errorf("%s: only %d classes", name, len(found))
			}
			if strings.ContainsAny(string(data), "\x1b\u202e") {
				t.Errorf("%s: it is not safe to show", name)
			}
		}
	}
	rules, err := policy.New(policy.Config{})
	if err != nil {
		t.Fatal(err)
	}
	found, _ := workflow.Describe(core, workflow.Query{Limit: 10_000, Bytes: 10_000_000, Allow: rules.AllowNode})
	names := classes(found)
	for _, denied := range []string{"SaveLatent", "CheckpointSave", "FluxProUltraImageNode", "Load3D"} {
		if slices.Contains(names, denied) {
			t.Errorf("%s is told", denied)
		}
	}
	if len(names) < 400 {
		t.Errorf("only %d classes", len(names))
	}
}
