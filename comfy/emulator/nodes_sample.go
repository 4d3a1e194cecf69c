package emulator

import (
	"math"
	"slices"
)

// noise is a NOISE.
type noise struct {
	seed uint64
	none bool
}

// sampler is a SAMPLER.
type sampler struct{ name string }

// sigmas are SIGMAS: steps from one noise level, 0 to 1, to another.
type sigmas struct {
	steps    int
	from, to float64
}

// guider is a GUIDER.
type guider struct {
	model    model
	positive condition
	negative condition
	cfg      float64
}

// sampling is one run of a sampler.
type sampling struct {
	guider
	latent *latent
	seed   uint64
	method string  // sampler and scheduler
	steps  int     // reports of progress
	all    int     // steps of the whole schedule
	amount float64 // how much of the picture is drawn anew, 0 to 1
	rest   float64 // how much noise is left in the end, 0 to 1
}

func samplingNodes() []nodeRow {
	rows := []nodeRow{
		row("KSampler", ksampler),
		row("KSamplerAdvanced", ksamplerAdvanced),
		row("SamplerCustom", samplerCustom),
		row("SamplerCustomAdvanced", samplerCustomAdvanced),
		row("CFGGuider", func(c *call) ([]any, error) {
			return []any{guider{
				take[model](c, "model"), take[condition](c, "positive"), take[condition](c, "negative"), c.float("cfg"),
			}}, nil
		}),
		row("BasicGuider", func(c *call) ([]any, error) {
			return []any{guider{model: take[model](c, "model"), positive: take[condition](c, "conditioning"), cfg: 1}}, nil
		}),
		row("DualCFGGuider", func(c *call) ([]any, error) {
			positive := take[condition](c, "cond1")
			positive.words = append(slices.Clip(positive.words), take[condition](c, "cond2").words...)
			return []any{guider{take[model](c, "model"), positive, take[condition](c, "negative"), c.float("cfg_conds")}}, nil
		}),
		row("RandomNoise", func(c *call) ([]any, error) { return []any{noise{seed: c.seed("noise_seed")}}, nil }),
		row("DisableNoise", func(*call) ([]any, error) { return []any{noise{none: true}}, nil }),
		row("KSamplerSelect", func(c *call) ([]any, error) { return []any{sampler{c.text("sampler_name")}}, nil }),
		row("SplitSigmas", func(c *call) ([]any, error) {
			s := take[sigmas](c, "sigmas")
			cut := min(s.steps, max(0, c.number("step")))
			level := s.from
			if s.steps > 0 {
				level += (s.to - s.from) * float64(cut) / float64(s.steps)
			}
			return []any{sigmas{cut, s.from, level}, sigmas{s.steps - cut, level, s.to}}, nil
		}),
		row("FlipSigmas", func(c *call) ([]any, error) {
			s := take[sigmas](c, "sigmas")
			return []any{sigmas{s.steps, s.to, s.from}}, nil
		}),
		row("BasicScheduler", func(c *call) ([]any, error) {
			take[model](c, "model")
			return []any{schedule(c.number("steps"), c.float("denoise"))}, nil
		}),
		row("SDTurboScheduler", func(c *call) ([]any, error) {
			take[model](c, "model")
			return []any{schedule(c.number("steps"), c.float("denoise"))}, nil
		}),
	}
	for _, class := range []string{
		"Flux2Scheduler", "KarrasScheduler", "ExponentialScheduler", "PolyexponentialScheduler", "LaplaceScheduler",
		"VPScheduler", "BetaSamplingScheduler",
	} {
		rows = append(rows, row(class, func(c *call) ([]any, error) { return []any{schedule(c.number("steps"), 1)}, nil }))
	}
	for _, class := range []string{"SamplerEulerAncestral", "SamplerDPMPP_2M_SDE", "SamplerLMS"} {
		rows = append(rows, row(class, func(*call) ([]any, error) { return []any{sampler{class}}, nil }))
	}
	return rows
}

// schedule makes the sigmas of that many steps, at that much new drawing.
func schedule(steps int, denoise float64) sigmas {
	if denoise <= 0 {
		return sigmas{}
	}
	return sigmas{steps, min(1, denoise), 0}
}

func (c *call) guided() guider {
	return guider{take[model](c, "model"), take[condition](c, "positive"), take[condition](c, "negative"), c.float("cfg")}
}

func ksampler(c *call) ([]any, error) {
	s := sampling{
		guider: c.guided(), latent: take[*latent](c, "latent_image"), seed: c.seed("seed"),
		method: c.text("sampler_name") + " " + c.text("scheduler"),
		steps:  c.number("steps"), all: c.number("steps"), amount: c.float("denoise"),
	}
	if s.amount <= 0 {
		s.steps = 0
	}
	out, err := c.sample(s)
	return []any{out}, err
}

func ksamplerAdvanced(c *call) ([]any, error) {
	all := max(1, c.number("steps"))
	first, last := c.number("start_at_step"), min(all, c.number("end_at_step"))
	s := sampling{
		guider: c.guided(), latent: take[*latent](c, "latent_image"), seed: c.seed("noise_seed"),
		method: c.text("sampler_name") + " " + c.text("scheduler"),
		steps:  max(0, last-first), all: all, amount: float64(all-first) / float64(all),
	}
	if c.text("return_with_leftover_noise") == "enable" {
		s.rest = float64(all-last) / float64(all)
	}
	if c.text("add_noise") == "disable" {
		s.seed = 0
	}
	out, err := c.sample(s)
	return []any{out}, err
}

