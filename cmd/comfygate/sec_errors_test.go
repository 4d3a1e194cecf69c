package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// leaky is what a broken ComfyUI, or what stands before it, may say. The trace comes last, because all after it is cut off.
const leaky = `RuntimeError: no C:\\secret\\path\\model.ckpt, no /home/secret/path/vae.pt at http://10.9.8.7:8188/?token=abcCANARY ` +
	`Authorization: Basic YWRhOkNBTkFSWQ== Authorization: Bearer CANARY.abc api_key=CANARY Cookie: session=CANARY ` +
	`Traceback (most recent call last):\n  File \"/home/secret/path/execution.py\", line 7, in run`

// leakyBodies are the answers of which nothing may cross.
func leakyBodies() map[string]func(http.ResponseWriter) {
	return map[string]func(http.ResponseWriter){
		"fails in words": respond(http.StatusInternalServerError, "text/plain", strings.NewReplacer(`\n`, "\n", `\"`, `"`).Replace(leaky)),
		"fails in JSON":  respond(http.StatusInternalServerError, "application/json", `{"error":"`+leaky+`"}`),
		"rejects": respond(http.StatusBadRequest, "application/json", `{"error":{"type":"prompt_outputs_failed_validation","message":"`+leaky+`","details":"`+leaky+
			`","extra_info":{"traceback":["`+leaky+`"]}},"node_errors":{"3":{"class_type":"KSampler","dependent_outputs":["9"],"errors":[{"type":"value_not_in_list","message":"`+leaky+
			`","details":"ckpt_name: '/home/secret/path/x' not in ['secret-CANARY.safetensors']","extra_info":{"input_name":"ckpt_name"}}]}}}`),
		"rejects in short":            respond(http.StatusBadRequest, "application/json", `{"error":{"type":"invalid_prompt","message":"`+leaky+`","details":"`+leaky+`","extra_info":{}},"node_errors":{}}`),
		"answers with something else": respond(http.StatusOK, "application/json", `{"/home/secret/path": "`+leaky+`"}`),
		"answers with no JSON":        respond(http.StatusOK, "text/html", "<html>/home/secret/path CANARY Traceback"),
		"sends away": func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://10.9.8.7/home/secret/path?token=CANARY")
			w.WriteHeader(http.StatusFound)
		},
	}
}

// leakyRoutes are the routes that comfygate asks, and the tools that make it ask them.
func leakyRoutes() []leakyRoute {
	draw, list := tool{"generate", args{"prompt": "a cat", "width": 64, "height": 64, "steps": 1, "wait_seconds": 1}}, tool{"list_models", nil}
	return []leakyRoute{
		{"GET /object_info", []tool{draw, list, {"list_models", args{"kind": "samplers"}}}},
		{"GET /models", []tool{list, {"list_models", args{"kind": "loras"}}}},
		{"GET /experiment/models", []tool{list}},
		{"GET /embeddings", []tool{{"list_models", args{"kind": "embeddings"}}}},
		{"GET /system_stats", []tool{{"status", nil}}},
		{"POST /prompt", []tool{draw}},
		{"GET /queue", []tool{draw, {"status", nil}}},
		{"GET /history", []tool{draw}},
		{"GET /jobs", []tool{draw}},
		{"GET /view", []tool{draw}},
		{"POST /upload/image", []tool{{"upscale", args{"image": "", "factor": 1.5, "wait_seconds": 1}}}},
	}
}

type leakyRoute struct {
	route string
	tools []tool
}

type tool struct {
	name string
	in   args
}

// TestSec_SC61_upstreamErrors: whatever ComfyUI says, callers read no path, no trace, no address, no credential and no body of its.
func TestSec_SC61_upstreamErrors(t *testing.T) {
	t.Parallel()
	for name, body := range leakyBodies() {
		for transport, mode := range map[string]string{"stdio": "development", "http": "production"} {
			if transport == "stdio" && !strings.HasPrefix(name, "rejects") {
				continue // who is trusted with an address is not trusted with more
			}
			t.Run(transport+", "+name, func(t *testing.T) {
				t.Parallel()
				u := newComfyUI(t, emulator.Options{NoPreviews: true})
				w := newWorld(t, append(unlimited(), u.on(), "COMFYGATE_SERVER__ENV="+mode, "COMFYGATE_RETRY__MAX_RETRIES=0")...)
				a := w.by(t, transport)
				picture := ""
				for _, l := range leakyRoutes() {
					u.instead(at(l.route, body))
					a.hearNothing(t, u, l, picture)
					if u.instead(nil); picture == "" {
						picture = a.picture(t, "a cat")
					}
				}
			})
		}
	}
}

