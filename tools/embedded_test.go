package tools_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/comfy/emulator"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/tools"
)

// The main job on both versions: a picture from a bare prompt, shown, kept, made larger, and told of.
func TestEmbedded_mainJob(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, emulator.Options{Version: version}, nil)
			c := callerOf("ann")
			var steps []string
			c.Notify = func(p tools.Progress) { steps = append(steps, p.Message) }
			r, err := h.call(t.Context(), t, c, "generate", `{"prompt":"a lighthouse at dusk","width":128,"height":64,"family":"sd15","seed":7,"count":2,"wait_seconds":60}`)
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Pictures) != 2 || len(r.Links) != 2 || len(r.Outputs) != 2 || !strings.Contains(r.Text, "seed 7") {
				t.Fatalf("%d pictures, %d links: %s", len(r.Pictures), len(r.Links), r.Text)
			}
			if len(steps) == 0 || steps[len(steps)-1] != "succeeded" {
				t.Errorf("progress %q", steps)
			}
			id := pictureOf(t, r)
			if got := h.pixels(t, "ann", id).Bounds(); got.Dx() != 128 || got.Dy() != 64 {
				t.Errorf("a picture of %v", got)
			}
			if saved, err := filepath.Glob(filepath.Join(h.output, "*")); err != nil || len(saved) != 2 {
				t.Errorf("saved %v, %v", saved, err)
			}
			up := h.must(t, "ann", "upscale", fmt.Sprintf(`{"image":%q,"factor":1.5}`, id))
			if got := h.pixels(t, "ann", pictureOf(t, up)).Bounds(); got.Dx() != 192 {
				t.Errorf("upscaled to %v: %s", got, up.Text)
			}
			if files := h.emulator.Files("input"); len(files) != 0 { // CLIENT-FILE-3
				t.Errorf("left in the server's input folder: %v", files)
			}
			if _, err := h.call(t.Context(), t, callerOf("bob"), "get_image", fmt.Sprintf(`{"image":%q}`, id)); !errors.Is(err, images.ErrNotFound) {
				t.Errorf("bob asks for ann's picture: %v", err)
			}
			shown := h.must(t, "ann", "get_image", fmt.Sprintf(`{"image":%q,"max_side":64,"format":"webp"}`, id))
			if len(shown.Pictures) != 1 || shown.Pictures[0].MIME != "image/webp" {
				t.Errorf("shown %s", shown.Text)
			}
			status := decodeText(t, h.must(t, "ann", "status", `{}`))
			if list, _ := status["jobs"].([]any); len(list) != 2 || status["status"] != "healthy" || strings.Contains(fmt.Sprint(status), "8188") {
				t.Errorf("status %v", status)
			}
			if got := h.ends.all(); len(got) != 2 || got[0].Status != "succeeded" || len(got[0].Outputs) != 2 {
				t.Errorf("records %+v", got)
			}
		})
	}
}

// The same seed gives the same pixels, another one others; the bytes differ by our mark alone.
func TestEmbedded_seed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, nil)
	pixels := func(seed int) string {
		r := h.must(t, "ann", "generate", fmt.Sprintf(`{"prompt":"x","family":"sd15","width":64,"height":64,"steps":1,"seed":%d}`, seed))
		return fmt.Sprint(h.pixels(t, "ann", pictureOf(t, r)))
	}
	first, again, other := pixels(1), pixels(1), pixels(2)
	if first != again {
		t.Error("the same seed gives other pixels")
	}
	if first == other {
		t.Error("another seed gives the same pixels")
	}
}

// Every family that the embedded server has files for makes a picture, from its name and a prompt alone.
func TestEmbedded_everyFamily(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, nil)
	var got struct {
		Families []struct {
			Family, Model string
			Installed     bool
		}
	}
	structured(t, find(t, h.list, "list_models"), h.must(t, "ann", "list_models", `{"limit":100}`), &got)
	made := 0
	for _, f := range got.Families {
		if !f.Installed {
			continue
		}
		made++
		// Small, because drawing takes longer than everything else; a family with a list of sizes says so and gets its own.
		args := fmt.Sprintf(`{"prompt":"x","family":%q,"steps":1,"wait_seconds":60,"width":64,"height":64}`, f.Family)
		r, err := h.call(t.Context(), t, callerOf("ann"), "generate", args)
		if fields := fieldsOf(err); slices.Contains(fields, "width") {
			r, err = h.call(t.Context(), t, callerOf("ann"), "generate", strings.Replace(args, `,"width":64,"height":64`, "", 1))
		}
		if err != nil {
			t.Errorf("%s: %+v", f.Family, err)
			continue
		}
		if len(r.Pictures) != 1 || !strings.Contains(r.Text, f.Model) {
			t.Errorf("%s: %s", f.Family, r.Text)
		}
	}
	if made < 15 {
		t.Errorf("%d families are installed", made)
	}
}

