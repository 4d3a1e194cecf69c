package workflow

import (
	"cmp"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/policy"
)

// A choice is a recipe with the files that it will load.
type choice struct {
	recipe   *recipe
	model    comfy.ModelFile
	encoders []string
	vae      string
	notes    []string
}

// A chooser chooses for one call.
type chooser struct {
	*Catalog
	inv   Inventory
	known *learnt
	asked map[hit]map[string]string // metadata
}

func (c *Catalog) chooser(inv Inventory) *chooser {
	return &chooser{c, inv, c.learn(inv.Info), map[hit]map[string]string{}}
}

// choose finds recipe and files for what a caller named: a model, a family, both, or neither. fit judges a family that nobody named.
func (ch *chooser) choose(model, family, defaultModel string, fit func(*recipe) bool) (*choice, error) {
	switch {
	case model != "":
		return ch.byModel(model, family)
	case family != "":
		return ch.byFamily(family, defaultModel)
	case defaultModel != "":
		return ch.byModel(defaultModel, "")
	}
	return ch.bare(fit)
}

func (ch *chooser) byModel(word, family string) (*choice, error) {
	kinds := []policy.Kind{policy.Checkpoint, policy.DiffusionModel}
	var named []*recipe
	if family != "" {
		var err error
		if named, err = ch.families(family); err != nil {
			return nil, err
		}
		kinds = nil
		for _, r := range named {
			if !slices.Contains(kinds, r.kind()) {
				kinds = append(kinds, r.kind())
			}
		}
	}
	h, err := resolve(ch.inv, kinds, "model", word)
	if err != nil {
		return nil, err
	}
	r := ch.tellFile(h, true)
	if named != nil && !slices.Contains(named, r) { // what the caller says of the file goes before what its name says
		r = named[slices.IndexFunc(named, func(n *recipe) bool { return n.kind() == h.kind })]
	}
	switch {
	case r == nil:
		return nil, &FieldError{Field: "model", Problem: "it is not known which family this model belongs to", Fits: "family with one of " + strings.Join(ch.idsOf(h.kind), ", ")}
	case !r.makes():
		return nil, &FieldError{Field: "model", Problem: "no picture can be made from a prompt with " + r.Title + ": it is " + r.Cannot}
	}
	return ch.complete(r, h.file)
}

// byFamily takes the first family of that name that is wholly there, the operator's default model before others of the same family.
func (ch *chooser) byFamily(family, defaultModel string) (*choice, error) {
	named, err := ch.families(family)
	if err != nil {
		return nil, err
	}
	var first error
	for _, r := range named {
		files := ch.candidates(r, true)
		if r.plain() && len(files) == 0 {
			files = ch.inv.Files[r.kind()] // who asks for general settings gets them, whatever is known of the model
		}
		if hits := lookUp(ch.inv.Files, []policy.Kind{r.kind()}, defaultModel); len(hits) == 1 && slices.Contains(files, hits[0].file) {
			files = []comfy.ModelFile{hits[0].file}
		}
		c, err := ch.completeAny(r, files)
		if err == nil {
			return c, nil
		}
		first = cmp.Or(first, err)
	}
	return nil, first
}

// bare takes the first family in order that is wholly there and that the server can run, then any checkpoint at all. Metadata is
// asked for only when no name helps.
func (ch *chooser) bare(fit func(*recipe) bool) (*choice, error) {
	var partly error
	for _, deep := range []bool{false, true} {
		for _, r := range ch.recipes() {
			if !r.makes() || r.plain() || !fit(r) {
				continue
			}
			c, err := ch.whole(r, deep)
			if c != nil {
				return c, nil
			}
			partly = cmp.Or(partly, err)
		}
	}
	for _, r := range ch.recipes() {
		if r.makes() && r.plain() && fit(r) {
			if c, _ := ch.whole(r, true); c != nil {
				return c, nil
			}
		}
	}
	if partly != nil {
		return nil, partly
	}
	return nil, &NoModelError{Suggestions: ch.suggestions()}
}

// whole returns the choice of r when it is wholly there and the server can run it. The error says what is missing beside a model that is there.
func (ch *chooser) whole(r *recipe, deep bool) (*choice, error) {
	files := ch.candidates(r, deep)
	if len(files) == 0 {
		return nil, nil
	}
	c, err := ch.complete(r, files[0])
	if err != nil || len(ch.lacks(c)) > 0 {
		return nil, err
	}
	return c, nil
}

// suggestions are the files of the first family.
func (ch *chooser) suggestions() []MissingFile {
	for _, r := range ch.recipes() {
		if r.makes() && !r.plain() && fitsAny(r) {
			_, missing := ch.parts(r)
			return append([]MissingFile{r.Files.Model.missing(r.kind())}, missing...)
		}
	}
	return nil
}

func fitsAny(*recipe) bool { return true }

