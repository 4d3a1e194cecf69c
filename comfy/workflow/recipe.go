package workflow

import (
	"errors"
	"fmt"
	"slices"

	"github.com/comfygate/comfygate/policy"
)

// A recipe is one family. Its fields are those of recipes/schema.json, which says what each means.
type recipe struct {
	ID       string    `yaml:"id"`
	Title    string    `yaml:"title"`
	Order    int       `yaml:"order"`
	Told     told      `yaml:"told"`
	Cannot   string    `yaml:"cannot"`
	Files    files     `yaml:"files"`
	Nodes    nodes     `yaml:"nodes"`
	Prompt   words     `yaml:"prompt"`
	Settings settings  `yaml:"settings"`
	Size     size      `yaml:"size"`
	Preset   []string  `yaml:"preset"`
	Speedups []speedup `yaml:"speedups"`

	spelled string // ID
}

type told struct {
	Names    []pattern `yaml:"names"`
	Metadata []pattern `yaml:"metadata"`
}

type files struct {
	Loader       string   `yaml:"loader"`
	Model        file     `yaml:"model"`
	TextEncoders encoders `yaml:"text_encoders"`
	VAE          *file    `yaml:"vae"`
}

type encoders struct {
	Type  string `yaml:"type"`
	Files []file `yaml:"files"`
}

type file struct {
	Usual      []string  `yaml:"usual"`
	Patterns   []pattern `yaml:"patterns"`
	Repository string    `yaml:"repository"`
}

type nodes struct {
	Latent   string   `yaml:"latent"`
	Patches  []patch  `yaml:"patches"`
	Guidance *float64 `yaml:"guidance"`
	Negative string   `yaml:"negative"`
	Sampler  string   `yaml:"sampler"`
	Sigmas   sigmas   `yaml:"sigmas"`
}

type patch struct {
	Class  string         `yaml:"class"`
	Inputs map[string]any `yaml:"inputs"`
}

type sigmas struct {
	Class  string   `yaml:"class"`
	Inputs []string `yaml:"inputs"`
}

type words struct {
	Before         string `yaml:"before"`
	BeforeNegative string `yaml:"before_negative"`
	Negative       string `yaml:"negative"`
}

type settings struct {
	Steps     int     `yaml:"steps"`
	MaxSteps  int     `yaml:"max_steps"`
	CFG       float64 `yaml:"cfg"`
	CFGFixed  bool    `yaml:"cfg_fixed"`
	Sampler   string  `yaml:"sampler"`
	Scheduler string  `yaml:"scheduler"`
}

type size struct {
	Width  int      `yaml:"width"`
	Height int      `yaml:"height"`
	Grid   int      `yaml:"grid"`
	List   [][2]int `yaml:"list"`
	Small  struct {
		Below  int64 `yaml:"below"`
		Width  int   `yaml:"width"`
		Height int   `yaml:"height"`
	} `yaml:"small"`
}

type speedup struct {
	Names []pattern `yaml:"names"`
	Steps int       `yaml:"steps"`
	CFG   float64   `yaml:"cfg"`
}

// Values of the recipe's words.
const (
	loaderCheckpoint = "checkpoint"

	negativeText = "text"
	negativeZero = "zero"

	samplerK      = "KSampler"
	samplerCFG    = "CFGGuider"
	samplerBasic  = "BasicGuider"
	samplerCustom = "SamplerCustom"

	presetSteps = "steps"
	presetCFG   = "cfg"
)

// makes reports whether the family makes pictures from a prompt.
func (r *recipe) makes() bool { return r.Cannot == "" }

// plain reports whether the recipe is for what no other knows.
func (r *recipe) plain() bool { return len(r.Told.Names) == 0 }

// kind is that of the family's main model.
func (r *recipe) kind() policy.Kind {
	if r.Files.Loader == loaderCheckpoint {
		return policy.Checkpoint
	}
	return policy.DiffusionModel
}

// holds reports whether files of kind may be of the family.
func (r *recipe) holds(kind policy.Kind) bool {
	if !r.makes() {
		return kind == policy.Checkpoint || kind == policy.DiffusionModel
	}
	return kind == r.kind()
}

// scheduled reports whether the family's graph has a place for a scheduler's name.
func (r *recipe) scheduled() bool {
	return r.Nodes.Sampler == samplerK || slices.Contains(r.Nodes.Sigmas.Inputs, "scheduler")
}

// denoises reports whether the graph can begin from a picture in place of pure noise.
func (r *recipe) denoises() bool {
	return r.Nodes.Sampler == samplerK || slices.Contains(r.Nodes.Sigmas.Inputs, "denoise")
}

// check finds what the schema cannot say.
func (r *recipe) check() error {
	if !r.makes() {
		if r.plain() {
			return errors.New("told.names: a recipe with cannot needs a name to be told by")
		}
		return nil
	}
	return errors.Join(errors.Join(r.Size.check()...), errors.Join(r.checkSettings()...))
}

// check faults sizes that are not on the grid.
func (s *size) check() (errs []error) {
	sides := append(slices.Clone(s.List), [2]int{s.Width, s.Height})
	if s.Small.Below > 0 {
		sides = append(sides, [2]int{s.Small.Width, s.Small.Height})
	}
	for _, side := range sides {
		if side[0]%s.Grid != 0 || side[1]%s.Grid != 0 {
			errs = append(errs, fmt.Errorf("size: %d × %d is not on the grid; sides must be multiples of %d", side[0], side[1], s.Grid))
		}
	}
	return errs
}

// checkSettings faults settings that the nodes have no use for, and those that they lack.
func (r *recipe) checkSettings() (errs []error) {
	encoders := r.Files.TextEncoders
	for _, rule := range []struct {
		broken bool
		fault  string
	}{
		{r.scheduled() && r.Settings.Scheduler == "", "settings.scheduler: the sampler takes one; name it, simple say"},
		{!r.scheduled() && r.Settings.Scheduler != "", "settings.scheduler: neither sampler nor sigmas take one; leave it out"},
		{encoders.Type == "" && (len(encoders.Files) == 1 || len(encoders.Files) == 2), "files.text_encoders.type: one or two text encoders need it, flux say"},
		{encoders.Type != "" && len(encoders.Files) > 2, "files.text_encoders.type: the loader of three or four takes none; leave it out"},
		{r.Nodes.Sampler == samplerBasic && (r.Settings.CFG != 1 || !r.Settings.CFGFixed), "settings: BasicGuider has no cfg; set cfg: 1 and cfg_fixed: true"},
		{r.Settings.MaxSteps > 0 && r.Settings.Steps > r.Settings.MaxSteps, "settings.steps: they are over max_steps"},
	} {
		if rule.broken {
			errs = append(errs, errors.New(rule.fault))
		}
	}
	return errs
}