// What cannot be honoured is an error that names the argument.
func TestEmbedded_unhonoured(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, nil)
	for args, field := range map[string]string{
		`{"prompt":"x","family":"z-image-turbo","negative_prompt":"blur"}`: "negative_prompt",
		`{"prompt":"x","family":"z-image-turbo","guidance":3}`:             "guidance",
		`{"prompt":"x","family":"flux1-dev","width":520,"height":512}`:     "width",
		`{"prompt":"x","sampler":"nope"}`:                                  "sampler",
		`{"prompt":"x","family":"nope"}`:                                   "family",
	} {
		_, err := h.call(t.Context(), t, callerOf("ann"), "generate", args)
		var faults workflow.FieldErrors
		if !errors.As(err, &faults) || faults[0].Field != field {
			t.Errorf("%s: %v %v, want a fault of %s", args, err, fieldsOf(err), field)
		}
	}
	var model *workflow.ModelError
	for _, args := range []string{`{"prompt":"x","model":"nope.safetensors"}`, `{"prompt":"x","loras":[{"name":"nope.safetensors"}]}`} {
		if _, err := h.call(t.Context(), t, callerOf("ann"), "generate", args); !errors.As(err, &model) {
			t.Errorf("%s: %v", args, err)
		}
	}
	if n := h.emulator.Requests("POST /prompt"); n != 0 {
		t.Errorf("%d graphs were posted", n)
	}
}

// D13: one's job is stopped, running or waiting, the other's goes on.
func TestEmbedded_D13_cancel(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, emulator.Options{Version: version, StepTime: 100 * time.Millisecond}, nil)
			slow := `{"prompt":"x","family":"sd15","width":64,"height":64,"steps":100,"wait_seconds":0}`
			first := h.must(t, "ann", "generate", slow)
			h.until(t, "ann", first.JobID, jobs.Running)
			second := h.must(t, "ann", "generate", slow)
			other := h.must(t, "bob", "generate", strings.Replace(slow, `"steps":100`, `"steps":2`, 1))
			if !first.Accepted || !second.Accepted {
				t.Fatal("the calls waited")
			}
			for _, id := range []string{second.JobID, first.JobID} {
				if _, err := h.call(t.Context(), t, callerOf("bob"), "cancel", fmt.Sprintf(`{"job_id":%q}`, id)); !errors.Is(err, jobs.ErrNotFound) {
					t.Errorf("bob cancels ann's job: %v", err)
				}
				if r := h.must(t, "ann", "cancel", fmt.Sprintf(`{"job_id":%q}`, id)); !strings.Contains(r.Text, "The job is cancelled.") {
					t.Errorf("%s", r.Text)
				}
			}
			if v := decodeText(t, h.must(t, "bob", "status", fmt.Sprintf(`{"job_id":%q}`, other.JobID))); v["state"] != "succeeded" {
				t.Errorf("bob's job: %v", v)
			}
		})
	}
}

// until waits for a job to be in a state.
func (h *house) until(t *testing.T, owner, id string, want jobs.State) {
	t.Helper()
	seen := false
	watch, found := context.WithTimeout(t.Context(), 10*time.Second)
	defer found()
	j, err := h.jobs.Watch(watch, owner, id, func(j jobs.Job) {
		if j.State == want {
			seen = true
			found()
		}
	})
	if err != nil || !seen {
		t.Fatalf("the job is %s with %v, %v; want %s", j.State, j.Err, err, want)
	}
}

// A restart in mid-job: it is lost soon after the server answers again, and the next job runs.
func TestEmbedded_restart(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, emulator.Options{Version: version, StepTime: 100 * time.Millisecond, DownTime: 100 * time.Millisecond}, nil)
			slow := h.must(t, "ann", "generate", `{"prompt":"x","family":"sd15","width":64,"height":64,"steps":100,"wait_seconds":0}`)
			h.until(t, "ann", slow.JobID, jobs.Running)
			h.emulator.Restart()
			begun := time.Now()
			if v := decodeText(t, h.must(t, "ann", "status", fmt.Sprintf(`{"job_id":%q,"wait_seconds":30}`, slow.JobID))); v["state"] != "lost" || time.Since(begun) > 10*time.Second {
				t.Errorf("after %v the job is %v", time.Since(begun), v)
			}
			if r := h.must(t, "ann", "generate", `{"prompt":"x","family":"sd15","width":64,"height":64,"steps":1}`); len(r.Pictures) != 1 {
				t.Errorf("after the restart: %s", r.Text)
			}
		})
	}
}

// "Keep nothing" of design.md: nothing stays at the server but in its temp folder, and no prompt in its history.
func TestEmbedded_SC51_keepsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, emulator.Options{}, func(c *jobs.Config, e *tools.Env) { c.PurgeHistory, e.Settings.ResultsToTemp = true, true })
	r := h.must(t, "ann", "generate", `{"prompt":"x","family":"sd15","width":64,"height":64,"steps":1}`)
	if files := h.emulator.Files("output"); len(files) != 0 {
		t.Errorf("left in the output folder: %v", files)
	}
	if n := h.emulator.Requests("POST /history"); n != 1 {
		t.Errorf("the history was cleaned %d times", n)
	}
	h.must(t, "ann", "upscale", fmt.Sprintf(`{"image":%q,"factor":1.5}`, pictureOf(t, r)))
	if files := h.emulator.Files("output"); len(files) != 0 {
		t.Errorf("left by upscale: %v", files)
	}
}
