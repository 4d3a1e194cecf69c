package e2e_test

import (
	"encoding/json"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// What an agent may see besides an error's code.
const (
	made   = "made"    // the fault is mended, or does not matter
	runsOn = "runs on" // the wait ended first
)

// faultWait is how long a call waits for its job, in seconds.
const faultWait = 8

// faultCases are the emulator's faults and what an agent sees of each: a picture, an error of that code, or a job that runs on
// until it is cancelled.
var faultCases = map[string]string{
	"drop-ws@1":                 made, // polling is the truth
	"stall-ws@1":                made,
	"big-frame@9000000":         made,
	"deaf-reconnect":            made,
	"mended-reconnect":          made,
	"oom@1*1":                   made, // once more after freeing memory
	"oom@1":                     "INSUFFICIENT_VRAM",
	"error@KSampler":            "GENERATION_FAILED",
	"evil-error@KSampler":       "GENERATION_FAILED",
	"blocked@1":                 made,
	"interrupt@1":               "JOB_INTERRUPTED",
	"restart@1":                 "JOB_LOST",
	"die@1":                     runsOn, // until the server comes back or its time is over
	"slow-node@VAEDecode=500ms": made,
	"slow-start@100ms":          made,
	"late-interrupt@1s":         made,
	"zombie":                    runsOn,
	"forget":                    "JOB_LOST",
	"no-jobs-api":               made,
	"http-401@/prompt":          "UPSTREAM_AUTH_FAILED",
	"http-403@/prompt":          "UPSTREAM_AUTH_FAILED",
	"http-404@/view":            "NO_OUTPUT",
	"http-429@/view*1":          made, // it was fetched ahead, and is once more at the end
	"http-429@/view":            "UPSTREAM_ERROR",
	"http-500@/prompt":          "UPSTREAM_ERROR",
	"http-502@/prompt":          "UPSTREAM_ERROR",
	"http-503@/object_info":     "UPSTREAM_ERROR",
	"slow-http@/view=300ms":     made,
	"slow-answer@/prompt=300ms": made,
	"hang-http@/view":           "COMFYUI_CONNECTION_ERROR",
	"cut-http@/prompt*1":        made, // it was taken all the same, and is not posted again
	"refuse-http@/prompt":       "COMFYUI_CONNECTION_ERROR",
	"endless-http@/object_info": "UPSTREAM_RESPONSE_TOO_LARGE",
	"evil-name":                 "NO_OUTPUT",
	"broken-view":               "UNEXPECTED_OUTPUT_TYPE",
	"truncated-view":            "COMFYUI_CONNECTION_ERROR",
}

// TestFaults: each way in which the emulator misbehaves, seen by an agent through the built binary: what it is told and how soon, that the
// job's end is known, and that nothing is left over, here or at the server.
func TestFaults(t *testing.T) {
	t.Parallel()
	named := make(map[string]bool)
	for fault := range faultCases {
		named[regexp.MustCompile(`^[a-z0-9-]+`).FindString(fault)] = true
	}
	for _, f := range emulator.FaultList() {
		if !named[f.Name] {
			t.Errorf("fault %s has no case", f.Name)
		}
	}
	for fault, want := range faultCases {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			x := target{url: "http://" + freeAddr(t)}
			stop := startEmulator(t, "--listen", strings.TrimPrefix(x.url, "http://"), "--step-time", "20ms", "--preview-method", "auto", "--fault", fault)
			defer stop()
			env := x.environment(t, "COMFYGATE_COMFYUI__TIMEOUT_IMAGE=3")
			a := overStdio(t, env)
			began := time.Now()
			out := a.call(t, "generate", args{"prompt": "a pond", "family": "sd15", "width": 64, "height": 64, "steps": 4, "wait_seconds": faultWait})
			if took := time.Since(began); took > 3*faultWait*time.Second {
				t.Errorf("the answer took %v", took)
			}
			if got := out.kind(); got != want {
				t.Errorf("the agent sees %q, want %q: %s", got, want, out.text)
			}
			away := strings.HasPrefix(fault, "die")
			if out.kind() == runsOn && !away {
				a.cancelled(t, out.job(t))
			}
			if !away {
				for _, j := range a.recent(t) {
					if !j.over() {
						t.Errorf("job %s is still %s", j.ID, j.State)
					}
				}
				if n := x.queue(t); n != 0 {
					t.Errorf("%d jobs are left at the server", n)
				}
			}
			if err := a.c.Close(); err != nil {
				t.Errorf("ending: %v", err)
			}
			verify := exec.Command(binary(t), "audit", "verify")
			verify.Env = env
			if said, err := verify.CombinedOutput(); err != nil || !strings.Contains(string(said), " 0 calls and 0 jobs open") {
				t.Errorf("the record: %v, %s", err, said)
			}
		})
	}
}

// kind is what an answer comes to, in the words of faultCases.
func (o answer) kind() string {
	switch {
	case o.fault != nil:
		return o.fault.Code
	case len(o.pictures) > 0:
		return made
	}
	return runsOn
}

// recent are the caller's own jobs.
func (a *agent) recent(t *testing.T) []job {
	t.Helper()
	var s struct{ Jobs []job }
	if err := json.Unmarshal([]byte(a.must(t, "status", nil).text), &s); err != nil {
		t.Fatal(err)
	}
	return s.Jobs
}
