package config_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/comfygate/comfygate/config"
)

// files is a disk for Load.
type files map[string]string

func (f files) read(path string) ([]byte, error) {
	if text, ok := f[path]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

// environ is a sound environment with more entries.
func environ(more ...string) []string { return append([]string{"HOME=/home/ada"}, more...) }

func mustLoad(t *testing.T, more ...string) config.Config {
	t.Helper()
	c, _, err := config.Load(environ(more...), files{}.read, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// faults returns what Load finds wrong.
func faults(t *testing.T, disk files, more ...string) []config.Fault {
	t.Helper()
	_, _, err := config.Load(environ(more...), disk.read, nil)
	if err == nil {
		return nil
	}
	se, ok := errors.AsType[*config.SettingsError](err)
	if !ok {
		t.Fatalf("error is %T", err)
	}
	return se.Faults
}

func TestLoad_defaults(t *testing.T) {
	t.Parallel()
	c := mustLoad(t)
	for _, tc := range []struct {
		name      string
		got, want any
	}{
		{"JOBS__TIMEOUT", c.Jobs.Timeout, time.Hour},
		{"LIMITS__GRAPH_NODES", c.Limits.GraphNodes, 512},
		{"LIMITS__REQUEST_BYTES", c.Limits.RequestBytes, int64(6 << 20)},
		{"RATELIMIT__BURST", c.RateLimit.Burst, 10},
		{"UPSCALE__MAX_OUTPUT_PIXELS", c.Upscale.MaxOutputPixels, int64(16777216)},
		{"UPLOAD__MAX_BYTES", c.Upload.MaxBytes, int64(20 << 20)}, // SC-21, SC-49
		{"UPLOAD__MAX_PIXELS", c.Upload.MaxPixels, int64(2048 * 2048)},
		{"UPLOAD__INPUT_ROOT", c.Upload.InputRoot, ""},
		{"LIMITS__MEMORY_BYTES", c.Limits.MemoryBytes, int64(1 << 30)}, // SC-55
		{"LIMITS__MEMORY_BYTES beside GOMEMLIMIT", mustLoad(t, "GOMEMLIMIT=2GiB").Limits.MemoryBytes, int64(0)},
		{"STORAGE__MAX_AGE", c.Storage.MaxAge, 604800 * time.Second},
		{"STORAGE__MAX_BYTES", c.Storage.MaxBytes, int64(5 << 30)},
		{"POLICY__UPSCALE_EXTENSIONS", strings.Join(c.Policy.UpscaleExtensions, " "), ".safetensors .sft .pth"},
		{"COMFYUI__URL", c.ComfyUI.URL, "http://127.0.0.1:8188"},
		{"HTTP__HOST", c.HTTP.Host, "127.0.0.1"}, // SC-08
		{"HTTP__PORT", c.HTTP.Port, 7861},
		{"SERVER__TRANSPORT", c.Server.Transport, config.TransportStdio},
		{"LOGGING__LEVEL", c.Logging.Level, zapcore.InfoLevel}, // SC-35
	} {
		if tc.got != tc.want {
			t.Errorf("%s = %v, want %v", tc.name, tc.got, tc.want)
		}
	}
}

// All faults are told at once, one a line, each with its variable and what would fit.
func TestLoad_allFaultsAtOnce(t *testing.T) {
	t.Parallel()
	_, _, err := config.Load(environ(
		ours+"HTTP__PORT=99999", ours+"LOGGING__LEVEL=loud", ours+"HTTP_PROT=1", ours+"HTTP__USERNAME=ada", ours+"COMFYUI__URL=http://u:geheim@h",
	), files{}.read, nil)
	if err == nil {
		t.Fatal("no error")
	}
	want := `the settings have 5 faults:
  COMFYGATE_HTTP__PORT="99999": out of range; it takes a port, 0 to 65535
  COMFYGATE_LOGGING__LEVEL="loud": not a level; it takes DEBUG, INFO, WARN or ERROR
  COMFYGATE_COMFYUI__URL="http://**********@h": holds credentials; they have settings of their own; it takes an http, https, ws or wss URL of a host, with a port and a path if need be
  COMFYGATE_HTTP_PROT: unknown setting; the nearest is COMFYGATE_HTTP__PORT
  COMFYGATE_HTTP__PASSWORD: missing, although COMFYGATE_HTTP__USERNAME is set`
	if err.Error() != want {
		t.Errorf("got\n%s\nwant\n%s", err, want)
	}
}

func TestLoad_unknown(t *testing.T) {
	t.Parallel()
	for name, nearest := range map[string]string{
		"COMFYGATE_HTTP_PORT":           "COMFYGATE_HTTP__PORT",
		"COMFYGATE_COMFYUI__QUERYTOKEN": "COMFYGATE_COMFYUI__QUERY_TOKEN",
		"COMFYGATE_HTTP__PASWORD":       "COMFYGATE_HTTP__PASSWORD",
		"COMFYGATE_HTTP__TOKEN_FIEL":    "COMFYGATE_HTTP__TOKEN_FILE",
		"COMFYGATE_HTTP__PORT_FILE":     "COMFYGATE_HTTP__PORT", // only secrets have files
		"COMFYGATE_comfyui__url":        "",
		"COMFYGATE_":                    "",
		"COMFYGATE_AUDIT__FSYNK":        "COMFYGATE_AUDIT__FSYNC",
		"COMFYGATE_STORAGE__MAX_BYTE":   "COMFYGATE_STORAGE__MAX_BYTES",
		"COMFYGATE_POLICY__NODE_ALLOW":  "COMFYGATE_POLICY__MODEL_ALLOW",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fs := faults(t, nil, name+"=may-be-a-secret")
			if len(fs) != 1 || fs[0].Variable != name || !strings.HasPrefix(fs[0].Problem, "unknown setting") {
				t.Fatalf("faults: %v", fs)
			}
			if nearest != "" && !strings.HasSuffix(fs[0].String(), " "+nearest) {
				t.Errorf("got %s, want %s", fs[0], nearest)
			}
			if strings.Contains(fs[0].String(), "may-be-a-secret") {
				t.Error("the value is told")
			}
		})
	}
	if fs := faults(t, nil, "COMFYGATEWAY=1", "XCOMFYGATE_HTTP__PORT=x", "E2E_URL=x", "NOVALUE"); fs != nil {
		t.Errorf("others' variables are judged: %v", fs)
	}
}

// Each of the seven aliases alone gives what the setting alone gives, and never silently differs from it.
func TestLoad_aliases(t *testing.T) {
	t.Parallel()
	aliases := map[string]string{
		"COMFY_HEADLESS_UI__HOST":                  "HTTP__HOST",
		"COMFY_HEADLESS_UI__USERNAME":              "HTTP__USERNAME",
		"COMFY_HEADLESS_UI__PASSWORD":              "HTTP__PASSWORD",
		"COMFY_HEADLESS_WEBSOCKET__ALLOW_INSECURE": "WEBSOCKET__ALLOW_INSECURE",
		"COMFY_HEADLESS_COMFYUI__URL":              "COMFYUI__URL",
		"COMFY_HEADLESS_UI__TEMP_CLEANUP_INTERVAL": "STORAGE__CLEANUP_INTERVAL",
		"COMFY_HEADLESS_LOGGING__LEVEL":            "LOGGING__LEVEL",
	}
	documented := 0
	for _, d := range docs() {
		if d.Alias != "" {
			documented++
			if aliases[d.Alias] != strings.TrimPrefix(d.Variable, ours) {
				t.Errorf("%s is an alias of %s", d.Alias, d.Variable)
			}
		}
	}
	if documented != 7 {
		t.Errorf("%d aliases", documented)
	}
	for alias, name := range aliases {
		t.Run(alias, func(t *testing.T) {
			t.Parallel()
			v := samples[name].good
			direct, byAlias := mustLoad(t, with(name, ours+name+"="+v)...), mustLoad(t, with(name, alias+"="+v)...)
			both := mustLoad(t, with(name, alias+"="+v, ours+name+"="+v)...)
			for i, l := range config.Show(direct) {
				a, b := config.Show(byAlias)[i], config.Show(both)[i]
				if a.Value != l.Value || b.Value != l.Value {
					t.Errorf("%s: %q, by alias %q, by both %q", l.Variable, l.Value, a.Value, b.Value)
				}
				if l.Variable == ours+name && a.Source != config.SourceAlias {
					t.Errorf("source is %s", a.Source)
				}
			}
			if direct.HTTP.Password.Reveal() != byAlias.HTTP.Password.Reveal() {
				t.Error("passwords differ")
			}
			fs := faults(t, nil, with(name, alias+"="+v, ours+name+"=another")...)
			if len(fs) != 1 || !strings.Contains(fs[0].String(), alias) || !strings.Contains(fs[0].String(), ours+name) {
				t.Errorf("conflict gives %v", fs)
			}
			fs = faults(t, nil, with(name, alias+"=")...)
			if len(fs) != 1 || fs[0].Variable != alias {
				t.Errorf("an empty alias gives %v", fs)
			}
		})
	}
	_, warnings, err := config.Load(environ("COMFY_HEADLESS_OLLAMA__URL=http://x", "COMFY_HEADLESS_ENV=production", "COMFY_HEADLESS_UI__HOST_FILE=/x"), files{}.read, nil)
	if err != nil || len(warnings) != 1 || !strings.HasSuffix(warnings[0], "COMFY_HEADLESS_ENV, COMFY_HEADLESS_OLLAMA__URL, COMFY_HEADLESS_UI__HOST_FILE") {
		t.Errorf("others give %q, %v", warnings, err)
	}
}

func TestSec_SC57_files(t *testing.T) {
	t.Parallel()
	disk := files{"/run/a": "s3cr3t-VALUE\n", "/run/crlf": "s3cr3t-VALUE\r\n", "/run/b": "other", "/run/empty": "\n", "/run/two": "abcd\nefgh\n", "/run/big": strings.Repeat("x", 64<<10+1), "/home/ada/key": "s3cr3t-VALUE"}
	for _, tc := range []struct {
		name    string
		env     []string
		problem string // of the one fault; empty: the value is read
		at      string
	}{
		{"read", []string{"COMFYGATE_HTTP__TOKEN_FILE=/run/a"}, "", ""},
		{"line end of Windows", []string{"COMFYGATE_HTTP__TOKEN_FILE=/run/crlf"}, "", ""},
		{"home", []string{"COMFYGATE_HTTP__TOKEN_FILE=~/key"}, "", ""},
		{"both forms", []string{"COMFYGATE_HTTP__TOKEN_FILE=/run/a", "COMFYGATE_HTTP__TOKEN=s3cr3t-VALUE"}, "given twice", "COMFYGATE_HTTP__TOKEN"},
		{"missing", []string{"COMFYGATE_HTTP__TOKEN_FILE=/run/none"}, "cannot be read: file does not exist", "COMFYGATE_HTTP__TOKEN_FILE"},
		{"no path", []string{"COMFYGATE_HTTP__TOKEN_FILE="}, "empty", "COMFYGATE_HTTP__TOKEN_FILE"},
		{"empty file", []string{"COMFYGATE_HTTP__TOKEN_FILE=/run/empty"}, "the file is empty", "COMFYGATE_HTTP__TOKEN_FILE"},
		{"two lines", []string{"COMFYGATE_HTTP__TOKEN_FILE=/run/two"}, "line break", "COMFYGATE_HTTP__TOKEN_FILE"},
		{"too large", []string{"COMFYGATE_HTTP__TOKEN_FILE=/run/big"}, "larger than 65536 bytes", "COMFYGATE_HTTP__TOKEN_FILE"},
		{"alias and file differ", []string{"COMFYGATE_HTTP__USERNAME=a", "COMFY_HEADLESS_UI__PASSWORD_FILE=/run/b", "COMFYGATE_HTTP__PASSWORD=pass-c"}, "COMFY_HEADLESS_UI__PASSWORD_FILE", "COMFYGATE_HTTP__PASSWORD"},
		{"both forms of the alias", []string{"COMFYGATE_HTTP__USERNAME=a", "COMFY_HEADLESS_UI__PASSWORD_FILE=/run/b", "COMFY_HEADLESS_UI__PASSWORD=other"}, "given twice", "COMFY_HEADLESS_UI__PASSWORD"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, _, err := config.Load(environ(tc.env...), disk.read, nil)
			if tc.problem == "" {
				if err != nil || c.HTTP.Token.Reveal() != "s3cr3t-VALUE" {
					t.Fatalf("%v, %q", err, c.HTTP.Token.Reveal())
				}
				if !strings.Contains(show(t, c), "token: **********  # file") {
					t.Error("source is not told")
				}
				return
			}
			fs := faults(t, disk, tc.env...)
			if len(fs) != 1 || !strings.Contains(fs[0].Problem, tc.problem) || fs[0].Variable != tc.at {
				t.Errorf("faults: %v", fs)
			}
		})
	}
	for _, d := range docs() { // every secret has the second form
		if d.Secret {
			name := strings.TrimPrefix(d.Variable, ours)
			c, _, err := config.Load(environ(with(name, d.Variable+"_FILE=/run/x")...), files{"/run/x": samples[name].good + "\n"}.read, nil)
			if err != nil || strings.Count(show(t, c), "# file\n") != 1 {
				t.Errorf("%s_FILE: %v", d.Variable, err)
			}
		}
	}
}