// samplerCustom and samplerCustomAdvanced give the latent twice: as it is, and
// without the noise that is left.
func samplerCustom(c *call) ([]any, error) {
	plan := take[sigmas](c, "sigmas")
	s := sampling{
		guider: c.guided(), latent: take[*latent](c, "latent_image"), seed: c.seed("noise_seed"),
		method: take[sampler](c, "sampler").name,
	}
	if !c.truth("add_noise") {
		s.seed = 0
	}
	return c.sampleCustom(s, plan)
}

func samplerCustomAdvanced(c *call) ([]any, error) {
	start := take[noise](c, "noise")
	return c.sampleCustom(sampling{
		guider: take[guider](c, "guider"), latent: take[*latent](c, "latent_image"), seed: start.seed,
		method: take[sampler](c, "sampler").name,
	}, take[sigmas](c, "sigmas"))
}

func (c *call) sampleCustom(s sampling, plan sigmas) ([]any, error) {
	s.steps, s.all, s.amount, s.rest = plan.steps, plan.steps, max(plan.from, plan.to), plan.to
	out, err := c.sample(s)
	if err != nil {
		return nil, err
	}
	clean := &latent{w: out.w, h: out.h, masks: out.masks, frames: append([]frameLatent(nil), out.frames...)}
	for i := range clean.frames {
		clean.frames[i].noise = 0
	}
	return []any{out, clean}, nil
}

// sample draws the pictures of a latent, step by step.
func (c *call) sample(s sampling) (*latent, error) {
	if c.err != nil {
		return nil, c.err
	}
	l := s.latent
	if s.steps <= 0 || len(l.frames) == 0 {
		return l, nil
	}
	if err := c.reserve(l.w, l.h, len(l.frames)); err != nil {
		return nil, err
	}
	thumb, err := c.thumbnail(s)
	if err != nil {
		return nil, err
	}
	for step := 1; step <= s.steps; step++ {
		if wait := c.server.opts.StepTime; wait > 0 && !c.run.sleep(wait, c.run.queue.interrupted()) {
			return nil, errStopped
		}
		rep := report{value: step, highest: s.steps}
		if c.run.previews() {
			rep.picture = func() (string, []byte) { return encodeJPEG(thumb.at(step, s.steps)) }
		}
		if err := c.report(rep); err != nil {
			return nil, err
		}
	}
	out := &latent{w: l.w, h: l.h, masks: l.masks, frames: make([]frameLatent, len(l.frames))}
	for i, f := range l.frames {
		p, err := c.draw(s, i, l.w, l.h)
		if err != nil {
			return nil, err
		}
		out.frames[i] = frameLatent{picture: p, noise: s.rest, index: f.index}
	}
	return out, nil
}

// draw makes the picture of one frame at any size.
func (c *call) draw(s sampling, i, w, h int) (*raster, error) {
	f := s.latent.frames[i]
	want := c.artwork(s, f.index)
	drawn, err := want.paint(w, h, c.alive)
	if err != nil {
		return nil, err
	}
	start := f.picture
	if start == nil && len(s.positive.refs) > 0 && s.amount >= 1 {
		// An edit model starts from nothing, but looks at its pictures.
		return c.mixFrom(s.positive.refs[0], drawn, editShare, w, h)
	}
	if start == nil {
		return drawn, nil
	}
	if start, err = resize(start, w, h, "bilinear", c.alive); err != nil {
		return nil, err
	}
	mixed := remix(start, drawn, s.amount)
	if len(s.latent.masks) > 0 {
		mixed = within(start, mixed, maskAt(s.latent.masks[min(i, len(s.latent.masks)-1)], w, h))
	}
	return mixed, nil
}

// editShare is how far an edit model leaves the picture that it was given.
const editShare = 0.45

func (c *call) mixFrom(ref, drawn *raster, share float64, w, h int) (*raster, error) {
	start, err := scaleCropped(ref, w, h, "bilinear", "center", c.alive)
	if err != nil {
		return nil, err
	}
	return remix(start, drawn, share), nil
}

// remix weighs a start picture against a newly drawn one: with little new the
// start keeps its shapes and takes on the other's colours, with more it goes.
func remix(start, drawn *raster, amount float64) *raster {
	tint := smoothstep(0, 0.7, amount)
	replace := smoothstep(0.35, 1, amount)
	out := newRaster(start.Rect.Dx(), start.Rect.Dy())
	for i := 0; i < len(out.Pix); i += 4 {
		s, d := start.Pix[i:i+4], drawn.Pix[i:i+4]
		light := luma(s[0], s[1], s[2])
		base := max(24, luma(d[0], d[1], d[2]))
		for k := range 3 {
			tinted := float64(d[k]) * light / base
			v := lerp(float64(s[k]), lerp(tinted, float64(s[k]), 0.4), tint)
			out.Pix[i+k] = clamp8(float32(lerp(v, float64(d[k]), replace)))
		}
		out.Pix[i+3] = 255
	}
	return out
}

// within takes the new picture where the mask is white.
func within(start, drawn *raster, m *mask) *raster {
	out := newRaster(start.Rect.Dx(), start.Rect.Dy())
	for i, share := range m.Pix {
		a := float64(share) / 255
		for k := range 3 {
			out.Pix[i*4+k] = clamp8(float32(lerp(float64(start.Pix[i*4+k]), float64(drawn.Pix[i*4+k]), a)))
		}
		out.Pix[i*4+3] = 255
	}
	return out
}

func luma(r, g, b byte) float64 { return 0.299*float64(r) + 0.587*float64(g) + 0.114*float64(b) }

func lerp(a, b, t float64) float64 { return a + (b-a)*t }

func smoothstep(from, to, x float64) float64 {
	t := math.Min(1, math.Max(0, (x-from)/(to-from)))
	return t * t * (3 - 2*t)
}
