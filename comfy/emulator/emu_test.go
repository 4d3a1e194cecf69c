package emulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// sketchy starts an emulator for a test that looks at no picture.

func sketchy(t *testing.T, opts emulator.Options) *testServer {
	t.Helper()
	return start(t, emulator.Sketchy(opts))
}

// small is a graph that ends in a moment: a grey square, saved.

func small(color int) graph {
	return graph{
		"1": node("EmptyImage", map[string]any{"width": 16, "height": 16, "batch_size": 1, "color": color}),
		"2": node("SaveImage", map[string]any{"images": link("1", 0), "filename_prefix": "small"}),
	}
}

func faults(t *testing.T, texts ...string) []emulator.Fault {
	t.Helper()
	var list []emulator.Fault
	for _, s := range texts {
		f, err := emulator.ParseFault(s)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, f)
	}
	return list
}

// eventually polls until something holds.

func eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for deadline := time.Now().Add(waitLong); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if holds() {
			return
		}
	}
	tb.Fatalf("never: %s", what)
}

func (s *testServer) remaining() int {
	var q struct {
		Info struct {
			N int `json:"queue_remaining"`
		} `json:"exec_info"`
	}
	s.getJSON("/api/prompt", &q)
	return q.Info.N
}

func (s *testServer) history(id string) string { return string(s.get("/api/history/" + id).body) }

func TestEMU01_statusWithSid(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	for _, id := range []string{"mine", ""} {
		ws := s.dialWS(id, false)
		m, _ := ws.next(waitLong)
		var e struct {
			Type string
			Data struct {
				Sid    string
				Status struct {
					Info map[string]int `json:"exec_info"`
				}
			}
		}
		decode(t, m.text, &e)
		if n, ok := e.Data.Status.Info["queue_remaining"]; e.Type != "status" || !ok || n != 0 {
			t.Errorf("first frame %s", m.text)
		}
		if (id != "" && e.Data.Sid != id) || len(e.Data.Sid) == 0 {
			t.Errorf("clientId %q: sid %q", id, e.Data.Sid)
		}
	}
}

func TestEMU02_eventsBeforeAnswer(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{Faults: faults(t, "slow-answer@POST /prompt=2s")})
	ws := s.dialWS("me", false)
	begin := time.Now()
	answered := make(chan answer, 1)
	go func() {
		answered <- s.post("/api/prompt", map[string]any{"prompt": small(1), "client_id": "me"})
	}()
	ws.until("execution_success")
	if took := time.Since(begin); took > 1900*time.Millisecond {
		t.Errorf("the events took %v", took)
	}
	select {
	case a := <-answered:
		t.Errorf("answered before the events: %s", a.body)
	default:
	}
	if a := <-answered; a.status != http.StatusOK || !strings.Contains(string(a.body), "prompt_id") {
		t.Errorf("%d %s %v", a.status, a.body, a.err)
	}
}

func TestEMU03_EMU04_historyOnlyAtTheEnd(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{StepTime: 20 * time.Millisecond, HistoryEntries: 2})
	if h := s.history("unknown"); h != "{}" {
		t.Errorf("unknown job: %s", h)
	}
	ws := s.dialWS("me", false)
	s.submit(txt2img("a", 1, 64, 20), testID(1), "me")
	s.submit(small(1), testID(2), "")
	ws.until("progress")
	for id, what := range map[string]string{testID(1): "running", testID(2): "pending"} {
		if h := s.history(id); h != "{}" {
			t.Errorf("%s job: %s", what, h)
		}
	}
	ws.until("execution_success")
	ws.until("status")
	last := ws.until("executing")
	if node, ok := last[len(last)-1].Data["node"]; !ok || node != nil {
		t.Errorf("last word on the job: %v", last)
	}
	if h := s.history(testID(1)); h == "{}" {
		t.Error("no history after the last word")
	}
}

