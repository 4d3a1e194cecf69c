package tools

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/policy"
)

// A prepared is a workflow as it would run for a caller at the server, with everything that is wrong with it.
type prepared struct {
	drawn
	source  source
	offers  []workflow.Offer
	notes   []string
	uploads []workflow.Upload
	weight  workflow.Weight
	gives   map[string]bool // the nodes that give results
	seed    *uint64         // nil where the graph takes none

	set     []string // names of the inputs that the caller set
	fields  workflow.FieldErrors
	faults  []workflow.Fault
	missing []workflow.MissingFile
	lost    error // a picture that is not there
}

// prepare does with a workflow all that can be done without changing anything. It fails where there is no graph to speak of; every other
// fault is in what it returns. Lists are a minute old at most; where something seems missing they are read anew, once.
func (e *Env) prepare(ctx context.Context, c Caller, w workflowArg, s seed) (*prepared, error) {
	src, err := e.source(ctx, c, w)
	if err != nil {
		return nil, err
	}
	doc, err := workflow.Read(src.data)
	if err != nil {
		return nil, err
	}
	fixed := s.value
	if !s.set {
		if fixed, err = randomSeed(); err != nil {
			return nil, err
		}
	}
	p, err := e.fit(ctx, c, src, doc, w.Inputs, fixed)
	if err == nil && !p.outdated() || err != nil && !errors.As(err, new(*workflow.UnknownClassError)) {
		return p, err
	}
	if err := e.lists.forget(ctx); err != nil {
		return nil, err
	}
	return e.fit(ctx, c, src, doc, w.Inputs, fixed)
}

// outdated reports whether something seems missing that may have been added since the lists were read (CLIENT-FAIL-22).
func (p *prepared) outdated() bool {
	return len(p.missing) > 0 || slices.ContainsFunc(p.nodes, func(n policy.Node) bool { return n.Module == "" })
}

// fit makes a document what would be submitted to the server.
func (e *Env) fit(ctx context.Context, c Caller, src source, doc *workflow.Document, in values, seed uint64) (*prepared, error) {
	inv, err := e.lists.read(ctx)
	if err != nil {
		return nil, err
	}
	conv, err := doc.Convert(inv.Info)
	if err != nil {
		return nil, err
	}
	p := &prepared{source: src, notes: conv.Notes, set: slices.Sorted(maps.Keys(in))}
	graph := conv.Graph
	if src.from != fromCaller { // what was kept may be older than the server's nodes; a caller's own graph is taken at its word
		graph = workflow.Fill(graph, inv.Info)
	}
	var hidden []workflow.Offer
	p.offers, hidden, p.fields = offersOf(src, conv, graph, inv.Info)
	graph, pictures, err := p.put(graph, slices.Concat(p.offers, hidden), in, seed)
	if err != nil {
		return nil, err
	}
	secured, faults := workflow.Secure(graph, inv.Info, workflow.Destination{Prefix: prefix(), ToTemp: e.Settings.ResultsToTemp}, pictures)
	if secured.Graph == nil {
		secured.Graph = graph
	}
	p.graph, p.uploads = secured.Graph, secured.Uploads
	sizes, err := p.sizes(e.Pictures, c)
	if p.lost = err; err != nil && !isLost(err) {
		return nil, err
	}
	p.gives = outputNodes(p.graph, inv.Info)
	p.faults = merged(faults, workflow.Check(p.graph, e.suggestible(p.graph, inv.Info)), p.crowded())
	p.weight = workflow.Weigh(p.graph, inv.Info, sizes)
	p.models, p.nodes = workflow.Models(p.graph, inv.Info), workflow.Nodes(p.graph, inv.Info)
	p.missing = absent(p.graph, inv.Info, conv.Files)
	return p, nil
}

// put sets the caller's values. What cannot be set is noted, and the graph goes on without any of them.
func (p *prepared) put(g comfy.Graph, offers []workflow.Offer, in values, seed uint64) (comfy.Graph, map[string]string, error) {
	set, pictures, used, err := workflow.Set(g, offers, in, seed)
	if faults, ok := errors.AsType[workflow.FieldErrors](err); ok {
		for _, f := range faults {
			f.Field = inputField(f.Field)
		}
		p.fields = append(p.fields, faults...)
		set, pictures, used, err = workflow.Set(g, offers, p.settable(in, faults), seed)
		if errors.As(err, new(workflow.FieldErrors)) { // those that must be given
			return g, nil, nil
		}
	}
	if err != nil {
		return nil, nil, err
	}
	if slices.ContainsFunc(offers, func(o workflow.Offer) bool { return o.Kind == workflow.OfferSeed }) {
		p.seed = &used
	}
	return set, pictures, nil
}

// settable are the values without those that faults are about.
func (*prepared) settable(in values, faults workflow.FieldErrors) values {
	out := maps.Clone(in)
	for _, f := range faults {
		delete(out, strings.TrimPrefix(f.Field, "inputs."))
	}
	return out
}

// inputField is the argument in which a workflow's input is given.
func inputField(name string) string {
	if name == "" {
		return "inputs"
	}
	return "inputs." + strings.TrimPrefix(name, "inputs.")
}

// sizes are those of the pictures that the graph loads. A picture that is not the caller's does not exist (SC-32).
func (p *prepared) sizes(pictures Pictures, c Caller) (map[string]workflow.Size, error) {
	sizes := make(map[string]workflow.Size, len(p.uploads))
	for _, u := range p.uploads {
		im, err := pictures.Get(c.Principal.Name, u.ImageID)
		if err != nil {
			return sizes, err
		}
		sizes[u.Node] = workflow.Size{Width: im.Width, Height: im.Height, Count: 1}
	}
	return sizes, nil
}