// Nothing is read but what the environment names: no .env, no file in the working directory.
func TestSec_SC57_readsNothingElse(t *testing.T) {
	t.Parallel()
	var read []string
	_, _, err := config.Load(environ("COMFYGATE_SERVER__TRANSPORT=http", "COMFYGATE_HTTP__TOKEN_FILE=/run/a"), func(path string) ([]byte, error) {
		read = append(read, path)
		return []byte("0123456789abcdef"), nil
	}, nil)
	if err != nil || len(read) != 1 || read[0] != "/run/a" {
		t.Errorf("read %q, %v", read, err)
	}
}

// SC-29: flags mirror three settings, are judged like the environment, and never carry a secret.
func TestSec_SC29_flags(t *testing.T) {
	t.Parallel()
	load := func(overrides map[string]string, more ...string) (config.Config, error) {
		c, _, err := config.Load(environ(more...), files{}.read, overrides)
		return c, err
	}
	c, err := load(map[string]string{"COMFYGATE_COMFYUI__URL": "https://flag.example"}, "COMFYGATE_COMFYUI__URL=https://env.example")
	if err != nil || c.ComfyUI.URL != "https://flag.example" || !strings.Contains(show(t, c), "url: https://flag.example  # flag") {
		t.Errorf("%v, %s", err, c.ComfyUI.URL)
	}
	for name, v := range map[string]string{
		"COMFYGATE_COMFYUI__URL":     "http://flag.example", // SC-09: no way round the rules of the environment
		"COMFYGATE_COMFYUI__BACKEND": "",
		"COMFYGATE_HTTP__TOKEN":      "0123456789abcdef",
		"COMFYGATE_COMFYUI__UURL":    "https://flag.example",
	} {
		if _, err := load(map[string]string{name: v}); err == nil {
			t.Errorf("--%s=%s is taken", name, v)
		} else if v != "" && !strings.Contains(v, ":") && strings.Contains(err.Error(), v) {
			t.Errorf("%v tells the value", err)
		}
	}
}

