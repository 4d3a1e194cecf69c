package emulator

import (
	"slices"
	"strings"
)

// condition is a CONDITIONING: the words, and what else steers the drawing. It
// is not changed once made.
type condition struct {
	words    []weighted
	guidance float64   // FluxGuidance, 0 for none
	refs     []*raster // pictures to start from, of edit models
	hints    []hint    // of control nets
}

// weighted is a text with its weight.
type weighted struct {
	text   string
	weight float64
}

// hint is a picture whose structure is to be followed.
type hint struct {
	picture  *raster
	strength float64
}

// text joins the words that have weight.
func (c condition) text() string {
	var parts []string
	for _, w := range c.words {
		if w.weight > 0.05 {
			parts = append(parts, w.text)
		}
	}
	return strings.Join(parts, ", ")
}

func say(text string) condition { return condition{words: []weighted{{text, 1}}} }

// encode makes a class that reads the given text inputs.
func encode(class string, inputs ...string) nodeRow {
	return row(class, func(c *call) ([]any, error) {
		take[clip](c, "clip")
		var cond condition
		for _, in := range inputs {
			if t := c.text(in); t != "" && !slices.Contains(cond.words, weighted{t, 1}) {
				cond.words = append(cond.words, weighted{t, 1})
			}
		}
		if c.given("guidance") {
			cond.guidance = c.float("guidance")
		}
		return []any{cond}, nil
	})
}

// encodeEdit makes a class that reads a text and pictures to edit.
func encodeEdit(class string, pictures ...string) nodeRow {
	return row(class, func(c *call) ([]any, error) {
		take[clip](c, "clip")
		cond := say(c.text("prompt"))
		for _, in := range pictures {
			if c.given(in) {
				cond.refs = append(cond.refs, take[[]*raster](c, in)...)
			}
		}
		return []any{cond}, nil
	})
}

func textNodes() []nodeRow {
	return []nodeRow{
		encode("CLIPTextEncode", "text"),
		encode("CLIPTextEncodeFlux", "clip_l", "t5xxl"),
		encode("CLIPTextEncodeSDXL", "text_g", "text_l"),
		encode("CLIPTextEncodeSDXLRefiner", "text"),
		encode("CLIPTextEncodeSD3", "clip_l", "clip_g", "t5xxl"),
		encode("CLIPTextEncodeLumina2", "user_prompt"),
		encodeEdit("TextEncodeQwenImageEdit", "image"),
		encodeEdit("TextEncodeQwenImageEditPlus", "image1", "image2", "image3"),
		row("CLIPSetLastLayer", func(c *call) ([]any, error) {
			t := take[clip](c, "clip")
			t.skip = -c.number("stop_at_clip_layer")
			return []any{t}, nil
		}),
	}
}

// changeCondition makes a class that changes the CONDITIONING of one input.
func changeCondition(class, input string, change func(*call, *condition)) nodeRow {
	return row(class, func(c *call) ([]any, error) {
		cond := take[condition](c, input)
		change(c, &cond)
		return []any{cond}, nil
	})
}

func keepCondition(*call, *condition) {}

// joinWords adds the words of another input.
func joinWords(input string) func(*call, *condition) {
	return func(c *call, cond *condition) {
		cond.words = slices.Concat(cond.words, take[condition](c, input).words)
	}
}

func conditioningNodes() []nodeRow {
	addReference := func(c *call, cond *condition) {
		if !c.given("latent") {
			return
		}
		for _, f := range take[*latent](c, "latent").frames {
			if f.picture != nil {
				cond.refs = append(slices.Clip(cond.refs), f.picture)
			}
		}
	}
	return []nodeRow{
		changeCondition("FluxGuidance", "conditioning", func(c *call, cond *condition) {
			cond.guidance = c.float("guidance")
		}),
		changeCondition("FluxDisableGuidance", "conditioning", func(_ *call, cond *condition) { cond.guidance = 0 }),
		changeCondition("ConditioningZeroOut", "conditioning", func(_ *call, cond *condition) { cond.words = nil }),
		changeCondition("ConditioningCombine", "conditioning_1", joinWords("conditioning_2")),
		changeCondition("ConditioningConcat", "conditioning_to", joinWords("conditioning_from")),
		changeCondition("ConditioningAverage", "conditioning_to", func(c *call, cond *condition) {
			share := c.float("conditioning_to_strength")
			var words []weighted
			for _, w := range cond.words {
				words = append(words, weighted{w.text, w.weight * share})
			}
			for _, w := range take[condition](c, "conditioning_from").words {
				words = append(words, weighted{w.text, w.weight * (1 - share)})
			}
			cond.words = words
		}),
		changeCondition("ConditioningSetTimestepRange", "conditioning", keepCondition),
		changeCondition("ConditioningSetMask", "conditioning", keepCondition),
		changeCondition("FluxKontextMultiReferenceLatentMethod", "conditioning", keepCondition),
		changeCondition("ReferenceLatent", "conditioning", addReference),
		row("ControlNetApplyAdvanced", func(c *call) ([]any, error) {
			take[controlNet](c, "control_net")
			positive, negative := take[condition](c, "positive"), take[condition](c, "negative")
			pictures := take[[]*raster](c, "image")
			if strength := c.float("strength"); strength > 0 && len(pictures) > 0 {
				positive.hints = append(slices.Clip(positive.hints), hint{pictures[0], strength})
			}
			return []any{positive, negative}, nil
		}),
	}
}

// patch makes a class that changes how a model samples. The drawing knows no
// such thing: the model goes through.
func patch(class string) nodeRow {
	return row(class, func(c *call) ([]any, error) { return []any{take[model](c, "model")}, nil })
}

func patchNodes() []nodeRow {
	var rows []nodeRow
	for _, class := range []string{
		"ModelSamplingAuraFlow", "ModelSamplingDiscrete", "ModelSamplingFlux", "ModelSamplingSD3",
		"CFGNorm", "CFGZeroStar", "DifferentialDiffusion", "FreeU_V2", "PerturbedAttentionGuidance", "RescaleCFG",
	} {
		rows = append(rows, patch(class))
	}
	return rows
}
