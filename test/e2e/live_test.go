package e2e_test

import (
	"bytes"
	"encoding/json"
	"image"
	_ "image/jpeg"
	_ "image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestLive is the suite: on the server that E2E_URL names (make e2e), else on the embedded one in both its dialects.
func TestLive(t *testing.T) {
	t.Parallel()
	if x, ok := given(); ok {
		suite(t, x)
		return
	}
	for _, dialect := range []string{"0.3.64", "0.33.0"} {
		t.Run(dialect, func(t *testing.T) {
			t.Parallel()
			suite(t, embedded(t, dialect))
		})
	}
}

// A bench is one target with an agent in front of it, and what it has to work with.
type bench struct {
	target

	agent *agent
	holds []string // files of the input folder before anything was done
	model string   // the tiny checkpoint, where it is installed; else whatever a bare prompt takes
}

func suite(t *testing.T, x target) {
	b := &bench{target: x, agent: overStdio(t, x.environment(t, "COMFYGATE_WORKFLOWS__DIR="+t.TempDir()))}
	b.holds, b.model = b.input(t), b.find(t, "checkpoints", "tiny")
	for _, part := range []struct {
		name string
		run  func(*testing.T, *bench)
	}{
		{"generate with live progress and previews", livePicture},
		{"batch", batch},
		{"exact seed", exactSeed},
		{"upscale by model", upscaleByModel},
		{"upscale by resampling", upscaleByResampling},
		{"cancel while sampling", cancelSampling},
		{"cancel while decoding", cancelDecoding},
		{"cancel of a pending job", cancelPending},
		{"two principals", twoPrincipals},
		{"unknown model", unknownModel},
		{"a model whose file is empty", emptyModel},
		{"every family's graph", families},
		{"a picture brought in and enlarged", uploaded},
		{"a graph in the API format", apiGraph},
		{"a workflow in the editor's format", uiWorkflow},
		{"a template of the server by name", templateByName},
		{"a text", textOutput},
		{"an animation", animation},
		{"a saved workflow", savedWorkflow},
		{"workflows that are refused", refusedWorkflows},
		{"a prefix of somebody else's", foreignPrefix},
		{"ComfyUI killed and restarted in mid-job", restarted},
		{"no file of ours in its input folder", inputFolder},
		{"nothing left in its queue", nothingLeft},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, b) })
	}
}

// find is the first installed model of a kind with that in its name, or "".
func (b *bench) find(t *testing.T, kind, search string) string {
	t.Helper()
	var list struct{ Names []string }
	if err := json.Unmarshal([]byte(b.agent.must(t, "list_models", args{"kind": kind, "search": search}).text), &list); err != nil {
		t.Fatal(err)
	}
	if len(list.Names) == 0 {
		return ""
	}
	return list.Names[0]
}

// small are the arguments of a quick picture.
func (b *bench) small(more args) args {
	a := args{"prompt": "a lighthouse at dusk", "width": 256, "height": 256, "steps": 4}
	if b.model != "" {
		a["model"] = b.model
	}
	maps.Copy(a, more)
	return a
}

// slow are the arguments of a job that is cancelled long before it would end, on a busy machine too.
func (b *bench) slow(more args) args {
	a := b.small(args{"steps": mostSteps, "wait_seconds": 0})
	maps.Copy(a, more)
	return a
}

func livePicture(t *testing.T, b *bench) {
	out, err := b.agent.try(t.Context(), "generate", "live", b.small(args{"steps": 60}))
	if err != nil || out.fault != nil {
		t.Fatalf("%v, %s", err, out.text)
	}
	if len(out.pictures) != 1 || len(out.links) != 1 {
		t.Fatalf("%d pictures and %d links, want one of each", len(out.pictures), len(out.links))
	}
	if cfg, _, err := image.DecodeConfig(bytes.NewReader(out.pictures[0])); err != nil || cfg.Width != 256 || cfg.Height != 256 {
		t.Errorf("the picture is %d×%d, %v; want 256×256", cfg.Width, cfg.Height, err)
	}
	heard := b.agent.heard("live")
	if len(heard) < 2 || !slices.IsSorted(heard) {
		t.Errorf("progress %v, want several, rising", heard)
	}
	saved := savedLine.FindStringSubmatch(out.text)
	if saved == nil {
		t.Fatalf("no saved file in: %s", out.text)
	}
	if data, err := os.ReadFile(saved[1]); err != nil || bytes.Contains(data, []byte("lighthouse")) {
		t.Errorf("the saved picture: %v; it must be there and not hold the prompt", err)
	}
	// A job that is under way shows what it has so far.
	id := b.agent.must(t, "generate", b.slow(args{"seed": 11})).job(t)
	if j := b.agent.until(t, id, "showing a preview", func(j job) bool { return j.preview || j.over() }); j.over() {
		t.Logf("not run: the job was over before a preview came (is the server started with previews?)")
	}
	b.agent.must(t, "cancel", args{"job_id": id})
}

