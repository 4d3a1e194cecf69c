package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// What must not be found again. The marks are the middles, so that a text that was cut or wrapped is found too.
const (
	canaryPrompt   = "a heron CANARYPROMPT on a lake"
	canaryNegative = "blurry CANARYNEGATIVE hands"
	canaryCaller   = "CANARYCALLER-0123456789abcdef" // what agents send to us
	canaryPassword = "CANARYPASSWORD-0123456789"     // what is sent to ComfyUI
	canaryQuery    = "CANARYQUERY+0123/4567"         // as above, in URLs
)

// marks are the canaries in each form in which they could stand somewhere.
func marks(values ...string) []string {
	var all []string
	for _, v := range values {
		all = append(all, v, base64.StdEncoding.EncodeToString([]byte(v)), hex.EncodeToString([]byte(v)), url.QueryEscape(v), url.PathEscape(v))
	}
	return all
}

// TestSec_SC35_SC36_SC37_canary: what people write and what opens doors is nowhere: not in the log, at no level, not in the data
// folder, the record included, and on stdout there is nothing but MCP (T65, T24).
func TestSec_SC35_SC36_SC37_canary(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"INFO", "DEBUG"} {
		for _, transport := range []string{"stdio", "http", "sse"} {
			t.Run(transport+" at "+level, func(t *testing.T) {
				t.Parallel()
				u := newComfyUI(t, emulator.Options{})
				w := newWorld(t, append(unlimited(), u.on(), "COMFYGATE_LOGGING__LEVEL="+level, "COMFYGATE_HTTP__TOKEN="+canaryCaller,
					"COMFYGATE_COMFYUI__USERNAME=ada", "COMFYGATE_COMFYUI__PASSWORD="+canaryPassword, "COMFYGATE_COMFYUI__QUERY_TOKEN="+canaryQuery)...)
				a := w.by(t, transport, "Authorization", "Bearer "+canaryCaller)
				everyCall(t, a, u)
				a.end(t)
				leaked(t, w, a, u)
				if said := strings.Contains(a.err.String(), "what ComfyUI says of **********"); said != (level == "DEBUG") { // SC-61
					t.Errorf("ComfyUI's own words are in the log: %v", said)
				}
			})
		}
	}
	t.Run("a prompt that the operator wants kept", func(t *testing.T) { // the search above finds what is there
		t.Parallel()
		w := newWorld(t, embedded, "COMFYGATE_AUDIT__LOG_PROMPTS=true")
		a := w.stdio(t)
		a.picture(t, canaryPrompt)
		a.end(t)
		for path, data := range files(t, w.data()) {
			if contains(data, "CANARYPROMPT") {
				return
			}
			t.Log(path)
		}
		t.Error("AUDIT__LOG_PROMPTS keeps no prompt")
	})
}

// by connects over a transport.
func (w *world) by(t *testing.T, transport string, header ...string) *agent {
	t.Helper()
	switch transport {
	case "stdio":
		return w.stdio(t)
	case "sse":
		return w.http(t).sse(t, header...)
	}
	return w.http(t).streamable(t, header...)
}

// end ends the server of the agent and waits for it.
func (a *agent) end(t *testing.T) {
	t.Helper()
	_ = a.c.Close() // the server ends in any case
	a.bury(t)
}

// everyCall makes calls of all kinds with the canaries in them, such that succeed and such that fail everywhere on their way.
func everyCall(t *testing.T, a *agent, u *comfyUI) {
	t.Helper()
	made := a.must(t, "generate", args{
		"prompt": canaryPrompt, "negative_prompt": canaryNegative, "family": "sd15", "width": 64, "height": 64, "steps": 2,
	})
	a.must(t, "upscale", args{"image": made.links[0], "factor": 1.5})
	a.must(t, "status", args{"job_id": made.job(t)})
	for name, in := range map[string]args{
		"does not fit the family": {"prompt": canaryPrompt, "negative_prompt": canaryNegative},
		"too large":               {"prompt": canaryPrompt, "width": 4096, "height": 4096},
		"too long":                {"prompt": strings.Repeat(canaryPrompt, 1000)},
		"unknown argument":        {"prompt": canaryPrompt, "promt": canaryPrompt},
		"unknown model":           {"prompt": canaryPrompt, "model": "no-such-model.safetensors"},
		"wrong type":              {"prompt": []any{canaryPrompt}},
	} {
		if out := a.call(t, "generate", in); out.fault == nil {
			t.Errorf("%s: not refused: %s", name, out.text)
		}
	}
	if _, err := a.try(soon(t), "no_such_tool", args{"prompt": canaryPrompt, "negative_prompt": canaryNegative}); err == nil {
		t.Error("an unknown tool was called")
	}
	for name, answer := range map[string]func(http.ResponseWriter){
		"rejects":                        respond(http.StatusBadRequest, "application/json", `{"error":{"type":"x","message":"no","details":"","extra_info":{}},"node_errors":{}}`),
		"fails, and quotes our password": respond(http.StatusInternalServerError, "text/plain", "what ComfyUI says of "+canaryPassword+" and "+basic(canaryPassword)+" and /?token="+url.QueryEscape(canaryQuery)),
		"wants a password":               respond(http.StatusUnauthorized, "text/plain", "no"),
	} {
		u.instead(at("POST /prompt", answer))
		if out := a.call(t, "generate", args{"prompt": canaryPrompt, "width": 64, "height": 64}); out.fault == nil {
			t.Errorf("ComfyUI %s: not refused: %s", name, out.text)
		}
	}
	u.instead(nil)
}

// leaked looks for the canaries wherever they must not be.
func leaked(t *testing.T, w *world, a *agent, u *comfyUI) {
	t.Helper()
	ours := marks(canaryCaller, canaryPassword, canaryQuery, "CANARYPROMPT", "CANARYNEGATIVE", "CANARYCALLER", "CANARYPASSWORD", "CANARYQUERY")
	look := func(where string, data []byte, marks []string) {
		for _, mark := range marks {
			if contains(data, mark) {
				t.Errorf("%s holds %q", where, mark)
			}
		}
	}
	look("the log", []byte(a.err.String()), ours)
	for path, data := range files(t, w.data()) {
		look(path, data, ours)
	}
	look("stdout", []byte(a.out.String()), marks(canaryCaller, canaryPassword, canaryQuery, "CANARYCALLER", "CANARYPASSWORD", "CANARYQUERY"))
	for line := range strings.Lines(a.out.String()) {
		var message struct{ JSONRPC string }
		if err := json.Unmarshal([]byte(line), &message); err != nil || message.JSONRPC != "2.0" {
			t.Errorf("on stdout there is %q", line)
		}
	}
	asked := u.requests()
	for _, s := range asked {
		look(s.line, []byte(s.text()), marks(canaryCaller, "CANARYCALLER")) // T24
		if s.query("token") != canaryQuery || s.header.Get("Authorization") != basic(canaryPassword) {
			t.Errorf("%s came without its credentials", s.line)
		}
	}
	if len(asked) == 0 {
		t.Error("ComfyUI was never asked")
	}
	w.whole(t)
}
