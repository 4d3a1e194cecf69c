package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/emulator"
	"github.com/comfygate/comfygate/doctor"
)

// TestDoctor: it tells what is wrong and what to do about it, to people and to programs, and changes nothing.
func TestDoctor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		env  func(*testing.T) string
		code int
		says string
	}{
		"nothing there": {func(t *testing.T) string { t.Helper(); return "COMFYGATE_COMFYUI__URL=http://" + freeAddr(t) }, exitError, "start ComfyUI"},
		"embedded":      {func(*testing.T) string { return embedded }, exitOK, "All is well."},
		"a ComfyUI": {func(t *testing.T) string {
			t.Helper()
			return newComfyUI(t, emulator.Options{}).on()
		}, exitOK, "Z-Image Turbo"},
		"a ComfyUI that is too old for the jobs API": {func(t *testing.T) string {
			t.Helper()
			return newComfyUI(t, emulator.Options{Version: emulator.V0364}).on()
		}, exitOK, "0.3.64"},
		"a ComfyUI without models": {func(t *testing.T) string {
			t.Helper()
			return newComfyUI(t, emulator.Options{Models: []emulator.Model{}}).on()
		}, exitError, "into models/"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.env(t))
			text := w.run(t, "doctor")
			if text.code != test.code || !strings.Contains(text.out, test.says) {
				t.Errorf("exit code %d, want %d and %q in:\n%s%s", text.code, test.code, test.says, text.out, text.err)
			}
			out := w.run(t, "doctor", "--json")
			var r doctor.Report
			if err := json.Unmarshal([]byte(out.out), &r); err != nil || out.code != test.code || r.ExitCode() != test.code {
				t.Fatalf("--json: exit code %d, %v: %s", out.code, err, out.out)
			}
			for _, f := range r.Findings {
				if f.Severity == doctor.Fail && f.Fix == "" {
					t.Errorf("%s has no fix: %s", f.ID, f.Text)
				}
			}
			if slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool { return f.Severity == doctor.Fail }) != (test.code != exitOK) {
				t.Errorf("exit code %d with %+v", test.code, r.Findings)
			}
			if made, err := os.ReadDir(w.home); err != nil || len(made) > 0 {
				t.Errorf("it made %v, %v", made, err)
			}
		})
	}
}
