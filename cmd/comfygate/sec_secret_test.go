package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/config"
)

// leftover runs a command of comfygate and then prints what is left in its environment, which is what a child would inherit.
func leftover() {
	code := start()
	for _, kv := range os.Environ() { //nolint:forbidigo // it is what this program is for
		fmt.Println(kv) //nolint:forbidigo // as above
	}
	os.Exit(code) //nolint:forbidigo // it stands for main
}

// canarySecrets are a value for each variable that takes a secret, each in the form that its setting wants.
func canarySecrets(t *testing.T) map[string]string {
	t.Helper()
	values := make(map[string]string)
	for i, name := range config.SecretVariables() {
		values[name] = fmt.Sprintf("s3cr3t-CANARY-%02d-value", i)
		if name == "COMFYGATE_AUTH__TOKENS" {
			values[name] = "ada:" + strings.Repeat("c0ffee", 10) + "c0ff:viewer"
		}
		if name == "COMFYGATE_AUDIT__SIGNING_KEY" {
			values[name] = "PRIVATE+KEY+example.org+00000000+" + values[name]
		}
	}
	if len(values) < 8 {
		t.Fatalf("there are %d secret variables", len(values))
	}
	return values
}

// company is what has to be set besides a secret for the settings to be sound.
func company(variable string) []string {
	switch {
	case strings.HasSuffix(variable, "HTTP__PASSWORD"):
		return []string{"COMFYGATE_HTTP__USERNAME=ada"}
	case strings.HasSuffix(variable, "UI__PASSWORD"):
		return []string{strings.TrimSuffix(variable, "PASSWORD") + "USERNAME=ada"}
	}
	return nil
}

// TestSec_SC30_SC31_configShow: a secret prints as asterisks, however it came in.
func TestSec_SC30_SC31_configShow(t *testing.T) {
	t.Parallel()
	for variable, value := range canarySecrets(t) {
		for _, form := range []string{"value", "file"} {
			t.Run(variable+" by "+form, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, company(variable)...)
				if form == "value" {
					w = w.with(variable + "=" + value)
				} else {
					path := filepath.Join(w.home, "secret")
					if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
						t.Fatal(err)
					}
					w = w.with(variable + "_FILE=" + path)
				}
				out := w.run(t, "config", "show")
				_, key, _ := strings.Cut(strings.ToLower(variable), "__")
				if out.code != exitOK || !strings.Contains(out.out, "\n  "+key+": **********  # ") {
					t.Errorf("exit code %d: no masked %q in %s%s", out.code, key, out.out, out.err)
				}
				if all := out.out + out.err; strings.Contains(all, value) || strings.Contains(all, "CANARY") || strings.Contains(all, "c0ffee") {
					t.Errorf("the secret is shown: %s", all)
				}
			})
		}
	}
}

// TestSec_SC31_children: no process that comfygate starts inherits a secret.
func TestSec_SC31_children(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for variable, value := range canarySecrets(t) {
		w = w.with(variable + "=" + value)
	}
	p := w.startProgram(t, "comfygate-leftover", "version")
	if code := p.wait(t); code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	out := p.out.String()
	if !strings.Contains(out, "HOME="+w.home) {
		t.Fatalf("no environment: %s", out)
	}
	if strings.Contains(out, "CANARY") || strings.Contains(out, "c0ffee") {
		t.Errorf("secrets are left: %s", out)
	}
}

// TestSec_SC29_SC57_noSecretFlag: no command takes a secret where other users of the machine and the shell's history see it.
func TestSec_SC29_SC57_noSecretFlag(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	top := w.run(t, "--help")
	_, list, _ := strings.Cut(top.out, "Commands:")
	commands := regexp.MustCompile(`(?m)^  ([a-z]+(?: [a-z]+)?)  `).FindAllStringSubmatch(list, -1)
	if len(commands) < 8 {
		t.Fatalf("found %d commands in %s", len(commands), top.out)
	}
	helps := []string{top.out}
	for _, c := range commands {
		out := w.run(t, append(strings.Fields(c[1]), "--help")...)
		if out.code != exitOK {
			t.Errorf("%s --help: exit code %d: %s", c[1], out.code, out.err)
		}
		helps = append(helps, out.out)
	}
	for _, help := range helps {
		for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(help, -1) {
			if regexp.MustCompile(`token|pass|secret|key|credential|auth`).MatchString(flag) {
				t.Errorf("there is a flag %s", flag)
			}
		}
	}
}

