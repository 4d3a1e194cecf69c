package config_test

import (
	"strings"
	"testing"

	"github.com/comfygate/comfygate/config"
)

// TestSec_SC13_urlGate is the table of SC-13: what each address gives by default and with the override.
func TestSec_SC13_urlGate(t *testing.T) {
	t.Parallel()
	const (
		allowed = "allowed"
		warned  = "allowed with a warning"
		blocked = "INSECURE_TRANSPORT"
		refused = "refused"
	)
	for _, tc := range []struct{ url, plain, override string }{
		{"http://localhost:8188", allowed, allowed},
		{"ws://localhost:8188", allowed, allowed},
		{"http://127.0.0.1:8188", allowed, allowed},
		{"ws://127.0.0.1:8188", allowed, allowed},
		{"http://[::1]:8188", allowed, allowed},
		{"http://127.8.9.1:8188", allowed, allowed},
		{"HTTP://LOCALHOST:8188", allowed, allowed},
		{"http://[::ffff:127.0.0.1]:8188", allowed, allowed},
		{"http://[::1%25lo]:8188", allowed, allowed},
		{"https://comfyui.example.com", allowed, allowed},
		{"wss://comfyui.example.com", allowed, allowed},
		{"https://ws.example.com/comfy", allowed, allowed},
		{"http://comfyui.example.com", blocked, warned},
		{"ws://comfyui.example.com", blocked, warned},
		{"HTTP://EVIL.COM", blocked, warned},
		{"http://0.0.0.0:8188", blocked, warned},
		{"http://192.168.1.5:8188", blocked, warned},
		{"http://host.docker.internal:8188", blocked, warned},
		{"http://localhost.evil.com", blocked, warned},
		{"http://127.0.0.1.evil.com", blocked, warned},
		{"http://[fe80::1%25eth0]:8188", blocked, warned},
		{"http://0x7f000001:8188", blocked, warned},
		{"http://localhost:x@evil.com:8188", refused, refused},
		{"http://127.0.0.1:8188@evil.com", refused, refused},
		{"file:///etc/passwd", refused, refused},
		{"javascript:alert(1)", refused, refused},
		{"unix:/x", refused, refused},
		{"", refused, refused},
		{"localhost:8188", refused, refused},
		{"//localhost:8188", refused, refused},
		{"http://", refused, refused},
		{"http://localhost:8188?token=x", refused, refused},
		{"http://localhost:8188#x", refused, refused},
		{"http://local host:8188", refused, refused},
	} {
		for override, want := range map[string]string{"false": tc.plain, "true": tc.override} {
			t.Run(tc.url+" override "+override, func(t *testing.T) {
				t.Parallel()
				_, warnings, err := config.Load(environ("COMFYGATE_COMFYUI__URL="+tc.url, "COMFYGATE_WEBSOCKET__ALLOW_INSECURE="+override), files{}.read, nil)
				got := allowed
				switch {
				case err != nil && strings.Contains(err.Error(), "INSECURE_TRANSPORT"):
					got = blocked
				case err != nil:
					got = refused
				case len(warnings) == 1 && strings.Contains(warnings[0], "clear text"):
					got = warned
				}
				if got != want {
					t.Errorf("got %s (%v), want %s", got, err, want)
				}
			})
		}
	}
}

// SC-15: the override never lets a credential go in clear text, and takes only plain words.
func TestSec_SC15_credentials(t *testing.T) {
	t.Parallel()
	for name, credential := range map[string][]string{
		"COMFYGATE_COMFYUI__PASSWORD":    {"COMFYGATE_COMFYUI__USERNAME=a", "COMFYGATE_COMFYUI__PASSWORD=pass"},
		"COMFYGATE_COMFYUI__API_KEY":     {"COMFYGATE_COMFYUI__API_KEY=key-1"},
		"COMFYGATE_COMFYUI__QUERY_TOKEN": {"COMFYGATE_COMFYUI__QUERY_TOKEN=q-tok"},
	} {
		remote := append(credential, "COMFYGATE_COMFYUI__URL=http://comfy.example", "COMFYGATE_WEBSOCKET__ALLOW_INSECURE=true")
		if fs := faults(t, nil, remote...); len(fs) != 1 || fs[0].Variable != name || !strings.Contains(fs[0].Problem, "clear text") {
			t.Errorf("%s: %v", name, fs)
		}
		for _, url := range []string{"http://127.0.0.1:8188", "https://comfy.example"} {
			if fs := faults(t, nil, append(credential, "COMFYGATE_COMFYUI__URL="+url)...); fs != nil {
				t.Errorf("%s at %s: %v", name, url, fs)
			}
		}
	}
	for v, want := range map[string]bool{"TRUE": true, "Yes": true, "1": true, "false": false, "0": false, "no": false, "NO": false} {
		if got := mustLoad(t, "COMFYGATE_WEBSOCKET__ALLOW_INSECURE="+v).WebSocket.AllowInsecure; got != want {
			t.Errorf("%s is read as %v", v, got)
		}
	}
}

func TestCheck_embeddedHasNoAddress(t *testing.T) {
	t.Parallel()
	mustLoad(t, "COMFYGATE_COMFYUI__URL=http://comfy.example", "COMFYGATE_COMFYUI__BACKEND=embedded")
}

