package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/fleet"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/comfy/workflow/library"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/doctor"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/logging"
	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/policy/live"
	"github.com/comfygate/comfygate/tools"
)

// instructions are what a client's model reads about this server (MCP-34: ≤ 2 KB).
const instructions = `Pictures from ComfyUI. generate needs only a prompt: the model, its size and settings are chosen for you, so name other arguments only when the person asks for them.
A picture is known by its id; show the person the preview that comes with the answer and tell where the full picture was saved. A job that outlasts the wait goes on: ask status with its job_id and wait_seconds until it has ended.
To change a picture slightly, generate again with the same seed and a changed prompt. upscale enlarges a picture by its id; upload_image brings one of the person in. list_models says what is installed. What generate does not do, a workflow may: list_workflows finds those saved here and those that ComfyUI ships, run_workflow runs one by its name; your pictures come in by upload_image. An error says what was wrong and what would fit: correct it and try again; when it says retryable, wait as long as it says.`

// A house is everything that serves calls, wired. Close it from the top down.
type house struct {
	cfg      config.Config
	log      *zap.Logger
	record   *audit.Log
	policy   *live.Policy
	identity *identity // nil over stdio
	denials  *audit.Denials
	client   *comfy.Client
	fleet    *fleet.Fleet
	store    *images.Store
	links    *images.Links  // nil unless pictures are reachable by link
	inbox    *tools.Inbox   // likewise
	inputs   *images.Inputs // nil unless upload_image may read files
	jobs     *jobs.Manager
	watch    watch
	mcp      *mcpserver.Server
	floor    []byte // never touched, see heapFloor
	closers  []closer
}

// heapFloor is counted into the heap without being memory: no page of it is ever touched. Without it the collector, which runs when
// the heap has doubled, would do so every three megabytes, for calls that make 30 kB of waste each.
const heapFloor = 16 << 20

// A closer is one thing to end, within a bound.
type closer struct {
	what string
	end  func(context.Context) error
}

func (h *house) later(what string, end func(context.Context) error) {
	h.closers = append(h.closers, closer{what, end})
}

// close ends everything in reverse order of its making. Each gets what is left of ctx.
func (h *house) close(ctx context.Context) error {
	var errs []error
	for _, c := range slices.Backward(h.closers) {
		if err := c.end(ctx); err != nil {
			errs = append(errs, fmt.Errorf("ending %s: %w", c.what, err))
		}
	}
	h.closers = nil
	return errors.Join(errs...)
}

// build wires the house in the order of its rooms, from the bottom up. Nothing here waits for ComfyUI.
func build(ctx context.Context, p *process, cfg config.Config, linkURL func(path string) string) (h *house, err error) {
	h = &house{cfg: cfg, log: newLog(p, cfg), floor: make([]byte, heapFloor)}
	h.later("log", func(context.Context) error { _ = h.log.Sync(); return nil }) // a terminal cannot be synced
	defer func() {
		if err != nil {
			err = errors.Join(err, h.close(context.WithoutCancel(ctx)))
		}
	}()
	if cfg.Limits.MemoryBytes > 0 {
		debug.SetMemoryLimit(cfg.Limits.MemoryBytes)
	}
	for _, step := range []func(context.Context) error{h.openRecord, h.feedSinks(p.stdout), h.openPolicy, h.reachComfyUI, h.openStore, h.openInputs} {
		if err := step(ctx); err != nil {
			return h, err
		}
	}
	if linkURL != nil {
		if err := h.openLinks(linkURL); err != nil {
			return h, err
		}
	}
	return h, h.serveTools(ctx, linkURL)
}

func newLog(p *process, cfg config.Config) *zap.Logger {
	return logging.New(p.stderr, cfg.Logging.Level, cfg.Logging.Format, cfg.Redactor())
}

