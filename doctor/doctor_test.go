package doctor_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/doctor"
	"github.com/comfygate/comfygate/policy"
)

// server is a ComfyUI that says what it is told to.
type server struct {
	info      comfy.ServerInfo
	err       error
	hang      bool // Probe answers when its context ends
	objects   map[string]string
	objectErr error
	files     map[string][]string
	filesErr  error
	insecure  bool
	cloud     bool
}

func (*server) Redacted() string { return "http://comfy.test" }
func (s *server) Insecure() bool { return s.insecure }
func (s *server) Cloud() bool    { return s.cloud }

func (s *server) Probe(ctx context.Context) (comfy.ServerInfo, error) {
	if s.hang {
		<-ctx.Done()
		return comfy.ServerInfo{}, fmt.Errorf("%w: %w", comfy.ErrUnreachable, ctx.Err())
	}
	return s.info, s.err
}

// ObjectInfo makes a class of each entry of objects, name → module.
func (s *server) ObjectInfo(context.Context) (*comfy.ObjectInfo, error) {
	info := &comfy.ObjectInfo{Classes: map[string]*comfy.Class{}}
	for name, module := range s.objects {
		info.Classes[name] = &comfy.Class{Name: name, Module: module}
	}
	if k := info.Classes["KSampler"]; k != nil {
		k.Inputs = []comfy.Input{{Name: "sampler_name", Options: []string{"euler"}}, {Name: "scheduler", Options: []string{"simple"}}}
	}
	return info, s.objectErr
}

func (s *server) Models(_ context.Context, folder string) ([]comfy.ModelFile, error) {
	var files []comfy.ModelFile
	for _, name := range s.files[folder] {
		files = append(files, comfy.ModelFile{Name: name})
	}
	return files, s.filesErr
}

// Metadata knows the checkpoint a.safetensors and no other file.
func (*server) Metadata(_ context.Context, folder, name string) (map[string]string, error) {
	if folder == "checkpoints" && name == "a.safetensors" {
		return map[string]string{"modelspec.architecture": "a"}, nil
	}
	return nil, comfy.ErrNotFound
}

// catalog knows the families it is told, and remembers what it was asked about.
type catalog struct {
	families []workflow.FamilyState
	asked    workflow.Inventory
}

func (c *catalog) Families(inv workflow.Inventory) []workflow.FamilyState {
	c.asked = inv
	return c.families
}

// rule denies what begins with "denied".
type rule struct{}

func (rule) AllowModel(_ policy.Kind, name string) bool { return !strings.HasPrefix(name, "denied") }

var turbo = workflow.FamilyState{ID: "turbo", Title: "Turbo", Installed: true, Chosen: true, Model: "turbo.safetensors"}

// healthy is a set-up in which all is well, of which tests spoil one thing each. more are environment entries.
func healthy(t *testing.T, more ...string) doctor.Input {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	env := append([]string{"HOME=" + dir, "LOCALAPPDATA=" + dir, "USERPROFILE=" + dir, "COMFYGATE_STORAGE__DIR=" + filepath.Join(dir, "state"), "COMFYGATE_OUTPUT__DIR=" + filepath.Join(dir, "pictures")}, more...)
	cfg, warnings, err := config.Load(env, func(string) ([]byte, error) { return nil, fs.ErrNotExist }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return doctor.Input{
		Version: "1.2.3", Config: cfg, Warnings: warnings,
		Server: &server{
			info:    comfy.ServerInfo{Version: "0.33.0", JobsAPI: true, LatencyHint: 12 * time.Millisecond, Devices: []comfy.Device{{Name: "cuda:0 Card", Type: "cuda", VRAMTotal: 24 << 30, VRAMFree: 12 << 30}}},
			objects: map[string]string{"KSampler": "nodes", "SaveImage": "nodes"},
			files:   map[string][]string{"checkpoints": {"a.safetensors"}, "upscale_models": {"4x.pth"}},
		},
		Catalog: &catalog{families: []workflow.FamilyState{turbo}},
		Rules:   rule{},
		Started: func(context.Context) (doctor.Start, error) {
			return doctor.Start{Flags: []string{"--disable-metadata", "--disable-api-nodes", "--disable-all-custom-nodes"}}, nil
		},
		Audit: func(context.Context) (string, error) { return "12 records", nil },
		Machine: doctor.Machine{
			Addresses: func() ([]netip.Addr, error) { return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil },
			Dial:      ports{}.dial,
			Free:      func(string) (uint64, error) { return 100 << 30, nil },
			Resolver:  resolver{},
		},
	}
}

// ports are the addresses at which something listens.
type ports map[string]bool

func (p ports) dial(_ context.Context, _, address string) (net.Conn, error) {
	if !p[address] {
		return nil, errors.New("refused")
	}
	here, there := net.Pipe()
	return here, there.Close()
}

type resolver map[string]string

func (r resolver) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if a, ok := r[host]; ok {
		return []netip.Addr{netip.MustParseAddr(a)}, nil
	}
	return nil, errors.New("no such host")
}

