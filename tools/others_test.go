package tools_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/fleet"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

func TestUpscale(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.jobs.watch = succeed(1)
	p := b.plan(t, "upscale", `{"image":"`+imgID+`","width":2048,"model":"4x.pth"}`)
	want := workflow.UpscaleAsk{
		Width: 1024, Height: 1024, TargetWidth: new(2048), Model: "4x.pth", MaxPixels: 16_777_216, Prefix: b.catalog.up.Prefix, Seed: b.catalog.up.Seed,
	}
	if diff := cmp.Diff(want, b.catalog.up); diff != "" {
		t.Error(diff)
	}
	if b.server.asked["upscale_models"] != 1 || b.server.asked["checkpoints"] != 0 {
		t.Errorf("asked for %v", b.server.asked)
	}
	if cost := p.Cost(); cost != (tools.Cost{Tokens: 1, Place: true, Work: 5}) {
		t.Errorf("cost %+v", cost)
	}
	if r := p.Policy(); r.Width != 2048 || r.Pixels != 2048*2048 || len(r.Nodes) != 2 {
		t.Errorf("judged %+v", r)
	}
	if r := p.Record(); r["image"] != imgID || r["image_sha256"] != "abc" {
		t.Errorf("record %v", r)
	}
	r := b.mustRun(t, "upscale", `{"image":"`+imgID+`"}`)
	s := b.jobs.started[0]
	if diff := cmp.Diff(map[string]string{"5": imgID}, s.Inputs); diff != "" {
		t.Error(diff)
	}
	if s.Expect != (images.Bounds{Width: 2048, Height: 2048}) || s.Output != "9" || *s.Seed != 5 || s.Tool != "upscale" || b.released != 1 {
		t.Errorf("job %+v", s)
	}
	if !strings.Contains(r.Text, "method resampling") || !strings.Contains(r.Text, "from "+imgID) {
		t.Errorf("the text does not say how: %s", r.Text)
	}
	b.plan(t, "upscale", `{"image":"`+imgID+`","detail":true,"factor":1.5}`)
	if !b.catalog.up.Detail || *b.catalog.up.Factor != 1.5 || b.server.asked["checkpoints"] != 1 {
		t.Errorf("asked %+v, lists %v", b.catalog.up, b.server.asked)
	}
}

// SC-27, D4: what is larger than a generated picture may be is not made larger still.
func TestUpscale_SC27_largeInput(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for _, im := range []images.Image{picture(2056, 64), picture(64, 4096)} {
		b.pictures.known[imgID] = im
		if _, err := b.resolve(t, "upscale", `{"image":"`+imgID+`"}`); !slices.Equal(fieldsOf(err), []string{"image"}) {
			t.Errorf("%d×%d: %v", im.Width, im.Height, err)
		}
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before jobs.State
		cancel func(context.Context, jobs.Job) (jobs.Job, error)
		want   string
		state  jobs.State
	}{
		"queued":         {before: jobs.Queued, want: "The job is cancelled.", state: jobs.Cancelled},
		"running":        {before: jobs.Running, want: "The job is cancelled.", state: jobs.Cancelled},
		"again":          {before: jobs.Cancelled, want: "cancelled before", state: jobs.Cancelled},
		"too late":       {before: jobs.Succeeded, want: "Too late", state: jobs.Succeeded},
		"failed already": {before: jobs.Failed, want: "ended as failed", state: jobs.Failed},
		"not confirmed": {
			before: jobs.Running, want: "did not confirm", state: jobs.Cancelled,
			cancel: func(_ context.Context, j jobs.Job) (jobs.Job, error) {
				j.State, j.Err = jobs.Cancelled, jobs.ErrUnverified
				return j, nil
			},
		},
		"slow": {
			before: jobs.Running, want: "being stopped", state: jobs.Running,
			cancel: func(ctx context.Context, j jobs.Job) (jobs.Job, error) { <-ctx.Done(); return j, ctx.Err() },
		},
		"server away": {
			before: jobs.Running, want: "does not answer", state: jobs.Running,
			cancel: func(ctx context.Context, j jobs.Job) (jobs.Job, error) {
				<-ctx.Done()
				j.Progress.Unreachable = true
				return j, ctx.Err()
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, nil)
				b.jobs.known[jobID] = jobs.Job{ID: jobID, Owner: "ann", State: tt.before}
				b.jobs.cancel = tt.cancel
				r := b.mustRun(t, "cancel", `{"job_id":"`+jobID+`"}`)
				if !strings.Contains(r.Text, tt.want) || !strings.Contains(r.Text, jobID) || b.released != 1 {
					t.Errorf("text %q, want %q", r.Text, tt.want)
				}
				var got struct{ State jobs.State }
				structured(t, b.tool(t, "cancel"), r, &got)
				if got.State != tt.state {
					t.Errorf("state %s, want %s", got.State, tt.state)
				}
			})
		})
	}
}

