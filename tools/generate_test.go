package tools_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// SC-25, SC-28, E03: what is said reaches the catalog as it was said, to the last bit.
func TestGenerate_SC28_asks(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(e *tools.Env) { e.Settings.Model, e.Settings.ResultsToTemp = "default.safetensors", true })
	prompt := `a & "b" <c> ` + "\u202e\n日本"
	p := b.plan(t, "generate", fmt.Sprintf(`{"prompt":%q,"negative_prompt":"n","preset":"draft","width":512,"height":768,"model":"m","family":"f",
		"loras":[{"name":"a"},{"name":"b","strength":-0.5}],"steps":9,"cfg":2.5,"guidance":0,"sampler":"euler","scheduler":"karras",
		"seed":18446744073709551615,"count":3}`, prompt))
	want := workflow.Ask{
		Prompt: prompt, Negative: "n", Preset: "draft", Width: new(512), Height: new(768), Model: "m", Family: "f",
		LoRAs: []workflow.LoRA{{Name: "a", Strength: 1}, {Name: "b", Strength: -0.5}}, Steps: new(9), CFG: new(2.5), Guidance: new(0.0),
		Sampler: "euler", Schedule: "karras", Seed: math.MaxUint64, Count: 3, Prefix: b.catalog.ask.Prefix, ToTemp: true,
		DefaultModel: "default.safetensors", MaxWidth: 2048, MaxHeight: 2048,
	}
	if diff := cmp.Diff(want, b.catalog.ask); diff != "" {
		t.Error(diff)
	}
	if !regexp.MustCompile(`^comfygate/[A-Za-z0-9_-]{1,64}$`).MatchString(b.catalog.ask.Prefix) { // CLIENT-SEC-6
		t.Errorf("prefix %q", b.catalog.ask.Prefix)
	}
	first := b.catalog.ask.Prefix
	if b.plan(t, "generate", `{"prompt":"x"}`); b.catalog.ask.Prefix == first {
		t.Error("two jobs share a prefix") // CLIENT-FAIL-18
	}
	// What is judged and what is reserved.
	r := p.Policy()
	if r.Width != 1024 || r.Count != 3 || r.Steps != 25 || r.Pixels != 3*1024*1024 {
		t.Errorf("judged %+v", r)
	}
	if cost := p.Cost(); cost != (tools.Cost{Tokens: 3, Place: true, Work: 79}) { // LIM-03: 3 × 1.048576 × 25, rounded up
		t.Errorf("cost %+v", cost)
	}
	if diff := cmp.Diff([]policy.Model{{Kind: policy.Checkpoint, Name: "base.safetensors"}}, r.Models); diff != "" {
		t.Error(diff)
	}
	var classes []string
	for _, n := range r.Nodes {
		classes = append(classes, n.Class)
		if n.Module != "nodes" {
			t.Errorf("node %+v", n)
		}
	}
	if want := []string{"CheckpointLoaderSimple", "EmptyLatentImage", "VAEDecode", "SaveImage"}; !slices.Equal(classes, want) {
		t.Errorf("nodes %v", classes)
	}
}

// D22: without a seed each call has its own, which every JSON reader reads exactly.
func TestGenerate_D22_randomSeed(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	seen := make(map[uint64]bool)
	for _, args := range []string{`{"prompt":"x"}`, `{"prompt":"x","seed":-1}`, `{"prompt":"x"}`} {
		b.plan(t, "generate", args)
		s := b.catalog.ask.Seed
		if seen[s] || s > 1<<53-1 {
			t.Errorf("seed %d", s)
		}
		seen[s] = true
	}
}

// AUD-12, AUD-13: the record has no text of the caller's but as a digest.
func TestGenerate_AUD12_record(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	r := b.plan(t, "generate", `{"prompt":"canary one","negative_prompt":"canary two","seed":9007199254740993,"loras":[{"name":"detail.safetensors"}]}`).Record()
	for key, v := range r {
		if _, digest := v.(tools.Digest); !digest && strings.Contains(fmt.Sprint(v), "canary") {
			t.Errorf("%s: %v", key, v)
		}
	}
	if r["prompt"] != tools.Digest("canary one") || r["negative_prompt"] != tools.Digest("canary two") || r["seed"] != "9007199254740993" {
		t.Errorf("record %v", r)
	}
}

