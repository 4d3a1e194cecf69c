package workflow

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/comfygate/comfygate/policy"
)

const (
	maxLoRAs    = 16
	maxStrength = 10 // of an adapter, either way
	maxCFG      = 100
	maxGuidance = 100
)

// faults collects what cannot be honoured.
type faults struct{ list FieldErrors }

func (f *faults) add(field, problem, fits string) {
	f.list = append(f.list, &FieldError{Field: field, Problem: problem, Fits: fits})
}

// err returns everything that was added, or nil.
func (f *faults) err() error {
	if len(f.list) == 0 {
		return nil
	}
	return f.list
}

// A plan is everything that a graph is built from, settled.
type plan struct {
	*choice
	prompt, negative string
	frame
	count, steps       int
	cfg, guidance      float64
	sampler, scheduler string
	seed               uint64
	loras              []LoRA
	prefix             string
	toTemp             bool
	denoise            float64 // 1 begins from noise; less from a picture
}

// prefixForm is what a filename prefix must look like: one name, in at most one folder (CLIENT-SEC-6).
var prefixForm = regexp.MustCompile(`^([A-Za-z0-9_-]{1,64}/)?[A-Za-z0-9_-]{1,64}$`)

var errPrefix = errors.New("a filename prefix is letters, digits, _ and -, with at most one folder")

// A settler settles the settings of one call.
type settler struct {
	faults
	r     *recipe
	inv   Inventory
	notes []string
}

// settle makes a plan of what was asked and what the recipe says, or returns everything that cannot be honoured.
func settle(c *choice, inv Inventory, ask Ask) (*plan, error) {
	s := &settler{r: c.recipe, inv: inv, notes: slices.Clone(c.notes)}
	p := &plan{choice: c, seed: ask.Seed, count: max(ask.Count, 1), prefix: ask.Prefix, toTemp: ask.ToTemp, denoise: 1}
	if !ask.ToTemp && !prefixForm.MatchString(ask.Prefix) {
		return nil, errPrefix
	}
	preset := s.preset(ask.Preset)
	p.frame = newSizing(s.r, c.model.Size, ask.MaxWidth, ask.MaxHeight, &s.faults).settle(ask.Width, ask.Height, ask.Aspect, preset)
	var err error
	if p.loras, err = s.loras(ask.LoRAs); err != nil {
		return nil, err
	}
	fast := s.speedup(p.loras)
	p.steps = s.steps(ask.Steps, preset, fast)
	p.cfg = s.cfg(ask.CFG, preset, fast)
	p.guidance = s.guidance(ask.Guidance)
	p.sampler = s.sampler(ask.Sampler)
	p.scheduler = s.scheduler(ask.Schedule)
	p.prompt, p.negative = s.words(ask.Prompt, ask.Negative, p.cfg)
	p.notes = s.notes
	return p, s.err()
}

func (s *settler) preset(name string) *Preset {
	if name == "" {
		return nil
	}
	p := presetBy(name)
	if p == nil {
		s.add("preset", "there is no preset "+strconv.Quote(clip(name)), "one of "+strings.Join(presetNames(), ", "))
	}
	return p
}

// loras resolves adapters. An unknown one is a *ModelError.
func (s *settler) loras(asked []LoRA) ([]LoRA, error) {
	if len(asked) > maxLoRAs {
		s.add("loras", fmt.Sprintf("%d are too many", len(asked)), fmt.Sprintf("at most %d", maxLoRAs))
		return nil, nil
	}
	var out []LoRA
	for i, l := range asked {
		h, err := resolve(s.inv, []policy.Kind{policy.LoRA}, fmt.Sprintf("loras[%d].name", i), l.Name)
		var several *FieldError
		switch {
		case errors.As(err, &several):
			s.list = append(s.list, several)
		case err != nil:
			return nil, err
		}
		if !(math.Abs(l.Strength) <= maxStrength) {
			s.add(fmt.Sprintf("loras[%d].strength", i), "the strength is out of bounds", fmt.Sprintf("a number from -%d to %d", maxStrength, maxStrength))
		}
		out = append(out, LoRA{h.file.Name, l.Strength})
	}
	return out, nil
}

// speedup returns what the recipe says of one of the adapters, or nil.
func (s *settler) speedup(loras []LoRA) *speedup {
	for _, l := range loras {
		for i := range s.r.Speedups {
			if longest(s.r.Speedups[i].Names, "-"+spelled(stem(baseOf(l.Name)))) > 0 {
				return &s.r.Speedups[i]
			}
		}
	}
	return nil
}