// structured holds a result to its tool's output schema (MCP-24).
func structured(t *testing.T, tool tools.Tool, r tools.Result, into any) {
	t.Helper()
	text, err := json.Marshal(r.Structured)
	if err != nil {
		t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	if err := compile(t, tool.Output).Validate(doc); err != nil {
		t.Errorf("%s: %v", text, err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

// D06, D07, T43: as large and true as fits; what the caller said does not give way.
func TestGetImage_D06(t *testing.T) {
	t.Parallel()
	// A PNG weighs 3 bytes a pixel, a JPEG a third of one.
	weigh := func(side int, f images.Format) int {
		if side == 0 {
			side = 1024
		}
		if f == images.JPEG {
			return side * side / 3
		}
		return side * side * 3
	}
	for name, tt := range map[string]struct {
		transport, args string
		asked           []string
		text, mime      string // empty: it is refused
	}{
		"small enough": {"stdio", `"max_side":256`, []string{"256 "}, "Shown as 256×256 PNG.", "image/png"},
		"whole":        {"stdio", ``, []string{"0 ", "0 jpeg"}, "Shown as 1024×1024 JPEG.", "image/jpeg"},
		"smaller over HTTP": {
			"http", ``, []string{"0 ", "0 jpeg", "768 ", "768 jpeg", "512 ", "512 jpeg"}, "Shown as 512×512 JPEG.", "image/jpeg",
		},
		"a format that stays": {"stdio", `"format":"png"`, []string{"0 png", "768 png", "512 png", "256 png"}, "Shown as 256×256 PNG.", "image/png"},
		"a size that stays":   {"http", `"max_side":512`, []string{"512 ", "512 jpeg"}, "Shown as 512×512 JPEG.", "image/jpeg"},
		"both, and too large": {"http", `"max_side":1024,"format":"png"`, []string{"1024 png"}, "", ""},
		"WebP":                {"stdio", `"format":"webp","max_side":128`, []string{"128 webp"}, "Shown as 128×128 WEBP.", "image/webp"},
		"larger than it is":   {"stdio", `"max_side":4096,"format":"jpeg"`, []string{"4096 jpeg"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.pictures.weigh = weigh
			c := b.caller()
			c.Transport = tt.transport
			args := strings.TrimSuffix(`{"image":"`+imgID+`",`+tt.args, ",") + "}"
			r, err := b.runAs(t.Context(), t, c, "get_image", args)
			if !slices.Equal(b.pictures.asked, tt.asked) {
				t.Errorf("asked for %q, want %q", b.pictures.asked, tt.asked)
			}
			var fault *tools.Fault
			if tt.text == "" {
				if !errors.As(err, &fault) || fault.Code != "IMAGE_OUT_OF_BOUNDS" || len(fault.Suggestions) == 0 {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil || !strings.Contains(r.Text, tt.text) || len(r.Pictures) != 1 || r.Pictures[0].MIME != tt.mime || len(r.Links) != 1 {
				t.Errorf("%v: %s", err, r.Text)
			}
			if n := len(r.Pictures[0].Data) * 4 / 3; tt.transport == "http" && n > 150_000 || n > 1<<20 {
				t.Errorf("a picture of %d characters over %s", n, tt.transport)
			}
		})
	}
	b := newBench(t, nil)
	b.pictures.err = errors.New("disk broken")
	if _, err := b.run(t, "get_image", `{"image":"`+imgID+`"}`); !errors.Is(err, b.pictures.err) {
		t.Errorf("error %v", err)
	}
}

func decodeText(t *testing.T, r tools.Result) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(r.Text), &v); err != nil {
		t.Fatalf("%v: %s", err, r.Text)
	}
	return v
}

func TestStatus_job(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(e *tools.Env) { e.Links = fakeLinks{} })
	b.jobs.watch = succeed(2)
	seed := uint64(1<<63 + 1)
	b.jobs.known[jobID] = jobs.Job{
		ID: jobID, Owner: "ann", Tool: "generate", State: jobs.Queued, Created: time.Now(), Seed: &seed, Summary: map[string]string{"model": "<b>&"},
		Progress: jobs.Progress{Position: 2},
	}
	r := b.mustRun(t, "status", `{"job_id":"`+jobID+`","wait_seconds":0}`)
	v := decodeText(t, r)
	if v["state"] != "queued" || v["position"] != 2.0 || v["stage"] != "waiting, 1 job ahead" || len(r.Pictures) != 0 {
		t.Errorf("%s", r.Text)
	}
	if v["seed"] != "9223372036854775809" || !strings.Contains(r.Text, `"<b>&"`) {
		t.Errorf("seed %v: %s", v["seed"], r.Text)
	}
	r = b.mustRun(t, "status", `{"job_id":"`+jobID+`"}`)
	v = decodeText(t, r)
	pictures, _ := v["pictures"].([]any)
	if v["state"] != "succeeded" || len(pictures) != 2 || len(r.Pictures) != 2 || len(r.Links) != 2 || r.JobID != jobID || r.Accepted {
		t.Fatalf("%s", r.Text)
	}
	want := map[string]any{
		"image": imgID, "width": 1024.0, "height": 1024.0, "format": "png", "bytes": 1300000.0, "uri": "comfygate://images/" + imgID,
		"url": "https://example.org/i/ann-" + imgID, "saved": "/home/ann/Pictures/comfygate/x.png",
	}
	if diff := cmp.Diff(want, pictures[0]); diff != "" {
		t.Error(diff)
	}
	if len(b.told) == 0 {
		t.Error("no progress while waiting")
	}
	b.jobs.known[jobID] = jobs.Job{ID: jobID, Owner: "ann", State: jobs.Failed, Err: comfy.ErrOutOfMemory}
	r = b.mustRun(t, "status", `{"job_id":"`+jobID+`"}`)
	if fault, _ := decodeText(t, r)["error"].(map[string]any); fault["code"] != "CODE" || fault["message"] != comfy.ErrOutOfMemory.Error() {
		t.Errorf("%s", r.Text)
	}
	if _, err := b.resolve(t, "status", `{"wait_seconds":5}`); !slices.Equal(fieldsOf(err), []string{"wait_seconds"}) {
		t.Errorf("waiting for nothing: %v", err)
	}
}

// TestStatus_preview: a running job shows what it has so far; what is no picture is left out.
func TestStatus_preview(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		preview string
		want    int
	}{
		"a picture":   {"\xff\xd8 picture", 1},
		"no picture":  {"<script>", 0},
		"nothing yet": {"", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, nil)
			b.jobs.known[jobID] = jobs.Job{ID: jobID, Owner: "ann", State: jobs.Running, Progress: jobs.Progress{Preview: []byte(tc.preview)}}
			res := b.mustRun(t, "status", `{"job_id":"`+jobID+`","wait_seconds":0}`)
			if len(res.Pictures) != tc.want {
				t.Errorf("%d pictures, want %d", len(res.Pictures), tc.want)
			}
		})
	}
}

