package tools

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/monitor"
	"github.com/comfygate/comfygate/policy"
)

// recentJobs are told by status without a job.
const recentJobs = 10

func statusTool(e *Env) Tool {
	return Tool{
		Name:    "status",
		Title:   "How things stand",
		Toolset: "images",
		Scope:   policy.JobRead,
		Class:   limits.Status,
		Hints:   Hints{ReadOnly: true, Idempotent: true, OpenWorld: true},
		Waits:   true,
		Description: "With job_id: where that job stands, waiting for its end, and its pictures once it has succeeded. " +
			"Without: whether ComfyUI answers and which one, limits in force and what is left of them, the queue, and your recent jobs, the newest first. Answers are JSON.",
		Schema: object(fields{
			idField("job_id", "A job of yours."),
			{"wait_seconds", schema{
				Type: "integer", Minimum: 0, Maximum: int(maxWait.Seconds()), Default: int(defaultWait.Seconds()), Examples: []any{120},
				Description: "With job_id: how long to wait for the job's end. 0 returns at once.",
			}},
		}).raw(),
		Decode: func(raw json.RawMessage) (Args, error) {
			a := statusArgs{env: e}
			if err := decode(raw, &a.in); err != nil {
				return nil, err
			}
			return a, nil
		},
	}
}

type statusArgs struct {
	env *Env
	in  struct {
		Job string `json:"job_id"`
		wait
	}
}

// Resolve implements [Args].
func (a statusArgs) Resolve(ctx context.Context, c Caller) (Plan, error) {
	if a.in.Job == "" && a.in.Seconds != nil {
		return nil, workflow.FieldErrors{{Field: "wait_seconds", Problem: "needs a job to wait for", Fits: "job_id with it, or neither"}}
	}
	if a.in.Job == "" {
		return statusPlan{args: a}, nil
	}
	j, err := a.env.Jobs.Get(ctx, c.Principal.Name, a.in.Job)
	if err != nil {
		return nil, err
	}
	return statusPlan{args: a, job: &j}, nil
}

type statusPlan struct {
	args statusArgs
	job  *jobs.Job // nil: how everything stands
}

// Policy implements [Plan].
func (statusPlan) Policy() policy.Request { return policy.Request{} }

// Cost implements [Plan].
func (statusPlan) Cost() Cost { return Cost{Tokens: 1} }

// Record implements [Plan].
func (p statusPlan) Record() map[string]any {
	if p.job == nil {
		return nil
	}
	return map[string]any{"job_id": p.job.ID}
}

// Run implements [Plan].
func (p statusPlan) Run(ctx context.Context, c Caller, release func()) (Result, error) {
	release()
	if p.job == nil {
		return p.args.env.overall(ctx, c)
	}
	return p.args.env.oneJob(ctx, c, *p.job, p.args.in.duration())
}

// oneJob tells of one job. A caller that leaves ends the wait and nothing else.
func (e *Env) oneJob(ctx context.Context, c Caller, j jobs.Job, wait time.Duration) (Result, error) {
	j, err := e.await(ctx, c, j, wait)
	if err != nil {
		return Result{}, err
	}
	if gone, _ := e.leaves(ctx, c); gone && ctx.Err() != nil {
		return Result{}, context.Canceled
	}
	v := e.jobView(c, j)
	v.Outputs = e.outputViews(c, j)
	r := Result{JobID: j.ID, Structured: v, Links: links(j)}
	if r.Text, err = jsonText(v); err != nil {
		return Result{}, err
	}
	r.Pictures, r.Note = e.previewsWithin(ctx, shown(j), "", inlineBeside(c, r.chars()))
	if p := j.Progress.Preview; !j.Over() && len(p) > 0 {
		if g, err := e.Pictures.Glimpse(ctx, p, previewSide, bytesIn(previewChars)); err == nil { // one that is no picture is not worth an error
			r.Pictures = append(r.Pictures, Picture{Data: g.Data, MIME: g.Format.MIME()})
		}
	}
	return r, nil
}

// A statusView is everything, as status tells it.
type statusView struct {
	Status   string          `json:"status"` // healthy, degraded, unhealthy
	Version  string          `json:"version"`
	Server   serverView      `json:"server"`
	Limits   json.RawMessage `json:"limits"`
	Rates    []limits.Quota  `json:"rates"`
	Budgets  []limits.Budget `json:"budgets,omitempty"` // in megapixel-steps
	Places   limits.Usage    `json:"places"`
	Queue    queueView       `json:"queue"`
	Jobs     []jobView       `json:"jobs"`
	Security securityView    `json:"security"`
	Concerns []concernView   `json:"concerns,omitempty"`      // what the monitor saw that is not well
	Output   string          `json:"output_folder,omitempty"` // where full pictures are saved
}

// A serverView is ComfyUI.
type serverView struct {
	Backend    string       `json:"backend"`
	Reachable  bool         `json:"reachable"`
	Since      *time.Time   `json:"since,omitempty"`
	Version    string       `json:"version,omitempty"`
	BelowFloor bool         `json:"below_floor,omitempty"` // older than what is supported
	URL        string       `json:"url,omitempty"`
	Breaker    string       `json:"circuit_breaker"`
	Error      *Fault       `json:"error,omitempty"`
	Devices    []deviceView `json:"devices,omitempty"`
}

// A deviceView is what ComfyUI computes on; memory in bytes.
type deviceView struct {
	Name      string `json:"name"`
	Type      string `json:"type"`
	VRAMTotal int64  `json:"vram_total"`
	VRAMFree  int64  `json:"vram_free"`
}

