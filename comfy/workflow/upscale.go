package workflow

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/policy"
)

// Bounds of enlarging.
const (
	MinFactor     = 1.5
	MaxFactor     = 4.0
	DefaultFactor = 2.0

	// DefaultDenoise is how much of the picture the detail pass paints anew.
	DefaultDenoise = 0.3
	// MaxDetailPixels bounds the picture that a detail pass paints.
	MaxDetailPixels = maxSide * maxSide

	defaultUpscalePixels = 16_777_216
)

// An UpscaleAsk is a picture to be made larger; pointers are nil where nothing was said.
type UpscaleAsk struct {
	Width, Height int      // of the picture that comes in, pixels
	Factor        *float64 // MinFactor … MaxFactor; default DefaultFactor
	TargetWidth   *int     // in place of Factor; one side keeps the aspect ratio, both must
	TargetHeight  *int
	Model         string // upscale model; empty: the best known that is installed, plain resampling when none is
	MaxPixels     int64  // UPSCALE__MAX_OUTPUT_PIXELS; 0 = 16,777,216
	Prefix        string
	ToTemp        bool

	Detail       bool    // a second pass that paints details at low denoise
	Denoise      float64 // of that pass, over 0 to 1; 0 = DefaultDenoise
	Prompt       string  // for that pass; may be empty
	Negative     string
	Seed         uint64
	DetailModel  string // model of that pass; empty: as for a bare prompt
	Family       string
	DefaultModel string // GENERATION__MODEL
}

// An UpscaleMade is a graph that makes a picture larger.
type UpscaleMade struct {
	Graph         comfy.Graph
	Input         string // LoadImage node whose input "image" is to be set to the picture's name at the server
	Output        string // node that gives the picture
	Model         string // upscale model; empty where the picture is resampled
	Models        []policy.Model
	Width, Height int
	Family        string // of the detail pass; empty without one
	DetailModel   string
	Steps         int // of the detail pass
	Notes         []string
}

// Upscale makes the graph: by an upscale model, whatever its own factor, then to the exact size; or by resampling when none is
// installed. A named model that is unknown or denied is a *ModelError, never replaced by resampling. Errors are those of [Catalog.Text].
func (c *Catalog) Upscale(inv Inventory, ask UpscaleAsk) (UpscaleMade, error) {
	switch {
	case ask.Width < 1 || ask.Height < 1:
		return UpscaleMade{}, errors.New("the picture's size is not told")
	case !ask.ToTemp && !prefixForm.MatchString(ask.Prefix):
		return UpscaleMade{}, errPrefix
	}
	var f faults
	target := enlarge(ask, &f)
	made := UpscaleMade{Input: idPicture, Output: idOutput, Width: target.w, Height: target.h}
	model, err := upscaler(inv, ask.Model)
	if err != nil {
		return UpscaleMade{}, plural(err)
	}
	made.Model = model
	if model == "" {
		made.Notes = append(made.Notes, "No upscale model is installed, so the picture is resampled. "+
			"RealESRGAN_x4plus.safetensors of Comfy-Org/Real-ESRGAN_repackaged in models/upscale_models does better.")
	}
	p, err := c.detail(inv, ask, target, &f)
	if err != nil {
		return UpscaleMade{}, plural(err)
	}
	if err := f.err(); err != nil {
		return UpscaleMade{}, err
	}
	if p != nil {
		made.Family, made.DetailModel, made.Steps = p.recipe.ID, p.model.Name, p.steps
		made.Notes = append(made.Notes, p.notes...)
	}
	made.Graph = buildUpscale(model, target, p, ask)
	made.Models = Models(made.Graph, inv.Info)
	return made, nil
}

func buildUpscale(model string, target frame, p *plan, ask UpscaleAsk) comfy.Graph {
	b := &builder{comfy.Graph{}}
	picture := b.add(idPicture, "LoadImage", map[string]any{"image": ""})
	if model != "" {
		picture = b.add(idUpscale, "ImageUpscaleWithModel", map[string]any{
			"image":         picture,
			"upscale_model": b.add(idUpscaler, "UpscaleModelLoader", map[string]any{"model_name": model}),
		})
	}
	if p == nil {
		picture = b.scale(idScale, picture, target)
	} else {
		picture = b.scale(idScale, picture, p.frame) // on the grid of the model's latents
		loaded := b.load(p)
		latent := b.add(idEncode, "VAEEncode", map[string]any{"pixels": picture, "vae": loaded.vae})
		picture = b.paint(p, loaded, latent)
		if p.frame != target {
			picture = b.scale(idFinalSize, picture, target)
		}
	}
	b.output(picture, ask.Prefix, ask.ToTemp)
	return b.graph
}

func (b *builder) scale(id string, picture comfy.Link, to frame) comfy.Link {
	return b.add(id, "ImageScale", map[string]any{"image": picture, "upscale_method": "lanczos", "width": to.w, "height": to.h, "crop": "disabled"})
}