// The wait for a job is 45 s by default; who leaves ends the wait and nothing else.
func TestStatus_waits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(e *tools.Env) { e.Settings.CancelOnDisconnect = true })
		b.jobs.known[jobID] = jobs.Job{ID: jobID, Owner: "ann", State: jobs.Running, Progress: jobs.Progress{Unreachable: true}}
		begun := time.Now()
		v := decodeText(t, b.mustRun(t, "status", `{"job_id":"`+jobID+`"}`))
		if v["server_unreachable"] != true || v["state"] != "running" || time.Since(begun) != 45*time.Second {
			t.Errorf("after %v: %v", time.Since(begun), v)
		}
		for _, cause := range []error{tools.ErrCallerGone, tools.ErrCancelRequested} {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			if _, err := b.runAs(ctx, t, b.caller(), "status", `{"job_id":"`+jobID+`"}`); !errors.Is(err, context.Canceled) || len(b.jobs.cancelled) > 0 {
				t.Errorf("%v: %v, cancelled %v", cause, err, b.jobs.cancelled)
			}
		}
	})
}

// C1.3, C1.4, SC-15: bounds in force, what is left of them, health, queue and own jobs.
func TestStatus_C14_overall(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(e *tools.Env) { e.Settings.InsecureTransport = true })
	b.jobs.known[jobID] = jobs.Job{ID: jobID, Owner: "ann", State: jobs.Running}
	b.jobs.known["other"] = jobs.Job{ID: "other", Owner: "bob", State: jobs.Running}
	r := b.mustRun(t, "status", `{}`)
	v := decodeText(t, r)
	for path, want := range map[string]any{
		"status": "healthy", "version": "1.2.3", "server.backend": "comfyui", "server.reachable": true, "server.version": "0.33.0",
		"server.url": "http://127.0.0.1:8188", "server.circuit_breaker": "closed", "limits.memory_bytes": float64(1 << 30), "limits.max_width": 2048.0,
		"limits.max_height": 2048.0, "security.insecure_transport": true, "queue.queued": 2.0, "queue.running": 1.0, "queue.comfyui_pending": 2.0,
		"queue.comfyui_running": 1.0, "queue.slots": 2.0, "places.max": 16.0,
	} {
		var got any = v
		for part := range strings.SplitSeq(path, ".") {
			m, _ := got.(map[string]any)
			got = m[part]
		}
		if got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if list, _ := v["jobs"].([]any); len(list) != 1 || strings.Contains(r.Text, "other") {
		t.Errorf("jobs %v", v["jobs"])
	}
	if rates, _ := v["rates"].([]any); len(rates) != 1 {
		t.Errorf("rates %v", v["rates"])
	}
}