func TestSec_SC18_production(t *testing.T) {
	t.Parallel()
	for _, env := range []string{"development", "production"} {
		for _, insecure := range []string{"false", "true"} {
			for _, level := range []string{"DEBUG", "INFO"} {
				var want []string
				if env == "production" {
					if insecure == "true" {
						want = append(want, "COMFYGATE_WEBSOCKET__ALLOW_INSECURE")
					}
					if level == "DEBUG" {
						want = append(want, "COMFYGATE_LOGGING__LEVEL")
					}
				}
				var got []string
				for _, f := range faults(t, nil, "COMFYGATE_SERVER__ENV="+env, "COMFYGATE_WEBSOCKET__ALLOW_INSECURE="+insecure, "COMFYGATE_LOGGING__LEVEL="+level) {
					got = append(got, f.Variable)
				}
				if strings.Join(got, " ") != strings.Join(want, " ") {
					t.Errorf("%s, override %s, %s: faults at %q, want %q", env, insecure, level, got, want)
				}
			}
		}
	}
}

func TestCheck_together(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		env  []string
		at   string // where the one fault is; empty: none
	}{
		{"SC-10 no password", []string{"COMFYGATE_HTTP__USERNAME=a"}, "COMFYGATE_HTTP__PASSWORD"},
		{"SC-10 no user name", []string{"COMFYGATE_HTTP__PASSWORD=pass"}, "COMFYGATE_HTTP__USERNAME"},
		{"SC-10 no password, by alias", []string{"COMFY_HEADLESS_UI__USERNAME=a"}, "COMFYGATE_HTTP__PASSWORD"},
		{"SC-10 both", []string{"COMFYGATE_HTTP__USERNAME=a", "COMFYGATE_HTTP__PASSWORD=pass"}, ""},
		{"SC-10 a bad half is told once", []string{"COMFYGATE_HTTP__USERNAME=a", "COMFYGATE_HTTP__PASSWORD="}, "COMFYGATE_HTTP__PASSWORD"},
		{"SC-20 no password", []string{"COMFYGATE_COMFYUI__USERNAME=a"}, "COMFYGATE_COMFYUI__PASSWORD"},
		{"SC-20 two for one header", []string{"COMFYGATE_COMFYUI__USERNAME=a", "COMFYGATE_COMFYUI__PASSWORD=pass", "COMFYGATE_COMFYUI__API_KEY=key-1"}, "COMFYGATE_COMFYUI__API_KEY"},
		{"SC-20 two headers", []string{"COMFYGATE_COMFYUI__USERNAME=a", "COMFYGATE_COMFYUI__PASSWORD=pass", "COMFYGATE_COMFYUI__API_KEY=key-1", "COMFYGATE_COMFYUI__AUTH_HEADER=X-API-Key"}, ""},
		{"anonymous is a viewer", []string{"COMFYGATE_AUTH__ROLES=anonymous=operator"}, "COMFYGATE_AUTH__ROLES"},
		{"anonymous may be called what it is", []string{"COMFYGATE_AUTH__ROLES=anonymous=viewer"}, ""},
		{"backoff turned round", []string{"COMFYGATE_RETRY__BACKOFF_BASE=10", "COMFYGATE_RETRY__BACKOFF_MAX=9"}, "COMFYGATE_RETRY__BACKOFF_MAX"},
		{"clear text where the override is broken", []string{"COMFYGATE_COMFYUI__URL=http://h", "COMFYGATE_WEBSOCKET__ALLOW_INSECURE=maybe"}, "COMFYGATE_WEBSOCKET__ALLOW_INSECURE"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			fs := faults(t, nil, tc.env...)
			switch {
			case tc.at == "" && fs != nil:
				t.Errorf("faults: %v", fs)
			case tc.at != "" && (len(fs) != 1 || fs[0].Variable != tc.at):
				t.Errorf("faults: %v, want one at %s", fs, tc.at)
			}
		})
	}
}

// Guards that are taken off are warned of, each once; SC-58 wants it of rates.
func TestLoad_warnings(t *testing.T) {
	t.Parallel()
	for entry, want := range map[string]string{
		"COMFYGATE_RATELIMIT__GENERATE_PER_MINUTE=off": "RATELIMIT__GENERATE_PER_MINUTE",
		"COMFYGATE_RATELIMIT__GLOBAL_PER_MINUTE=OFF":   "RATELIMIT__GLOBAL_PER_MINUTE",
		"COMFYGATE_RATELIMIT__STATUS_PER_MINUTE=off":   "RATELIMIT__STATUS_PER_MINUTE",
		"COMFYGATE_AUDIT__FAIL_CLOSED=no":              "AUDIT__FAIL_CLOSED",
		"COMFYGATE_AUDIT__LOG_PROMPTS=yes":             "AUDIT__LOG_PROMPTS",
		"COMFYGATE_HTTP__TOKEN=guessme":                "HTTP__TOKEN",
		"COMFYGATE_HTTP__PORT=1":                       "",
	} {
		_, warnings, err := config.Load(environ(entry), files{}.read, nil)
		if err != nil {
			t.Fatal(err)
		}
		if want == "" && len(warnings) > 0 || want != "" && (len(warnings) != 1 || !strings.Contains(warnings[0], want) || strings.Contains(warnings[0], "guessme")) {
			t.Errorf("%s: %q", entry, warnings)
		}
	}
}