// families returns the recipes that a family's name means: the one of that id, else all whose id begins with it.
func (ch *chooser) families(name string) ([]*recipe, error) {
	want := spelled(name)
	var begin []*recipe
	for _, r := range ch.recipes() {
		switch id := r.spelled; {
		case id == want && !r.makes():
			return nil, &FieldError{Field: "family", Problem: "no picture can be made from a prompt with " + r.Title + ": it is " + r.Cannot}
		case id == want:
			return []*recipe{r}, nil
		case want != "" && r.makes() && strings.HasPrefix(id, want):
			begin = append(begin, r)
		}
	}
	if begin == nil {
		return nil, &FieldError{Field: "family", Problem: "there is no such family", Fits: "one of " + strings.Join(ch.ids(), ", ")}
	}
	return begin, nil
}

func (ch *chooser) idsOf(kind policy.Kind) (ids []string) {
	for _, r := range ch.recipes() {
		if r.makes() && r.kind() == kind {
			ids = append(ids, r.ID)
		}
	}
	return ids
}

// candidates returns the server's files of a family, those of a usual name first, then by name.
func (ch *chooser) candidates(r *recipe, deep bool) []comfy.ModelFile {
	var out []comfy.ModelFile
	for _, f := range ch.inv.Files[r.kind()] {
		if ch.tellFile(hit{r.kind(), f}, deep) == r {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b comfy.ModelFile) int {
		return cmp.Or(cmp.Compare(r.Files.Model.rank(a.Name), r.Files.Model.rank(b.Name)), strings.Compare(a.Name, b.Name))
	})
	return out
}

// tellFile returns the recipe for a file of the server: by name, then, when deep, by metadata, then the plain one; nil when none is.
func (ch *chooser) tellFile(h hit, deep bool) *recipe {
	if r := ch.known.recipe(h, ch.tellByName); r != nil {
		return r
	}
	if deep {
		if r := ch.tellByMetadata(h.kind, ch.metadata(h)); r != nil {
			return r
		}
	}
	return ch.plain(h.kind)
}

func (ch *chooser) metadata(h hit) map[string]string {
	meta, known := ch.asked[h]
	if !known && ch.inv.Metadata != nil && len(ch.asked) < MaxMetadata {
		meta = ch.inv.Metadata(string(h.kind), h.file.Name)
		ch.asked[h] = meta
	}
	return meta
}

// completeAny completes r with the first of files.
func (ch *chooser) completeAny(r *recipe, files []comfy.ModelFile) (*choice, error) {
	if len(files) == 0 {
		_, missing := ch.parts(r)
		return nil, &MissingError{Family: r.ID, Title: r.Title, Files: append([]MissingFile{r.Files.Model.missing(r.kind())}, missing...)}
	}
	return ch.complete(r, files[0])
}

// complete adds text encoders and VAE to a model, or names those that are missing.
func (ch *chooser) complete(r *recipe, model comfy.ModelFile) (*choice, error) {
	c, missing := ch.parts(r)
	if len(missing) > 0 {
		return nil, &MissingError{Family: r.ID, Title: r.Title, Files: missing}
	}
	c.model = model
	if r.plain() {
		c.notes = append(c.notes, "The model "+model.Name+" is of no known family; it runs with general settings. Name a family to use that family's.")
	}
	return c, nil
}

// parts finds the files that go with a family's model.
func (ch *chooser) parts(r *recipe) (*choice, []MissingFile) {
	c := &choice{recipe: r}
	var missing []MissingFile
	for i := range r.Files.TextEncoders.Files {
		f := &r.Files.TextEncoders.Files[i]
		name, ok := ch.find(policy.TextEncoder, f)
		if !ok {
			missing = append(missing, f.missing(policy.TextEncoder))
		}
		c.encoders = append(c.encoders, name)
	}
	if f := r.Files.VAE; f != nil {
		var ok bool
		if c.vae, ok = ch.find(policy.VAE, f); !ok {
			missing = append(missing, f.missing(policy.VAE))
		}
	}
	return c, missing
}

// find returns the server's file that f describes: its usual names in order, then its patterns in order.
func (ch *chooser) find(kind policy.Kind, f *file) (string, bool) {
	names := namesOf(ch.inv, []policy.Kind{kind})
	slices.Sort(names)
	for _, usual := range f.Usual {
		if i := slices.IndexFunc(names, func(n string) bool { return folded(baseOf(n)) == folded(usual) }); i >= 0 {
			return names[i], true
		}
	}
	for _, p := range f.Patterns {
		if i := slices.IndexFunc(names, func(n string) bool { return p.in("-"+spelled(baseOf(n))) > 0 }); i >= 0 {
			return names[i], true
		}
	}
	return "", false
}

// rank orders files: the place among the usual names, or after them all.
func (f *file) rank(name string) int {
	base := folded(baseOf(name))
	if i := slices.IndexFunc(f.Usual, func(u string) bool { return folded(u) == base }); i >= 0 {
		return i
	}
	return len(f.Usual)
}

func (f *file) missing(kind policy.Kind) MissingFile {
	return MissingFile{Name: f.Usual[0], Folder: string(kind), Repository: f.Repository}
}