// MCP-37: what a desktop host leaves of a field that was not filled in is no value.
func TestLoad_placeholder(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "COMFYGATE_COMFYUI__URL=${user_config.comfyui_url}", "COMFYGATE_COMFYUI__API_KEY=${user_config.key}", "COMFYGATE_STORAGE__DIR=${user_config.dir}")
	if c.ComfyUI.URL != "http://127.0.0.1:8188" || c.ComfyUI.APIKey.IsSet() || c.Storage.Dir != "/home/ada/.local/state/comfygate" {
		t.Errorf("%s, %v, %s", c.ComfyUI.URL, c.ComfyUI.APIKey.IsSet(), c.Storage.Dir)
	}
	if fs := faults(t, nil, "COMFYGATE_COMFYUI__URL=http://${user_config.host}:8188"); len(fs) != 1 {
		t.Errorf("half a placeholder gives %v", fs)
	}
}

func TestLoad_lastEntryCounts(t *testing.T) {
	t.Parallel()
	if c := mustLoad(t, "COMFYGATE_HTTP__PORT=1", "COMFYGATE_HTTP__PORT=2"); c.HTTP.Port != 2 {
		t.Errorf("port is %d", c.HTTP.Port)
	}
}

func TestSecretVariables(t *testing.T) {
	t.Parallel()
	got := strings.Join(config.SecretVariables(), " ")
	for _, want := range []string{"COMFYGATE_HTTP__PASSWORD", "COMFY_HEADLESS_UI__PASSWORD", "COMFYGATE_AUTH__TOKENS", "COMFYGATE_AUDIT__HMAC_KEY"} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in %s", want, got)
		}
	}
	if strings.Contains(got, "USERNAME") {
		t.Error("a user name is no secret")
	}
}

