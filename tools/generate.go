package tools

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

// maxLoRAs of one picture.
const maxLoRAs = 8

func generateTool(e *Env) Tool {
	s := e.Settings
	return Tool{
		Name:    "generate",
		Title:   "Make a picture",
		Toolset: "images",
		Scope:   policy.ImageGenerate,
		Class:   limits.Generate,
		Hints:   Hints{OpenWorld: true},
		Waits:   true,
		Description: "Makes pictures from a text prompt with ComfyUI. Only prompt is needed: model, size and settings are chosen to suit what is installed, " +
			"so set others only for a reason. Answers with a preview, the picture's id, the seed and settings used. " +
			"If the wait ends first, the answer holds a job_id for status. list_models tells models and families.",
		Schema: object(fields{
			{"prompt", schema{
				Type: "string", MinLength: 1, MaxLength: s.MaxPromptChars, Pattern: `\S`, Examples: []any{"a lighthouse at dusk, oil painting"},
				Description: "What the picture shows, in plain words or tags as the model likes them. English works best.",
			}},
			{"negative_prompt", schema{
				Type: "string", MaxLength: s.MaxNegativeChars, Examples: []any{"blurry, text"},
				Description: "What to avoid. Some families (Z-Image Turbo, Flux) take none: an error says so.",
			}},
			{"preset", schema{
				Type: "string", Enum: presetNames(), Examples: []any{"quality"},
				Description: "A size and quality in one word. Explicit arguments win over it.",
			}},
			{"width", side("Width in pixels, with height. A multiple of 8 for SD 1.5 and SDXL, else of 16.", s.MaxWidth)},
			{"height", side("Height in pixels, with width.", s.MaxHeight)},
			{"aspect_ratio", schema{
				Type: "string", Pattern: "^[1-9][0-9]?:[1-9][0-9]?$", MaxLength: 5, Examples: []any{"16:9"},
				Description: "Width to height at the model's own size, in place of width and height.",
			}},
			modelField("model", "A checkpoint or diffusion model, as list_models names it.", "sd_xl_base_1.0.safetensors"),
			{"family", schema{
				Type: "string", Pattern: "^[a-z0-9][a-z0-9._-]*$", MinLength: 1, MaxLength: 60, Examples: []any{"sdxl"},
				Description: "A model family by its id in list_models; or, with model, how to run a model that is not recognised.",
			}},
			{"loras", schema{
				Type: "array", MaxItems: maxLoRAs, Examples: []any{[]any{map[string]any{"name": "detail.safetensors", "strength": 0.8}}},
				Description: "LoRAs to apply, in this order.",
				Items: new(object(fields{
					modelField("name", "As list_models names it.", "detail.safetensors"),
					{"strength", schema{Type: "number", Description: "How much.", Minimum: -2, Maximum: 2, Default: 1, Examples: []any{0.8}}},
				}, "name")),
			}},
			{"steps", schema{Type: "integer", Description: "Sampling steps. Default: the family's.", Minimum: 1, Maximum: s.MaxSteps, Examples: []any{20}}},
			{"cfg", schema{
				Type: "number", Minimum: 1, Maximum: s.MaxCFG, Examples: []any{7},
				Description: "How strictly to follow the prompt. Default: the family's; fixed in some.",
			}},
			{"guidance", schema{Type: "number", Description: "Flux guidance, where the family has it.", Minimum: 0, Maximum: 30, Examples: []any{3.5}}},
			{"sampler", word("A sampler, as list_models kind samplers names it.", "euler")},
			{"scheduler", word("A scheduler, as list_models kind schedulers names it.", "normal")},
			{"seed", schema{
				Type: "integer", Minimum: -1, Maximum: json.Number("18446744073709551615"), Default: -1, Examples: []any{42},
				Description: "The same seed and settings give the same picture. -1: a random one, told in the answer.",
			}},
			{"count", schema{Type: "integer", Description: "Pictures to make at once.", Minimum: 1, Maximum: s.MaxBatch, Default: 1, Examples: []any{1}}},
			{"format", schema{
				Type: "string", Enum: []string{"png", "jpeg", "webp"}, Examples: []any{"jpeg"},
				Description: "Format of the preview in the answer. The full picture is a PNG; get_image converts it.",
			}},
			waitField(),
		}, "prompt").raw(),
		Decode: func(raw json.RawMessage) (Args, error) {
			a := generateArgs{env: e}
			if err := decode(raw, &a.in); err != nil {
				return nil, err
			}
			return a, nil
		},
	}
}