// enlarge returns the size to make of the picture's.
func enlarge(ask UpscaleAsk, f *faults) frame {
	from := frame{ask.Width, ask.Height}
	to := from.times(DefaultFactor)
	field := "factor"
	switch {
	case ask.Factor != nil && (ask.TargetWidth != nil || ask.TargetHeight != nil):
		f.add("factor", "width or height already say it", "factor or a target size, not both")
		return to
	case ask.Factor != nil:
		if !(*ask.Factor >= MinFactor && *ask.Factor <= MaxFactor) {
			f.add("factor", number(*ask.Factor)+" is out of bounds", fmt.Sprintf("a number from %g to %g", MinFactor, MaxFactor))
			return to
		}
		to = from.times(*ask.Factor)
	case ask.TargetWidth != nil || ask.TargetHeight != nil:
		field, to = targetSize(ask, from, f)
		if to == from.times(DefaultFactor) && len(f.list) > 0 {
			return to
		}
	}
	most := cmp.Or(ask.MaxPixels, defaultUpscalePixels)
	if to.area() > float64(most) {
		fits := "a smaller picture"
		if by := math.Floor(math.Sqrt(float64(most)/from.area())*100) / 100; by >= MinFactor {
			fits = "factor at most " + number(by)
		}
		f.add(field, fmt.Sprintf("the result would be %d × %d; at most %d pixels are possible", to.w, to.h, most), fits)
	}
	return to
}

func (f frame) times(by float64) frame {
	return frame{int(math.Round(float64(f.w) * by)), int(math.Round(float64(f.h) * by))}
}

// targetSize reads a target size, and returns the field that faults of it belong to.
func targetSize(ask UpscaleAsk, from frame, f *faults) (string, frame) {
	field, side, own := "width", ask.TargetWidth, from.w
	if side == nil {
		field, side, own = "height", ask.TargetHeight, from.h
	}
	if *side < own || float64(*side) > MaxFactor*float64(own) {
		f.add(field, fmt.Sprintf("%d is not between the picture's %s and %g times that", *side, field, MaxFactor),
			fmt.Sprintf("a number from %d to %d", own, int(MaxFactor)*own))
		return field, from.times(DefaultFactor)
	}
	by := float64(*side) / float64(own)
	to := from.times(by)
	if field == "height" {
		to.h = *side
	} else if h := ask.TargetHeight; h != nil {
		if abs(*h-to.h) > 1 {
			f.add("height", "width and height together would distort the picture", "height "+strconv.Itoa(to.h)+", or width alone")
		} else {
			to.h = *h
		}
	}
	return field, to
}

func abs(n int) int { return max(n, -n) }

// upscaler returns the upscale model for a name, or the best known that is installed, or "" when none is.
func upscaler(inv Inventory, name string) (string, error) {
	if name != "" {
		h, err := resolve(inv, []policy.Kind{policy.Upscaler}, "model", name)
		return h.file.Name, err
	}
	names := namesOf(inv, []policy.Kind{policy.Upscaler})
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(upscalerRank(a), upscalerRank(b)), strings.Compare(a, b))
	})
	return slices.Concat(names, []string{""})[0], nil
}

// upscalerRank puts models that do well on any picture before specialists.
func upscalerRank(name string) int {
	word := spelled(stem(baseOf(name)))
	known := []string{"real-esrgan-x4plus", "4x-ultra-sharp", "real-esrgan"}
	i := slices.IndexFunc(known, func(k string) bool { return strings.HasPrefix(word, k) })
	if i < 0 {
		i = len(known)
	}
	if i == 0 && word != known[0] {
		i = 1 // a child of the best, for drawings say
	}
	return i
}

// detail settles the second pass; nil when none is asked for.
func (c *Catalog) detail(inv Inventory, ask UpscaleAsk, target frame, f *faults) (*plan, error) {
	if !ask.Detail {
		return nil, nil
	}
	if target.area() > MaxDetailPixels {
		by := math.Floor(math.Sqrt(MaxDetailPixels/(float64(ask.Width)*float64(ask.Height)))*100) / 100
		fits := "no detail"
		if by >= MinFactor {
			fits = "factor at most " + number(by) + ", or no detail"
		}
		f.add("detail", fmt.Sprintf("the result would be %d × %d; details are painted up to %d pixels", target.w, target.h, MaxDetailPixels), fits)
	}
	ch := c.chooser(inv)
	chosen, err := ch.chooseForDetail(ask)
	if err != nil {
		return nil, err
	}
	if err := ch.able(chosen, ask.Family); err != nil {
		return nil, err
	}
	s := &settler{r: chosen.recipe, inv: inv, notes: chosen.notes}
	set := chosen.recipe.Settings
	p := &plan{
		choice: chosen, prompt: ask.Prompt, negative: s.negative(ask.Negative, set.CFG), seed: ask.Seed, count: 1,
		steps: set.Steps, cfg: set.CFG, guidance: s.guidance(nil), sampler: set.Sampler, scheduler: s.scheduler(""),
		denoise: cmp.Or(ask.Denoise, DefaultDenoise),
	}
	if !(p.denoise > 0 && p.denoise <= 1) {
		s.add("denoise", "the number is out of bounds", "a number over 0, up to 1")
	}
	z := newSizing(chosen.recipe, 0, 0, 0, f)
	p.frame = frame{z.snap(float64(target.w)), z.snap(float64(target.h))}
	f.list = append(f.list, s.list...)
	return p, nil
}

// chooseForDetail chooses a family that can begin from a picture. The operator's default model is passed over when it cannot;
// one that the caller names is an error then.
func (ch *chooser) chooseForDetail(ask UpscaleAsk) (*choice, error) {
	chosen, err := ch.choose(ask.DetailModel, ask.Family, ask.DefaultModel, (*recipe).denoises)
	if err != nil || chosen.recipe.denoises() {
		return chosen, err
	}
	if ask.DetailModel == "" && ask.Family == "" {
		return ch.bare((*recipe).denoises)
	}
	return nil, &FieldError{Field: "detail", Problem: chosen.recipe.Title + " cannot paint over a picture", Fits: "another family, or no detail"}
}