// decision "errors name ComfyUI's URL over stdio, or for the scope operate".
func TestStatus_addressIsForTheTrusted(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(e *tools.Env) { e.Settings.OutputDir = "/home/ann/Pictures" })
	for name, tt := range map[string]struct {
		transport string
		role      policy.Role
		told      bool
	}{
		"stdio": {"stdio", policy.Viewer, true}, "HTTP": {"http", policy.Operator, false}, "admin over HTTP": {"http", policy.Admin, true},
	} {
		c := b.caller()
		c.Transport, c.Principal.Scopes = tt.transport, policy.ScopesOf(tt.role)
		r, err := b.runAs(t.Context(), t, c, "status", `{}`)
		if folder := strings.Contains(r.Text, "/home/ann"); folder != (tt.transport == "stdio") {
			t.Errorf("%s: the output folder is told: %v", name, folder)
		}
		if told := strings.Contains(r.Text, "8188"); err != nil || told != tt.told {
			t.Errorf("%s: told %v, %v", name, told, err)
		}
	}
}

func TestStatus_health(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.server.health.Info.BelowFloor = true
	if v := decodeText(t, b.mustRun(t, "status", `{}`)); v["status"] != "degraded" {
		t.Errorf("an old server: %v", v["status"])
	}
	b = newBench(t, nil)
	b.server.err = &fleet.OpenError{Cause: comfy.ErrUnreachable}
	b.server.health.Reachable, b.server.health.Breaker = false, "open"
	v := decodeText(t, b.mustRun(t, "status", `{}`))
	server, _ := v["server"].(map[string]any)
	if fault, _ := server["error"].(map[string]any); v["status"] != "unhealthy" || server["reachable"] != false || fault["code"] != "CODE" {
		t.Errorf("a server that is away: %v", v)
	}
}

// Many who ask for status ask ComfyUI once.
func TestStatus_asksSeldom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, nil)
		p := b.plan(t, "status", `{}`)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := p.Run(t.Context(), tools.Caller{}, func() {}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := b.server.asked["queue"]; n != 1 {
			t.Errorf("asked %d times", n)
		}
		time.Sleep(3 * time.Second)
		if b.mustRun(t, "status", `{}`); b.server.asked["queue"] != 2 {
			t.Error("what it tells grows old")
		}
	})
}

// SC-52: nothing that is denied is named or counted.
func TestListModels_SC52(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	for args, want := range map[string][]string{
		`{"kind":"checkpoints"}`:                  {"base.safetensors"},
		`{"kind":"loras"}`:                        {"anime.safetensors", "detail.safetensors"},
		`{"kind":"loras","search":"ANI"}`:         {"anime.safetensors"},
		`{"kind":"loras","family":"sdxl"}`:        {"detail.safetensors"},
		`{"kind":"loras","limit":1}`:              {"anime.safetensors"},
		`{"kind":"loras","search":"secret"}`:      {},
		`{"kind":"upscale_models"}`:               {"4x.pth"},
		`{"kind":"embeddings"}`:                   {"badhands"},
		`{"kind":"vae"}`:                          {},
		`{"kind":"diffusion_models"}`:             {},
		`{"kind":"samplers"}`:                     {"euler", "dpmpp_2m"},
		`{"kind":"schedulers","search":"karras"}`: {"karras"},
	} {
		r := b.mustRun(t, "list_models", args)
		var got struct {
			Names []string
			Total *int
		}
		structured(t, b.tool(t, "list_models"), r, &got)
		if !slices.Equal(got.Names, want) || got.Names == nil || got.Total == nil || *got.Total < len(want) {
			t.Errorf("%s: %s", args, r.Text)
		}
		if strings.Contains(r.Text, "secret") || strings.Contains(r.Text, ".ckpt") {
			t.Errorf("%s names what is denied: %s", args, r.Text)
		}
	}
	if r := b.mustRun(t, "list_models", `{"kind":"loras","limit":1}`); decodeText(t, r)["total"] != 2.0 {
		t.Errorf("a cut list does not say so: %s", r.Text)
	}
}

