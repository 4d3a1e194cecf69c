package main

import (
	"bytes"
	"encoding/base64"
	"image"
	_ "image/jpeg" // previews
	_ "image/png"  // pictures
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/mcp"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/comfy/emulator"
)

// TestMainJob: an agent asks for a picture and gets it, over each transport and from both ComfyUIs.
func TestMainJob(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"stdio", "http", "sse"} {
		for _, version := range []string{emulator.V0364, emulator.V0330} {
			t.Run(by+", ComfyUI "+version, func(t *testing.T) {
				t.Parallel()
				u := newComfyUI(t, emulator.Options{Version: version})
				w := newWorld(t, u.on(), "COMFYGATE_HTTP__TOKEN=the-right-token-0123", "COMFYGATE_OUTPUT__DIR=~/pictures")
				a := w.by(t, by, "Authorization", "Bearer the-right-token-0123")
				made := a.must(t, "generate", small("a lighthouse at dusk"))
				a.progressed(t, "generate")
				decodes(t, "the preview", made.pictures[0], 64, 64)
				id := made.links[0]
				if j := a.job(t, made.job(t)); j.State != "succeeded" {
					t.Errorf("status: %+v", j)
				}
				if r := a.report(t); r.Status != "healthy" || len(r.Jobs) != 1 || r.Jobs[0].ID != made.job(t) {
					t.Errorf("status: %+v", r)
				}
				if out := a.must(t, "cancel", args{"job_id": made.job(t)}); !strings.Contains(out.text, "succeeded") {
					t.Errorf("cancel of what is over: %s", out.text)
				}
				full := a.resource(t, id)
				decodes(t, "the resource", full, 64, 64)
				larger := a.must(t, "upscale", args{"image": id, "factor": 1.5})
				a.progressed(t, "upscale")
				decodes(t, "the larger picture", a.resource(t, larger.links[0]), 96, 96)
				decodes(t, "get_image", a.must(t, "get_image", args{"image": larger.links[0], "max_side": 64, "format": "jpeg"}).pictures[0], 64, 64)
				if by == "stdio" {
					w.saved(t, made, full)
				} else {
					linked(t, made, full)
				}
				a.end(t)
				w.whole(t)
				w.told(t, made.job(t))
			})
		}
	}
}

// progressed checks that progress was told, and only ever forward.
func (a *agent) progressed(t *testing.T, token string) {
	t.Helper()
	told := a.told(token)
	if len(told) == 0 || !slices.IsSorted(told) || len(slices.Compact(slices.Clone(told))) != len(told) {
		t.Errorf("progress of %s: %v", token, told)
	}
}

func decodes(t *testing.T, what string, data []byte, width, height int) {
	t.Helper()
	m, _, err := image.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if got := m.Bounds().Size(); got != image.Pt(width, height) {
		t.Errorf("%s is %v", what, got)
	}
}