// SC-52: the catalog sees nothing that policy denies, in no list.
func TestGenerate_SC52_inventory(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.plan(t, "generate", `{"prompt":"x"}`)
	text := fmt.Sprintf("%+v %+v", b.catalog.inv.Files, b.catalog.inv.Info.Classes["CheckpointLoaderSimple"].Inputs)
	if strings.Contains(text, "secret") || strings.Contains(text, "old.ckpt") || !strings.Contains(text, "base.safetensors") {
		t.Errorf("the catalog sees %s", text)
	}
	if want := []string{"euler", "dpmpp_2m"}; !slices.Equal(b.catalog.inv.Samplers, want) {
		t.Errorf("samplers %v", b.catalog.inv.Samplers)
	}
	if got := b.catalog.inv.Metadata("checkpoints", "base.safetensors"); got["name"] != "base.safetensors" {
		t.Errorf("metadata %v", got)
	}
	if got := b.catalog.inv.Metadata("loras", "x"); len(got) != 0 {
		t.Errorf("metadata that is not there: %v", got)
	}
	info := b.catalog.inv.Info
	if b.plan(t, "generate", `{"prompt":"x"}`); b.catalog.inv.Info != info {
		t.Error("the same lists are cut down anew for each call")
	}
}

// countedRules counts the models that policy judges.
type countedRules struct {
	tools.ModelRule

	judged atomic.Int64
}

func (r *countedRules) AllowModel(kind policy.Kind, name string) bool {
	r.judged.Add(1)
	return r.ModelRule.AllowModel(kind, name)
}

// A list that is still the same is not cut down anew for each call; another one is.
func TestGenerate_keepsLists(t *testing.T) {
	t.Parallel()
	rules := &countedRules{}
	b := newBench(t, func(e *tools.Env) { rules.ModelRule, e.Rules = e.Rules, rules })
	b.plan(t, "generate", `{"prompt":"x"}`)
	first := rules.judged.Load()
	if b.plan(t, "generate", `{"prompt":"x"}`); rules.judged.Load() != first {
		t.Errorf("%d models are judged again", rules.judged.Load()-first)
	}
	for _, list := range [][]comfy.ModelFile{{{Name: "base.safetensors"}, {Name: "secret2.safetensors"}, {Name: "new.safetensors"}}, {{Name: "secret3.safetensors"}}, {}} {
		b.server.files["checkpoints"] = list
		b.plan(t, "generate", `{"prompt":"x"}`)
		got := fmt.Sprint(b.catalog.inv.Files[policy.Checkpoint])
		if strings.Contains(got, "secret") || strings.Contains(got, "new") != (len(list) > 1) {
			t.Errorf("of %v the catalog sees %s", list, got)
		}
	}
}

// CLIENT-FAIL-22: a model that was installed a moment ago is found.
func TestGenerate_staleLists(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.catalog.err = &workflow.ModelError{Name: "new.safetensors"}
	b.server.onForget = func() { b.catalog.err = nil }
	b.plan(t, "generate", `{"prompt":"x"}`)
	if b.server.forgot != 1 {
		t.Errorf("the lists were read anew %d times", b.server.forgot)
	}
	b.catalog.err, b.server.onForget = &workflow.ModelError{Name: "none.safetensors"}, nil
	if _, err := b.resolve(t, "generate", `{"prompt":"x"}`); !errors.Is(err, b.catalog.err) || b.server.forgot != 2 {
		t.Errorf("error %v after %d new readings", err, b.server.forgot)
	}
	b.catalog.err = workflow.FieldErrors{{Field: "cfg", Problem: "is fixed at 1"}}
	if _, err := b.resolve(t, "generate", `{"prompt":"x"}`); fieldsOf(err) == nil || b.server.forgot != 2 {
		t.Errorf("error %v: what lists have nothing to do with was asked anew", err)
	}
}

// C2.4: a graph that the server would refuse is not posted.
func TestGenerate_C24_misfit(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.catalog.graph = testGraph("p")
	b.catalog.graph["4"] = comfy.Node{ClassType: "NewNode", Inputs: map[string]any{}}
	_, err := b.resolve(t, "generate", `{"prompt":"x"}`)
	var fault *tools.Fault
	if !errors.As(err, &fault) || fault.Code != "UPSTREAM_REJECTED" || !strings.Contains(fault.Message, "NewNode") {
		t.Errorf("error %v", err)
	}
}

func TestGenerate_serverDown(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.server.err = comfy.ErrUnreachable
	if _, err := b.resolve(t, "generate", `{"prompt":"x"}`); !errors.Is(err, comfy.ErrUnreachable) {
		t.Errorf("error %v", err)
	}
}