func (s *settler) steps(asked *int, p *Preset, fast *speedup) int {
	most := s.r.Settings.MaxSteps
	if most == 0 {
		most = 10_000 // of ComfyUI's own nodes
	}
	switch {
	case asked != nil:
		if *asked < 1 || *asked > most {
			s.add("steps", fmt.Sprintf("%s takes 1 to %d steps", s.r.Title, most), fmt.Sprintf("a number from 1 to %d", most))
		}
		return *asked
	case fast != nil:
		return fast.Steps
	case p != nil && slices.Contains(s.r.Preset, presetSteps):
		return min(p.Steps, most)
	case p != nil && p.Steps != s.r.Settings.Steps:
		s.notes = append(s.notes, fmt.Sprintf("The preset's steps are not taken: %s is made for %d.", s.r.Title, s.r.Settings.Steps))
	}
	return s.r.Settings.Steps
}

func (s *settler) cfg(asked *float64, p *Preset, fast *speedup) float64 {
	own := s.r.Settings.CFG
	switch {
	case asked != nil && s.r.Settings.CFGFixed && *asked != own:
		fits := "cfg " + number(own)
		if s.r.Nodes.Guidance != nil {
			fits += ", or guidance in its place"
		}
		s.add("cfg", s.r.Title+" runs at cfg "+number(own)+" only", fits)
		return own
	case asked != nil:
		if !(*asked >= 1 && *asked <= maxCFG) {
			s.add("cfg", "the number is out of bounds", fmt.Sprintf("a number from 1 to %d", maxCFG))
		}
		return *asked
	case fast != nil && fast.CFG > 0:
		return fast.CFG
	case p != nil && fast == nil && slices.Contains(s.r.Preset, presetCFG):
		return p.CFG
	}
	return own
}

func (s *settler) guidance(asked *float64) float64 {
	own := s.r.Nodes.Guidance
	switch {
	case own == nil && asked != nil:
		fits := "cfg in its place"
		if s.r.Settings.CFGFixed {
			fits = ""
		}
		s.add("guidance", s.r.Title+" has no guidance", fits)
		return 0
	case own == nil:
		return 0
	case asked == nil:
		return *own
	}
	if !(*asked >= 0 && *asked <= maxGuidance) {
		s.add("guidance", "the number is out of bounds", fmt.Sprintf("a number from 0 to %d", maxGuidance))
	}
	return *asked
}

// sampler checks a name against the server's list, not a constant: custom nodes add to it (CLIENT-GRAPH-6).
func (s *settler) sampler(asked string) string {
	if asked == "" {
		return s.r.Settings.Sampler
	}
	s.listed("sampler", asked, s.inv.Samplers)
	return asked
}

func (s *settler) scheduler(asked string) string {
	switch {
	case asked == "" && s.r.scheduled():
		return s.r.Settings.Scheduler
	case asked == "":
		return s.r.Nodes.Sigmas.Class
	case !s.r.scheduled():
		s.add("scheduler", s.r.Title+" has a schedule of its own", "no scheduler")
		return asked
	}
	s.listed("scheduler", asked, s.inv.Schedulers)
	return asked
}

func (s *settler) listed(field, name string, list []string) {
	if len(list) > 0 && !slices.Contains(list, name) {
		s.add(field, "the server has no "+field+" "+strconv.Quote(clip(name)), "one such as "+strings.Join(closest(name, list, 3), ", "))
	}
}

// words checks the prompts. What the caller wrote goes to the model byte by byte (SC-25).
func (s *settler) words(prompt, negative string, cfg float64) (string, string) {
	if strings.TrimSpace(prompt) == "" {
		s.add("prompt", "it is empty", "a description of the picture")
	}
	return prompt, s.negative(negative, cfg)
}

func (s *settler) negative(words string, cfg float64) string {
	if strings.TrimSpace(words) == "" {
		return ""
	}
	const instead = "prompt to say what should be seen in its place"
	switch {
	case s.r.Nodes.Negative != negativeText:
		s.add("negative_prompt", s.r.Title+" takes no negative prompt", instead)
	case cfg == 1:
		s.add("negative_prompt", "it has no effect at cfg 1", instead)
	}
	return words
}

func number(f float64) string { return strconv.FormatFloat(f, 'g', -1, 64) }