func TestEMU04_EMU20_eviction(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{HistoryEntries: 2})
	for i := range 6 {
		s.submit(small(i), testID(i), "")
		s.wait(testID(i))
	}
	if h := s.history(testID(0)); h != "{}" {
		t.Errorf("an evicted job: %s", h)
	}
	var all map[string]json.RawMessage
	s.getJSON("/api/history", &all)
	if len(all) != 3 { // ComfyUI evicts before it adds, and so keeps one more
		t.Errorf("%d entries", len(all))
	}
}

func TestEMU05_goodOutputsRunBesideBadOnes(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	g := small(1)
	g["3"] = node("SaveImage", map[string]any{"images": link("1", 0)})
	a := s.post("/api/prompt", map[string]any{"prompt": g, "prompt_id": testID(1)})
	if a.status != http.StatusOK || !strings.Contains(string(a.body), "required_input_missing") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if job := s.wait(testID(1)); len(job.Outputs["2"].Images) != 1 || len(job.Outputs) != 1 {
		t.Errorf("outputs %v", job.Outputs)
	}
}

func TestEMU06_EMU07_cachedOutputs(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		s := sketchy(t, emulator.Options{Version: version})
		ws := s.dialWS("me", false)
		g := small(1)
		g["3"] = node("EmptyImage", map[string]any{"width": 16, "height": 16, "batch_size": 1, "color": 1}) // equals 1
		g["4"] = node("ImageBatch", map[string]any{"image1": link("1", 0), "image2": link("3", 0)})
		g["5"] = node("PreviewImage", map[string]any{"images": link("4", 0)})
		s.submit(g, testID(1), "me")
		nulls := 0
		for _, e := range ws.until("execution_success") {
			if e.Type == "executed" && e.Data["output"] == nil {
				nulls++
			}
		}
		if nulls != 1 {
			t.Errorf("%s: %d cached nodes without output, want the twin", version, nulls)
		}
		first := s.wait(testID(1))
		s.submit(g, testID(2), "me")
		var again []string
		for _, e := range ws.until("execution_success") {
			if e.Type == "executed" {
				again = append(again, fmt.Sprint(e.Data["output"]))
			}
		}
		name := first.Outputs["2"].Images[0].Filename
		if len(again) != 2 || !strings.Contains(strings.Join(again, " "), name) {
			t.Errorf("%s: cached outputs %v, want the old %s", version, again, name)
		}
		if files := s.Files("output"); !slices.Equal(files, []string{name}) {
			t.Errorf("%s: files %v", version, files)
		}
		if second := s.wait(testID(2)); second.Outputs["2"].Images[0].Filename != name {
			t.Errorf("%s: history %v", version, second)
		}
	}
}

func TestEMU08_EMU11_broadcastWithoutClient(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	one, two := s.dialWS("one", true), s.dialWS("two", false)
	one.until("feature_flags")
	s.submit(txt2img("a", 1, 64, 3), testID(1), "")
	for _, ws := range []*testSocket{one, two} {
		previews, steps := 0, 0
		for steps < 3 {
			m, ok := ws.next(waitLong)
			if !ok || m.err != nil {
				t.Fatal(m.err)
			}
			if m.binary != nil {
				previews++
				if m.binary[3] != 1 {
					t.Errorf("frame of type %d, but a job without client has no flags", m.binary[3])
				}
				continue
			}
			var e event
			decode(t, m.text, &e)
			switch e.Type {
			case "progress":
				steps++
			case "executing", "executed", "execution_start", "execution_success":
				t.Errorf("%s of a job without client", e.Type)
			}
		}
		if previews == 0 {
			t.Error("no previews")
		}
	}
	three := s.dialWS("three", true)
	three.until("feature_flags")
	s.submit(txt2img("b", 2, 64, 1), testID(2), "three")
	for {
		m, ok := three.next(waitLong)
		if !ok || m.err != nil {
			t.Fatal("no preview")
		}
		if m.binary != nil {
			if m.binary[3] != 4 {
				t.Errorf("frame of type %d for a client with the flag", m.binary[3])
			}
			break
		}
	}
}

