package workflow

import (
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/policy"
)

// Text makes the graph of a picture from a prompt: it chooses the model, settles every setting and builds. The graph needs no filling.
// Errors are FieldErrors with every argument that cannot be honoured, *ModelError, *MissingError and *NoModelError; any other error
// is a fault of the calling program.
func (c *Catalog) Text(inv Inventory, ask Ask) (Made, error) {
	ch := c.chooser(inv)
	chosen, err := ch.choose(ask.Model, ask.Family, ask.DefaultModel, fitsAny)
	if err != nil {
		return Made{}, plural(err)
	}
	if err := ch.able(chosen, ask.Family); err != nil {
		return Made{}, err
	}
	p, err := settle(chosen, inv, ask)
	if err != nil {
		return Made{}, err
	}
	graph := buildText(p)
	return Made{
		Graph: graph, Output: idOutput,
		Family: p.recipe.ID, Title: p.recipe.Title, Model: p.model.Name, Models: Models(graph, inv.Info),
		Width: p.w, Height: p.h, Count: p.count, Steps: p.steps, CFG: p.cfg, Guidance: p.guidance,
		Sampler: p.sampler, Scheduler: p.scheduler, Notes: p.notes,
	}, nil
}

// plural makes FieldErrors of a single one, so that callers have one type to look for.
func plural(err error) error {
	if one, ok := err.(*FieldError); ok { //nolint:errorlint // ours is never wrapped
		return FieldErrors{one}
	}
	return err
}

// able returns an error when the server is too old for the choice.
func (ch *chooser) able(c *choice, family string) error {
	lacks := ch.lacks(c)
	if len(lacks) == 0 {
		return nil
	}
	field := "model"
	if family != "" {
		field = "family"
	}
	return FieldErrors{{
		Field: field, Problem: "this ComfyUI is too old for " + c.recipe.Title + ": it lacks " + strings.Join(lacks, ", "),
		Fits: "another family, or a newer ComfyUI",
	}}
}

// lacks names what the server's nodes cannot do of a family's graph: classes that are not there, values that are not in their lists.
// Names of models are not looked at; the folders' own lists are newer. The list is shared: don't change it.
func (ch *chooser) lacks(c *choice) []string {
	if ch.inv.Info == nil {
		return nil
	}
	return ch.known.lack(c.recipe, func() []string { return lacks(c, ch.inv.Info) })
}

func lacks(c *choice, info *comfy.ObjectInfo) (lacks []string) {
	probe := buildText(&plan{
		choice: c, prompt: "x", frame: frame{c.recipe.Size.Width, c.recipe.Size.Height}, count: 1, denoise: 1,
		steps: c.recipe.Settings.Steps, cfg: c.recipe.Settings.CFG, sampler: c.recipe.Settings.Sampler, scheduler: c.recipe.Settings.Scheduler, toTemp: true,
	})
	for _, f := range Fit(probe, info) {
		switch {
		case f.Input == "":
			lacks = append(lacks, "the node "+f.Class)
		case modelKind(f.Class, f.Input) == "":
			lacks = append(lacks, f.Class+" with "+f.Input+" "+f.Got)
		}
	}
	return lacks
}

// A FamilyState tells how far a family can be used at a server.
type FamilyState struct {
	ID, Title string
	Kind      policy.Kind   // of its models
	Installed bool          // every file is there and the server has the nodes
	Chosen    bool          // a bare prompt takes this family, where no setting names a model
	Model     string        // of the family's models the one that is taken; empty when there is none
	Missing   []MissingFile // files to fetch
	Lacks     []string      // what an older server cannot do, for people
}

// Families returns every family that makes pictures from a prompt, in the order in which a bare prompt chooses among those installed.
func (c *Catalog) Families(inv Inventory) []FamilyState {
	ch := c.chooser(inv)
	var out []FamilyState
	bare, err := ch.bare(fitsAny)
	for _, r := range c.recipes() {
		if !r.makes() {
			continue
		}
		s := FamilyState{ID: r.ID, Title: r.Title, Kind: r.kind(), Chosen: err == nil && bare.recipe == r}
		found, missing := ch.parts(r)
		files := ch.candidates(r, true)
		switch {
		case len(files) > 0:
			found.model, s.Model = files[0], files[0].Name
		case !r.plain(): // any checkpoint would do for the plain one, so none is missing
			missing = slices.Insert(missing, 0, r.Files.Model.missing(r.kind()))
		}
		s.Missing = missing
		if len(files) > 0 && len(missing) == 0 {
			s.Lacks = ch.lacks(found)
			s.Installed = len(s.Lacks) == 0
		}
		out = append(out, s)
	}
	return out
}
