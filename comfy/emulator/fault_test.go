package emulator_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// faultCase shows one fault at work.
type faultCase struct {
	fault string
	check func(s *testServer)
}

// runs submits a job of a few steps and returns its events up to one type.
func runs(s *testServer, ws *testSocket, kind string) []event {
	s.t.Helper()
	s.submit(txt2img("a", 1, 64, 6), testID(1), "me")
	return ws.until(kind)
}

// lastError is the data of the execution_error that ends a job.
func lastError(s *testServer, id string) string {
	s.t.Helper()
	job := s.wait(id)
	last := job.Status.Messages[len(job.Status.Messages)-1]
	if job.Status.StatusStr != "error" || string(last[0]) != `"execution_error"` {
		s.t.Errorf("status %s, %s", job.Status.StatusStr, last[0])
	}
	return string(last[1])
}

func faultCases() []faultCase {
	return []faultCase{
		{"drop-ws@2", func(s *testServer) { // EMU-21
			t := s.t
			ws := s.dialWS("me", false)
			s.submit(txt2img("a", 1, 64, 6), testID(1), "me")
			steps := 0
			for {
				m, ok := ws.next(waitLong)
				if !ok {
					t.Fatal("the socket is not cut")
				}
				if m.err != nil {
					break
				}
				if bytes.Contains(m.text, []byte(`"type": "progress"`)) {
					steps++
				}
			}
			if job := s.wait(testID(1)); job.Status.StatusStr != "success" || steps > 2 {
				t.Errorf("%d steps seen, job %+v", steps, job.Status)
			}
		}},
		{"stall-ws@2", func(s *testServer) { // EMU-22
			t := s.t
			ws := s.dialWS("me", false)
			s.submit(txt2img("a", 1, 64, 6), testID(1), "me")
			s.wait(testID(1))
			for {
				m, ok := ws.next(20 * time.Millisecond)
				if !ok {
					break
				}
				if m.err != nil {
					t.Fatalf("the socket ended: %v", m.err)
				}
				if bytes.Contains(m.text, []byte("execution_success")) {
					t.Error("a stalled socket heard of the end")
				}
			}
			if again := s.dialWS("other", true).until("feature_flags"); again[0].Type != "status" {
				t.Errorf("a new socket is not greeted: %v", again)
			}
		}},
		{"big-frame@300000", func(s *testServer) { // EMU-23
			t := s.t
			small := s.dialLimited("me", false, 100_000)
			s.submit(txt2img("a", 1, 64, 6), testID(1), "me")
			for {
				m, ok := small.next(waitLong)
				if !ok {
					t.Fatal("no frame was too big")
				}
				if m.err != nil {
					break
				}
			}
			s.wait(testID(1))
		}},
		{"deaf-reconnect", func(s *testServer) { // EMU-9
			t := s.t
			s.dialWS("me", false).close()
			eventually(s.t, "gone", func() bool { return !s.Connected("me") })
			again := s.dialWS("me", true)
			again.until("feature_flags")
			s.submit(small(1), testID(1), "me")
			s.wait(testID(1))
			if m, ok := again.next(20 * time.Millisecond); ok {
				t.Errorf("a deaf socket heard %s", m.text)
			}
		}},
		{"mended-reconnect", func(s *testServer) { // EMU-9
			first := s.dialWS("me", true)
			first.until("feature_flags")
			second := s.dialWS("me", true)
			second.until("feature_flags")
			first.close()
			s.submit(small(1), testID(1), "me")
			second.until("execution_success")
		}},
		{"oom@2", func(s *testServer) { // EMU-26
			t := s.t
			ws := s.dialWS("me", false)
			events := runs(s, ws, "execution_error")
			data := events[len(events)-1].Data
			if data["exception_type"] != "torch.OutOfMemoryError" || data["node_type"] != "KSampler" {
				t.Errorf("%v", data)
			}
			lastError(s, testID(1))
		}},
		{"error@VAEDecode", func(s *testServer) {
			t := s.t
			runs(s, s.dialWS("me", false), "execution_error")
			if e := lastError(s, testID(1)); !strings.Contains(e, `"node_type": "VAEDecode"`) {
				t.Error(e)
			}
		}},
		{"evil-error@VAEDecode", func(s *testServer) {
			t := s.t
			runs(s, s.dialWS("me", false), "execution_error")
			if e := lastError(s, testID(1)); !strings.Contains(e, `\u001b[2J`) || len(e) < 20_000 {
				t.Error(e[:min(len(e), 300)])
			}
		}},
		{"blocked@2", func(s *testServer) {
			t := s.t
			ws := s.dialWS("me", false)
			events := runs(s, ws, "execution_error")
			if kind := events[len(events)-1].Data["exception_type"]; kind != "ExecutionBlocked" {
				t.Errorf("type %v", kind)
			}
			ws.until("execution_success")
		}},
		{"interrupt@2", func(s *testServer) {
			runs(s, s.dialWS("me", false), "execution_interrupted")
		}},
		{"restart@2", func(s *testServer) { // EMU-24
			t := s.t
			s.WriteFile("temp", "gone.png", []byte("x"))
			s.WriteFile("output", "kept.png", []byte("x"))
			ws := s.dialWS("me", false)
			s.submit(txt2img("a", 1, 64, 6), testID(1), "me")
			for {
				if m, ok := ws.next(waitLong); !ok || m.err != nil {
					break
				}
			}
			if _, err := s.Dial(t.Context(), "tcp", "x"); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("while it is down: %v", err)
			}
			eventually(s.t, "it comes back", func() bool { return s.get("/api/prompt").err == nil })
			if h := s.history(testID(1)); h != "{}" || s.remaining() != 0 {
				t.Errorf("it remembers %s", h)
			}
			if !slices.Equal(s.Files("output"), []string{"kept.png"}) || len(s.Files("temp")) > 0 {
				t.Errorf("output %v, temp %v", s.Files("output"), s.Files("temp"))
			}
			s.SetFaults()
			s.submit(small(1), testID(2), "")
			s.wait(testID(2))
		}},
		{"die@2", func(s *testServer) {
			t := s.t
			s.submit(txt2img("a", 1, 64, 6), testID(1), "me")
			eventually(s.t, "it dies", func() bool {
				_, err := s.Dial(t.Context(), "tcp", "x")
				return errors.Is(err, syscall.ECONNREFUSED)
			})
			s.SetFaults()
			s.Restart()
			if a := s.get("/api/prompt"); a.status != 200 {
				t.Errorf("after Restart: %d %v", a.status, a.err)
			}
		}},
		{"slow-node@VAEDecode=300ms", func(s *testServer) { // EMU-27
			t := s.t
			ws := s.dialWS("me", false)
			begin := time.Now()
			runs(s, ws, "execution_success")
			if took := time.Since(begin); took < 300*time.Millisecond {
				t.Errorf("took %v", took)
			}
		}},
		{"slow-start@200ms", func(s *testServer) {
			t := s.t
			begin := time.Now()
			runs(s, s.dialWS("me", false), "execution_success")
			if took := time.Since(begin); took < 200*time.Millisecond {
				t.Errorf("took %v", took)
			}
		}},
		{"late-interrupt@200ms", func(s *testServer) {
			t := s.t
			ws := s.dialWS("me", false)
			s.submit(txt2img("a", 1, 64, 10_000), testID(1), "me")
			ws.until("progress")
			begin := time.Now()
			s.post("/api/interrupt", "")
			ws.until("execution_interrupted")
			if took := time.Since(begin); took < 200*time.Millisecond {
				t.Errorf("took %v", took)
			}
		}},
		{"zombie", func(s *testServer) { // EMU-25
			t := s.t
			s.submit(small(1), testID(1), "")
			if n := s.remaining(); n != 1 {
				t.Errorf("%d remaining", n)
			}
			if a := s.get("/api/queue"); !strings.Contains(string(a.body), `"queue_running": []`) {
				t.Errorf("a zombie runs %s", a.body)
			}
		}},
		{"forget", func(s *testServer) {
			t := s.t
			ws := s.dialWS("me", false)
			runs(s, ws, "execution_success")
			ws.until("executing")
			if h := s.history(testID(1)); h != "{}" || s.remaining() != 0 {
				t.Errorf("history %s", h)
			}
		}},
		{"no-jobs-api", func(s *testServer) { // EMU-28
			t := s.t
			for _, path := range []string{"/api/jobs", "/api/jobs/x"} {
				if a := s.get(path); a.status != 404 || len(a.body) > 0 {
					t.Errorf("%s: %d %s", path, a.status, a.body)
				}
			}
			if a := s.post("/api/jobs/x/cancel", ""); a.status != 405 {
				t.Errorf("cancel: %d", a.status)
			}
		}},
		httpFault("401"), httpFault("403"), httpFault("404"), httpFault("429"), httpFault("500"), httpFault("502"), httpFault("503"),
		{"slow-http@/history=200ms", func(s *testServer) { slowly(s, "/api/history/x", 200*time.Millisecond) }},
		{"slow-answer@/history=200ms", func(s *testServer) { slowly(s, "/api/history", 200*time.Millisecond) }},
		{"hang-http@POST /prompt", func(s *testServer) {
			t := s.t
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() {
				body := fmt.Sprintf(`{"prompt_id":%q,"prompt":{"1":{"class_type":"EmptyImage","inputs":{"width":8,"height":8,"batch_size":1,"color":0}},"2":{"class_type":"PreviewImage","inputs":{"images":["1",0]}}}}`, testID(1))
				req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://x/api/prompt", strings.NewReader(body))
				if err == nil {
					var resp *http.Response
					if resp, err = s.client.Do(req); err == nil {
						_ = resp.Body.Close()
					}
				}
				done <- err
			}()
			s.wait(testID(1)) // the work is done, GET /prompt answers, only the POST hangs
			if n := s.remaining(); n != 0 {
				t.Errorf("%d remaining", n)
			}
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("the POST ended with %v", err)
			}
		}},
		{"cut-http@POST /prompt", func(s *testServer) {
			t := s.t
			if a := s.post("/api/prompt", map[string]any{"prompt": small(1), "prompt_id": testID(1)}); a.err == nil {
				t.Errorf("answered %d", a.status)
			}
			s.wait(testID(1))
		}},
		{"refuse-http@POST /prompt*1", func(s *testServer) {
			t := s.t
			body := map[string]any{"prompt": small(1), "prompt_id": testID(1)}
			if a := s.post("/api/prompt", body); a.err == nil || s.history(testID(1)) != "{}" || s.remaining() != 0 {
				t.Errorf("answered %d", a.status)
			}
			if a := s.post("/api/prompt", body); a.status != 200 {
				t.Errorf("the second time: %d %v", a.status, a.err)
			}
			s.wait(testID(1))
		}},
		{"endless-http@/object_info", func(s *testServer) {
			t := s.t
			ctx, cancel := context.WithTimeout(t.Context(), waitLong)
			defer cancel()
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://x/api/object_info/KSampler", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := s.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = resp.Body.Close() }()
			if n, err := io.CopyN(io.Discard, resp.Body, 8<<20); err != nil {
				t.Errorf("ended after %d bytes: %v", n, err)
			}
		}},
		{"evil-name", func(s *testServer) {
			t := s.t
			s.submit(small(1), testID(1), "")
			if f := s.wait(testID(1)).Outputs["2"].Images[0]; !strings.Contains(f.Filename, "../") || !strings.Contains(f.Subfolder, "../") {
				t.Errorf("%+v", f)
			}
		}},
		{"broken-view", func(s *testServer) {
			t := s.t
			s.WriteFile("output", "x.png", []byte("x"))
			a := s.get("/api/view?filename=x.png")
			if _, _, err := image.Decode(bytes.NewReader(a.body)); err == nil || a.header.Get("Content-Type") != "image/png" {
				t.Errorf("%s %.40s", a.header.Get("Content-Type"), a.body)
			}
		}},
		{"truncated-view", func(s *testServer) {
			t := s.t
			s.WriteFile("output", "x.png", make([]byte, 100_000))
			if a := s.get("/api/view?filename=x.png"); !errors.Is(a.err, io.ErrUnexpectedEOF) || len(a.body) == 0 {
				t.Errorf("%d bytes, %v", len(a.body), a.err)
			}
		}},
	}
}