func batch(t *testing.T, b *bench) {
	out := b.agent.must(t, "generate", b.small(args{"count": 2, "seed": 5}))
	if len(out.pictures) != 2 || len(out.links) != 2 {
		t.Fatalf("%d pictures and %d links, want two of each", len(out.pictures), len(out.links))
	}
	if bytes.Equal(out.pictures[0], out.pictures[1]) {
		t.Error("both pictures are the same")
	}
}

// exactSeed: the same seed gives the same pixels, another one others; a seed beyond 2^53 is not rounded.
func exactSeed(t *testing.T, b *bench) {
	pixels := func(seed json.Number) []byte {
		out := b.agent.must(t, "generate", b.small(args{"seed": seed}))
		if !strings.Contains(out.text, "seed "+seed.String()) {
			t.Errorf("asked for seed %s, told: %s", seed, out.text)
		}
		return pixelsOf(t, b.agent.must(t, "get_image", args{"image": out.links[0], "format": "png"}).pictures[0])
	}
	const large = "18446744073709551557"
	first, again, other := pixels(large), pixels(large), pixels("18446744073709551556")
	if !bytes.Equal(first, again) {
		t.Error("the same seed gave other pixels")
	}
	if bytes.Equal(first, other) {
		t.Error("another seed gave the same pixels")
	}
}

func pixelsOf(t *testing.T, data []byte) []byte {
	t.Helper()
	m, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for y := m.Bounds().Min.Y; y < m.Bounds().Max.Y; y++ {
		for x := m.Bounds().Min.X; x < m.Bounds().Max.X; x++ {
			r, g, bl, a := m.At(x, y).RGBA()
			out = append(out, byte(r>>8), byte(g>>8), byte(bl>>8), byte(a>>8))
		}
	}
	return out
}

func upscaleByModel(t *testing.T, b *bench) {
	model := b.find(t, "upscale_models", "tiny")
	if model == "" {
		model = b.find(t, "upscale_models", ".")
	}
	if model == "" {
		t.Skip("not run: the server has no upscale model")
	}
	b.upscaled(t, b.agent, args{"model": model}, model)
}

func upscaleByResampling(t *testing.T, b *bench) {
	// An operator who denies every upscale model has none.
	a := overStdio(t, b.environment(t, "COMFYGATE_POLICY__UPSCALE_EXTENSIONS=.none"))
	b.upscaled(t, a, args{}, "resampling")
}

// upscaled makes a picture, enlarges it twofold, and wants told how.
func (b *bench) upscaled(t *testing.T, a *agent, more args, how string) {
	t.Helper()
	made := a.must(t, "generate", b.small(args{"seed": 7}))
	more["image"], more["factor"] = made.links[0], 2
	out := a.must(t, "upscale", more)
	j := a.status(t, out.job(t), 0)
	if len(j.Pictures) != 1 || j.Pictures[0].Width != 512 || j.Pictures[0].Height != 512 {
		t.Errorf("upscaled to %+v, want one of 512×512", j.Pictures)
	}
	if !strings.Contains(out.text, how) {
		t.Errorf("the answer does not say that it was done by %s: %s", how, out.text)
	}
}

func cancelSampling(t *testing.T, b *bench) {
	id := b.agent.must(t, "generate", b.slow(args{"seed": 21})).job(t)
	if j := b.agent.until(t, id, "sampling", func(j job) bool { return j.Step > 0 || j.over() }); j.over() {
		t.Fatalf("over before it could be cancelled: %+v", j)
	}
	b.agent.cancelled(t, id)
}

