package policy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Defaults of [Config].
const (
	DefaultMaxNodes  = 512           // LIMITS__GRAPH_NODES
	DefaultMaxPixels = 16_777_216    // LIMITS__JOB_PIXELS: four pictures of 2048 × 2048
	DefaultMaxWork   = 1_677_721_600 // LIMITS__WORK_UNITS: those in 100 steps

	DefaultMaxVideoPixels = 268_435_456    // LIMITS__VIDEO_PIXELS: 291 frames of 1280 × 720
	DefaultMaxVideoWork   = 26_843_545_600 // LIMITS__VIDEO_WORK_UNITS: those in 100 steps
)

// Config are the operator's settings; the zero value is the built-in policy.
type Config struct {
	// ModelExtensions of every kind but upscalers; default .safetensors, .sft, .gguf. Types that can hold
	// pickled code are refused here whatever the operator says (SC-52).
	ModelExtensions []string
	// UpscaleExtensions of upscalers; default .safetensors, .sft, .pth: ComfyUI loads these weights-only.
	UpscaleExtensions []string
	// ModelAllow, where not empty, are globs of which a model must match one; ModelDeny are globs of which it may
	// match none. See [Rules.AllowModel] for their meaning.
	ModelAllow, ModelDeny []string
	DisabledTools         []string // SC-43; an unknown name is an error, for a switch that does nothing is worse than none
	DeniedPrincipals      []string // SC-43; whole names
	MaxNodes              int      // of one graph; 0 means [DefaultMaxNodes]
	MaxPixels             int64    // of one job, all pictures together; 0 means [DefaultMaxPixels]
	MaxWork               int64    // pixels × steps of one job; 0 means [DefaultMaxWork]
	// MaxVideoPixels and MaxVideoWork take the place of these two for a job that makes a video, all frames together; 0 means the defaults.
	// MaxPixels holds for each frame then.
	MaxVideoPixels, MaxVideoWork int64
}

// Rules are a compiled policy. They are immutable. The zero value denies everything.
type Rules struct {
	cfg  Config    // normalised: what Hash covers, with file
	file *compiled // nil: the built-in guards alone decide
	hash string    // empty in the zero value
}

// New compiles cfg, or returns every fault of it at once.
func New(cfg Config) (*Rules, error) {
	n := cfg.normal()
	if err := n.validate(); err != nil {
		return nil, err
	}
	return &Rules{cfg: n, hash: digest(n, nil)}, nil
}

// Load compiles cfg together with a policy file, or returns every fault of both at once (POL-02).
func Load(cfg Config, file *File) (*Rules, error) {
	cfg.DisabledTools = slices.Concat(cfg.DisabledTools, file.Disabled.Tools)
	cfg.DeniedPrincipals = slices.Concat(cfg.DeniedPrincipals, file.Disabled.Principals)
	n := cfg.normal()
	n.MaxNodes = lesser(n.MaxNodes, file.Bounds.Nodes)
	n.MaxPixels = lesser(n.MaxPixels, file.Bounds.Pixels)
	n.MaxWork = lesser(n.MaxWork, file.Bounds.Work)
	n.MaxVideoPixels = lesser(n.MaxVideoPixels, file.Bounds.VideoPixels)
	n.MaxVideoWork = lesser(n.MaxVideoWork, file.Bounds.VideoWork)
	c, err := compile(file)
	if err = errors.Join(n.validate(), err); err != nil {
		return nil, err
	}
	c.indexed()
	c.file.Models.Allow, c.file.Models.Deny = folded(c.file.Models.Allow), folded(c.file.Models.Deny)
	return &Rules{cfg: n, file: c, hash: digest(n, &c.file)}, nil
}

// Read is [Parse] and [Load].
func Read(cfg Config, data []byte) (*Rules, error) {
	file, err := Parse(data)
	if err != nil {
		return nil, err
	}
	return Load(cfg, file)
}

// lesser returns the smaller bound; 0 in a file bounds nothing.
func lesser[T int | int64](setting, file T) T {
	if file > 0 && file < setting {
		return file
	}
	return setting
}

