package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/comfygate/comfygate/audit"
)

// get returns what a GET answers.
func get(t *testing.T, url string, header ...string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range pairs(header) {
		req.Header.Set(name, value)
	}
	resp, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // read to its end
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// TestMetrics: whoever signs in reads the figures, and nobody else; over stdio they have a listener of this machine's own (SC-10, SC-62).
func TestMetrics(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded, "COMFYGATE_HTTP__TOKEN=sesame-open", "COMFYGATE_METRICS__ENABLED=true")
	s := w.http(t)
	s.streamable(t, "Authorization", "Bearer sesame-open").picture(t, "a cat")
	if status, _ := get(t, s.url+"/metrics"); status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", status)
	}
	status, body := get(t, s.url+"/metrics", "Authorization", "Bearer sesame-open")
	for _, want := range []string{`comfygate_calls_total{code="ok",tool="generate"} 1`, `comfygate_comfyui_up 1`, `comfygate_monitor_level{probe="disk"}`, `comfygate_audit_writable 1`} {
		if status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%d, no %s", status, want)
		}
	}
	if strings.Contains(body, "sesame") || strings.Contains(body, `"token"`) || strings.Contains(body, "a cat") {
		t.Error("the figures name a caller, a credential or a prompt")
	}

	w = newWorld(t, embedded, "COMFYGATE_METRICS__LISTEN=127.0.0.1:0")
	a := w.stdio(t)
	addr := a.err.await(t, `metrics\s.*"address": "([^"]+)"`)[1]
	if status, body := get(t, "http://"+addr+"/metrics"); status != http.StatusOK || !strings.Contains(body, "comfygate_build_info") {
		t.Errorf("over stdio: %d", status)
	}
	if out := newWorld(t, embedded, "COMFYGATE_METRICS__LISTEN=0.0.0.0:0").run(t, "serve"); out.code != exitUsage || !strings.Contains(out.err, "must be an address of this machine") {
		t.Errorf("for everybody: %+v", out)
	}
}

// TestSec_SC62_diskFull: with the disk nearly full nothing new is made, what is there can be read, and both status and the record say why.
func TestSec_SC62_diskFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded, "COMFYGATE_MONITOR__DISK_CRITICAL_GB=1000000", "COMFYGATE_MONITOR__DISK_WARN_GB=1048576")
	a := w.stdio(t)
	a.err.await(t, `monitor.*"probe": "disk"`)
	f := a.refused(t, "generate", args{"prompt": "a cat"}, "RESOURCE_EXHAUSTED")
	if !f.Retryable || !strings.Contains(f.Message, "disk") {
		t.Errorf("the refusal: %+v", f)
	}
	if text := a.must(t, "status", nil).text; !strings.Contains(text, `"status":"unhealthy"`) || !strings.Contains(text, `"what":"disk","level":"critical"`) {
		t.Errorf("status: %s", text)
	}
	a.end(t)
	changed := w.events(t, audit.MonitorChanged)
	if len(changed) == 0 || changed[0].Detail["probe"] == "" || changed[0].Severity == "" {
		t.Errorf("recorded: %+v", changed)
	}
}

// TestSec_SC43_anomaly: many refusals of one principal are one alert.
func TestSec_SC43_anomaly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded, "COMFYGATE_ANOMALY__DENIALS=3", "COMFYGATE_POLICY__DISABLED_TOOLS=upscale")
	a := w.stdio(t)
	id := a.picture(t, "a cat")
	for range 7 {
		a.refused(t, "upscale", args{"image": id}, "POLICY_DENIED")
	}
	a.end(t)
	if got := w.events(t, audit.AnomalyDenials); len(got) != 1 || got[0].Principal != "local" || got[0].Count != 3 || got[0].Severity != audit.Medium {
		t.Errorf("alerts: %+v", got)
	}
}

// TestTraces: a collector gets spans of calls, without prompts, and the record names the trace.
func TestTraces(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got strings.Builder
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		data, _ := io.ReadAll(r.Body) // what came is what counts
		mu.Lock()
		defer mu.Unlock()
		got.WriteString(r.URL.Path + " " + string(data))
	}))
	t.Cleanup(collector.Close)
	w := newWorld(t, embedded, "COMFYGATE_OTEL__ENABLED=true", "COMFYGATE_OTEL__ENDPOINT="+collector.URL)
	a := w.stdio(t)
	a.picture(t, "an armadillo")
	a.end(t)
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"/v1/traces", "tool.generate", "comfygate.call_id", "service.name"} {
		if !strings.Contains(got.String(), want) {
			t.Errorf("the collector did not get %s", want)
		}
	}
	if strings.Contains(got.String(), "armadillo") {
		t.Error("the collector got a prompt")
	}
	traced := false
	for _, r := range w.records(t) {
		traced = traced || r.Tool == "generate" && len(r.Detail["trace"]) == 32
	}
	if !traced {
		t.Error("no record names its trace")
	}
}
