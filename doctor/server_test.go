package doctor_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/doctor"
)

func TestRun_unreachable(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		err   error
		id    string
		parts []string
	}{
		{fmt.Errorf("%w: dial tcp 127.0.0.1:8188: connection refused", comfy.ErrUnreachable), "comfyui_unreachable", []string{"http://comfy.test", "connection refused", "start ComfyUI", "COMFYGATE_COMFYUI__BACKEND=embedded"}},
		{comfy.ErrAuth, "comfyui_credentials", []string{"COMFYGATE_COMFYUI__API_KEY"}},
		{comfy.ErrRedirect, "comfyui_redirect", []string{"COMFYGATE_COMFYUI__URL"}},
		{comfy.ErrProtocol, "comfyui_protocol", []string{"port and path"}},
		{errors.New("something else"), "comfyui_unreachable", []string{"something else", "ComfyUI's own log"}},
	} {
		t.Run(tc.err.Error(), func(t *testing.T) {
			t.Parallel()
			in := healthy(t)
			in.Server = &server{err: tc.err}
			r := run(t, in)
			expect(t, r, tc.id, doctor.Fail, tc.parts...)
			if f := find(t, r, tc.id); strings.Contains(f.Text, "comfyui does not answer") {
				t.Errorf("it is said twice: %s", f.Text)
			}
			if r.ExitCode() != 1 || r.Count(doctor.Fail) != 1 {
				t.Errorf("exit code %d, %v", r.ExitCode(), r.Findings)
			}
			if has(r, "model_families") || !has(r, "storage_folder") {
				t.Errorf("models need ComfyUI, folders do not: %v", r.Findings)
			}
		})
	}
}

// A ComfyUI on another usual port is pointed out; nobody is asked where the URL is another machine's.
func TestRun_elsewhere(t *testing.T) {
	t.Parallel()
	in := healthy(t)
	in.Server = &server{err: comfy.ErrUnreachable}
	in.Machine.Dial = ports{"127.0.0.1:8000": true, "127.0.0.1:8188": true}.dial
	f := find(t, run(t, in), "comfyui_unreachable")
	if len(f.Details) != 1 || !strings.Contains(f.Details[0], "COMFYGATE_COMFYUI__URL=http://127.0.0.1:8000") {
		t.Errorf("details: %q", f.Details)
	}
	in = healthy(t, "COMFYGATE_COMFYUI__URL=https://comfy.example")
	in.Server = &server{err: comfy.ErrUnreachable}
	in.Machine.Dial = func(context.Context, string, string) (net.Conn, error) {
		t.Error("a port of this machine was looked at")
		return nil, errors.New("refused")
	}
	if f := find(t, run(t, in), "comfyui_unreachable"); f.Details != nil {
		t.Errorf("details: %q", f.Details)
	}
}

// However slow ComfyUI is, a run ends within a minute.
func TestRun_bounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := healthy(t)
		in.Server = &server{hang: true}
		began := time.Now()
		r := run(t, in)
		if took := time.Since(began); took > time.Minute {
			t.Errorf("took %s", took)
		}
		expect(t, r, "comfyui_unreachable", doctor.Fail)
	})
}