// The shape of mcp.md 16.4: text with everything a caller needs, previews, links; progress on the way.
func TestGenerate_answers(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(e *tools.Env) { e.Links = fakeLinks{} })
	b.catalog.notes = []string{"The preset's steps were not taken."}
	b.jobs.watch = succeed(2)
	r := b.mustRun(t, "generate", `{"prompt":"canary","seed":42,"count":2,"loras":[{"name":"detail.safetensors","strength":0.5}]}`)
	for _, want := range []string{
		"Made 2 pictures on ComfyUI 0.33.0 in 8.2 s.", "Picture: " + imgID + ", 1024×1024 PNG, 1.3 MB", "Saved: /home/ann/Pictures/comfygate/x.png",
		"Link for 10 minutes: https://example.org/i/ann-" + imgID, "seed 42", "family SDXL", "model base.safetensors", "size 1024×1024", "steps 25", "cfg 8",
		"sampler euler", "scheduler normal", "loras detail.safetensors × 0.5", "Job: " + jobID, "Note: The preset's steps were not taken.", "Next:",
	} {
		if !strings.Contains(r.Text, want) {
			t.Errorf("the text lacks %q:\n%s", want, r.Text)
		}
	}
	if strings.Contains(r.Text, "canary") {
		t.Error("the text echoes the prompt")
	}
	if len(r.Pictures) != 2 || r.Pictures[0].MIME != "image/jpeg" || r.JobID != jobID || r.Accepted || !slices.Equal(r.Outputs, []string{"abc", "abc"}) {
		t.Errorf("result %d pictures, %+v", len(r.Pictures), r.Outputs)
	}
	want := tools.Link{URI: "comfygate://images/" + imgID, Name: imgID + ".png", Title: "Full picture, 1024×1024 PNG", MIME: "image/png", Size: 1_300_000}
	if len(r.Links) != 2 || r.Links[0] != want {
		t.Errorf("links %+v", r.Links)
	}
	var told []string
	last := -1.0
	for _, p := range b.told {
		told = append(told, p.Message)
		if p.Done <= last || p.Done > p.Total || p.Total != 100 {
			t.Errorf("progress goes from %v to %v of %v", last, p.Done, p.Total)
		}
		last = p.Done
	}
	if want := []string{"waiting, 2 jobs ahead", "step 12 of 20", "succeeded"}; !slices.Equal(told, want) {
		t.Errorf("progress %q", told)
	}
	s := b.jobs.started[0]
	if s.Owner != "ann" || s.CallID != "call1" || s.Output != "9" || s.Count != 2 || *s.Seed != 42 || s.Cost != 53 ||
		s.Expect != (images.Bounds{Width: 1024, Height: 1024}) || b.released != 1 {
		t.Errorf("job %+v, released %d times", s, b.released)
	}
	if got := s.Graph["2"].Inputs["width"]; got == nil {
		t.Error("a missing input was not filled in")
	}
}

// MCP-15: progress increases strictly, also while a job moves up in line or the server is away.
func TestGenerate_MCP15_progress(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.jobs.watch = func(_ context.Context, j jobs.Job, changed func(jobs.Job)) jobs.Job {
		for _, p := range []jobs.Progress{
			{Position: 3},
			{Position: 2},
			{Position: 2},
			{Position: 1},
			{Fraction: 0.5, Node: "KSampler"},
			{Fraction: 0.5, Node: "KSampler", Unreachable: true},
			{Fraction: 0.4, Node: "VAEDecode"},
			{Fraction: 1.7, Step: 20, Steps: 20},
		} {
			if j.Progress = p; p.Position == 0 {
				j.State = jobs.Running
			}
			changed(j)
		}
		return j
	}
	b.mustRun(t, "generate", `{"prompt":"x"}`)
	var told []string
	last := -1.0
	for _, p := range b.told {
		told = append(told, p.Message)
		if p.Done <= last || p.Done > p.Total || p.Total != 100 {
			t.Errorf("progress goes from %v to %v of %v", last, p.Done, p.Total)
		}
		last = p.Done
	}
	want := []string{
		"waiting, 2 jobs ahead", "waiting, 1 job ahead", "waiting, next in line", "running KSampler", "ComfyUI does not answer; waiting for it",
		"running VAEDecode", "step 20 of 20",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Error(diff)
	}
}