func cancelDecoding(t *testing.T, b *bench) {
	id := b.agent.must(t, "generate", b.small(args{"seed": 22, "steps": 1, "width": 1024, "height": 1024, "wait_seconds": 0})).job(t)
	j := b.agent.until(t, id, "decoding", func(j job) bool { return strings.Contains(j.Stage, "VAEDecode") || j.over() })
	if j.over() {
		t.Skipf("not run: decoding was over before it was seen (%s)", j.State)
	}
	b.agent.must(t, "cancel", args{"job_id": id})
	// A server obeys between nodes: decoding may have been the last thing to do, and then the picture is there.
	if j = b.agent.until(t, id, "over", job.over); j.State != "cancelled" && j.State != "succeeded" {
		t.Errorf("it ended as %s: %+v", j.State, j.Error)
	}
}

func cancelPending(t *testing.T, b *bench) {
	var ids []string
	for seed := range 4 {
		ids = append(ids, b.agent.must(t, "generate", b.slow(args{"seed": 31 + seed})).job(t))
		if seed == 0 { // two that are sent at once may come to the server in either order
			b.agent.until(t, ids[0], "running", func(j job) bool { return j.State == "running" || j.over() })
		}
	}
	for _, id := range slices.Backward(ids) { // the last waits with us, the second at the server
		b.agent.cancelled(t, id)
	}
}

// cancelled cancels a job and wants it ended so.
func (a *agent) cancelled(t *testing.T, id string) {
	t.Helper()
	a.must(t, "cancel", args{"job_id": id})
	if j := a.until(t, id, "over", job.over); j.State != "cancelled" {
		t.Errorf("job %s ended as %s, want cancelled", id, j.State)
	}
}

// twoPrincipals neither see nor cancel what is the other's: it answers as if it were not there.
func twoPrincipals(t *testing.T, b *bench) {
	url := b.serve(t, "alice", "bob")
	alice, bob := overHTTP(t, url, token("alice")), overHTTP(t, url, token("bob"))
	made := alice.must(t, "generate", b.small(args{"seed": 41}))
	running := alice.must(t, "generate", b.slow(args{"seed": 42})).job(t)
	nobody := strings.Repeat("a", 26)
	by := func(name string) func(string) args { return func(id string) args { return args{name: id} } }
	loaded := func(id string) args { return args{"graph": loading(id)} }
	for _, c := range []struct {
		tool   string
		theirs string
		args   func(id string) args
	}{
		{"status", running, by("job_id")},
		{"cancel", running, by("job_id")},
		{"get_image", made.links[0], by("image")},
		{"upscale", made.links[0], by("image")},
		{"run_workflow", made.links[0], loaded},
	} {
		foreign, absent := bob.call(t, c.tool, c.args(c.theirs)), bob.call(t, c.tool, c.args(nobody))
		if foreign.fault == nil || absent.fault == nil {
			t.Fatalf("%s: %s / %s; want both refused", c.tool, foreign.text, absent.text)
		}
		foreign.fault.CallID, absent.fault.CallID = "", ""
		if foreign.fault.Code != absent.fault.Code || foreign.fault.Message != absent.fault.Message || !slices.Equal(foreign.fault.Suggestions, absent.fault.Suggestions) {
			t.Errorf("%s tells another's from none: %+v, %+v", c.tool, foreign.fault, absent.fault)
		}
	}
	foreign, absent := bob.must(t, "check_workflow", loaded(made.links[0])).text, bob.must(t, "check_workflow", loaded(nobody)).text
	if strings.ReplaceAll(foreign, made.links[0], nobody) != absent || strings.Contains(foreign, `"runnable":true`) {
		t.Errorf("check_workflow tells another's from none: %s, %s", foreign, absent)
	}
	if s := bob.must(t, "status", nil).text; strings.Contains(s, running) {
		t.Error("bob's status shows alice's job")
	}
	if j := alice.status(t, running, 0); j.over() {
		t.Errorf("bob ended alice's job: %+v", j)
	}
	alice.cancelled(t, running)
}

