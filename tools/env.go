package tools

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/fleet"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/monitor"
	"github.com/comfygate/comfygate/policy"
)

// Env is what the tools work with. All fields but Library, Links, Inbox and Inputs are required.
type Env struct {
	Jobs     Jobs      // *jobs.Manager
	Pictures Pictures  // *images.Store
	Server   Server    // [OverFleet]
	Catalog  Catalog   // *workflow.Catalog
	Rules    ModelRule // *policy.Rules
	Judge    Judge     // likewise
	Library  Library   // saved workflows; nil where there are none
	Rates    Rates     // *limits.Limiter
	Places   Places    // *limits.Places
	Budgets  Budgets   // *limits.Budgets; nil: none is told
	Watch    Watch     // *monitor.Monitor; nil: nobody looks
	Links    Links     // signed URLs of pictures; nil where there are none
	Inbox    *Inbox    // one-time upload links; nil where there are none
	Inputs   Inputs    // files that upload_image may name; nil: none
	Explain  func(error) *Fault
	Settings Settings

	lists  *inventory
	glance *glance
	bounds json.RawMessage // for status

	digests *digests
	own     map[string]bool // saved workflows that are tools; not changed after All
}

func (e Env) validate() error {
	for name, missing := range map[string]bool{
		"Jobs": e.Jobs == nil, "Pictures": e.Pictures == nil, "Server": e.Server == nil, "Catalog": e.Catalog == nil,
		"Rules": e.Rules == nil, "Judge": e.Judge == nil, "Rates": e.Rates == nil, "Places": e.Places == nil, "Explain": e.Explain == nil,
	} {
		if missing {
			return errors.New("tools: Env." + name + " is required")
		}
	}
	return e.Settings.validate()
}

// Watch tells what was seen last of what comfygate depends on. [monitor.Monitor] is one.
type Watch interface{ Report() monitor.Report }

// Jobs is what the tools need of [jobs.Manager].
type Jobs interface {
	Start(ctx context.Context, s jobs.Spec) (jobs.Job, error)
	Get(ctx context.Context, owner, id string) (jobs.Job, error)
	List(ctx context.Context, owner string, n int) []jobs.Job
	Watch(ctx context.Context, owner, id string, changed func(jobs.Job)) (jobs.Job, error)
	Cancel(ctx context.Context, owner, id string) (jobs.Job, error)
	Stats() jobs.Stats
	Operate
}

// Operate is what operators need of [jobs.Manager] besides: jobs of others.
type Operate interface {
	All() []jobs.Job
	Find(ctx context.Context, id string) (jobs.Job, error)
	Stop(ctx context.Context, by jobs.Stopper, id string) (jobs.Job, error)
	Drop(ctx context.Context, by jobs.Stopper, owner string) ([]jobs.Job, error)
	Drain(ctx context.Context, by jobs.Stopper) ([]jobs.Job, error)
	Resume()
	Draining() error
}

// Pictures is what the tools need of [images.Store].
type Pictures interface {
	Get(owner, id string) (images.Image, error)
	Open(owner, id string) (io.ReadSeekCloser, images.Image, error)
	Preview(ctx context.Context, owner, id string, maxSide, maxBytes int) (images.Rendition, error)
	Render(ctx context.Context, owner, id string, maxSide int, f images.Format, maxBytes int) (images.Rendition, error)
	Glimpse(ctx context.Context, data []byte, maxSide, maxBytes int) (images.Rendition, error)
	Uploads
}

// Server is ComfyUI as the tools see it: what is known of it, and its lists.
type Server interface {
	Health() fleet.Health
	// Read runs fn behind the circuit breaker.
	Read(ctx context.Context, fn func(context.Context, Lists) error) error
	// Free has it unload models and empty its caches, once its present job has ended.
	Free(ctx context.Context) error
}

// Lists are the answers of a ComfyUI that change nothing. [comfy.Client] gives them, from caches.
type Lists interface {
	ObjectInfo(ctx context.Context) (*comfy.ObjectInfo, error)
	Models(ctx context.Context, folder string) ([]comfy.ModelFile, error)
	Embeddings(ctx context.Context) ([]string, error)
	Metadata(ctx context.Context, folder, name string) (map[string]string, error)
	Queue(ctx context.Context) (comfy.Queue, error)
	Templates(ctx context.Context) ([]comfy.Template, error)
	Template(ctx context.Context, name string) ([]byte, error)
	// Forget empties the caches.
	Forget()
}

// OverFleet returns f as a [Server].
func OverFleet(f *fleet.Fleet) Server { return overFleet{f} }

type overFleet struct{ *fleet.Fleet }

func (o overFleet) Read(ctx context.Context, fn func(context.Context, Lists) error) error {
	return o.Do(ctx, func(ctx context.Context, c *comfy.Client) error { return fn(ctx, c) })
}

func (o overFleet) Free(ctx context.Context) error {
	return o.Do(ctx, func(ctx context.Context, c *comfy.Client) error { return c.Free(ctx) })
}

// Catalog makes graphs. [workflow.Catalog] is one.
type Catalog interface {
	Text(inv workflow.Inventory, ask workflow.Ask) (workflow.Made, error)
	Upscale(inv workflow.Inventory, ask workflow.UpscaleAsk) (workflow.UpscaleMade, error)
	Families(inv workflow.Inventory) []workflow.FamilyState
	Recognise(kind policy.Kind, file string) (family string, ok bool)
}

// ModelRule tells which models and classes exist for callers (SC-52). [policy.Rules] is one.
type ModelRule interface {
	AllowModel(kind policy.Kind, name string) bool
	AllowNode(n policy.Node) bool
}

// Rates tells what is left of the rates. [limits.Limiter] does.
type Rates interface {
	Remaining(principal string) []limits.Quota
}

// Places tells how full the queue is. [limits.Places] does.
type Places interface {
	Usage(principal string) limits.Usage
}

// Budgets tells what is left of the budgets. [limits.Budgets] does.
type Budgets interface {
	Remaining(principal string) []limits.Budget
}

// Links makes links to pictures. A link is its own credential, for as long as it lasts.
type Links interface {
	Picture(owner, id string) (url string, lasts time.Duration)
}