func (h *house) openRecord(context.Context) error {
	if err := doctor.CheckDataFolder(h.cfg.Storage.Dir); err != nil {
		return usageError{fmt.Errorf("COMFYGATE_STORAGE__DIR: %s cannot be used: %w", h.cfg.Storage.Dir, err)}
	}
	slot, err := audit.TakeSlot(h.cfg.Storage.Dir)
	if err != nil {
		return fmt.Errorf("data folder %s: %w", h.cfg.Storage.Dir, err)
	}
	h.later("slot", func(context.Context) error { return slot.Release() })
	cfg := auditConfig(h.cfg, slot.Name())
	cfg.Log = h.log.Named("audit")
	if h.record, err = audit.Open(cfg); err != nil {
		return fmt.Errorf("audit log in %s: %w", slot.Dir(), err)
	}
	h.later("audit log", h.record.Close)
	h.denials = audit.NewDenials(h.record)
	h.later("denials", h.denials.Close)
	report, err := audit.RecoverSlots(h.cfg.Storage.Dir, slot, cfg)
	if err != nil { // another slot's trouble must not keep this one from serving; verify finds it
		h.log.Warn("slots of ended processes not recovered", zap.Error(err))
	}
	if report.Closed > 0 {
		h.log.Info("open records of ended processes closed", zap.Int("records", report.Closed))
	}
	return nil
}

// owed bounds what has to be done after its cause has gone.
const owed = 5 * time.Second

func (h *house) serveTools(ctx context.Context, linkURL func(path string) string) error {
	catalog, err := newCatalog(h.cfg)
	if err != nil {
		return err
	}
	guard, err := newGuard(h.cfg, h.policy)
	if err != nil {
		return err
	}
	if err := h.openJobs(guard); err != nil {
		return err
	}
	if err := h.openWatch(); err != nil {
		return err
	}
	env := tools.Env{
		Jobs: h.jobs, Pictures: h.store, Server: tools.OverFleet(h.fleet), Catalog: catalog, Rules: h.policy, Judge: h.policy,
		Rates: guard.rates, Places: guard.places, Budgets: guard.budgets, Watch: h.watch.monitor, Explain: h.explain, Settings: h.settings(),
	}
	if h.links != nil {
		env.Links = pictureLinks{h.links, h.store, func(token string) string { return linkURL("/images/" + token) }}
		env.Inbox = h.inbox
	}
	if h.inputs != nil {
		env.Inputs = h.inputs
	}
	if env.Library, err = h.openLibrary(); err != nil {
		return err
	}
	list, err := tools.All(env)
	if err != nil {
		return err
	}
	if list, err = offered(list, h.cfg.Toolsets.Enabled); err != nil {
		return err
	}
	h.event(ctx, audit.Record{Name: audit.ToolsOffered, Detail: map[string]string{"sha256": digestOf(list)}})
	traces, err := h.openTraces(ctx)
	if err != nil {
		return err
	}
	h.mcp, err = mcpserver.New(mcpserver.Config{
		Name: "comfygate", Title: "comfygate: pictures from ComfyUI", Version: version,
		WebsiteURL: "https://github.com/comfygate/comfygate", Instructions: instructions,
		Tools: list, Policy: h.policy, Limiter: guard.rates, Places: guard.places,
		Budgets: guard.budgets, Calls: guard.calls, Seen: guard.roster.seen,
		Audit: h.record, Denials: h.denials, Images: h.store, Inbox: h.inbox,
		Upstream: h.upstream(), Structured: mcpserver.Structured(h.cfg.MCP.Structured), AlignHeaders: h.cfg.MCP.AlignHeaders,
		Clean: h.cfg.Redactor().Clean, Challenge: h.challenge, Observe: h.ended, Traces: traces,
		Exhausted: h.exhausted,
		Bounds:    mcpserver.Bounds{RequestBytes: h.cfg.Limits.RequestBytes},
		Log:       h.log.Named("mcp"),
	})
	if err != nil {
		return err
	}
	h.tidyUp(catalog)
	return h.watch.begin(ctx, h)
}

func (h *house) openJobs(guard guard) (err error) {
	h.jobs, err = jobs.New(jobs.Config{
		Servers:       jobs.OverFleet(h.fleet),
		Pictures:      h.store,
		Record:        h.record,
		PerOwner:      h.cfg.Limits.JobsPerPrincipal,
		OwnPerOwner:   guard.roster.jobsAtOnce,
		InFlight:      h.cfg.Limits.JobsInFlight,
		Timeout:       h.cfg.Jobs.Timeout,
		CancelOnClose: h.cfg.Jobs.OnDisconnect == config.OnDisconnectCancel,
		PurgeHistory:  h.cfg.Retention.PurgeHistory,
		Backend:       h.cfg.ComfyUI.Backend,
		Code:          func(err error) string { return mcpserver.Explain(err).Code },
		Log:           h.log.Named("jobs"),
	})
	if err != nil {
		return err
	}
	h.later("jobs", h.jobs.Close)
	return nil
}

