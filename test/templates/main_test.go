package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"image"
	"image/color"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/comfy/emulator"
)

const cases = "../../comfy/workflow/testdata/ui"

// emulated starts a ComfyUI with the model that keeps it busy.
func emulated(t *testing.T, version string) string {
	t.Helper()
	e, err := emulator.New(emulator.Options{
		Version: version, StepTime: 2 * time.Millisecond,
		Models: append(emulator.UsualModels(), emulator.Model{Folder: "checkpoints", Name: "tiny-sd3.safetensors", Size: 1 << 20}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() })
	srv := httptest.NewServer(e.Handler())
	t.Cleanup(srv.Close)
	return srv.URL
}

// The embedded ComfyUI takes what we make of its own templates, and the pixels of what needs no model are right on it too.
func TestRun(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), []string{"-url", emulated(t, version), "-cases", cases, "-misses", "0"}, &stdout, &stderr)
			if code != 0 || stderr.Len() > 0 || strings.Contains(stdout.String(), "REFUSED") || !strings.Contains(stdout.String(), "accepted") {
				t.Errorf("code %d, %s\n%s", code, &stderr, &stdout)
			}
			if !strings.Contains(stdout.String(), "workflows ran, 0 wrong") {
				t.Errorf("%s", &stdout)
			}
		})
	}
}

// A template that is refused is named with the reason, and fails the run when it is one too many.
func TestReport(t *testing.T) {
	t.Parallel()
	all := report{
		{name: "good", open: true},
		{name: "bad", open: true, refused: []string{"7 KSampler: required_input_missing: model"}},
		{name: "odd", open: true, ours: true, refused: []string{"the server lacks 1 X ()"}},
		{name: "dear", denied: "node-modules: no"},
	}
	var out bytes.Buffer
	if all.print(&out, 1) || !all.print(&out, 2) {
		t.Error("two are refused")
	}
	for _, want := range []string{"REFUSED", "NOT CONVERTED", "required_input_missing: model", "policy denies it: node-modules", "open          3         2         1              0            0", "paid          1         1         1              1            1"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &out)
		}
	}
}

func TestAnswer_reasons(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ body, want string }{
		"accepted":    {`{"prompt_id": "x", "number": 1, "node_errors": {}}`, ""},
		"of nodes":    {`{"error": {"type": "prompt_outputs_failed_validation"}, "node_errors": {"4": {"class_type": "A", "errors": [{"type": "value_not_in_list", "details": "x: 'y' not in ['z']"}]}}}`, "4 A: value_not_in_list: x: 'y'"},
		"of no node":  {`{"error": {"type": "prompt_no_outputs", "details": "none"}, "node_errors": {}}`, "prompt_no_outputs: none"},
		"half a loaf": {`{"prompt_id": "x", "node_errors": {"4": {"class_type": "A", "errors": [{"type": "t", "details": "d"}]}}}`, "4 A: t: d"},
	} {
		var a answer
		if err := json.Unmarshal([]byte(tt.body), &a); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(a.reasons(), "|"); got != tt.want {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}

func TestPicture_differs(t *testing.T) {
	t.Parallel()
	img := image.NewNRGBA(image.Rect(0, 0, 4, 3))
	img.SetNRGBA(1, 2, color.NRGBA{R: 255, A: 255})
	want := picture{Width: 4, Height: 3, Points: []point{{1, 2, "#ff0000"}}}
	if faults := want.differs("9", img); len(faults) > 0 {
		t.Error(faults)
	}
	want.Points[0].color = "#00ff00"
	if faults := want.differs("9", img); len(faults) != 1 || !strings.Contains(faults[0], "#ff0000 at 1,2") {
		t.Error(faults)
	}
	want.Width = 5
	if faults := want.differs("9", img); len(faults) != 1 || !strings.Contains(faults[0], "4×3, not 5×3") {
		t.Error(faults)
	}
}

// Files go where a template wants them, never out of the server's folders, over nobody's own, and not for longer than needed.
func TestProvide_base(t *testing.T) {
	t.Parallel()
	base := t.TempDir()
	s := &server{base: base}
	own := filepath.Join(base, "input", "own.png")
	if err := os.MkdirAll(filepath.Dir(own), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(own, []byte("own"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a.png": "input/a.png", `sub\b.png`: "input/sub/b.png", "c.png [output]": "output/c.png", "own.png": "input/own.png", "../../d.png": "", "/e.png": "",
	} {
		if err := s.provide(t.Context(), name, []byte("x")); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if want == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(base, filepath.FromSlash(want))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	entries, err := os.ReadDir(base)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
	if err := s.clean(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"input/a.png", "output/c.png"} {
		if _, err := os.Stat(filepath.Join(base, filepath.FromSlash(name))); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s stays: %v", name, err)
		}
	}
	if data, err := os.ReadFile(own); err != nil || string(data) != "own" {
		t.Errorf("what was there is %q, %v", data, err)
	}
}

// What the server has already is not uploaded over.
func TestProvide_upload(t *testing.T) {
	t.Parallel()
	s := &server{url: emulated(t, emulator.V0330)}
	for _, data := range []string{"\x89PNG\r\n\x1a\nfirst", "\x89PNG\r\n\x1a\nsecond"} {
		if err := s.provide(t.Context(), "sub/own.png", []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	for file, want := range map[string]bool{"own.png": true, "own (1).png": false, "other.png": false} {
		if got, err := s.holds(t.Context(), "input", "sub", file); err != nil || got != want {
			t.Errorf("%s: %v, %v", file, got, err)
		}
	}
}

func TestRun_refuses(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, tt := range map[string]struct {
		args []string
		code int
	}{
		"nothing": {nil, 2}, "unknown flag": {[]string{"-x"}, 2}, "more": {[]string{"-url", "http://127.0.0.1:1", "y"}, 2}, "nobody there": {[]string{"-url", "http://127.0.0.1:1"}, 1},
	} {
		var stdout, stderr bytes.Buffer
		if code := run(ended, tt.args, &stdout, &stderr); code != tt.code || stderr.Len() == 0 {
			t.Errorf("%s: code %d, %q", name, code, &stderr)
		}
	}
}