// resource reads a full picture.
func (a *agent) resource(t *testing.T, id string) []byte {
	t.Helper()
	var req mcp.ReadResourceRequest
	req.Params.URI = "comfygate://images/" + id
	res, err := a.c.ReadResource(soon(t), req)
	if err != nil || len(res.Contents) != 1 {
		t.Fatalf("resources/read: %v, %v", res, err)
	}
	blob, ok := res.Contents[0].(mcp.BlobResourceContents)
	if !ok || blob.MIMEType != "image/png" {
		t.Fatalf("resources/read: %+v", res.Contents[0])
	}
	data, err := base64.StdEncoding.DecodeString(blob.Blob)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// saved checks the file that the answer names (decision 14).
func (w *world) saved(t *testing.T, made answer, full []byte) {
	t.Helper()
	m := regexp.MustCompile(`(?m)^\s*Saved: (.+)$`).FindStringSubmatch(made.text)
	if m == nil || filepath.Dir(m[1]) != filepath.Join(w.home, "pictures") {
		t.Fatalf("no saved file below %s in: %s", w.home, made.text)
	}
	if data, err := os.ReadFile(m[1]); err != nil || !bytes.Equal(data, full) {
		t.Errorf("the saved file is not the picture: %v", err)
	}
}

// linked fetches the signed link of the answer, which needs no other credential, and one that is not signed.
func linked(t *testing.T, made answer, full []byte) {
	t.Helper()
	if strings.Contains(made.text, "Saved:") {
		t.Errorf("a path of this machine crosses: %s", made.text)
	}
	m := regexp.MustCompile(`http://127\.0\.0\.1:\d+/images/[\w.-]+`).FindString(made.text)
	if m == "" {
		t.Fatalf("no link in: %s", made.text)
	}
	for url, want := range map[string]int{m: http.StatusOK, m[:len(m)-1] + "~": http.StatusNotFound, m[:strings.LastIndex(m, "/")] + "/x": http.StatusNotFound} {
		req, err := http.NewRequestWithContext(soon(t), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := new(http.Client).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(res.Body)
		if cerr := res.Body.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		if res.StatusCode != want {
			t.Errorf("%s: %s", url, res.Status)
		}
		if want == http.StatusOK && !bytes.Equal(data, full) {
			t.Error("the link leads to something else")
		}
	}
}

// told checks what the record tells of a job: its intent before its outcome, and its end with the hashes of its pictures.
func (w *world) told(t *testing.T, id string) {
	t.Helper()
	list := w.records(t)
	end := slices.IndexFunc(list, func(r audit.Record) bool { return r.Kind == audit.JobEnd && r.JobID == id })
	if end < 0 || list[end].Status != "succeeded" || len(list[end].Outputs) != 1 || list[end].PromptID == "" {
		t.Fatalf("no end of the job in %+v", list)
	}
	call := list[end].CallID
	of := func(k audit.Kind) int {
		return slices.IndexFunc(list, func(r audit.Record) bool { return r.Kind == k && r.CallID == call })
	}
	if intent, outcome := of(audit.Intent), of(audit.Outcome); intent < 0 || intent > end || outcome < intent {
		t.Errorf("intent %d, end %d, outcome %d", intent, end, outcome)
	}
	if list[0].Kind != audit.Start || list[len(list)-1].Kind != audit.Stop {
		t.Errorf("it begins with %s and ends with %s", list[0].Kind, list[len(list)-1].Kind)
	}
}

// TestMainJob_revisions: a client of whichever revision of MCP gets its picture, and hears of it on the way.
func TestMainJob_revisions(t *testing.T) {
	t.Parallel()
	for _, revision := range []string{"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25", "2026-07-28"} {
		for by, connect := range map[string]func(*testing.T, *world) *agent{
			"stdio": func(t *testing.T, w *world) *agent {
				t.Helper()
				p := w.start(t, "serve")
				return p.connectAs(t, p.pipes(), revision)
			},
			"http": func(t *testing.T, w *world) *agent {
				t.Helper()
				s := w.http(t)
				c, err := client.NewStreamableHttpClient(s.url + "/mcp")
				if err != nil {
					t.Fatal(err)
				}
				return s.connectAs(t, c, revision)
			},
		} {
			t.Run(revision+" over "+by, func(t *testing.T) {
				t.Parallel()
				a := connect(t, newWorld(t, embedded))
				if got := a.hello.ProtocolVersion; got != revision {
					t.Errorf("revision %s was agreed", got)
				}
				a.picture(t, "a cat")
				a.progressed(t, "generate")
			})
		}
	}
}

// TestMainJob_cancel: a running job is stopped, at ComfyUI too, and so is one that waits behind it.
func TestMainJob_cancel(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"stdio", "http", "sse"} {
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			u := slow(t)
			w := newWorld(t, append(unlimited(), u.on())...)
			a := w.by(t, by)
			var ids []string
			for range 4 {
				out := a.must(t, "generate", args{"prompt": "a cat", "width": 64, "height": 64, "steps": 8, "wait_seconds": 0})
				ids = append(ids, out.job(t))
			}
			a.running(t)
			for _, id := range slices.Backward(ids) {
				if out := a.must(t, "cancel", args{"job_id": id}); !strings.Contains(out.text, "cancelled") {
					t.Errorf("cancel: %s", out.text)
				}
			}
			if left := u.left(t); left != 0 {
				t.Errorf("%d jobs are left at ComfyUI", left)
			}
			a.end(t)
			w.whole(t)
		})
	}
}

// TestMainJob_strangers: without the token nobody gets further than the door.
func TestMainJob_strangers(t *testing.T) {
	t.Parallel()
	s := newWorld(t, embedded, "COMFYGATE_HTTP__TOKEN=the-right-token-0123", "COMFYGATE_HTTP__AUTH_FAILURES_PER_MINUTE=100").http(t)
	for name, test := range map[string]struct {
		path   string
		header []string
		want   int
	}{
		"no token":                    {"/mcp", nil, http.StatusUnauthorized},
		"a wrong token":               {"/mcp", []string{"Authorization", "Bearer the-wrong-token-0123"}, http.StatusUnauthorized},
		"the token in the query":      {"/mcp?token=the-right-token-0123", nil, http.StatusUnauthorized},
		"the token, from a page":      {"/mcp", []string{"Authorization", "Bearer the-right-token-0123", "Origin", "https://evil.example"}, http.StatusForbidden},
		"the token, to another name":  {"/mcp", []string{"Authorization", "Bearer the-right-token-0123", "Host", "evil.example"}, http.StatusForbidden},
		"the token":                   {"/mcp", []string{"Authorization", "Bearer the-right-token-0123"}, http.StatusOK},
		"HTTP+SSE without a token":    {"/message?sessionId=x", nil, http.StatusUnauthorized},
		"HTTP+SSE of no connection":   {"/message?sessionId=x", []string{"Authorization", "Bearer the-right-token-0123"}, http.StatusNotFound},
		"a path that is not there":    {"/console", []string{"Authorization", "Bearer the-right-token-0123"}, http.StatusNotFound},
		"a page at the right address": {"/mcp", []string{"Authorization", "Bearer the-right-token-0123", "Origin", s.url}, http.StatusOK},
	} {
		if res := s.get(t, http.MethodPost, test.path, hello, test.header...); res.StatusCode != test.want {
			t.Errorf("%s: %s, want %d", name, res.Status, test.want)
		}
	}
	if res := newWorld(t, embedded, "COMFYGATE_HTTP__SSE=false").http(t).get(t, http.MethodGet, "/sse", ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("HTTP+SSE that is switched off: %s", res.Status)
	}
}