// TestSec_SC57_noDotEnv: a .env file in the working directory changes nothing.
func TestSec_SC57_noDotEnv(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.run(t, "config", "show")
	text := "COMFYGATE_HTTP__TOKEN=0123456789abcdef0123\nCOMFYGATE_COMFYUI__URL=http://127.0.0.1:1\nCOMFYGATE_NONSENSE=1\n"
	for _, name := range []string{".env", "comfygate.env", ".comfygate", "comfygate.yaml"} {
		if err := os.WriteFile(filepath.Join(w.home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if after := w.run(t, "config", "show"); after != before {
		t.Errorf("before: %+v\nafter: %+v", before, after)
	}
}

// elsewhere is the address of a ComfyUI that is not this machine's loopback. Nothing answers there.
func elsewhere(t *testing.T) string {
	t.Helper()
	host := outside(t)
	if host == "" {
		host = "192.0.2.1" // of a network for examples
	}
	return "COMFYGATE_COMFYUI__URL=http://" + host + ":9"
}

// TestSec_SC15_override: clear text to another machine is allowed by clear words only, is said and recorded at every start, and
// never carries a credential.
func TestSec_SC15_override(t *testing.T) {
	t.Parallel()
	const insecure = "COMFYGATE_WEBSOCKET__ALLOW_INSECURE="
	for value, want := range map[string]int{
		"true": exitOK, "TRUE": exitOK, "Yes": exitOK, "1": exitOK,
		"false": exitUsage, "0": exitUsage, "no": exitUsage, "": exitUsage, "maybe": exitUsage, "2": exitUsage,
	} {
		t.Run("value "+value, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, elsewhere(t), insecure+value)
			out := w.run(t, "serve")
			if out.code != want {
				t.Fatalf("exit code %d, want %d: %s", out.code, want, out.err)
			}
			if want != exitOK {
				if !strings.Contains(out.err, "INSECURE_TRANSPORT") && !strings.Contains(out.err, "WEBSOCKET__ALLOW_INSECURE") {
					t.Errorf("it does not say why: %s", out.err)
				}
				return
			}
			if n := len(regexp.MustCompile(`WARN.*clear text`).FindAllString(out.err, -1)); n != 1 {
				t.Errorf("%d warnings: %s", n, out.err)
			}
			if n := len(w.events(t, audit.InsecureTransport)); n != 1 {
				t.Errorf("%d events", n)
			}
		})
	}
	t.Run("status tells", func(t *testing.T) {
		t.Parallel()
		if !newWorld(t, elsewhere(t), insecure+"true").stdio(t).report(t).Security.InsecureTransport {
			t.Error("insecure_transport is not told")
		}
		if newWorld(t, embedded).stdio(t).report(t).Security.InsecureTransport {
			t.Error("insecure_transport is told of the embedded ComfyUI")
		}
	})
	for name, credential := range map[string][]string{
		"password": {"COMFYGATE_COMFYUI__USERNAME=ada", "COMFYGATE_COMFYUI__PASSWORD=s3cr3t-CANARY"},
		"key":      {"COMFYGATE_COMFYUI__API_KEY=s3cr3t-CANARY"},
		"token":    {"COMFYGATE_COMFYUI__QUERY_TOKEN=s3cr3t-CANARY"},
	} {
		t.Run("with a "+name, func(t *testing.T) {
			t.Parallel()
			out := newWorld(t, elsewhere(t), insecure+"true").with(credential...).run(t, "serve")
			if out.code != exitUsage || !strings.Contains(out.err, "clear text") || strings.Contains(out.err, "CANARY") {
				t.Errorf("exit code %d: %s", out.code, out.err)
			}
		})
	}
}

// TestSec_SC18_production: in production neither clear text nor the log level DEBUG is to be had.
func TestSec_SC18_production(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"development", "production"} {
		for _, override := range []string{"false", "true"} {
			for _, level := range []string{"INFO", "DEBUG"} {
				t.Run(env+", "+override+", "+level, func(t *testing.T) {
					t.Parallel()
					w := newWorld(t, "COMFYGATE_SERVER__ENV="+env, "COMFYGATE_WEBSOCKET__ALLOW_INSECURE="+override, "COMFYGATE_LOGGING__LEVEL="+level)
					var faults []string
					if env == "production" && override == "true" {
						faults = append(faults, "COMFYGATE_WEBSOCKET__ALLOW_INSECURE: not in production")
					}
					if env == "production" && level == "DEBUG" {
						faults = append(faults, "COMFYGATE_LOGGING__LEVEL: DEBUG is not for production")
					}
					out := w.run(t, "serve")
					if (out.code == exitOK) != (len(faults) == 0) {
						t.Errorf("exit code %d: %s", out.code, out.err)
					}
					if slices.ContainsFunc(faults, func(f string) bool { return !strings.Contains(out.err, f) }) {
						t.Errorf("want %q in: %s", faults, out.err)
					}
				})
			}
		}
	}
}