func TestGenerate_overHTTP(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(e *tools.Env) { e.Settings.Backend = "embedded" })
	b.jobs.watch = succeed(1)
	c := b.caller()
	c.Transport = "http"
	r, err := b.runAs(t.Context(), t, c, "generate", `{"prompt":"x"}`)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(r.Text, "/home/") || strings.Contains(fmt.Sprintf("%+v", r.Structured), "/home/") {
		t.Errorf("a path of the server leaves over HTTP: %s", r.Text)
	}
	if !strings.Contains(r.Text, "embedded demo backend") || !strings.Contains(r.Text, "not by a model") { // decision 4
		t.Errorf("the text does not say what drew the picture: %s", r.Text)
	}
}

// D06, T43, MCP-35: however many pictures, an answer stays below what clients take.
func TestGenerate_T43_inlineBudget(t *testing.T) {
	t.Parallel()
	for transport, limit := range map[string]int{"stdio": 1 << 20, "http": 150_000, "sse": 150_000} {
		for count := 1; count <= 4; count++ {
			b := newBench(t, func(e *tools.Env) { e.Links = fakeLinks{} })
			b.pictures.weigh = nil
			b.jobs.watch = succeed(count)
			c := b.caller()
			c.Transport = transport
			r, err := b.runAs(t.Context(), t, c, "generate", fmt.Sprintf(`{"prompt":"x","count":%d}`, count))
			if err != nil {
				t.Fatal(err)
			}
			chars := len(r.Text)
			for _, p := range r.Pictures {
				n := (len(p.Data) + 2) / 3 * 4
				if n > 100_000 {
					t.Errorf("%s: a preview of %d characters", transport, n)
				}
				chars += n
			}
			if len(r.Pictures) != count || chars > limit-2000 {
				t.Errorf("%s: %d of %d previews, %d characters", transport, len(r.Pictures), count, chars)
			}
		}
	}
}

func TestGenerate_previewFormat(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.jobs.watch = succeed(1)
	b.pictures.weigh = func(side int, _ images.Format) int { return side * side / 3 }
	r := b.mustRun(t, "generate", `{"prompt":"x","format":"png"}`)
	if len(r.Pictures) != 1 || r.Pictures[0].MIME != "image/png" || !slices.Equal(b.pictures.asked, []string{"768 png", "512 png", "384 png"}) {
		t.Errorf("%d previews; asked for %v", len(r.Pictures), b.pictures.asked)
	}
	b.pictures.weigh = func(int, images.Format) int { return math.MaxInt }
	if r = b.mustRun(t, "generate", `{"prompt":"x","format":"png"}`); len(r.Pictures) != 0 || !strings.Contains(r.Text, "1 preview could not be shown") {
		t.Errorf("%d previews: %s", len(r.Pictures), r.Text)
	}
	b.pictures.weigh, b.pictures.err = nil, errors.New("disk broken")
	for _, args := range []string{`{"prompt":"x","format":"png"}`, `{"prompt":"x"}`} {
		if r = b.mustRun(t, "generate", args); len(r.Links) != 1 || !strings.Contains(r.Text, "could not be shown") {
			t.Errorf("a preview that fails takes the picture with it: %s", r.Text)
		}
	}
}

// What a job is told to draw early is what the answer asks for; a caller who does not wait is shown nothing.
func TestGenerate_showsEarly(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"stdio", "http"} {
		for args, count := range map[string]int{`{"prompt":"x"}`: 1, `{"prompt":"x","count":3}`: 3, `{"prompt":"x","format":"webp"}`: 1} {
			b := newBench(t, nil)
			b.jobs.watch = succeed(count)
			c := b.caller()
			c.Transport = transport
			if _, err := b.runAs(t.Context(), t, c, "generate", args); err != nil {
				t.Fatal(err)
			}
			if got := b.jobs.started[0].Show; len(b.pictures.shows) != count || b.pictures.shows[0] != got {
				t.Errorf("%s, %s: %v is drawn early, %v is asked for", transport, args, got, b.pictures.shows)
			}
		}
	}
	b := newBench(t, nil)
	if _, err := b.runAs(t.Context(), t, b.caller(), "generate", `{"prompt":"x","wait_seconds":0}`); err != nil {
		t.Fatal(err)
	}
	if got := b.jobs.started[0].Show; got != (images.Showing{}) {
		t.Errorf("%v is drawn early for nobody", got)
	}
}