// merged puts lists of faults together, each once, with all that is said of it.
func merged(lists ...[]workflow.Fault) (all []workflow.Fault) {
	at := make(map[string]int)
	for _, f := range slices.Concat(lists...) {
		key := f.Node + "\x00" + f.Input + "\x00" + f.Problem
		i, there := at[key]
		if !there {
			at[key] = len(all)
			all = append(all, f)
			continue
		}
		all[i].Fits, all[i].Rule = cmp.Or(all[i].Fits, f.Fits), cmp.Or(all[i].Rule, f.Rule)
	}
	return all
}

// suggestible is info without the classes that policy denies, as far as the graph does not name them itself: what is suggested in place of an
// unknown class must be one that may run (SC-52).
func (e *Env) suggestible(g comfy.Graph, info *comfy.ObjectInfo) *comfy.ObjectInfo {
	used := make(map[string]bool, len(g))
	unknown := false
	for _, n := range g {
		used[n.ClassType] = true
		unknown = unknown || info.Classes[n.ClassType] == nil
	}
	if !unknown {
		return info
	}
	out := &comfy.ObjectInfo{Classes: make(map[string]*comfy.Class, len(info.Classes))}
	for name, class := range info.Classes {
		if used[name] || e.Rules.AllowNode(policy.Node{Class: name, Module: class.Module, API: class.API}) {
			out.Classes[name] = class
		}
	}
	return out
}

// absent returns the model files that the server lacks, or that policy hides, with what the workflow's author says of them.
func absent(g comfy.Graph, info *comfy.ObjectInfo, hints []workflow.ModelFileHint) (files []workflow.MissingFile) {
	for _, m := range workflow.Absent(g, info) {
		file := workflow.MissingFile{Name: m.Name, Folder: string(m.Kind)}
		for _, h := range hints {
			if h.Name == path.Base(strings.ReplaceAll(m.Name, `\`, "/")) {
				file.Repository = h.URL
			}
		}
		files = append(files, file)
	}
	return files
}

// request is what policy judges. A model that is not there, or that is hidden, is left out: it is a fault, and a verdict on it would tell
// the two apart (SC-52).
func (p *prepared) request() policy.Request {
	models := slices.DeleteFunc(slices.Clone(p.models), func(m policy.Model) bool {
		return slices.ContainsFunc(p.missing, func(f workflow.MissingFile) bool { return f.Name == m.Name && f.Folder == string(m.Kind) })
	})
	return policy.Request{
		Models: models, Nodes: p.nodes, Width: p.weight.Width, Height: p.weight.Height, Count: p.weight.Count, Steps: p.weight.Steps,
		Pixels: p.weight.Pixels, Frames: p.weight.Frames,
	}
}

// work is the megapixel-steps of the whole graph.
func (p *prepared) work() float64 {
	return math.Ceil(float64(max(p.weight.Work, p.weight.Pixels)) / 1e6)
}

// tokens is how many calls of its class a run counts as: one for each picture, a video as one, at most most.
func (p *prepared) tokens(most int) int {
	pictures := p.weight.Count
	if p.weight.Frames > 0 {
		pictures /= p.weight.Frames
	}
	return min(max(pictures, 1), most)
}

// inputs are the pictures to load, by node.
func (p *prepared) inputs() map[string]string {
	in := make(map[string]string, len(p.uploads))
	for _, u := range p.uploads {
		in[u.Node] = u.ImageID
	}
	return in
}

// inputNames are the inputs that take them, where they have another name than most.
func (p *prepared) inputNames() map[string]string {
	names := make(map[string]string)
	for _, u := range p.uploads {
		if u.Input != "image" {
			names[u.Node] = u.Input
		}
	}
	return names
}

// crowded finds nodes that would take two pictures, for which there is no way in.
func (p *prepared) crowded() (faults []workflow.Fault) {
	seen := make(map[string]bool)
	for _, u := range p.uploads {
		if seen[u.Node] {
			faults = append(faults, workflow.Fault{
				Node: u.Node, Class: p.graph[u.Node].ClassType, Input: u.Input, Problem: "a node can be given one picture only", Fits: "a LoadImage node for each",
			})
		}
		seen[u.Node] = true
	}
	return faults
}

// model is the file that does the work, as far as one can tell.
func (p *prepared) model() string {
	for _, kind := range []policy.Kind{policy.Checkpoint, policy.DiffusionModel, policy.Upscaler} {
		for _, m := range p.models {
			if m.Kind == kind && m.Name != "" {
				return m.Name
			}
		}
	}
	return ""
}

// record is what the audit log keeps: the graph by its digest, and no values.
func (p *prepared) record() map[string]any {
	r := map[string]any{
		"workflow": p.source.name, "from": p.source.from, "graph_sha256": p.digest(), "nodes": len(p.graph), "inputs": p.set,
		"width": p.weight.Width, "height": p.weight.Height, "count": p.weight.Count, "steps": p.weight.Steps, "model": p.model(),
	}
	if p.seed != nil {
		r["seed"] = strconv.FormatUint(*p.seed, 10)
	}
	var pictures []string
	for _, u := range p.uploads {
		pictures = append(pictures, u.ImageID)
	}
	if len(pictures) > 0 {
		r["images"] = pictures
	}
	return r
}

// digest is the SHA-256 of the graph as it is submitted, keys in order.
func (p *prepared) digest() string {
	data, err := json.Marshal(p.graph)
	if err != nil {
		return ""
	}
	return sum(data)
}

func sum(data []byte) string {
	digest := sha256.Sum256(data)
	return hex.EncodeToString(digest[:])
}