func httpFault(code string) faultCase {
	return faultCase{"http-" + code + "@/history*1", func(s *testServer) {
		t := s.t
		if a := s.get("/api/history/x"); fmt.Sprint(a.status) != code {
			t.Errorf("status %d", a.status)
		}
		if a := s.get("/history"); a.status != 200 {
			t.Errorf("the second time: %d", a.status)
		}
	}}
}

func slowly(s *testServer, path string, atLeast time.Duration) {
	s.t.Helper()
	begin := time.Now()
	if a := s.get(path); a.status != 200 || time.Since(begin) < atLeast {
		s.t.Errorf("%d after %v", a.status, time.Since(begin))
	}
}

// TestFaults_EMU21_EMU28 shows every fault at work.
func TestFaults_EMU21_EMU28(t *testing.T) {
	t.Parallel()
	var shown []string
	for _, c := range faultCases() {
		name, _, _ := strings.Cut(c.fault, "@")
		shown = append(shown, name)
		t.Run(c.fault, func(t *testing.T) {
			t.Parallel()
			s := sketchy(t, emulator.Options{Faults: faults(t, c.fault), DownTime: 100 * time.Millisecond})
			c.check(s)
		})
	}
	for _, f := range emulator.FaultList() {
		if !slices.Contains(shown, f.Name) {
			t.Errorf("fault %s has no test", f.Name)
		}
		if f.Help == "" || strings.HasSuffix(f.Help, ".") {
			t.Errorf("fault %s: help %q", f.Name, f.Help)
		}
	}
}

