package tools_test

import (
	"cmp"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

// fakeCatalog builds one graph, and keeps what it was asked.
type fakeCatalog struct {
	inv   workflow.Inventory
	ask   workflow.Ask
	up    workflow.UpscaleAsk
	err   error
	graph comfy.Graph
	notes []string
	huge  bool

	sampler string
}

func testGraph(prefix string) comfy.Graph {
	return comfy.Graph{
		"1": {ClassType: "CheckpointLoaderSimple", Inputs: map[string]any{"ckpt_name": "base.safetensors"}},
		"2": {ClassType: "EmptyLatentImage", Inputs: map[string]any{}},
		"3": {ClassType: "VAEDecode", Inputs: map[string]any{"samples": comfy.Link{Node: "2"}, "vae": comfy.Link{Node: "1", Slot: 2}}},
		"9": {ClassType: "SaveImage", Inputs: map[string]any{"images": comfy.Link{Node: "3"}, "filename_prefix": prefix}},
	}
}

func (c *fakeCatalog) Text(inv workflow.Inventory, ask workflow.Ask) (workflow.Made, error) {
	c.inv, c.ask = inv, ask
	if c.err != nil {
		return workflow.Made{}, c.err
	}
	g := c.graph
	if g == nil {
		g = testGraph(ask.Prefix)
	}
	if c.huge {
		return workflow.Made{Graph: g, Width: 1 << 31, Height: 1 << 31, Count: 1 << 10, Steps: 1 << 10}, nil
	}
	return workflow.Made{
		Graph: g, Output: "9", Family: "sdxl", Title: "SDXL", Model: "base.safetensors", Width: 1024, Height: 1024, Count: ask.Count, Steps: 25, CFG: 8,
		Sampler: cmp.Or(c.sampler, "euler"), Scheduler: "normal", Notes: c.notes,
	}, nil
}

func (c *fakeCatalog) Upscale(inv workflow.Inventory, ask workflow.UpscaleAsk) (workflow.UpscaleMade, error) {
	c.inv, c.up = inv, ask
	if c.err != nil {
		return workflow.UpscaleMade{}, c.err
	}
	return workflow.UpscaleMade{
		Graph: comfy.Graph{
			"5": {ClassType: "LoadImage", Inputs: map[string]any{"image": ""}},
			"9": {ClassType: "SaveImage", Inputs: map[string]any{"images": comfy.Link{Node: "5"}, "filename_prefix": ask.Prefix}},
		},
		Input: "5", Output: "9", Width: ask.Width * 2, Height: ask.Height * 2,
	}, nil
}

func (*fakeCatalog) Families(inv workflow.Inventory) []workflow.FamilyState {
	return []workflow.FamilyState{
		{ID: "z-image-turbo", Title: "Z-Image Turbo", Missing: []workflow.MissingFile{{Name: "ae.safetensors", Folder: "vae", Repository: "Comfy-Org/z_image_turbo"}}},
		{ID: "sdxl", Title: "SDXL", Installed: true, Chosen: true, Model: inv.Files[policy.Checkpoint][0].Name},
		{ID: "flux2", Title: "Flux.2", Lacks: []string{"class Flux2Scheduler"}},
	}
}

func (*fakeCatalog) Recognise(_ policy.Kind, file string) (string, bool) {
	return "sdxl", strings.HasPrefix(file, "base") || strings.HasPrefix(file, "detail")
}