// MCP-35: however long names are, a list stays within an answer.
func TestListModels_MCP35_long(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.server.files["vae"] = nil
	for i := range 500 {
		b.server.files["vae"] = append(b.server.files["vae"], comfy.ModelFile{Name: fmt.Sprintf("%s%03d.safetensors", strings.Repeat("x", 270), i)})
	}
	r := b.mustRun(t, "list_models", `{"kind":"vae","limit":500}`)
	if v := decodeText(t, r); v["total"] != 500.0 || len(r.Text) > 31_000 || len(r.Text) < 29_000 {
		t.Errorf("%d characters, total %v", len(r.Text), v["total"])
	}
}

func TestListModels_families(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	r := b.mustRun(t, "list_models", `{}`)
	type family struct {
		Family    string
		Installed bool
		Default   bool
		Model     string
		Missing   []string
		Needs     []string
	}
	var got struct {
		Families []family
		Counts   map[string]int
		Default  string `json:"default_model"`
	}
	structured(t, b.tool(t, "list_models"), r, &got)
	want := []family{
		{Family: "z-image-turbo", Missing: []string{"models/vae/ae.safetensors from Comfy-Org/z_image_turbo"}},
		{Family: "sdxl", Installed: true, Default: true, Model: "base.safetensors"},
		{Family: "flux2", Needs: []string{"class Flux2Scheduler"}},
	}
	if diff := cmp.Diff(want, got.Families); diff != "" {
		t.Error(diff)
	}
	if got.Counts["checkpoints"] != 1 || got.Counts["loras"] != 2 || got.Counts["samplers"] != 2 {
		t.Errorf("counts %v", got.Counts)
	}
	for args, n := range map[string]int{`{"search":"flux"}`: 1, `{"family":"sdxl"}`: 1, `{"limit":2}`: 2} {
		got.Families = nil
		structured(t, b.tool(t, "list_models"), b.mustRun(t, "list_models", args), &got)
		if len(got.Families) != n {
			t.Errorf("%s: %d families, want %d", args, len(got.Families), n)
		}
	}
	for _, args := range []string{`{"family":"nope"}`, `{"kind":"samplers","family":"sdxl"}`} {
		if _, err := b.resolve(t, "list_models", args); !slices.Equal(fieldsOf(err), []string{"family"}) {
			t.Errorf("%s: %v", args, err)
		}
	}
	for model, def := range map[string]string{"base.safetensors": "base.safetensors", "secret.safetensors": "", "none": ""} {
		b := newBench(t, func(e *tools.Env) { e.Settings.Model = model })
		got.Default = ""
		structured(t, b.tool(t, "list_models"), b.mustRun(t, "list_models", `{}`), &got)
		if got.Default != def {
			t.Errorf("default model %q, want %q", got.Default, def)
		}
	}
	b.server.err = comfy.ErrUnreachable
	if _, err := b.resolve(t, "list_models", `{"kind":"loras"}`); !errors.Is(err, comfy.ErrUnreachable) {
		t.Errorf("without a server: %v, and not an empty list", err)
	}
}

// T40, T41: what a server says stands in an answer on one line, visible, and bounded.
func TestText_T41(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.server.health.Info.Version = "0.33\x1b[31m\n\u202eevil\u200b" + strings.Repeat("x", 100)
	b.server.health.Info.Devices = []comfy.Device{{Name: "cuda\r\n\x00:0 \u2066NVIDIA"}}
	r := b.mustRun(t, "status", `{}`)
	v := decodeText(t, r)
	server, _ := v["server"].(map[string]any)
	devices, _ := server["devices"].([]any)
	if got := fmt.Sprint(server["version"]); !strings.HasPrefix(got, "0.33[31m evilxxx") || len([]rune(got)) > 41 {
		t.Errorf("version %q", got)
	}
	if first, _ := devices[0].(map[string]any); first["name"] != "cuda  :0 NVIDIA" {
		t.Errorf("device %q", first["name"])
	}
}