// at answers the requests of one route, and all below it.
func at(route string, body func(http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
	method, path, _ := strings.Cut(route, " ")
	return func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.HasPrefix(strings.TrimPrefix(r.URL.Path, "/api"), path) {
			return false
		}
		body(w)
		return true
	}
}

// hearNothing calls tools and the status of the jobs that they make, and reads the answers.
func (a *agent) hearNothing(t *testing.T, u *comfyUI, l leakyRoute, picture string) {
	t.Helper()
	var answers []answer
	for _, c := range l.tools {
		if c.name == "upscale" {
			c.in["image"] = picture
		}
		out := a.call(t, c.name, c.in)
		answers = append(answers, out)
		if m := jobLine.FindStringSubmatch(out.text); m != nil {
			answers = append(answers, a.call(t, "status", args{"job_id": m[1], "wait_seconds": 0}))
		}
	}
	_, host, _ := strings.Cut(u.url, "//")
	for _, out := range answers {
		for _, mark := range []string{"secret", "raceback", "CANARY", "YWRhOkNBTkFSWQ", "10.9.8.7", "execution.py", "goroutine", ".go:", "main.py", "*comfy."} {
			if strings.Contains(out.raw, mark) {
				t.Errorf("%s: %q crosses: %s", l.route, mark, out.text)
			}
		}
		if !slices.Contains(a.cmd.Args, "http") {
			continue
		}
		if strings.Contains(out.raw, host) {
			t.Errorf("%s: ComfyUI's address crosses: %s", l.route, out.text)
		}
	}
}

func respond(status int, kind, body string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the caller may have read enough
	}
}

// TestSec_SC61_executionErrors: the same of what a node says while it runs.
func TestSec_SC61_executionErrors(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			evil, err := emulator.ParseFault("evil-error")
			if err != nil {
				t.Fatal(err)
			}
			u := newComfyUI(t, emulator.Options{Version: version, Faults: []emulator.Fault{evil}})
			out := newWorld(t, u.on()).stdio(t).call(t, "generate", small("a cat"))
			if out.fault == nil || out.fault.Code != "GENERATION_FAILED" {
				t.Fatalf("generate: %s", out.text)
			}
			for _, mark := range []string{"/home", "/usr", "/etc", `\u001b`, "\x1b", "Traceback", `C:\\`} {
				if strings.Contains(out.raw, mark) {
					t.Errorf("%q crosses: %s", mark, out.raw)
				}
			}
			if len(out.raw) > 2000 {
				t.Errorf("an error of %d bytes", len(out.raw))
			}
		})
	}
}

// TestSec_SC61_quotedCredential: a ComfyUI that quotes the credential it was sent does not make callers read it.
func TestSec_SC61_quotedCredential(t *testing.T) {
	t.Parallel()
	const secret = "quoted-CREDENTIAL-4711"
	body := `{"error":{"type":"invalid_prompt","message":"no access for ` + secret + ` here","details":"","extra_info":{}},"node_errors":{}}`
	u := newComfyUI(t, emulator.Options{NoPreviews: true})
	u.instead(at("POST /prompt", respond(http.StatusBadRequest, "application/json", body)))
	w := newWorld(t, append(unlimited(), u.on(), "COMFYGATE_COMFYUI__API_KEY="+secret)...)
	a := w.by(t, "stdio")
	out := a.call(t, "generate", args{"prompt": "a cat", "width": 64, "height": 64, "steps": 1})
	status := a.call(t, "status", nil)
	if !strings.Contains(out.text, "UPSTREAM_REJECTED") || strings.Contains(out.text+status.text, "CREDENTIAL") {
		t.Errorf("the agent reads %s\n%s", out.text, status.text)
	}
}