func TestEMU10_nothingReplayed(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	early := s.dialWS("early", false)
	s.submit(small(1), testID(1), "late")
	s.submit(small(2), testID(2), "early")
	early.until("execution_success") // so whatever was said of the first job was said before
	ws := s.dialWS("late", true)
	s.submit(small(3), testID(3), "late")
	for _, e := range ws.until("execution_start") {
		mine := e.Data["prompt_id"] == testID(3)
		if !mine && e.Type != "status" && e.Type != "feature_flags" { // the queue's length is told to everybody, whenever it changes
			t.Errorf("got %+v", e)
		}
	}
}

func TestEMU12_bareAndPrefixed(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	for _, path := range []string{
		"/prompt", "/queue", "/history", "/history/x", "/object_info", "/object_info/KSampler", "/models", "/models/vae",
		"/experiment/models", "/experiment/models/vae", "/embeddings", "/extensions", "/system_stats", "/features", "/users",
		"/settings",
	} {
		bare, prefixed := s.get(path), s.get("/api"+path)
		if bare.status != http.StatusOK || prefixed.status != http.StatusOK || string(bare.body) != string(prefixed.body) {
			t.Errorf("%s: %d and %d", path, bare.status, prefixed.status)
		}
	}
	for path, want := range map[string]int{
		"/api/jobs": 200, "/jobs": 404, "/internal/logs": 200, "/api/internal/logs": 404, "/nope": 404, "/api/jobs/x": 404, "/": 200,
	} {
		if a := s.get(path); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
	if a := s.post("/api/nope", ""); a.status != 405 || a.header.Get("Allow") != "GET,HEAD" {
		t.Errorf("POST to nowhere: %d, Allow %s", a.status, a.header.Get("Allow"))
	}
	bare := websocket.Dialer{NetDialContext: s.Dial}
	conn, resp, err := bare.Dial("ws://localhost/ws?clientId=x", nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	_ = conn.Close()
}

func TestEMU13_textErrors(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{MaxUpload: 1000})
	a := s.post("/api/prompt", strings.Repeat(" ", 1001))
	if a.status != http.StatusRequestEntityTooLarge || string(a.body) != "Maximum request body size 1000 exceeded." ||
		a.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%d %s %s", a.status, a.body, a.header)
	}
	// Without a length the bound still holds.
	pr := strings.NewReader(strings.Repeat(" ", 2000))
	if a := s.do(http.MethodPost, "/api/prompt", struct{ *strings.Reader }{pr}, http.Header{"Transfer-Encoding": {"chunked"}}); a.status != 413 {
		t.Errorf("chunked: %d %s", a.status, a.body)
	}
	if a := s.post("/api/prompt", "{"); a.status != 500 || !strings.HasPrefix(string(a.body), "500 Internal Server Error") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestEMU14_EMU15_queueOrder uses a worker that takes nothing, so that the heap

// stays as it was filled.

func TestEMU14_EMU15_queueOrder(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{Faults: faults(t, "zombie")})
	post := func(i int, more map[string]any) {
		body := map[string]any{"prompt": small(i), "prompt_id": testID(i)}
		maps.Copy(body, more)
		if a := s.post("/api/prompt", body); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	post(0, map[string]any{"front": true}) // -0: no gain for the very first
	post(1, nil)
	post(2, map[string]any{"front": true})
	post(3, map[string]any{"number": 0.5})
	post(4, map[string]any{"front": true})
	var q struct {
		Pending [][]json.RawMessage `json:"queue_pending"`
	}
	s.getJSON("/api/queue", &q)
	var order []string
	for _, item := range q.Pending {
		order = append(order, string(item[0]))
	}
	// What Python's heapq makes of 0, 1, -2, 0.5, -3.
	if want := []string{"-3", "-2", "0", "1", "0.5"}; !slices.Equal(order, want) {
		t.Errorf("heap %v, want %v", order, want)
	}
	s.SetFaults()
	s.post("/api/queue", map[string]any{"delete": []string{testID(1)}})
	for i := range 5 {
		if i != 1 {
			s.submit(small(10+i), testID(10+i), "") // wakes the worker
			s.wait(testID(i))
		}
	}
	if h := s.history(testID(1)); h != "{}" {
		t.Errorf("a deleted job ran: %s", h)
	}
}

func TestEMU16_earlyInterruptIsLost(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{Faults: faults(t, "slow-start@300ms")})
	s.submit(txt2img("a", 1, 64, 2), testID(1), "")
	eventually(t, "running", func() bool { return strings.Contains(string(s.get("/api/queue").body), `"queue_running": [[`) })
	s.post("/api/interrupt", map[string]any{"prompt_id": testID(1)})
	if job := s.wait(testID(1)); job.Status.StatusStr != "success" {
		t.Errorf("status %+v: the flag was to be cleared at the start", job.Status)
	}
}