// TestSlowNode_olderHeedsNoInterrupt: what runs is not reached, as recorded.
func TestSlowNode_olderHeedsNoInterrupt(t *testing.T) {
	t.Parallel()
	for version, node := range map[string]string{emulator.V0364: "SaveImage", emulator.V0330: "VAEDecode"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := sketchy(t, emulator.Options{Version: version, Faults: faults(t, "slow-node@VAEDecode=300ms")})
			ws := s.dialWS("me", false)
			s.submit(txt2img("a", 1, 64, 1), testID(1), "me")
			for n := ""; n != "8"; {
				events := ws.until("executing")
				n = fmt.Sprint(events[len(events)-1].Data["node"])
			}
			s.post("/api/interrupt", map[string]any{"prompt_id": testID(1)})
			events := ws.until("execution_interrupted")
			if got := events[len(events)-1].Data["node_type"]; got != node {
				t.Errorf("interrupted in %v, want %s", got, node)
			}
		})
	}
}

func TestParseFault(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"drop-ws":                 "drop-ws@3",
		"drop-ws@5":               "drop-ws@5",
		"oom@2*1":                 "oom@2*1",
		"zombie":                  "zombie",
		"slow-node@KSampler=1s":   "slow-node@KSampler=1s",
		"http-500@/history*2":     "http-500@/history*2",
		"hang-http@POST /prompt":  "hang-http@POST /prompt",
		"slow-http@GET /view=1ms": "slow-http@GET /view=1ms",
		"big-frame":               "big-frame@67108865",
		"error":                   "error@KSampler",
		"late-interrupt@1s":       "late-interrupt@1s",
	} {
		f, err := emulator.ParseFault(text)
		if err != nil || f.String() != want {
			t.Errorf("%s: %q, %v", text, f, err)
			continue
		}
		if again, err := emulator.ParseFault(f.String()); err != nil || again.String() != want {
			t.Errorf("%s: not read back: %q, %v", text, again, err)
		}
	}
	for text, want := range map[string]string{
		"":                     "there are drop-ws",
		"nope":                 "there are drop-ws",
		"drop-ws@x":            "a step from 0 on",
		"drop-ws@-1":           "a step from 0 on",
		"drop-ws@1*0":          "number of times",
		"drop-ws@1*x":          "number of times",
		"zombie@1":             "takes no argument",
		"http-500":             "a route",
		"http-500@history":     "a route",
		"http-500@/api/prompt": "a route",
		"slow-http@/x":         "ROUTE=DURATION",
		"slow-http@x=1s":       "ROUTE=DURATION",
		"slow-node@=1s":        "CLASS=DURATION",
		"slow-node@A=fast":     "CLASS=DURATION",
		"big-frame@0":          "number of bytes",
		"slow-start@x":         "a duration",
		"error@":               "a class",
	} {
		if f, err := emulator.ParseFault(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v; want an error with %q", text, f, err, want)
		}
	}
	for _, f := range emulator.FaultList() {
		text := f.Name
		if f.Default == "" && f.Arg == "ROUTE" {
			text += "@/prompt"
		}
		if _, err := emulator.ParseFault(text); err != nil {
			t.Errorf("%s with its default: %v", f.Name, err)
		}
	}
}
