package tools_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/fleet"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/comfy/workflow/library"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

const (
	jobID = "jjjjjjjjjjjjjjjjjjjjjjjjjj"
	imgID = "iiiiiiiiiiiiiiiiiiiiiiiiii"
)

// bench is the tools with everything around them faked.
type bench struct {
	jobs     *fakeJobs
	pictures *fakePictures
	server   *fakeServer
	catalog  *fakeCatalog
	env      tools.Env
	list     []tools.Tool
	schemas  map[string]*jsonschema.Schema // compiled, by tool
	released int
	told     []tools.Progress
}

func newBench(tb testing.TB, change func(*tools.Env)) *bench {
	tb.Helper()
	b := &bench{
		jobs:     &fakeJobs{known: make(map[string]jobs.Job)},
		pictures: &fakePictures{known: map[string]images.Image{imgID: picture(1024, 1024)}},
		server:   newFakeServer(),
		catalog:  &fakeCatalog{},
		schemas:  make(map[string]*jsonschema.Schema),
	}
	rules, err := policy.New(policy.Config{ModelDeny: []string{"secret*"}})
	if err != nil {
		tb.Fatal(err)
	}
	saved, err := library.Open(tb.TempDir())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = saved.Close() })
	b.env = tools.Env{
		Jobs: b.jobs, Pictures: b.pictures, Server: b.server, Catalog: b.catalog, Rules: rules, Judge: rules, Library: saved, Rates: fakeRates{}, Places: fakePlaces{},
		Explain:  func(err error) *tools.Fault { return &tools.Fault{Code: "CODE", Message: err.Error()} },
		Settings: tools.Settings{Version: "1.2.3", URL: "http://127.0.0.1:8188", Figures: map[string]int64{"memory_bytes": 1 << 30}},
	}
	if change != nil {
		change(&b.env)
	}
	if b.list, err = tools.All(b.env); err != nil {
		tb.Fatal(err)
	}
	return b
}

func picture(width, height int) images.Image {
	seed := uint64(5)
	return images.Image{
		ID: imgID, Owner: "ann", Format: images.PNG, Width: width, Height: height, Bytes: 1_300_000, SHA256: "abc", Seed: &seed,
		Saved: "/home/ann/Pictures/comfygate/x.png",
	}
}

func (b *bench) tool(t *testing.T, name string) tools.Tool {
	t.Helper()
	for _, tool := range b.list {
		if tool.Name == name {
			return tool
		}
	}
	t.Fatalf("there is no tool %s", name)
	return tools.Tool{}
}

// caller is ann over stdio.
func (b *bench) caller() tools.Caller {
	return tools.Caller{
		Principal: auth.Principal{Name: "ann", Role: policy.Operator, Scopes: policy.ScopesOf(policy.Operator)},
		CallID:    "call1", Arrived: time.Now(), Transport: "stdio",
		Notify: func(p tools.Progress) { b.told = append(b.told, p) },
	}
}

// resolve takes a call as far as its plan: schema, decoding, resolving.
func (b *bench) resolve(t *testing.T, name, args string) (tools.Plan, error) {
	t.Helper()
	tool := b.tool(t, name)
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(args))
	if err != nil {
		t.Fatalf("%s: %v", args, err)
	}
	if b.schemas[name] == nil {
		b.schemas[name] = compile(t, tool.Schema)
	}
	if err := b.schemas[name].Validate(doc); err != nil {
		return nil, err
	}
	a, err := tool.Decode(json.RawMessage(args))
	if err != nil {
		return nil, err
	}
	return a.Resolve(t.Context(), b.caller())
}

func (b *bench) plan(t *testing.T, name, args string) tools.Plan {
	t.Helper()
	p, err := b.resolve(t, name, args)
	if err != nil {
		t.Fatalf("%s %s: %v", name, args, err)
	}
	return p
}

// run makes a whole call.
func (b *bench) run(t *testing.T, name, args string) (tools.Result, error) {
	t.Helper()
	return b.runAs(t.Context(), t, b.caller(), name, args)
}

func (b *bench) runAs(ctx context.Context, t *testing.T, c tools.Caller, name, args string) (tools.Result, error) {
	t.Helper()
	return b.plan(t, name, args).Run(ctx, c, func() { b.released++ }) //nolint:contextcheck // only the run is to end with ctx
}

