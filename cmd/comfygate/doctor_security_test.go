package main

import (
	"encoding/json"
	"testing"

	"github.com/comfygate/comfygate/comfy/emulator"
	"github.com/comfygate/comfygate/doctor"
)

// TestSec_SC63_doctor: the shipped policy for teams over HTTP keeps every promise, with OpenID and with tokens; what breaks one fails.
func TestSec_SC63_doctor(t *testing.T) {
	t.Parallel()
	team := []string{"COMFYGATE_SERVER__TRANSPORT=http", "COMFYGATE_POLICY__FILE=@team"}
	for name, test := range map[string]struct {
		env   []string
		token bool
		fails int
	}{
		"team, OpenID":          {append(team, "COMFYGATE_HTTP__HOST=0.0.0.0", "COMFYGATE_HTTP__PUBLIC_URL=https://gate.example.org", "COMFYGATE_AUTH__OIDC_ISSUER=https://id.example.org"), false, 0},
		"team, tokens":          {append(team, "COMFYGATE_HTTP__HOST=0.0.0.0", "COMFYGATE_HTTP__PUBLIC_URL=https://gate.example.org"), true, 0},
		"team, nobody signs in": {append(team, "COMFYGATE_HTTP__HOST=0.0.0.0"), false, 4},
		"by default":            {nil, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, append(test.env, newComfyUI(t, emulator.Options{}).on())...)
			if test.token {
				if out := w.run(t, "token", "create", "anna", "--role", "operator"); out.code != exitOK {
					t.Fatal(out)
				}
			}
			out := w.run(t, "doctor", "--security", "--json")
			var r doctor.SecurityReport
			if err := json.Unmarshal([]byte(out.out), &r); err != nil {
				t.Fatalf("%v: %s%s", err, out.out, out.err)
			}
			promises := 0
			for _, l := range r.Lines {
				if l.Status == doctor.Failed && l.ID[0] == 'S' {
					promises++
					t.Logf("%s: %s", l.ID, l.Evidence)
				}
			}
			if promises != test.fails || (out.code == exitOK) != (test.fails == 0) || r.Hash == "" {
				t.Errorf("%d promises failed, want %d; exit code %d, policy %q", promises, test.fails, out.code, r.Hash)
			}
			if text := w.run(t, "doctor", "--security"); text.code != out.code {
				t.Errorf("as text: exit code %d", text.code)
			}
		})
	}
}
