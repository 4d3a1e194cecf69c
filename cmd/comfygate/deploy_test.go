package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/config"
)

var settingName = regexp.MustCompile(`COMFYGATE_[A-Z]+__[A-Z0-9_]+`)

func deployed(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// knownSettings are the names of all settings, with _FILE where a secret may come from a file.
func knownSettings(t *testing.T) func(name string) bool {
	t.Helper()
	var docs bytes.Buffer
	if err := config.WriteDocs(&docs); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^### (COMFYGATE_\S+)$`).FindAllStringSubmatch(docs.String(), -1) {
		names[m[1]] = true
	}
	return func(name string) bool { return names[name] || names[strings.TrimSuffix(name, "_FILE")] }
}

// Every setting that a file of deploy names is one.
func TestDeploy_settings(t *testing.T) {
	t.Parallel()
	known := knownSettings(t)
	entries, err := os.ReadDir(filepath.Join(root, "deploy"))
	if err != nil || len(entries) < 6 {
		t.Fatalf("%d files, %v", len(entries), err)
	}
	for _, e := range entries {
		for _, name := range settingName.FindAllString(deployed(t, e.Name()), -1) {
			if !known(name) {
				t.Errorf("%s: there is no setting %s", e.Name(), name)
			}
		}
	}
}

// The unit gives the service what it needs and takes the rest away; systemd itself has nothing against it.
func TestDeploy_unit(t *testing.T) {
	t.Parallel()
	path := filepath.Join(root, "deploy", "comfygate.service")
	service := readUnit(t, path)["Service"]
	for key, want := range map[string]string{
		"User": "comfygate", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateDevices": "yes", "CapabilityBoundingSet": "",
		"StateDirectory": "comfygate", "KillSignal": "SIGTERM", "LimitCORE": "0", "UMask": "0077", "ExecReload": "/bin/kill -HUP $MAINPID",
	} {
		if got, there := service[key]; !there || got[0] != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if !strings.Contains(deployed(t, "comfygate.env"), "COMFYGATE_STORAGE__DIR=/var/lib/"+service["StateDirectory"][0]+"\n") {
		t.Error("the data folder is not the one that the unit makes and lets be written")
	}
	needs(t, "systemd-analyze")
	unit := filepath.Join(t.TempDir(), "comfygate.service")
	here, err := exec.LookPath("comfygate")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(deployed(t, "comfygate.service"), "/usr/local/bin/comfygate", here, 1)
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(soon(t), "systemd-analyze", "verify", "--man=no", unit).CombinedOutput()
	if faults := regexp.MustCompile(`(?m)^.*comfygate\.service:.*$`).FindAllString(string(out), -1); len(faults) > 0 {
		t.Errorf("systemd says %q, %v", faults, err)
	}
}

// What stands before the listener passes events on as they come, waits as long as a call may, and lets no larger body in than comfygate would.
func TestDeploy_proxies(t *testing.T) {
	t.Parallel()
	for name, wants := range map[string][]string{
		"comfygate-nginx.conf": {"proxy_buffering off", "proxy_read_timeout 330s", "client_max_body_size 6m", "client_max_body_size 20m", "127.0.0.1:7861", "X-Forwarded-For"},
		"Caddyfile":            {"flush_interval -1", "response_header_timeout 330s", "max_size 6MiB", "max_size 20MiB", "127.0.0.1:7861"},
	} {
		text := deployed(t, name)
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("%s lacks %q", name, want)
			}
		}
		if strings.Count(text, "{") != strings.Count(text, "}") {
			t.Errorf("%s: braces do not match", name)
		}
	}
	for program, line := range map[string][]string{"caddy": {"caddy", "validate", "--adapter", "caddyfile", "--config", filepath.Join(root, "deploy", "Caddyfile")}} {
		if _, err := exec.LookPath(program); err != nil {
			continue // there is nobody here to ask
		}
		if out, err := exec.CommandContext(soon(t), line[0], line[1:]...).CombinedOutput(); err != nil {
			t.Errorf("%s: %s", program, out)
		}
	}
}

