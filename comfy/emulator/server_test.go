package emulator_test

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/comfygate/comfygate/comfy/emulator"
)

func TestEMU28_jobsAPI(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		opts emulator.Options
		want int
	}{
		"0.33.0":         {emulator.Options{}, 200},
		"0.3.64":         {emulator.Options{Version: emulator.V0364}, 404},
		"0.33.0 without": {emulator.Options{Faults: faults(t, "no-jobs-api")}, 404},
	} {
		s := sketchy(t, c.opts)
		if a := s.get("/api/jobs"); a.status != c.want {
			t.Errorf("%s: %d, want %d", name, a.status, c.want)
		}
	}
}

// nextMillisecond waits until create_time has moved on: jobs of one millisecond
// have no order of their own.
func nextMillisecond() { time.Sleep(2 * time.Millisecond) }

func TestJobsAPI(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	workflow := map[string]any{"extra_pnginfo": map[string]any{"workflow": map[string]any{"id": "flow"}}}
	a := s.post("/api/prompt", map[string]any{"prompt": small(1), "prompt_id": testID(1), "extra_data": workflow})
	if a.status != 200 {
		t.Fatalf("%s", a.body)
	}
	s.wait(testID(1))
	nextMillisecond()
	g := small(2)
	g["3"] = node("PreviewImage", map[string]any{"images": link("1", 0)})
	s.submit(g, testID(2), "")
	s.wait(testID(2))
	nextMillisecond()
	bad := graph{
		"1": node("LoadImage", map[string]any{"image": "x.txt"}),
		"2": node("SaveImage", map[string]any{"images": link("1", 0), "filename_prefix": "x"}),
	}
	s.WriteFile("input", "x.txt", []byte("no picture"))
	s.submit(bad, testID(3), "")
	s.wait(testID(3))
	for query, want := range map[string][]int{
		"":                         {3, 2, 1},
		"?sort_order=asc":          {1, 2, 3},
		"?status=failed":           {3},
		"?status=completed,failed": {3, 2, 1},
		"?status=pending":          {},
		"?workflow_id=flow":        {1},
		"?limit=1&offset=1":        {2},
		"?offset=7":                {},
		"?offset=-3&limit=1":       {3},
	} {
		var list struct {
			Jobs       []struct{ ID string }
			Pagination struct{ Total int }
		}
		s.getJSON("/api/jobs"+query, &list)
		got := []string{}
		for _, j := range list.Jobs {
			got = append(got, j.ID)
		}
		ids := []string{}
		for _, n := range want {
			ids = append(ids, testID(n))
		}
		if !slices.Equal(got, ids) {
			t.Errorf("%s: %v, want %v", query, got, ids)
		}
	}
	var one map[string]any
	s.getJSON("/api/jobs/"+testID(2), &one)
	preview, _ := one["preview_output"].(map[string]any)
	if fmt.Sprint(one["outputs_count"]) != "2" || preview["type"] != "output" || preview["nodeId"] != "2" {
		t.Errorf("job of two outputs: %v", one)
	}
	s.getJSON("/api/jobs/"+testID(3), &one)
	if one["status"] != "failed" || one["execution_error"] == nil {
		t.Errorf("failed job: %v", one)
	}
	for body, want := range map[string]string{
		`{"job_ids":["x",3]}`:               `{"error": "job_ids contains invalid id(s)", "invalid_ids": ["x", "3"]}`,
		`[]`:                                `{"error": "job_ids must be a list"}`,
		`{`:                                 `{"error": "Request body must be valid JSON"}`,
		`{"job_ids":[]}`:                    `{"cancelled": false}`,
		`{"job_ids":["` + testID(1) + `"]}`: `{"cancelled": false}`,
	} {
		if a := s.post("/api/jobs/cancel", body); string(a.body) != want {
			t.Errorf("%s: %s, want %s", body, a.body, want)
		}
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]func(s *testServer, id string) answer{
		"global": func(s *testServer, _ string) answer { return s.post("/api/interrupt", "") },
		"targeted": func(s *testServer, id string) answer {
			return s.post("/api/interrupt", map[string]any{"prompt_id": id})
		},
		"job": func(s *testServer, id string) answer { return s.post("/api/jobs/"+id+"/cancel", "") },
		"jobs": func(s *testServer, id string) answer {
			return s.post("/api/jobs/cancel", map[string]any{"job_ids": []string{id}})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sketchy(t, emulator.Options{StepTime: time.Hour})
			ws := s.dialWS("me", false)
			s.submit(txt2img("a", 1, 64, 20), testID(1), "me")
			s.submit(small(1), testID(2), "me")
			for n := ""; n != "3"; {
				events := ws.until("executing")
				n = fmt.Sprint(events[len(events)-1].Data["node"])
			}
			if a := stop(s, testID(1)); a.status != http.StatusOK {
				t.Fatalf("%d %s", a.status, a.body)
			}
			events := ws.until("execution_interrupted")
			last := events[len(events)-1].Data
			if last["node_type"] != "KSampler" || last["prompt_id"] != testID(1) {
				t.Errorf("interrupted: %v", last)
			}
			if job := s.wait(testID(2)); job.Status.StatusStr != "success" {
				t.Errorf("the next job: %+v", job.Status)
			}
		})
	}
}

func TestClose_endsEverything(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{StepTime: time.Hour, Faults: faults(t, "hang-http@/features")})
	ws := s.dialWS("me", false)
	s.submit(txt2img("a", 1, 64, 20), testID(1), "me")
	for range 3 {
		ws.until("executing")
	}
	hung := make(chan answer, 1)
	go func() { hung <- s.get("/api/features") }()
	eventually(t, "the request hangs", func() bool { return s.Requests("GET /features") == 1 })
	begin := time.Now()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("closing took %v", took)
	}
	if a := <-hung; a.err == nil {
		t.Errorf("a hanging request was answered: %d", a.status)
	}
	if _, err := s.Dial(t.Context(), "tcp", "x"); err == nil {
		t.Error("dialled a closed server")
	}
	s.Restart() // does nothing
}

func TestServe_onAPort(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + l.Addr().String() + "/api/features")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

func TestNew_badOptions(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]emulator.Options{
		"version":  {Version: "9"},
		"time":     {StepTime: -1},
		"down":     {DownTime: -1},
		"files":    {FileBytes: -1},
		"history":  {HistoryEntries: -1},
		"max size": {MaxUpload: -1},
	} {
		if s, err := emulator.New(opts); err == nil {
			t.Errorf("%s: accepted", name)
			_ = s.Close()
		}
	}
}