// D02, D03, E09: an expired wait is an answer with the job's id; the wait counts from the call's arrival.
func TestGenerate_D02_waitExpires(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]time.Duration{
		`{"prompt":"x"}`: 40 * time.Second, `{"prompt":"x","wait_seconds":10}`: 5 * time.Second,
		`{"prompt":"x","wait_seconds":300}`: 295 * time.Second, `{"prompt":"x","wait_seconds":0}`: 0, `{"prompt":"x","wait_seconds":2}`: 0,
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				c := b.caller()
				c.Arrived = time.Now().Add(-5 * time.Second) // spent before the run
				begun := time.Now()
				r, err := b.runAs(t.Context(), t, c, "generate", args)
				if err != nil || !r.Accepted || r.JobID != jobID || time.Since(begun) != want {
					t.Errorf("after %v, want %v: %+v, %v", time.Since(begun), want, r, err)
				}
				for _, want := range []string{"not ready yet", "waiting, 2 jobs ahead", "Job: " + jobID, "seed ", "status"} {
					if !strings.Contains(r.Text, want) {
						t.Errorf("the text lacks %q: %s", want, r.Text)
					}
				}
				if len(b.jobs.cancelled) > 0 {
					t.Error("the job was cancelled")
				}
			})
		})
	}
}

// JOBS__ON_DISCONNECT, and notifications/cancelled for the call that made the job.
func TestGenerate_callerLeaves(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		cause     error
		transport string
		cancel    bool // JOBS__ON_DISCONNECT=cancel
		stopped   bool
		answers   bool
	}{
		"gone":                        {cause: tools.ErrCallerGone, transport: "http", answers: true},
		"gone, jobs go with callers":  {cause: tools.ErrCallerGone, transport: "http", cancel: true, stopped: true},
		"gone over stdio":             {cause: tools.ErrCallerGone, transport: "stdio", answers: true},
		"cancelled":                   {cause: tools.ErrCancelRequested, transport: "http", stopped: true},
		"cancelled, wrapped":          {cause: fmt.Errorf("x: %w", tools.ErrCancelRequested), transport: "sse", stopped: true},
		"over stdio without a cause":  {transport: "stdio", stopped: true},
		"over HTTP without a cause":   {transport: "http", answers: true},
		"the call's own time is over": {cause: errors.New("the call took too long"), transport: "http", cancel: true, answers: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(e *tools.Env) { e.Settings.CancelOnDisconnect = tt.cancel })
				ctx, cancel := context.WithCancelCause(t.Context())
				c := b.caller()
				c.Transport = tt.transport
				time.AfterFunc(time.Second, func() { cancel(tt.cause) })
				r, err := b.runAs(ctx, t, c, "generate", `{"prompt":"x"}`)
				if stopped := len(b.jobs.cancelled) > 0; stopped != tt.stopped {
					t.Errorf("stopped: %v, want %v", stopped, tt.stopped)
				}
				if (err == nil) != tt.answers || (err != nil && !errors.Is(err, context.Canceled)) || r.JobID != jobID {
					t.Errorf("result %+v, %v", r, err)
				}
				if tt.answers && !r.Accepted {
					t.Error("the outcome is not accepted")
				}
			})
		})
	}
}

func TestGenerate_badEnds(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		state jobs.State
		err   error
		is    error
		code  string
	}{
		"failed":      {jobs.Failed, comfy.ErrOutOfMemory, comfy.ErrOutOfMemory, ""},
		"lost":        {jobs.Lost, jobs.ErrLost, jobs.ErrLost, ""},
		"cancelled":   {jobs.Cancelled, nil, context.Canceled, "CANCELLED"},
		"interrupted": {jobs.Cancelled, jobs.ErrInterrupted, jobs.ErrInterrupted, ""},
		"unverified":  {jobs.Cancelled, jobs.ErrUnverified, jobs.ErrUnverified, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.jobs.watch = func(_ context.Context, j jobs.Job, _ func(jobs.Job)) jobs.Job {
				j.State, j.Err = tt.state, tt.err
				return j
			}
			_, err := b.run(t, "generate", `{"prompt":"x"}`)
			var fault *tools.Fault
			if !errors.Is(err, tt.is) || errors.As(err, &fault) != (tt.code != "") || (fault != nil && fault.Code != tt.code) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// T32: sizes that cannot be counted are refused, not wrapped around.
func TestGenerate_T32_overflow(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.catalog.graph = testGraph("p")
	b.catalog.huge = true
	_, err := b.resolve(t, "generate", `{"prompt":"x"}`)
	var fault *tools.Fault
	if !errors.As(err, &fault) || fault.Code != "INVALID_PARAMETER" {
		t.Errorf("error %v", err)
	}
}
