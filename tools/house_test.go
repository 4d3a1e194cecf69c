package tools_test

import (
	"bytes"
	"context"
	"errors"
	"image"
	_ "image/png"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/emulator"
	"github.com/comfygate/comfygate/comfy/fleet"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// house is everything from the tools down to an embedded ComfyUI, without the pipeline.
type house struct {
	emulator *emulator.Server
	client   *comfy.Client
	store    *images.Store
	jobs     *jobs.Manager
	ends     *ends
	list     []tools.Tool
	output   string
}

// ends keeps the records of jobs' ends.
type ends struct {
	mu      sync.Mutex
	records []audit.Record
}

func (e *ends) AppendReserved(_ context.Context, r audit.Record) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.records = append(e.records, r)
	return nil
}

func (e *ends) all() []audit.Record {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]audit.Record(nil), e.records...)
}

func newHouse(t *testing.T, opts emulator.Options, change func(*jobs.Config, *tools.Env)) *house {
	t.Helper()
	h := &house{ends: &ends{}, output: filepath.Join(t.TempDir(), "saved")}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	h.emulator, err = emulator.New(opts)
	must(err)
	h.client, err = comfy.New(comfy.Config{URL: "http://127.0.0.1:8188", Dial: h.emulator.Dial})
	must(err)
	ships, err := fleet.New(fleet.Config{Client: h.client})
	must(err)
	h.store, err = images.OpenStore(images.StoreConfig{Dir: filepath.Join(t.TempDir(), "store"), OutputDir: h.output, Generator: "test"})
	must(err)
	cfg := jobs.Config{Servers: jobs.OverFleet(ships), Pictures: h.store, Record: h.ends, Backend: "embedded"}
	env := tools.Env{Settings: tools.Settings{Backend: "embedded", URL: "http://127.0.0.1:8188"}}
	if change != nil {
		change(&cfg, &env)
	}
	h.jobs, err = jobs.New(cfg)
	must(err)
	catalog, err := workflow.Load("")
	must(err)
	rules, err := policy.New(policy.Config{})
	must(err)
	rates, err := limits.New(limits.Config{})
	must(err)
	env.Jobs, env.Pictures, env.Server, env.Catalog, env.Rules, env.Judge = h.jobs, h.store, tools.OverFleet(ships), catalog, rules, rules
	env.Rates, env.Places = rates, limits.NewPlaces(0, 0)
	env.Explain = func(err error) *tools.Fault { return &tools.Fault{Code: "CODE", Message: err.Error()} }
	h.list, err = tools.All(env)
	must(err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		if err := errors.Join(h.jobs.Close(ctx), ships.Close(), h.client.Close(), h.emulator.Close(), h.store.Close()); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return h
}

func callerOf(owner string) tools.Caller {
	return tools.Caller{
		Principal: auth.Principal{Name: owner, Role: policy.Operator, Scopes: policy.ScopesOf(policy.Operator)}, CallID: "call1",
		Arrived: time.Now(), Transport: "stdio",
	}
}

// call makes one call as the pipeline does, without what judges it.
func (h *house) call(ctx context.Context, t *testing.T, c tools.Caller, name, args string) (tools.Result, error) {
	t.Helper()
	a, err := find(t, h.list, name).Decode([]byte(args))
	if err != nil {
		return tools.Result{}, err
	}
	p, err := a.Resolve(ctx, c)
	if err != nil {
		return tools.Result{}, err
	}
	return p.Run(ctx, c, func() {})
}

func (h *house) must(t *testing.T, owner, name, args string) tools.Result {
	t.Helper()
	r, err := h.call(t.Context(), t, callerOf(owner), name, args)
	if err != nil {
		t.Fatalf("%s %s: %+v", name, args, err)
	}
	return r
}

func find(t *testing.T, list []tools.Tool, name string) tools.Tool {
	t.Helper()
	for _, tool := range list {
		if tool.Name == name {
			return tool
		}
	}
	t.Fatalf("there is no tool %s", name)
	return tools.Tool{}
}

// pictureOf is the id of an answer's first picture.
func pictureOf(t *testing.T, r tools.Result) string {
	t.Helper()
	if len(r.Links) == 0 {
		t.Fatalf("the answer has no picture: %s", r.Text)
	}
	return strings.TrimPrefix(r.Links[0].URI, "comfygate://images/")
}

// pixels are those of owner's picture.
func (h *house) pixels(t *testing.T, owner, id string) image.Image {
	t.Helper()
	f, _, err := h.store.Open(owner, id)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	m, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return m
}