// A queueView counts jobs: ours of all callers, and all there are at ComfyUI.
type queueView struct {
	Draining       bool `json:"draining,omitempty"` // no new jobs are taken in
	Queued         int  `json:"queued"`
	Running        int  `json:"running"`
	ServerPending  *int `json:"comfyui_pending,omitempty"`
	ServerRunning  *int `json:"comfyui_running,omitempty"`
	SlotsPerServer int  `json:"slots"`
}

// A concernView is one thing that is not well. What exactly is told where the machine is the caller's own, or its operator's.
type concernView struct {
	What  string `json:"what"`
	Level string `json:"level"` // warning, critical
	Text  string `json:"text,omitempty"`
}

type securityView struct {
	InsecureTransport bool `json:"insecure_transport"`
}

// overall tells of everything but one job.
func (e *Env) overall(ctx context.Context, c Caller) (Result, error) {
	queue, err := e.glance.look(ctx, e.Server)
	h := e.Server.Health()
	stats := e.Jobs.Stats()
	v := statusView{
		Status: "healthy", Version: e.Settings.Version,
		Server: serverView{
			Backend: e.Settings.Backend, Reachable: err == nil, Version: clean(h.Info.Version, 40), BelowFloor: h.Info.BelowFloor, Breaker: h.Breaker,
		},
		Limits:   e.bounds,
		Rates:    e.Rates.Remaining(c.Principal.Name),
		Places:   e.Places.Usage(c.Principal.Name),
		Queue:    queueView{Draining: e.Jobs.Draining() != nil, Queued: stats.Queued, Running: stats.Running, SlotsPerServer: h.Slots},
		Jobs:     []jobView{},
		Security: securityView{e.Settings.InsecureTransport},
	}
	if e.Budgets != nil {
		v.Budgets = e.Budgets.Remaining(c.Principal.Name)
	}
	if !h.Since.IsZero() && h.Reachable == v.Server.Reachable {
		v.Server.Since = new(h.Since.UTC().Truncate(time.Second))
	}
	if c.Transport == "stdio" {
		v.Output = e.Settings.OutputDir
	}
	if e.Settings.Backend != embedded && (c.Transport == "stdio" || c.Principal.Can(policy.Operate)) { // the embedded one has no port
		v.Server.URL = e.Settings.URL
	}
	for _, d := range h.Info.Devices[:min(len(h.Info.Devices), 8)] {
		v.Server.Devices = append(v.Server.Devices, deviceView{clean(d.Name, 80), clean(d.Type, 20), d.VRAMTotal, d.VRAMFree})
	}
	switch {
	case err != nil:
		v.Status, v.Server.Error = "unhealthy", e.Explain(err)
	case h.Info.BelowFloor:
		v.Status = "degraded"
	}
	if e.Watch != nil && c.Principal.Name != "" {
		v.watched(e.Watch.Report(), c.Transport == "stdio" || c.Principal.Can(policy.Operate))
	}
	if err == nil {
		v.Queue.ServerPending, v.Queue.ServerRunning = new(len(queue.Pending)), new(len(queue.Running))
	}
	for _, j := range e.Jobs.List(ctx, c.Principal.Name, recentJobs) {
		v.Jobs = append(v.Jobs, e.jobView(c, j))
	}
	text, err := jsonText(v)
	if err != nil {
		return Result{}, err
	}
	return Result{Text: text, Structured: v}, nil
}

// watched adds what the monitor saw. Whether ComfyUI answers was just asked, which is newer.
func (v *statusView) watched(r monitor.Report, whole bool) {
	for _, seen := range r.Readings {
		if seen.Level == monitor.OK || seen.Name == "comfyui" {
			continue
		}
		concern := concernView{What: seen.Name, Level: seen.Level.String()}
		if whole {
			concern.Text = seen.Text
		}
		v.Concerns = append(v.Concerns, concern)
		if seen.Level == monitor.Critical {
			v.Status = monitor.Unhealthy
		} else if v.Status == monitor.Healthy {
			v.Status = monitor.Degraded
		}
	}
}

// limits are the bounds in force (C1.3, C1.4), written once: they hold as long as the process.
func (e *Env) limits() (json.RawMessage, error) {
	s := e.Settings
	m := map[string]any{
		"max_width": s.MaxWidth, "max_height": s.MaxHeight, "max_steps": s.MaxSteps, "max_cfg": s.MaxCFG, "max_count": s.MaxBatch,
		"max_prompt_chars": s.MaxPromptChars, "max_negative_chars": s.MaxNegativeChars, "max_upscale_pixels": s.MaxUpscalePixels,
		"max_upload_bytes": s.MaxUploadBytes, "max_upload_pixels": s.MaxUploadPixels,
		"max_wait_seconds": int(maxWait.Seconds()),
	}
	for name, n := range s.Figures {
		m[name] = n
	}
	return json.Marshal(m)
}

// glanceEvery is how old what status tells of ComfyUI may be; glanceWait bounds how long it waits to learn it.
const (
	glanceEvery = 3 * time.Second
	glanceWait  = 2 * time.Second
)

// A glance keeps what ComfyUI last said of its queue, so that many who ask for status ask it once. It is safe for concurrent use.
type glance struct {
	mu    sync.Mutex
	at    time.Time
	queue comfy.Queue
	err   error
}

// look returns the server's queue, at most [glanceEvery] old, or why it is not known.
func (g *glance) look(ctx context.Context, s Server) (comfy.Queue, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.at.IsZero() && time.Since(g.at) < glanceEvery {
		return g.queue, g.err
	}
	// Not the caller's own context: who goes away must not spoil the answer for those who wait behind.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), glanceWait)
	defer cancel()
	g.err = s.Read(ctx, func(ctx context.Context, lists Lists) (err error) {
		g.queue, err = lists.Queue(ctx)
		return err
	})
	g.at = time.Now()
	return g.queue, g.err
}
