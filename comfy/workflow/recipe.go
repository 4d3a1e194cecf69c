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
}

type told struct {
	Names    []string `yaml:"names"`
	Metadata []string `yaml:"metadata"`
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
	Usual      []string `yaml:"usual"`
	Patterns   []string `yaml:"patterns"`
	Repository string   `yaml:"repository"`
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
	Names []string `yaml:"names"`
	Steps int      `yaml:"steps"`
	CFG   float64  `yaml:"cfg"`
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
	var errs []error
	s := r.Size
	sides := append(slices.Clone(s.List), [2]int{s.Width, s.Height})
	if s.Small.Below > 0 {
		sides = append(sides, [2]int{s.Small.Width, s.Small.Height})
	}
	for _, side := range sides {
		if side[0]%s.Grid != 0 || side[1]%s.Grid != 0 {
			errs = append(errs, fmt.Errorf("size: %d × %d is not on the grid; sides must be multiples of %d", side[0], side[1], s.Grid))
		}
	}
	switch {
	case r.scheduled() && r.Settings.Scheduler == "":
		errs = append(errs, errors.New("settings.scheduler: the sampler takes one; name it, simple say"))
	case !r.scheduled() && r.Settings.Scheduler != "":
		errs = append(errs, errors.New("settings.scheduler: neither sampler nor sigmas take one; leave it out"))
	}
	if n := len(r.Files.TextEncoders.Files); (n == 1 || n == 2) && r.Files.TextEncoders.Type == "" {
		errs = append(errs, errors.New("files.text_encoders.type: one or two text encoders need it, flux say"))
	} else if n > 2 && r.Files.TextEncoders.Type != "" {
		errs = append(errs, errors.New("files.text_encoders.type: the loader of three or four takes none; leave it out"))
	}
	if r.Nodes.Sampler == samplerBasic && (r.Settings.CFG != 1 || !r.Settings.CFGFixed) {
		errs = append(errs, errors.New("settings: BasicGuider has no cfg; set cfg: 1 and cfg_fixed: true"))
	}
	if r.Settings.MaxSteps > 0 && r.Settings.Steps > r.Settings.MaxSteps {
		errs = append(errs, fmt.Errorf("settings.steps: %d is over max_steps %d", r.Settings.Steps, r.Settings.MaxSteps))
	}
	return errors.Join(errs...)
}