func side(description string, most int) schema {
	return schema{Type: "integer", Description: description, Minimum: 64, Maximum: most, MultipleOf: 8, Examples: []any{min(1024, most)}}
}

// word is a name of one of ComfyUI's choices.
func word(description, example string) schema {
	return schema{Type: "string", Description: description, Pattern: "^[A-Za-z0-9_+.-]+$", MinLength: 1, MaxLength: 60, Examples: []any{example}}
}

func presetNames() (names []string) {
	for _, p := range workflow.Presets() {
		names = append(names, p.Name)
	}
	return names
}

type generateArgs struct {
	env *Env
	in  struct {
		Prompt    string        `json:"prompt"`
		Negative  string        `json:"negative_prompt"`
		Preset    string        `json:"preset"`
		Width     *int          `json:"width"`
		Height    *int          `json:"height"`
		Aspect    string        `json:"aspect_ratio"`
		Model     string        `json:"model"`
		Family    string        `json:"family"`
		LoRAs     []loraArg     `json:"loras"`
		Steps     *int          `json:"steps"`
		CFG       *float64      `json:"cfg"`
		Guidance  *float64      `json:"guidance"`
		Sampler   string        `json:"sampler"`
		Scheduler string        `json:"scheduler"`
		Seed      seed          `json:"seed"`
		Count     int           `json:"count"`
		Format    images.Format `json:"format"`
		wait
	}
}

type loraArg struct {
	Name     string   `json:"name"`
	Strength *float64 `json:"strength"`
}

// Resolve implements [Args].
func (a generateArgs) Resolve(ctx context.Context, _ Caller) (Plan, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	ask, err := a.ask()
	if err != nil {
		return nil, err
	}
	p := &generatePlan{env: a.env, args: a, seed: ask.Seed}
	var size int64
	err = a.env.resolve(ctx, []policy.Kind{policy.Checkpoint, policy.DiffusionModel, policy.TextEncoder, policy.VAE, policy.LoRA},
		func(inv workflow.Inventory) (comfy.Graph, error) {
			var err error
			p.made, err = a.env.Catalog.Text(inv, ask)
			size = sizeOf(inv, p.made.Model)
			return p.made.Graph, err
		}, &p.drawn)
	if err != nil {
		return nil, err
	}
	if p.work, err = workOf(p.made.Width, p.made.Height, p.made.Count, p.made.Steps*evaluations(p.made.Sampler)); err != nil {
		return nil, err
	}
	if p.tight, err = a.env.fitsVideo(p.made.Width, p.made.Height, p.made.Count, size); err != nil {
		return nil, err
	}
	return p, nil
}

