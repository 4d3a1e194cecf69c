package tools_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/tools"
)

// SC-55: a job whose estimate is above what the card has is refused before anything is queued; one that is close is told; one below is not.
// The catalog of these tests makes 1024×1024 from a model of 7 GB: 5.6 GB for one picture, 15.6 GB for four.
func TestGenerate_SC55_videoMemory(t *testing.T) {
	t.Parallel()
	const gb = int64(1e9)
	for name, tc := range map[string]struct {
		device comfy.Device
		model  int64
		factor float64
		args   string
		refuse bool
		note   bool
	}{
		"below":                     {comfy.Device{Type: "cuda", VRAMTotal: 24 * gb}, 7 * gb, 1, `"count":4`, false, false},
		"between":                   {comfy.Device{Type: "cuda", VRAMTotal: 16 * gb}, 7 * gb, 1, `"count":4`, false, true},
		"above":                     {comfy.Device{Type: "cuda", VRAMTotal: 12 * gb}, 7 * gb, 1, `"count":4`, true, false},
		"one picture":               {comfy.Device{Type: "cuda", VRAMTotal: 12 * gb}, 7 * gb, 1, `"count":1`, false, false},
		"one picture, a small card": {comfy.Device{Type: "cuda", VRAMTotal: 6 * gb}, 7 * gb, 1, `"count":1`, false, true},
		"a small model":             {comfy.Device{Type: "cuda", VRAMTotal: 12 * gb}, gb, 1, `"count":4`, false, false},
		"size unknown":              {comfy.Device{Type: "cuda", VRAMTotal: 12 * gb}, 0, 1, `"count":4`, true, false},
		"by half":                   {comfy.Device{Type: "cuda", VRAMTotal: 12 * gb}, 7 * gb, 0.5, `"count":4`, false, true},
		"by half, and still":        {comfy.Device{Type: "cuda", VRAMTotal: 6 * gb}, 7 * gb, 0.5, `"count":4`, true, false},
		"off":                       {comfy.Device{Type: "cuda", VRAMTotal: 2 * gb}, 7 * gb, 0, `"count":4`, false, true},
		"little is free":            {comfy.Device{Type: "cuda", VRAMTotal: 24 * gb, VRAMFree: gb}, 7 * gb, 1, `"count":4`, false, false}, // a model is cached
		"the processor":             {comfy.Device{Type: "cpu", VRAMTotal: 2 * gb}, 7 * gb, 1, `"count":4`, false, false},
		"nothing told":              {comfy.Device{Type: "cuda"}, 7 * gb, 1, `"count":4`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(e *tools.Env) { e.Settings.VRAMFactor, e.Settings.VRAMReserveGB = tc.factor, 1 })
			b.server.health.Info.Devices = []comfy.Device{tc.device}
			b.server.files["checkpoints"][0].Size = tc.model
			b.jobs.watch = succeed(1)
			_, err := b.resolve(t, "generate", `{"prompt":"x",`+tc.args+`}`)
			if fault, ok := errors.AsType[*tools.Fault](err); (ok && fault.Code == "INSUFFICIENT_VRAM") != tc.refuse {
				t.Fatalf("refused: %v, want %v", err, tc.refuse)
			}
			if tc.refuse {
				if len(b.jobs.started) > 0 {
					t.Error("a job was started")
				}
				return
			}
			b.mustRun(t, "generate", `{"prompt":"x",`+tc.args+`}`)
			job := b.jobs.started[0]
			if note := strings.Contains(job.Summary["note"], "Video memory may be tight"); note != tc.note {
				t.Errorf("told %q, want %v", job.Summary["note"], tc.note)
			}
		})
	}
}

// LIM-03: samplers that ask the model twice in a step cost twice.
func TestGenerate_LIM03_cost(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	if cost := b.plan(t, "generate", `{"prompt":"x"}`).Cost(); cost.Work != 27 { // 1024 × 1024 × 25 steps
		t.Errorf("%+v", cost)
	}
	b.catalog.sampler = "dpmpp_sde"
	if cost := b.plan(t, "generate", `{"prompt":"x","count":2}`).Cost(); cost.Work != 105 {
		t.Errorf("%+v", cost)
	}
}