func unknownModel(t *testing.T, b *bench) {
	f := b.agent.refused(t, "generate", args{"prompt": "x", "model": "no-such-model.safetensors"}, "MODEL_NOT_ALLOWED")
	if len(f.Suggestions) == 0 {
		t.Errorf("nothing is suggested: %+v", f)
	}
}

// emptyModel: the run fails at the server. What is told holds no path and no trace.
func emptyModel(t *testing.T, b *bench) {
	model := b.find(t, "checkpoints", "empty")
	if model == "" {
		t.Skip("not run: the server lists no checkpoint with \"empty\" in its name; make tiny-models writes one")
	}
	out := b.agent.call(t, "generate", b.small(args{"model": model}))
	if out.fault == nil || out.fault.Code != "GENERATION_FAILED" {
		t.Fatalf("%s; want GENERATION_FAILED", out.text)
	}
	for _, bad := range []string{"/", `\\`, "Traceback", ".py", "line "} {
		if strings.Contains(out.fault.Message, bad) {
			t.Errorf("the message holds %q: %s", bad, out.fault.Message)
		}
	}
}

// families: each family that is wholly there has a graph that the server accepts. What the weights are is of no matter.
func families(t *testing.T, b *bench) {
	var list struct {
		Families []struct {
			Family    string
			Installed bool
			Needs     []string
			Missing   []string
		}
	}
	if err := json.Unmarshal([]byte(b.agent.must(t, "list_models", args{}).text), &list); err != nil {
		t.Fatal(err)
	}
	accepted := 0
	for _, f := range list.Families {
		switch {
		case len(f.Needs) > 0: // what the server is too old for is said before it is tried
			b.agent.refused(t, "generate", args{"prompt": "x", "family": f.Family}, "INVALID_PARAMETER")
			continue
		case !f.Installed:
			t.Logf("not run: %s lacks %v", f.Family, f.Missing)
			continue
		}
		id := b.agent.must(t, "generate", args{"prompt": "a red fox", "family": f.Family, "wait_seconds": 0}).job(t)
		j := b.agent.until(t, id, "accepted", func(j job) bool { return j.State == "running" || j.over() })
		if j.Error != nil && j.Error.Code != "GENERATION_FAILED" && j.Error.Code != "INSUFFICIENT_VRAM" { // loading an empty file fails, as it must
			t.Errorf("%s: %s: %s", f.Family, j.Error.Code, j.Error.Message)
			continue
		}
		accepted++
		b.agent.must(t, "cancel", args{"job_id": id})
		b.agent.until(t, id, "over", job.over)
	}
	t.Logf("%d of %d families accepted", accepted, len(list.Families))
	if accepted == 0 && b.find(t, "checkpoints", ".") != "" {
		t.Error("no family at all was accepted")
	}
}

// restarted: while the server is away the job is running and says so; soon after it is back the job is lost, and the next one works.
func restarted(t *testing.T, b *bench) {
	if b.restart == nil {
		t.Skip("not run: E2E_RESTART names no command that kills and restarts the server")
	}
	id := b.agent.must(t, "generate", b.slow(args{"seed": 51})).job(t)
	if j := b.agent.until(t, id, "sampling", func(j job) bool { return j.Step > 0 || j.over() }); j.over() {
		t.Fatalf("over before the server could be killed: %+v", j)
	}
	b.restart(t)
	if j := b.agent.until(t, id, "over", job.over); j.State != "lost" {
		t.Errorf("it ended as %s, want lost", j.State)
	}
	b.agent.must(t, "generate", b.small(args{"seed": 52}))
}

func inputFolder(t *testing.T, b *bench) {
	for _, file := range b.input(t) {
		if !slices.Contains(b.holds, file) {
			t.Errorf("its input folder holds %s, which it did not before", file)
		}
	}
}

// input lists the files of the server's input folder: as they are on the disk, or where the suite cannot look, the pictures that the server offers.
func (x target) input(t *testing.T) (files []string) {
	t.Helper()
	if x.baseDir == "" {
		return x.loadable(t)
	}
	err := filepath.WalkDir(filepath.Join(x.baseDir, "input"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func nothingLeft(t *testing.T, b *bench) {
	if n := b.queue(t); n != 0 {
		t.Errorf("%d jobs are left in the server's queue", n)
	}
}