func TestServer(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		spoil func(*server)
		id    string
		sev   doctor.Severity
		parts []string
	}{
		{"SC-07 below the floor", func(s *server) { s.info.Version, s.info.BelowFloor = "0.3.40", true }, "comfyui_version", doctor.Warn, []string{"0.3.40", "v0.3.57", "update"}},
		{"version not told", func(s *server) { s.info.Version = "" }, "comfyui_reachable", doctor.OK, []string{"does not tell"}},
		{"no jobs API", func(s *server) { s.info.JobsAPI = false }, "comfyui_jobs_api", doctor.Info, []string{"history"}},
		{"processor only", func(s *server) { s.info.Devices = []comfy.Device{{Name: "cpu", Type: "cpu"}} }, "comfyui_devices", doctor.Info, []string{"minutes"}},
		{"nodes fail", func(s *server) { s.objectErr = comfy.ErrProtocol }, "comfyui_nodes", doctor.Fail, []string{"custom node"}},
		{"models fail", func(s *server) { s.filesErr = comfy.ErrProtocol }, "comfyui_models", doctor.Fail, []string{"folder checkpoints"}},
		{"custom nodes", func(s *server) {
			s.objects["A"], s.objects["B"], s.objects["C"] = "custom_nodes.Zoo", "custom_nodes.Zoo", "custom_nodes.Ark"
			s.objects["SaveImageWebsocket"] = "custom_nodes.websocket_image_save"
		}, "comfyui_custom_nodes", doctor.Info, []string{"2 packs", "Ark, Zoo", "--disable-all-custom-nodes"}},
		{"CLIENT-SEC-2 core nodes replaced", func(s *server) { s.objects["KSampler"] = "custom_nodes.Evil" }, "comfyui_core_nodes_replaced", doctor.Fail, []string{"KSampler comes from custom_nodes.Evil"}},
		{"paid nodes", func(s *server) { s.objects["Pay"] = "comfy_api_nodes.nodes_x" }, "comfyui_api_nodes", doctor.Info, []string{"1 node ", "--disable-api-nodes"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in := healthy(t)
			tc.spoil(in.Server.(*server)) //nolint:errcheck // a panic fails the test as well
			expect(t, run(t, in), tc.id, tc.sev, tc.parts...)
		})
	}
	in := healthy(t)
	s := in.Server.(*server) //nolint:errcheck // likewise
	s.objects["SaveImageWebsocket"] = "custom_nodes.websocket_image_save"
	for i := range 12 {
		s.objects[fmt.Sprint(i)] = fmt.Sprintf("custom_nodes.p%02d", i)
	}
	if f := find(t, run(t, in), "comfyui_custom_nodes"); strings.Contains(f.Text, "websocket") || !strings.Contains(f.Text, "p09 and 2 more") {
		t.Error(f.Text)
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	missing := []workflow.MissingFile{{Name: "qwen.safetensors", Folder: "text_encoders", Repository: "Comfy-Org/x"}}
	for _, tc := range []struct {
		name     string
		families []workflow.FamilyState
		files    map[string][]string
		env      []string
		id       string
		sev      doctor.Severity
		parts    []string
	}{
		{"none", []workflow.FamilyState{{Title: "New", Lacks: []string{"class X"}, Missing: missing}, {Title: "Turbo", Missing: missing}}, nil, nil, "model_families", doctor.Fail, []string{"those of Turbo", "qwen.safetensors into models/text_encoders, from Comfy-Org/x"}},
		{"none known", nil, nil, nil, "model_families", doctor.Fail, []string{"models folder"}},
		{"unknown checkpoint", []workflow.FamilyState{{Title: "Turbo", Missing: missing}}, map[string][]string{"checkpoints": {"denied.ckpt", "mine.safetensors"}}, nil, "model_families", doctor.Info, []string{"mine.safetensors"}},
		{"incomplete", []workflow.FamilyState{turbo, {Title: "Qwen", Model: "q.safetensors", Missing: missing}}, nil, nil, "model_family_incomplete", doctor.Warn, []string{"Qwen (q.safetensors)", "qwen.safetensors into models/text_encoders, from Comfy-Org/x"}},
		{"too new", []workflow.FamilyState{turbo, {Title: "Krea", Model: "k.safetensors", Lacks: []string{"class Flux2Scheduler"}}}, nil, nil, "model_family_too_new", doctor.Warn, []string{"Krea (k.safetensors)", "class Flux2Scheduler", "update ComfyUI"}},
		{"absent", []workflow.FamilyState{turbo, {Title: "Krea", Missing: missing}, {Title: "Any checkpoint"}, {Title: "Anima", Missing: missing}}, nil, nil, "model_families_absent", doctor.Info, []string{"known: 2", "Krea: qwen.safetensors into models/text_encoders, from Comfy-Org/x"}},
		{"no upscaler", []workflow.FamilyState{turbo}, nil, nil, "upscale_models", doctor.Info, []string{"models/upscale_models"}},
		{"SC-52 denied", []workflow.FamilyState{turbo}, map[string][]string{"loras": {"denied.pt"}}, nil, "models_denied", doctor.Info, []string{"1 file ", "loras/denied.pt"}},
		{"default there", []workflow.FamilyState{turbo}, map[string][]string{"diffusion_models": {"d.safetensors"}}, []string{"COMFYGATE_GENERATION__MODEL=d.safetensors"}, "default_model", doctor.OK, []string{"d.safetensors"}},
		{"default missing", []workflow.FamilyState{turbo}, nil, []string{"COMFYGATE_GENERATION__MODEL=d.safetensors"}, "default_model", doctor.Fail, []string{"d.safetensors"}},
		{"default denied", []workflow.FamilyState{turbo}, map[string][]string{"checkpoints": {"denied.ckpt"}}, []string{"COMFYGATE_GENERATION__MODEL=denied.ckpt"}, "default_model", doctor.Fail, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in := healthy(t, tc.env...)
			in.Catalog = &catalog{families: tc.families}
			in.Server.(*server).files = tc.files //nolint:errcheck // a panic fails the test as well
			expect(t, run(t, in), tc.id, tc.sev, tc.parts...)
		})
	}
}

// IMG-08: what the command line lacks. Its values, which can be paths, are never asked for.
func TestFlags_IMG08(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		start doctor.Start
		err   error
		id    string
		sev   doctor.Severity
		parts []string
	}{
		{"none", doctor.Start{}, nil, "comfyui_flags", doctor.Info, []string{"--disable-metadata", "--disable-api-nodes", "--disable-all-custom-nodes"}},
		{"manager by flag", doctor.Start{Flags: []string{"--enable-manager"}}, nil, "comfyui_manager", doctor.Warn, []string{"install code"}},
		{"manager answers", doctor.Start{Manager: true}, nil, "comfyui_manager", doctor.Warn, nil},
		{"any web page", doctor.Start{Flags: []string{"--enable-cors-header"}}, nil, "comfyui_cors", doctor.Warn, []string{"--enable-cors-header"}},
		{"not told", doctor.Start{}, comfy.ErrProtocol, "comfyui_flags", doctor.Info, []string{"does not tell"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in := healthy(t)
			in.Started = func(context.Context) (doctor.Start, error) { return tc.start, tc.err }
			expect(t, run(t, in), tc.id, tc.sev, tc.parts...)
		})
	}
	in := healthy(t)
	in.Server.(*server).cloud = true //nolint:errcheck // a panic fails the test as well
	if has(run(t, in), "comfyui_flags") {
		t.Error("Comfy Cloud is not the operator's to start")
	}
	in = healthy(t)
	in.Started = nil
	if has(run(t, in), "comfyui_flags") {
		t.Error("nobody was asked for flags")
	}
}

func TestEmbedded(t *testing.T) {
	t.Parallel()
	in := healthy(t, "COMFYGATE_COMFYUI__BACKEND=embedded")
	r := run(t, in)
	expect(t, r, "comfyui_reachable", doctor.Info, "embedded", "placeholder")
	if r.ComfyUI != "" || r.Backend != "embedded" || has(r, "comfyui_flags") || has(r, "comfyui_credentials") || has(r, "comfyui_devices") {
		t.Errorf("%v", r)
	}
}