// tidyUp does what can wait until the first calls are answered, and gives back what starting left behind: a server that waits should
// be small.
func (h *house) tidyUp(catalog *workflow.Catalog) {
	timer := time.AfterFunc(time.Second, func() {
		catalog.Warm()
		debug.FreeOSMemory()
	})
	h.later("memory of the start", func(context.Context) error {
		timer.Stop()
		return nil
	})
}

// exhausted is why nothing new may be made at present.
func (h *house) exhausted() error {
	if err := h.jobs.Draining(); err != nil {
		return err
	}
	return h.watch.monitor.Short(probeDisk)
}

// digestOf is of all that clients are told of tools: a description that changes under its user leaves its evidence (T44).
func digestOf(list []tools.Tool) string {
	sum := sha256.New()
	for _, t := range list {
		for _, part := range []string{t.Name, t.Title, t.Description, string(t.Schema), string(t.Output), fmt.Sprintf("%+v", t.Hints)} {
			fmt.Fprintf(sum, "%d:%s", len(part), part)
		}
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// openLibrary opens the folder of saved workflows, if there is one.
func (h *house) openLibrary() (tools.Library, error) {
	if h.cfg.Workflows.Dir == "" {
		return nil, nil
	}
	saved, err := library.Open(h.cfg.Workflows.Dir)
	if err != nil {
		return nil, usageError{fmt.Errorf("COMFYGATE_WORKFLOWS__DIR: %w", err)}
	}
	h.later("saved workflows", func(context.Context) error { return saved.Close() })
	return saved, nil
}

func newCatalog(cfg config.Config) (*workflow.Catalog, error) {
	catalog, err := workflow.Load(cfg.Recipes.Dir)
	if err != nil {
		return nil, usageError{fmt.Errorf("COMFYGATE_RECIPES__DIR: %w", err)}
	}
	return catalog, nil
}

// explain words an error for a caller, without any credential of ours that ComfyUI may have quoted in it.
func (h *house) explain(err error) *tools.Fault {
	f := mcpserver.Explain(err)
	f.Message = h.cfg.Redactor().Clean(f.Message)
	return f
}

func (h *house) settings() tools.Settings {
	g, l := h.cfg.Generation, h.cfg.Limits
	return tools.Settings{
		Version: version, Backend: h.cfg.ComfyUI.Backend, URL: h.upstream(),
		MaxWidth: g.MaxWidth, MaxHeight: g.MaxHeight, MaxSteps: g.MaxSteps, MaxCFG: g.MaxCFG, MaxBatch: g.MaxBatch,
		MaxPromptChars: g.MaxPromptChars, MaxNegativeChars: g.MaxNegativeChars, MaxUpscalePixels: h.cfg.Upscale.MaxOutputPixels,
		MaxUploadBytes: h.cfg.Upload.MaxBytes, MaxUploadPixels: h.cfg.Upload.MaxPixels,
		VRAMFactor: l.VRAMFactor, VRAMReserveGB: l.VRAMReserveGB,
		Model:              g.Model,
		ResultsToTemp:      h.cfg.ComfyUI.Results == config.ResultsTemp,
		CancelOnDisconnect: h.cfg.Jobs.OnDisconnect == config.OnDisconnectCancel,
		InsecureTransport:  h.client.Insecure(),
		OutputDir:          h.cfg.Output.Dir,
		WorkflowTools:      h.cfg.Workflows.AsTools,
		Figures: map[string]int64{
			"memory_bytes": debug.SetMemoryLimit(-1), "image_bytes": l.ImageBytes, "request_bytes": l.RequestBytes,
			"job_pixels": l.JobPixels, "work_units": l.WorkUnits, "graph_nodes": int64(l.GraphNodes),
			"video_pixels": l.VideoPixels, "video_work_units": l.VideoWorkUnits,
			"jobs_per_principal": int64(l.JobsPerPrincipal), "jobs_in_flight": int64(l.JobsInFlight),
			"calls": int64(l.Calls), "calls_per_principal": int64(l.CallsPerPrincipal), "body_bytes": l.BodyBytes,
			"job_timeout_seconds": int64(h.cfg.Jobs.Timeout / time.Second),
		},
	}
}
