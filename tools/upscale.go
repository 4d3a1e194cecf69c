package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

func upscaleTool(e *Env) Tool {
	// A side longer than this is not reached by any picture that may come in.
	longest := int(math.Sqrt(float64(e.Settings.MaxUpscalePixels))) * 2
	target := func(description string) schema {
		return schema{Type: "integer", Description: description, Minimum: 64, Maximum: longest, Examples: []any{2048}}
	}
	return Tool{
		Name:    "upscale",
		Title:   "Make a picture larger",
		Toolset: "images",
		Scope:   policy.ImageGenerate,
		Class:   limits.Generate,
		Hints:   Hints{OpenWorld: true},
		Waits:   true,
		Description: "Makes a picture that was made or uploaded here larger, with an upscale model if one is installed, else by plain resampling (the answer says which). " +
			"Give factor or a target size. detail paints finer details into it in a second pass, which takes as long as making a picture.",
		Schema: object(fields{
			idField("image", "Id of the picture, at most 2048 pixels a side."),
			{"factor", schema{Type: "number", Description: "How many times larger a side. Default 2.", Minimum: 1.5, Maximum: 4, Examples: []any{2}}},
			{"width", target("Target width in place of factor. With one side the other follows.")},
			{"height", target("Target height in place of factor.")},
			modelField("model", "An upscale model, as list_models kind upscale_models names it.", "RealESRGAN_x4plus.safetensors"),
			{"detail", schema{Type: "boolean", Description: "Paint finer details afterwards.", Default: false, Examples: []any{true}}},
			waitField(),
		}, "image").raw(),
		Decode: func(raw json.RawMessage) (Args, error) {
			a := upscaleArgs{env: e}
			if err := decode(raw, &a.in); err != nil {
				return nil, err
			}
			return a, nil
		},
	}
}

type upscaleArgs struct {
	env *Env
	in  struct {
		Image  string   `json:"image"`
		Factor *float64 `json:"factor"`
		Width  *int     `json:"width"`
		Height *int     `json:"height"`
		Model  string   `json:"model"`
		Detail bool     `json:"detail"`
		wait
	}
}

// Resolve implements [Args].
func (a upscaleArgs) Resolve(ctx context.Context, c Caller) (Plan, error) {
	im, err := a.env.Pictures.Get(c.Principal.Name, a.in.Image)
	if err != nil {
		return nil, err
	}
	if err := a.check(im); err != nil {
		return nil, err
	}
	p := &upscalePlan{env: a.env, args: a, from: im}
	if p.seed, err = randomSeed(); err != nil {
		return nil, err
	}
	kinds := []policy.Kind{policy.Upscaler}
	if a.in.Detail {
		kinds = append(kinds, policy.Checkpoint, policy.DiffusionModel, policy.TextEncoder, policy.VAE)
	}
	s := a.env.Settings
	ask := workflow.UpscaleAsk{
		Width: im.Width, Height: im.Height, Factor: a.in.Factor, TargetWidth: a.in.Width, TargetHeight: a.in.Height, Model: a.in.Model,
		MaxPixels: s.MaxUpscalePixels, Prefix: prefix(), ToTemp: s.ResultsToTemp, Detail: a.in.Detail, Seed: p.seed, DefaultModel: s.Model,
	}
	err = a.env.resolve(ctx, kinds, func(inv workflow.Inventory) (comfy.Graph, error) {
		var err error
		p.made, err = a.env.Catalog.Upscale(inv, ask)
		return p.made.Graph, err
	}, &p.drawn)
	if err != nil {
		return nil, err
	}
	if p.work, err = workOf(p.made.Width, p.made.Height, 1, p.made.Steps); err != nil {
		return nil, err
	}
	if a.in.Detail { // the second pass samples at the full size
		if _, err := a.env.fitsVideo(p.made.Width, p.made.Height, 1, 0); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// check finds what the schema cannot say.
func (a upscaleArgs) check(im images.Image) error {
	if strays(a.in.Model) {
		return straying("model")
	}
	var faults workflow.FieldErrors
	if im.Width > maxSide || im.Height > maxSide { // SC-27, decision D4
		faults = append(faults, &workflow.FieldError{
			Field: "image", Problem: fmt.Sprintf("is %d×%d already", im.Width, im.Height), Fits: "a picture of at most 2048×2048",
		})
	}
	if a.in.Factor != nil && (a.in.Width != nil || a.in.Height != nil) {
		faults = append(faults, &workflow.FieldError{
			Field: "factor", Problem: "goes in place of width and height, not with them", Fits: "one or the other",
		})
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// An upscalePlan is one graph to run.
type upscalePlan struct {
	drawn
	env  *Env
	args upscaleArgs
	from images.Image
	made workflow.UpscaleMade
	seed uint64
	work work
}

// Policy implements [Plan].
func (p *upscalePlan) Policy() policy.Request {
	return policy.Request{
		Models: p.models, Nodes: p.nodes, Width: p.made.Width, Height: p.made.Height, Count: 1, Steps: p.made.Steps, Pixels: p.work.pixels,
	}
}

// Cost implements [Plan].
func (p *upscalePlan) Cost() Cost { return Cost{Tokens: 1, Place: true, Work: p.work.megapixelSteps} }

// Record implements [Plan].
func (p *upscalePlan) Record() map[string]any {
	return map[string]any{
		"image": p.from.ID, "image_sha256": p.from.SHA256, "model": p.made.Model, "detail": p.args.in.Detail, "family": p.made.Family,
		"detail_model": p.made.DetailModel, "width": p.made.Width, "height": p.made.Height, "steps": p.made.Steps,
		"seed": strconv.FormatUint(p.seed, 10),
	}
}

// Run implements [Plan].
func (p *upscalePlan) Run(ctx context.Context, c Caller, release func()) (Result, error) {
	spec := jobs.Spec{
		Owner: c.Principal.Name, CallID: c.CallID, Tool: "upscale", Graph: p.graph, Output: p.made.Output,
		Inputs: map[string]string{p.made.Input: p.from.ID}, Expect: images.Bounds{Width: p.made.Width, Height: p.made.Height}, Count: 1,
		Seed: p.from.Seed, Model: p.made.Model, Cost: p.work.megapixelSteps, Summary: p.summary(), Release: release,
	}
	if p.args.in.Detail {
		spec.Seed, spec.Model = &p.seed, p.made.DetailModel
	}
	return p.env.runJob(ctx, c, spec, p.args.in.duration(), "")
}

// summary tells people how the picture is made.
func (p *upscalePlan) summary() map[string]string {
	m := p.made
	s := map[string]string{
		"from": p.from.ID, "size": fmt.Sprintf("%d×%d", m.Width, m.Height), "method": "resampling",
	}
	if m.Model != "" {
		s["method"], s["model"] = "upscale model", m.Model
	}
	if p.args.in.Detail {
		s["family"], s["steps"] = m.Family, strconv.Itoa(m.Steps)
		s["method"] += ", then details by " + m.DetailModel
	}
	if len(m.Notes) > 0 {
		s[noteKey] = strings.Join(m.Notes, " ")
	}
	return s
}