// TestMaskUpload puts an alpha on an earlier picture.

func TestEMU19_origin(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		version string
		header  http.Header
		want    int
	}{
		"none":               {emulator.V0330, nil, 200},
		"other site":         {emulator.V0330, http.Header{"Origin": {"http://evil.example"}}, 403},
		"same":               {emulator.V0330, http.Header{"Origin": {"http://localhost:8188"}}, 200},
		"other port":         {emulator.V0330, http.Header{"Origin": {"http://localhost:1"}}, 403},
		"no loopback host":   {emulator.V0330, http.Header{"Origin": {"http://a.example"}, "Host": {"b.example"}}, 200},
		"fetch, newer":       {emulator.V0330, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 403},
		"fetch, older":       {emulator.V0364, http.Header{"Sec-Fetch-Site": {"cross-site"}}, 200},
		"other site, older":  {emulator.V0364, http.Header{"Origin": {"http://evil.example"}}, 403},
		"port left out":      {emulator.V0330, http.Header{"Origin": {"http://localhost"}}, 200},
		"IP and other names": {emulator.V0330, http.Header{"Origin": {"http://localhost:8188"}, "Host": {"127.0.0.1:8188"}}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sketchy(t, emulator.Options{Version: c.version})
			a := s.do(http.MethodGet, "/api/features", nil, c.header)
			if a.status != c.want || (a.status == 403 && len(a.body) > 0) {
				t.Errorf("%d %s, want %d", a.status, a.body, c.want)
			}
		})
	}
	s := sketchy(t, emulator.Options{})
	if a := s.do(http.MethodOptions, "/api/prompt", nil, nil); a.status != 200 || len(a.body) > 0 {
		t.Errorf("OPTIONS: %d %s", a.status, a.body)
	}
}

// TestEMU28_jobsAPI: it is there in the newer version only, and can be left out.

// TestInterrupt ends long waits at once, in every way to ask for it.

// TestVirtualFiles: what a file name reaches is never the machine's own disk.

// TestFileBytes reaches the bound: temporary files go first, then the oldest outputs.

// TestTooManyPixels asks for more than any machine has.

// TestEMU08_previewsByJob: 0.33.0 lets a job choose whether it has previews, and
// 0.3.64 does not know the field.
func TestEMU08_previewsByJob(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		version string
		off     bool // at the server
		method  any
		want    bool
	}{
		{emulator.V0330, false, nil, true},
		{emulator.V0330, false, "default", true},
		{emulator.V0330, false, "none", false},
		{emulator.V0330, true, "latent2rgb", true},
		{emulator.V0330, true, "no such", false},
		{emulator.V0330, true, []int{1}, false},
		{emulator.V0364, false, "none", true},
		{emulator.V0364, true, "auto", false},
	} {
		s := sketchy(t, emulator.Options{Version: c.version, NoPreviews: c.off})
		ws := s.dialWS("one", true)
		ws.until("feature_flags")
		body := map[string]any{
			"prompt": txt2img("a", 1, 64, 3), "client_id": "one", "extra_data": map[string]any{"preview_method": c.method},
		}
		if a := s.post("/api/prompt", body); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		got := false
		for {
			m, ok := ws.next(waitLong)
			if !ok || m.err != nil {
				t.Fatal(m.err)
			}
			if got = got || m.binary != nil; bytes.Contains(m.text, []byte(`"execution_success"`)) {
				break
			}
		}
		if got != c.want {
			t.Errorf("%s, previews off %v, preview_method %v: previews %v", c.version, c.off, c.method, got)
		}
	}
}