func show(t *testing.T, c config.Config) string {
	t.Helper()
	var b strings.Builder
	if err := config.WriteShow(&b, c); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestLoad_longValues(t *testing.T) {
	t.Parallel()
	for _, v := range []string{strings.Repeat("x", 5000), strings.Repeat("é", 5000), strings.Repeat("\x80", 5000)} {
		fs := faults(t, nil, "COMFYGATE_HTTP__PORT="+v)
		if len(fs) != 1 || len(fs[0].Got) > 110 || !strings.HasSuffix(fs[0].Got, "…") {
			t.Errorf("%v", fs)
		}
	}
}

// FuzzLoad: no environment makes Load panic, and no error tells a secret.
func FuzzLoad(f *testing.F) {
	for name, s := range samples {
		f.Add(ours+name, s.good)
		for _, b := range s.bad {
			f.Add(ours+name, b)
		}
	}
	f.Add(ours+"HTTP__PORT", strings.Repeat("\x80", 200))
	secrets := config.SecretVariables()
	f.Fuzz(func(t *testing.T, name, v string) {
		_, _, err := config.Load(environ(name+"="+v), files{}.read, nil)
		for _, s := range secrets {
			if err != nil && name == s && len(v) > 20 && strings.Contains(err.Error(), v) {
				t.Errorf("%v tells a secret", err)
			}
		}
	})
}