// check finds what the schema cannot say.
func (a generateArgs) check() error {
	if strays(a.in.Model) {
		return straying("model")
	}
	for i, l := range a.in.LoRAs {
		if strays(l.Name) {
			return straying(fmt.Sprintf("loras.%d.name", i))
		}
	}
	var faults workflow.FieldErrors
	for _, text := range []struct{ field, value string }{{"prompt", a.in.Prompt}, {"negative_prompt", a.in.Negative}} {
		if strings.ContainsFunc(text.value, control) {
			faults = append(faults, &workflow.FieldError{
				Field: text.field, Problem: "has control characters", Fits: "plain text; lines and tabs may be in it",
			})
		}
	}
	if a.in.Aspect != "" && (a.in.Width != nil || a.in.Height != nil) {
		faults = append(faults, &workflow.FieldError{
			Field: "aspect_ratio", Problem: "goes in place of width and height, not with them", Fits: "one or the other",
		})
	}
	seen := make(map[string]bool)
	for i, l := range a.in.LoRAs {
		if seen[l.Name] {
			faults = append(faults, &workflow.FieldError{
				Field: fmt.Sprintf("loras.%d.name", i), Problem: "is in the list twice", Fits: "each LoRA once, with its whole strength",
			})
		}
		seen[l.Name] = true
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// control reports whether r is a control character that no prompt has: all but line ends and tabs.
func control(r rune) bool { return (r < ' ' && r != '\n' && r != '\r' && r != '\t') || r == 0x7f }

// ask says for the catalog what is wanted.
func (a generateArgs) ask() (workflow.Ask, error) {
	s := a.env.Settings
	ask := workflow.Ask{
		Prompt: a.in.Prompt, Negative: a.in.Negative, Preset: a.in.Preset, Width: a.in.Width, Height: a.in.Height, Aspect: a.in.Aspect,
		Model: a.in.Model, Family: a.in.Family, Steps: a.in.Steps, CFG: a.in.CFG, Guidance: a.in.Guidance,
		Sampler: a.in.Sampler, Schedule: a.in.Scheduler, Seed: a.in.Seed.value, Count: max(a.in.Count, 1), Prefix: prefix(),
		ToTemp: s.ResultsToTemp, DefaultModel: s.Model, MaxWidth: s.MaxWidth, MaxHeight: s.MaxHeight,
	}
	for _, l := range a.in.LoRAs {
		strength := 1.0
		if l.Strength != nil {
			strength = *l.Strength
		}
		ask.LoRAs = append(ask.LoRAs, workflow.LoRA{Name: l.Name, Strength: strength})
	}
	if a.in.Seed.set {
		return ask, nil
	}
	var err error
	ask.Seed, err = randomSeed()
	return ask, err
}

// randomSeed returns a seed that every JSON reader reads exactly.
func randomSeed() (uint64, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(maxExact+1))
	if err != nil {
		return 0, fmt.Errorf("drawing a seed: %w", err)
	}
	return n.Uint64(), nil
}

// prefix names the files of one job at the server (CLIENT-SEC-6, CLIENT-FAIL-18): no two jobs share one, so that the
// server's cache never answers for another's file.
func prefix() string {
	return "comfygate/" + time.Now().UTC().Format("20060102") + "_" + strings.ToLower(rand.Text()[:10])
}

// A generatePlan is one graph to run.
type generatePlan struct {
	drawn
	env  *Env
	args generateArgs
	made workflow.Made
	seed uint64
	work work

	tight string // a note that video memory may not suffice
}

// Policy implements [Plan].
func (p *generatePlan) Policy() policy.Request {
	return policy.Request{
		Models: p.models, Nodes: p.nodes, Width: p.made.Width, Height: p.made.Height, Count: p.made.Count, Steps: p.made.Steps, Pixels: p.work.pixels,
	}
}

// Cost implements [Plan].
func (p *generatePlan) Cost() Cost {
	return Cost{Tokens: p.made.Count, Place: true, Work: p.work.megapixelSteps}
}

// Record implements [Plan].
func (p *generatePlan) Record() map[string]any {
	r := map[string]any{
		"prompt": Digest(p.args.in.Prompt), "family": p.made.Family, "model": p.made.Model,
		"width": p.made.Width, "height": p.made.Height, "count": p.made.Count, "steps": p.made.Steps, "cfg": p.made.CFG,
		"sampler": p.made.Sampler, "scheduler": p.made.Scheduler, "seed": strconv.FormatUint(p.seed, 10),
	}
	if p.args.in.Negative != "" {
		r["negative_prompt"] = Digest(p.args.in.Negative)
	}
	if p.args.in.Preset != "" {
		r["preset"] = p.args.in.Preset
	}
	if len(p.args.in.LoRAs) > 0 {
		var names []string
		for _, l := range p.args.in.LoRAs {
			names = append(names, l.Name)
		}
		r["loras"] = names
	}
	return r
}

// Run implements [Plan].
func (p *generatePlan) Run(ctx context.Context, c Caller, release func()) (Result, error) {
	return p.env.runJob(ctx, c, jobs.Spec{
		Owner: c.Principal.Name, CallID: c.CallID, Tool: "generate", Graph: p.graph, Output: p.made.Output,
		Expect: images.Bounds{Width: p.made.Width, Height: p.made.Height}, Count: p.made.Count, Seed: &p.seed, Model: p.made.Model,
		Cost: p.work.megapixelSteps, Summary: p.summary(), Release: release,
	}, p.args.in.duration(), p.args.in.Format)
}

// summary tells people how the pictures are made.
func (p *generatePlan) summary() map[string]string {
	m := p.made
	s := map[string]string{
		"family": m.Title, "model": m.Model, "size": fmt.Sprintf("%d×%d", m.Width, m.Height), "steps": strconv.Itoa(m.Steps),
		"cfg": decimal(m.CFG), "sampler": m.Sampler, "scheduler": m.Scheduler,
	}
	if m.Guidance != 0 {
		s["guidance"] = decimal(m.Guidance)
	}
	var loras []string
	for _, l := range p.args.in.LoRAs {
		text := l.Name
		if l.Strength != nil {
			text += " × " + decimal(*l.Strength)
		}
		loras = append(loras, text)
	}
	if len(loras) > 0 {
		s["loras"] = strings.Join(loras, ", ")
	}
	notes := m.Notes
	if p.tight != "" {
		notes = append(slices.Clip(notes), p.tight)
	}
	if len(notes) > 0 {
		s[noteKey] = strings.Join(notes, " ")
	}
	return s
}