// The image is one static binary, run by nobody in particular, that has its data folder, and sign-in before it listens.
func TestDeploy_image(t *testing.T) {
	t.Parallel()
	text := deployed(t, "Dockerfile")
	stages := strings.Split(text, "\nFROM ")
	last := stages[len(stages)-1]
	for _, want := range []string{"USER 65532:65532", "STOPSIGNAL SIGTERM", `ENTRYPOINT ["/usr/local/bin/comfygate"]`, `CMD ["serve"]`, "VOLUME /var/lib/comfygate"} {
		if !strings.Contains(last, want) {
			t.Errorf("the image lacks %q", want)
		}
	}
	if !strings.HasPrefix(last, "scratch\n") || !strings.Contains(text, "CGO_ENABLED=0") || strings.Contains(last, "RUN ") {
		t.Error("the image is not the static binary alone")
	}
	mod, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(mod))[1]
	if !strings.Contains(text, "FROM golang:"+version+" ") {
		t.Errorf("the image is not built with Go %s", version)
	}
	var env []string
	for _, m := range regexp.MustCompile(`(COMFYGATE_[A-Z_]+)=(\S+)`).FindAllString(last, -1) {
		if !strings.HasPrefix(m, "COMFYGATE_STORAGE__DIR=") { // which is the test's
			env = append(env, m)
		}
	}
	if !slices.Contains(env, "COMFYGATE_SERVER__TRANSPORT=http") {
		t.Fatalf("the image sets %v", env)
	}
	w := newWorld(t, embedded, "COMFYGATE_HTTP__PORT=0").with(env...)
	if out := w.run(t, "serve"); out.code != exitUsage || !strings.Contains(out.err, "refusing to listen") {
		t.Errorf("without tokens: exit code %d, %s", out.code, out.err)
	}
	token := strings.TrimSpace(w.run(t, "token", "create", "anna").out)
	s := w.http(t)
	s.url = "http://127.0.0.1:" + s.url[strings.LastIndex(s.url, ":")+1:]
	s.streamable(t, "Authorization", "Bearer "+token).picture(t, "a cat")
}

// SC-43: an operator contains from a terminal what runs.
func TestDeploy_manageQueue(t *testing.T) {
	t.Parallel()
	needs(t, "curl")
	script, err := filepath.Abs(filepath.Join(root, "deploy", "manage-queue.sh"))
	if err != nil {
		t.Fatal(err)
	}
	u := slow(t)
	w := newWorld(t, append(unlimited(), u.on(), "COMFYGATE_TOOLSETS__ENABLED=images,operations",
		"COMFYGATE_AUTH__TOKENS="+tokenOf("ada")+","+tokenOf("root")+":admin")...)
	s := w.http(t)
	ada := s.streamable(t, "Authorization", "Bearer token-of-ada")
	made := ada.must(t, "generate", args{"prompt": "a cat", "width": 64, "height": 64, "steps": 8, "wait_seconds": 0}).job(t)
	ada.running(t)
	for _, tt := range []struct{ token, line, says string }{
		{"root", "list", made},
		{"root", "drop_pending ada", "Cancelled: 0 jobs"},
		{"root", "drain", "No new jobs are taken in"},
		{"root", "interrupt " + made, "The job is cancelled"},
		{"root", "free_memory", "unloads its models"},
		{"root", "resume", "New jobs are taken in"},
		{"ada", "drain", "POLICY_DENIED"},
	} {
		admin := &world{w.home, []string{searchPath(), "GATE_URL=" + s.url, "GATE_TOKEN=token-of-" + tt.token}}
		if out := admin.shell(t, "", script+" "+tt.line); out.code != exitOK || !strings.Contains(out.out, tt.says) {
			t.Errorf("%s as %s: exit code %d, %s%s", tt.line, tt.token, out.code, out.out, out.err)
		}
	}
	for _, line := range []string{"", "interrupt", "no_such_action"} {
		admin := &world{w.home, []string{searchPath(), "GATE_URL=" + s.url, "GATE_TOKEN=token-of-root"}}
		if out := admin.shell(t, "", script+" "+line); out.code == exitOK && !strings.Contains(out.out, "INVALID_PARAMETER") {
			t.Errorf("%q is taken: %s", line, out.out)
		}
	}
}