func run(t *testing.T, in doctor.Input) doctor.Report {
	t.Helper()
	r, err := doctor.Run(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// find returns the one finding called id.
func find(t *testing.T, r doctor.Report, id string) doctor.Finding {
	t.Helper()
	var found []doctor.Finding
	for _, f := range r.Findings {
		if f.ID == id {
			found = append(found, f)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d findings called %s in %v", len(found), id, r.Findings)
	}
	return found[0]
}

func has(r doctor.Report, id string) bool {
	return slices.ContainsFunc(r.Findings, func(f doctor.Finding) bool { return f.ID == id })
}

// expect finds id with severity sev, holding every part in its texts; a finding that is not good names its fix.
func expect(t *testing.T, r doctor.Report, id string, sev doctor.Severity, parts ...string) {
	t.Helper()
	f := find(t, r, id)
	if f.Severity != sev {
		t.Errorf("%s is %s, want %s: %v", id, f.Severity, sev, f)
	}
	if (f.Severity == doctor.Warn || f.Severity == doctor.Fail) && f.Fix == "" {
		t.Errorf("%s has no fix", id)
	}
	all := f.Text + "\n" + strings.Join(f.Details, "\n") + "\n" + f.Fix
	for _, p := range parts {
		if !strings.Contains(all, p) {
			t.Errorf("%s does not say %q: %s", id, p, all)
		}
	}
}

func TestRun_healthy(t *testing.T) {
	t.Parallel()
	in := healthy(t)
	r := run(t, in)
	var b strings.Builder
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	want := `comfygate 1.2.3 looks at its set-up

ok    ComfyUI 0.33.0 answers at http://comfy.test in 12ms
ok    ComfyUI computes on cuda:0 Card, 12.0 of 24.0 GiB free
ok    model families that are installed: Turbo; a bare prompt takes Turbo (turbo.safetensors)
ok    upscale models: 4x.pth
ok    ComfyUI was started with the flags that are recommended
ok    port 8188 is closed on this machine's other addresses
ok    the data folder, DIR/state, is made at the first start
ok    100.0 GiB are free at DIR/state
ok    the folder for pictures, DIR/pictures, is made at the first start
ok    100.0 GiB are free at DIR/pictures
ok    the audit log verifies: 12 records

All is well.
`
	got := filepath.ToSlash(strings.ReplaceAll(b.String(), filepath.Dir(in.Config.Storage.Dir), "DIR"))
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if r.ExitCode() != 0 {
		t.Errorf("exit code %d", r.ExitCode())
	}
	inv := in.Catalog.(*catalog).asked //nolint:errcheck // a panic fails the test as well
	if len(inv.Files[policy.Checkpoint]) != 1 || inv.Info == nil || !slices.Equal(inv.Samplers, []string{"euler"}) || !slices.Equal(inv.Schedulers, []string{"simple"}) {
		t.Errorf("the catalog was asked about %v", inv)
	}
	if inv.Metadata("checkpoints", "a.safetensors")["modelspec.architecture"] != "a" || len(inv.Metadata("loras", "x")) > 0 {
		t.Error("the catalog cannot ask for metadata")
	}
	if entries, err := os.ReadDir(filepath.Dir(in.Config.Storage.Dir)); err != nil || len(entries) > 0 {
		t.Errorf("something was left behind: %v, %v", entries, err)
	}
}

func TestRun_required(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*doctor.Input){
		"Server":  func(in *doctor.Input) { in.Server = nil },
		"Catalog": func(in *doctor.Input) { in.Catalog = nil },
		"Rules":   func(in *doctor.Input) { in.Rules = nil },
	} {
		in := healthy(t)
		spoil(&in)
		if _, err := doctor.Run(t.Context(), in); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
}

func TestDisk(t *testing.T) {
	t.Parallel()
	target := t.TempDir()
	free := func(n uint64, err error) func(*doctor.Input) error {
		return func(in *doctor.Input) error {
			in.Machine.Free = func(string) (uint64, error) { return n, err }
			return nil
		}
	}
	for _, tc := range []struct {
		name  string
		unix  bool // depends on modes
		spoil func(*doctor.Input) error
		id    string
		sev   doctor.Severity
		parts []string
	}{
		{"there", false, func(in *doctor.Input) error { return os.Mkdir(in.Config.Storage.Dir, 0o700) }, "storage_folder", doctor.OK, nil},
		{"a file", false, func(in *doctor.Input) error { return os.WriteFile(in.Config.Storage.Dir, nil, 0o600) }, "storage_folder", doctor.Fail, []string{"not a folder", "COMFYGATE_STORAGE__DIR"}},
		{"below a file", false, func(in *doctor.Input) error {
			file := in.Config.Storage.Dir
			in.Config.Storage.Dir = filepath.Join(file, "a", "b")
			return os.WriteFile(file, nil, 0o600)
		}, "storage_folder", doctor.Fail, nil},
		{"SC-33 a link", true, func(in *doctor.Input) error { return os.Symlink(target, in.Config.Storage.Dir) }, "storage_folder", doctor.Fail, []string{"not a folder"}},
		{"SC-33 others write", true, func(in *doctor.Input) error {
			return errors.Join(os.Mkdir(in.Config.Storage.Dir, 0o700), os.Chmod(in.Config.Storage.Dir, 0o770))
		}, "storage_folder", doctor.Fail, []string{"mode 0770", "chmod 700"}},
		{"SC-33 others read a key", true, func(in *doctor.Input) error {
			key := filepath.Join(in.Config.Storage.Dir, "audit.key")
			return errors.Join(os.Mkdir(in.Config.Storage.Dir, 0o700), os.WriteFile(key, nil, 0o600), os.Chmod(key, 0o644))
		}, "storage_modes", doctor.Fail, []string{"audit.key", "chmod -R go-rwx"}},
		{"SC-33 a link inside opens nothing", true, func(in *doctor.Input) error {
			return errors.Join(os.Mkdir(in.Config.Storage.Dir, 0o700), os.Symlink(target, filepath.Join(in.Config.Storage.Dir, "link")))
		}, "storage_folder", doctor.OK, nil},
		{"pictures off", false, func(in *doctor.Input) error { in.Config.Output.Dir = ""; return nil }, "output_folder", doctor.Info, []string{"COMFYGATE_OUTPUT__DIR"}},
		{"pictures through a link", true, func(in *doctor.Input) error { return os.Symlink(target, in.Config.Output.Dir) }, "output_folder", doctor.OK, nil},
		{"pictures at a file", false, func(in *doctor.Input) error { return os.WriteFile(in.Config.Output.Dir, nil, 0o600) }, "output_folder", doctor.Fail, []string{"COMFYGATE_OUTPUT__DIR"}},
		{"space low", false, free(5<<30-1, nil), "storage_space", doctor.Warn, []string{"5.0 GiB"}},
		{"space gone", false, free(1<<30-1, nil), "output_space", doctor.Fail, []string{"COMFYGATE_OUTPUT__DIR"}},
		{"space enough", false, free(5<<30, nil), "storage_space", doctor.OK, nil},
		{"space unknown", false, free(0, errors.ErrUnsupported), "storage_space", doctor.Info, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.unix && runtime.GOOS == "windows" {
				t.Skip("modes and links are for Unix")
			}
			in := healthy(t)
			if err := tc.spoil(&in); err != nil {
				t.Fatal(err)
			}
			r := run(t, in)
			expect(t, r, tc.id, tc.sev, tc.parts...)
			if tc.id != "storage_modes" && has(r, "storage_modes") {
				t.Errorf("%v", find(t, r, "storage_modes"))
			}
		})
	}
	t.Run("the real disk", func(t *testing.T) {
		t.Parallel()
		in := healthy(t)
		in.Machine.Free = nil
		if f := find(t, run(t, in), "storage_space"); f.Severity == doctor.Info || strings.HasPrefix(f.Text, "0.0") {
			t.Error(f)
		}
	})
}

func TestAuditAndSettings(t *testing.T) {
	t.Parallel()
	in := healthy(t, "COMFYGATE_AUDIT__LOG_PROMPTS=true")
	in.Audit = func(context.Context) (string, error) { return "", errors.New("slot 001, line 7: hash differs") }
	r := run(t, in)
	expect(t, r, "audit_log", doctor.Fail, "line 7", "comfygate audit verify")
	expect(t, r, "setting", doctor.Warn, "AUDIT__LOG_PROMPTS")
	in.Audit = func(context.Context) (string, error) { return "", fmt.Errorf("listing: %w", fs.ErrNotExist) }
	expect(t, run(t, in), "audit_log", doctor.Info, "no audit log yet")
	if err := os.MkdirAll(filepath.Join(in.Config.Storage.Dir, "audit"), 0o700); err != nil {
		t.Fatal(err)
	}
	expect(t, run(t, in), "audit_log", doctor.Fail, "listing")
	in.Audit = nil
	if has(run(t, in), "audit_log") {
		t.Error("nobody looked at the audit log")
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		sevs []doctor.Severity
		end  string
		code int
	}{
		{nil, "All is well.", 0},
		{[]doctor.Severity{doctor.OK, doctor.Info}, "All is well.", 0},
		{[]doctor.Severity{doctor.Warn}, "It works, with 1 warning.", 0},
		{[]doctor.Severity{doctor.Warn, doctor.Warn, doctor.Fail}, "1 thing to mend, 2 warnings.", 1},
		{[]doctor.Severity{doctor.Fail, doctor.Fail}, "2 things to mend, 0 warnings.", 1},
	} {
		var r doctor.Report
		for _, s := range tc.sevs {
			r.Findings = append(r.Findings, doctor.Finding{ID: "x", Severity: s, Text: "text", Details: []string{"a detail"}, Fix: "mend it"})
		}
		var b strings.Builder
		if err := r.WriteText(&b); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(b.String(), "\n"+tc.end+"\n") || r.ExitCode() != tc.code {
			t.Errorf("%v gives %q, exit code %d", tc.sevs, b.String(), r.ExitCode())
		}
		if len(tc.sevs) > 0 && !strings.Contains(b.String(), "  text\n      - a detail\n      fix: mend it\n") {
			t.Errorf("%s", b.String())
		}
	}
	var b strings.Builder
	long := doctor.Finding{ID: "x", Severity: doctor.Info, Details: strings.Split("1 2 3 4 5 6 7 8", " ")}
	if err := (doctor.Report{Findings: []doctor.Finding{long}}).WriteText(&b); err != nil || !strings.Contains(b.String(), "- 6\n      - and 2 more, which --json lists\n") {
		t.Errorf("%v, %s", err, b.String())
	}
	b.Reset()
	if err := run(t, healthy(t)).WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil {
		t.Fatal(err)
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{"backend", "comfyui", "findings", "version"}) {
		t.Errorf("keys %q", keys)
	}
	if err := (doctor.Report{}).WriteText(full{}); err == nil {
		t.Error("a failed write is no error")
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("full") }