func (b *bench) mustRun(t *testing.T, name, args string) tools.Result {
	t.Helper()
	r, err := b.run(t, name, args)
	if err != nil {
		t.Fatalf("%s %s: %v", name, args, err)
	}
	return r
}

func compile(t *testing.T, schema json.RawMessage) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(schema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("mem:schema", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("mem:schema")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fakeJobs holds jobs that go nowhere by themselves.
type fakeJobs struct {
	mu        sync.Mutex
	known     map[string]jobs.Job // by id
	started   []jobs.Spec
	cancelled []string
	stoppers  []jobs.Stopper
	draining  error
	// watch plays what happens while somebody watches; nil: nothing does until the wait is over.
	watch  func(ctx context.Context, j jobs.Job, changed func(jobs.Job)) jobs.Job
	cancel func(ctx context.Context, j jobs.Job) (jobs.Job, error)
}

func (f *fakeJobs) Start(_ context.Context, s jobs.Spec) (jobs.Job, error) {
	s.Release()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started = append(f.started, s)
	j := jobs.Job{
		ID: jobID, Owner: s.Owner, Tool: s.Tool, CallID: s.CallID, State: jobs.Queued, Seed: s.Seed, Model: s.Model, Summary: s.Summary,
		Created: time.Now(), Progress: jobs.Progress{Position: 3},
	}
	f.known[j.ID] = j
	return j, nil
}

func (f *fakeJobs) Get(_ context.Context, owner, id string) (jobs.Job, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	j, ok := f.known[id]
	if !ok || j.Owner != owner {
		return jobs.Job{}, jobs.ErrNotFound
	}
	return j, nil
}

func (f *fakeJobs) List(_ context.Context, owner string, n int) (list []jobs.Job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range f.known {
		if j.Owner == owner {
			list = append(list, j)
		}
	}
	return list[:min(n, len(list))]
}

func (f *fakeJobs) Watch(ctx context.Context, owner, id string, changed func(jobs.Job)) (jobs.Job, error) {
	j, err := f.Get(ctx, owner, id)
	if err != nil {
		return j, err
	}
	if f.watch == nil {
		<-ctx.Done()
		return j, nil
	}
	j = f.watch(ctx, j, changed)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.known[id] = j
	return j, nil
}

func (f *fakeJobs) Cancel(ctx context.Context, owner, id string) (jobs.Job, error) {
	j, err := f.Get(ctx, owner, id)
	if err != nil {
		return j, err
	}
	f.mu.Lock()
	f.cancelled = append(f.cancelled, id)
	f.mu.Unlock()
	if f.cancel != nil {
		return f.cancel(ctx, j)
	}
	if !j.Over() {
		j.State = jobs.Cancelled
	}
	return j, ctx.Err()
}

func (*fakeJobs) Stats() jobs.Stats { return jobs.Stats{Queued: 2, Running: 1} }

// succeed ends a watched job with n pictures.
func succeed(n int) func(context.Context, jobs.Job, func(jobs.Job)) jobs.Job {
	return func(_ context.Context, j jobs.Job, changed func(jobs.Job)) jobs.Job {
		changed(j)
		j.State, j.Started, j.Progress = jobs.Running, j.Created, jobs.Progress{Step: 12, Steps: 20, Fraction: 0.6, Node: "KSampler"}
		changed(j)
		j.State, j.Ended, j.Progress.Fraction = jobs.Succeeded, j.Created.Add(8200*time.Millisecond), 1
		for range n {
			j.Images = append(j.Images, picture(1024, 1024))
		}
		changed(j)
		return j
	}
}

// fakePictures renders pictures as large as it is told.
type fakePictures struct {
	known map[string]images.Image
	// weigh tells the bytes of a rendition.
	weigh func(side int, f images.Format) int
	asked []string
	err   error

	shows  []images.Showing // what was asked for
	took   []byte           // the last upload
	bounds images.Bounds
}

func (f *fakePictures) Get(owner, id string) (images.Image, error) {
	im, ok := f.known[id]
	if !ok || im.Owner != owner {
		return images.Image{}, images.ErrNotFound
	}
	return im, nil
}

func (f *fakePictures) Open(owner, id string) (io.ReadSeekCloser, images.Image, error) {
	im, err := f.Get(owner, id)
	return nil, im, err
}

func (f *fakePictures) Preview(ctx context.Context, owner, id string, side, room int) (images.Rendition, error) {
	f.shows = append(f.shows, images.Showing{Side: side, Bytes: room})
	if f.weigh == nil {
		return images.Rendition{Data: make([]byte, min(room, 60_000)), Format: images.JPEG, Width: side, Height: side}, f.err
	}
	return f.Render(ctx, owner, id, side, images.JPEG, room)
}

// Glimpse takes what begins like a JPEG for a picture.
func (f *fakePictures) Glimpse(_ context.Context, data []byte, side, room int) (images.Rendition, error) {
	if !bytes.HasPrefix(data, []byte("\xff\xd8")) {
		return images.Rendition{}, &images.TypeError{Got: "text/plain"}
	}
	return images.Rendition{Data: data[:min(room, len(data))], Format: images.JPEG, Width: side, Height: side}, f.err
}

func (f *fakePictures) Render(_ context.Context, _, _ string, side int, format images.Format, room int) (images.Rendition, error) {
	f.asked = append(f.asked, fmt.Sprint(side, " ", format))
	f.shows = append(f.shows, images.Showing{Side: side, Bytes: room, Format: format})
	if f.err != nil {
		return images.Rendition{}, f.err
	}
	n := 1000
	if f.weigh != nil {
		n = f.weigh(side, format)
	}
	if n > room {
		return images.Rendition{}, &images.BoundsError{What: "bytes", Got: int64(n), Max: int64(room)}
	}
	if format == "" {
		format = images.PNG
	}
	if side == 0 {
		side = 1024
	}
	return images.Rendition{Data: make([]byte, n), Format: format, Width: side, Height: side}, nil
}

// fakeServer lists what it is given.
type fakeServer struct {
	mu     sync.Mutex
	health fleet.Health
	err    error
	info   *comfy.ObjectInfo
	files  map[string][]comfy.ModelFile
	asked  map[string]int
	forgot int

	templates []comfy.Template
	documents map[string]string // of templates, by name
	// onForget changes what is listed from then on.
	onForget func()
}

func newFakeServer() *fakeServer {
	loader := &comfy.Class{
		Name: "CheckpointLoaderSimple", Module: "nodes",
		Inputs:  []comfy.Input{{Name: "ckpt_name", Type: "COMBO", Required: true, Options: []string{"base.safetensors", "secret.safetensors"}}},
		Outputs: []comfy.Port{{Name: "MODEL", Type: "MODEL"}, {Name: "CLIP", Type: "CLIP"}, {Name: "VAE", Type: "VAE"}},
	}
	latent := &comfy.Class{
		Name: "EmptyLatentImage", Module: "nodes", Outputs: []comfy.Port{{Name: "LATENT", Type: "LATENT"}},
		Inputs: []comfy.Input{{Name: "width", Type: "INT", Required: true, Default: json.Number("512")}},
	}
	decode := &comfy.Class{
		Name: "VAEDecode", Module: "nodes", Outputs: []comfy.Port{{Name: "IMAGE", Type: "IMAGE"}},
		Inputs: []comfy.Input{{Name: "samples", Type: "LATENT", Required: true}, {Name: "vae", Type: "VAE", Required: true}},
	}
	save := &comfy.Class{
		Name: "SaveImage", Module: "nodes", OutputNode: true,
		Inputs: []comfy.Input{
			{Name: "images", Type: "IMAGE", Required: true},
			{Name: "filename_prefix", Type: "STRING", Required: true, Default: "ComfyUI"},
		},
	}
	load := &comfy.Class{
		Name: "LoadImage", Module: "nodes", Outputs: []comfy.Port{{Name: "IMAGE", Type: "IMAGE"}, {Name: "MASK", Type: "MASK"}},
		Inputs: []comfy.Input{{Name: "image", Type: "COMBO", Required: true, Upload: true, Dynamic: true}},
	}
	sampler := &comfy.Class{
		Name: "KSampler", Module: "nodes",
		Inputs: []comfy.Input{
			{Name: "sampler_name", Type: "COMBO", Required: true, Options: []string{"euler", "dpmpp_2m"}},
			{Name: "scheduler", Type: "COMBO", Required: true, Options: []string{"normal", "karras"}},
		},
	}
	info := &comfy.ObjectInfo{Classes: make(map[string]*comfy.Class)}
	denied := &comfy.Class{Name: "SecretSave", Module: "custom_nodes.secret", OutputNode: true}
	for _, c := range []*comfy.Class{loader, latent, decode, save, load, sampler, denied} {
		info.Classes[c.Name] = c
	}
	return &fakeServer{
		health: fleet.Health{Reachable: true, Checked: time.Now(), Since: time.Now(), Breaker: "closed", Slots: 2, Info: comfy.ServerInfo{
			Version: "0.33.0", Devices: []comfy.Device{{Name: "cpu", Type: "cpu", VRAMTotal: 8, VRAMFree: 4}},
		}},
		info: info,
		files: map[string][]comfy.ModelFile{
			"checkpoints":    {{Name: "base.safetensors", Size: 7e9}, {Name: "secret.safetensors"}, {Name: "old.ckpt"}},
			"loras":          {{Name: "anime.safetensors"}, {Name: "detail.safetensors"}, {Name: "secret_lora.safetensors"}},
			"upscale_models": {{Name: "4x.pth"}},
		},
		asked: make(map[string]int),
	}
}

func (s *fakeServer) Health() fleet.Health { return s.health }

func (s *fakeServer) Read(ctx context.Context, fn func(context.Context, tools.Lists) error) error {
	if s.err != nil {
		return s.err
	}
	return fn(ctx, s)
}

func (s *fakeServer) Free(context.Context) error {
	s.count("free")
	return s.err
}

func (s *fakeServer) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[what]++
}

func (s *fakeServer) ObjectInfo(context.Context) (*comfy.ObjectInfo, error) {
	s.count("object_info")
	return s.info, nil
}

func (s *fakeServer) Models(_ context.Context, folder string) ([]comfy.ModelFile, error) {
	s.count(folder)
	return s.files[folder], nil
}

func (*fakeServer) Embeddings(context.Context) ([]string, error) {
	return []string{"badhands", "secret_embedding"}, nil
}

func (s *fakeServer) Metadata(_ context.Context, folder, name string) (map[string]string, error) {
	s.count("metadata")
	if folder != "checkpoints" {
		return nil, comfy.ErrNotFound
	}
	return map[string]string{"name": name}, nil
}

func (s *fakeServer) Queue(context.Context) (comfy.Queue, error) {
	s.count("queue")
	return comfy.Queue{Running: []string{"a"}, Pending: []string{"b", "c"}}, nil
}

func (s *fakeServer) Templates(context.Context) ([]comfy.Template, error) {
	s.count("templates")
	return s.templates, nil
}

func (s *fakeServer) Template(_ context.Context, name string) ([]byte, error) {
	s.count("template " + name)
	data, ok := s.documents[name]
	if !ok {
		return nil, comfy.ErrNoTemplate
	}
	return []byte(data), nil
}

func (s *fakeServer) Forget() {
	s.forgot++
	if s.onForget != nil {
		s.onForget()
	}
}

type fakeRates struct{}

func (fakeRates) Remaining(principal string) []limits.Quota {
	return []limits.Quota{{Limit: "generate_per_minute", PerMinute: 10, Burst: 10, Left: len(principal)}}
}

type fakePlaces struct{}

func (fakePlaces) Usage(string) limits.Usage {
	return limits.Usage{Held: 1, Max: 16, MaxPerPrincipal: 8}
}

type fakeLinks struct{}

func (fakeLinks) Picture(owner, id string) (string, time.Duration) {
	return "https://example.org/i/" + owner + "-" + id, 10*time.Minute - time.Millisecond // which passes until it is told
}

// fieldsOf are the arguments that err blames.
func fieldsOf(err error) (fields []string) {
	if invalid, ok := errors.AsType[*jsonschema.ValidationError](err); ok {
		return locations(invalid)
	}
	if several, ok := errors.AsType[workflow.FieldErrors](err); ok {
		for _, f := range several {
			fields = append(fields, f.Field)
		}
	}
	if one, ok := errors.AsType[*workflow.FieldError](err); ok {
		fields = append(fields, one.Field)
	}
	if fault, ok := errors.AsType[*tools.Fault](err); ok && fault.Code == "SECURITY_ERROR" {
		fields = append(fields, strings.Fields(fault.Message)[0])
	}
	return fields
}

func locations(e *jsonschema.ValidationError) (fields []string) {
	if len(e.Causes) == 0 {
		return []string{strings.Join(e.InstanceLocation, ".")}
	}
	for _, c := range e.Causes {
		fields = append(fields, locations(c)...)
	}
	return fields
}