func (c Config) normal() Config {
	n := Config{
		ModelExtensions:   folded(orDefault(c.ModelExtensions, ".safetensors", ".sft", ".gguf")),
		UpscaleExtensions: folded(orDefault(c.UpscaleExtensions, ".safetensors", ".sft", ".pth")),
		ModelAllow:        folded(c.ModelAllow),
		ModelDeny:         folded(c.ModelDeny),
		DisabledTools:     sorted(c.DisabledTools),
		DeniedPrincipals:  sorted(c.DeniedPrincipals),
		MaxNodes:          c.MaxNodes,
		MaxPixels:         c.MaxPixels,
		MaxWork:           c.MaxWork,
		MaxVideoPixels:    c.MaxVideoPixels,
		MaxVideoWork:      c.MaxVideoWork,
	}
	n.MaxNodes = orElse(n.MaxNodes, DefaultMaxNodes)
	n.MaxPixels = orElse(n.MaxPixels, DefaultMaxPixels)
	n.MaxWork = orElse(n.MaxWork, DefaultMaxWork)
	n.MaxVideoPixels = orElse(n.MaxVideoPixels, DefaultMaxVideoPixels)
	n.MaxVideoWork = orElse(n.MaxVideoWork, DefaultMaxVideoWork)
	return n
}

// Hash is a digest of the effective rules, lower-case hex: equal rules have equal hashes in every process of one
// release, whatever order they were written in. It is empty for the zero value.
func (r *Rules) Hash() string {
	if r == nil {
		return ""
	}
	return r.hash
}

func (c Config) validate() error {
	var errs []error
	for _, ext := range c.ModelExtensions {
		errs = append(errs, checkExtension("model extensions", ext))
		if pickled(ext) {
			errs = append(errs, fmt.Errorf("model extensions: %q can run code when it is loaded and is never allowed; convert the model to .safetensors", ext))
		}
	}
	for _, ext := range c.UpscaleExtensions {
		errs = append(errs, checkExtension("upscale extensions", ext))
	}
	for setting, globs := range map[string][]string{"model allow": c.ModelAllow, "model deny": c.ModelDeny} {
		for _, g := range globs {
			if _, err := path.Match(g, ""); err != nil || g == "" {
				errs = append(errs, fmt.Errorf("%s: %q is no pattern; write one like sdxl/* or *nsfw*", setting, g))
			}
		}
	}
	for _, tool := range c.DisabledTools {
		if ScopeOf(tool) == "" {
			errs = append(errs, fmt.Errorf("disabled tools: there is no tool %q; the tools are %s", tool, strings.Join(Tools(), ", ")))
		}
	}
	if slices.Contains(c.DeniedPrincipals, "") {
		errs = append(errs, errors.New("denied principals: an empty name denies nobody"))
	}
	if c.MaxNodes < 0 || min(c.MaxPixels, c.MaxWork, c.MaxVideoPixels, c.MaxVideoWork) < 0 {
		errs = append(errs, errors.New("bounds of nodes, pixels and work cannot be negative"))
	}
	return errors.Join(errs...)
}

func checkExtension(setting, ext string) error {
	if len(ext) < 2 || ext[0] != '.' || strings.ContainsAny(ext[1:], "./*? ") {
		return fmt.Errorf("%s: %q is no file extension; write it like .safetensors", setting, ext)
	}
	return nil
}

// digest covers the tables too, so that a release that changes them changes the hash.
func digest(c Config, file *File) string {
	data, err := json.Marshal(struct {
		Config  Config
		File    *File `json:",omitempty"`
		Tools   map[string]Scope
		Roles   [][]Scope
		Classes []string
	}{c, file, toolScopes, [][]Scope{ScopesOf(Viewer), ScopesOf(Operator), ScopesOf(Admin)}, deniedClasses()})
	if err != nil {
		panic("policy: rules do not encode: " + err.Error()) // strings and numbers always do
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// folded returns list in the form in which names are compared: see [fold].
func folded(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fold(strings.TrimSpace(s))
	}
	return sorted(out)
}

// sorted returns list sorted and without doubles; nil when it is empty.
func sorted(list []string) []string {
	out := slices.Clone(list)
	slices.Sort(out)
	return slices.Compact(out)
}

func orDefault(list []string, fallback ...string) []string {
	if len(list) == 0 {
		return fallback
	}
	return list
}

func orElse[T int | int64](n, fallback T) T {
	if n == 0 {
		return fallback
	}
	return n
}
