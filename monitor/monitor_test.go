package monitor_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/comfygate/comfygate/monitor"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// SC-62: transitions are told, states are not, and what cannot be seen changes nothing.
func TestSec_SC62_transitions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var level atomic.Int64
		var blind atomic.Bool
		var told []string
		m, err := monitor.New(monitor.Config{
			Probes: []monitor.Probe{
				{Name: "disk", Read: func(context.Context) (monitor.Reading, error) {
					if blind.Load() {
						return monitor.Reading{}, errors.New("no eyes")
					}
					return monitor.Reading{Level: monitor.Level(level.Load()), Text: "x"}, nil
				}},
				{Name: "other", Read: func(context.Context) (monitor.Reading, error) { return monitor.Reading{}, nil }},
			},
			Alert: func(_ context.Context, a monitor.Alert) {
				told = append(told, fmt.Sprint(a.Probe, " ", a.Was, ">", a.Is))
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if m.Report().State != monitor.Healthy {
			t.Error("a monitor that saw nothing is not healthy")
		}
		ctx, cancel := context.WithCancel(t.Context())
		go m.Run(ctx)
		turn := func(n int) { time.Sleep(time.Duration(n) * time.Minute); synctest.Wait() }
		turn(1)
		for _, step := range []struct {
			level monitor.Level
			state string
		}{{monitor.Warning, monitor.Degraded}, {monitor.Critical, monitor.Unhealthy}, {monitor.OK, monitor.Healthy}} {
			level.Store(int64(step.level))
			turn(1)
			if got := m.Report().State; got != step.state {
				t.Errorf("%v: %s", step.level, got)
			}
			var short *monitor.ShortError
			if err := m.Short("other", "disk"); errors.As(err, &short) != (step.level == monitor.Critical) {
				t.Errorf("%v: %v", step.level, err)
			}
		}
		turn(100)
		level.Store(int64(monitor.Critical))
		turn(1)
		blind.Store(true)
		turn(10)
		if got := strings.Join(told, ", "); got != "disk ok>warning, disk warning>critical, disk critical>ok, disk ok>critical" || m.Report().State != monitor.Unhealthy {
			t.Errorf("told: %s; %s", got, m.Report().State)
		}
		cancel()
		synctest.Wait()
	})
}

// A probe that hangs is given up, and the others are asked.
func TestLook_bounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, err := monitor.New(monitor.Config{Probes: []monitor.Probe{
			{Name: "stuck", Read: func(ctx context.Context) (monitor.Reading, error) { <-ctx.Done(); return monitor.Reading{}, ctx.Err() }},
			{Name: "fine", Read: func(context.Context) (monitor.Reading, error) { return monitor.Reading{Level: monitor.Warning}, nil }},
		}})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		m.Look(t.Context())
		if took := time.Since(began); took != 5*time.Second || m.Level("fine") != monitor.Warning || m.Level("stuck") != monitor.OK {
			t.Errorf("%s, %v", took, m.Report())
		}
	})
}

func TestNew_refuses(t *testing.T) {
	t.Parallel()
	read := func(context.Context) (monitor.Reading, error) { return monitor.Reading{}, nil }
	for name, probes := range map[string][]monitor.Probe{
		"none": nil, "without a name": {{Read: read}}, "that reads nothing": {{Name: "a"}}, "twice": {{"a", read}, {"a", read}},
	} {
		if _, err := monitor.New(monitor.Config{Probes: probes}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for value, want := range map[float64]monitor.Level{0: monitor.Critical, 0.9: monitor.Critical, 1: monitor.Warning, 4.9: monitor.Warning, 5: monitor.OK} {
		if got := monitor.Falling(value, 5, 1); got != want {
			t.Errorf("falling %v: %v", value, got)
		}
	}
	for value, want := range map[float64]monitor.Level{9: monitor.Critical, 8: monitor.Warning, 5.1: monitor.Warning, 5: monitor.OK} {
		if got := monitor.Rising(value, 5, 8); got != want {
			t.Errorf("rising %v: %v", value, got)
		}
	}
	if free, err := monitor.FreeSpace(t.TempDir()); err != nil && !errors.Is(err, errors.ErrUnsupported) || err == nil && free == 0 {
		t.Errorf("free space %d, %v", free, err)
	}
	if free, err := monitor.AvailableMemory(); err != nil && !errors.Is(err, errors.ErrUnsupported) || err == nil && free < 1<<20 {
		t.Errorf("available memory %d, %v", free, err)
	}
}

// SC-43: one alert for each kind, principal and window, and memory that identities cannot fill (LIM-02).
func TestSec_SC43_anomalies(t *testing.T) {
	t.Parallel()
	var told []string
	a := monitor.NewAnomalies(monitor.AnomalyConfig{Alert: func(x monitor.Anomaly) {
		told = append(told, fmt.Sprintf("%s %s %d", x.Kind, x.Principal, x.Count))
	}})
	now := time.Unix(1_790_000_000, 0)
	many := func(n int, principal string, denied, failed bool) {
		for range n {
			a.Saw(principal, denied, failed, now)
		}
	}
	expect := func(what string, want ...string) {
		t.Helper()
		if got := strings.Join(told, ", "); got != strings.Join(want, ", ") {
			t.Errorf("%s: %s", what, got)
		}
		told = nil
	}
	many(9, "eve", true, false)
	expect("9 denials")
	many(30, "eve", true, false)
	expect("39 denials", "anomaly.denials eve 10")
	many(10, "ben", false, true)
	expect("10 failures of another", "anomaly.failures ben 10")
	now = now.Add(4 * time.Minute)
	many(30, "eve", true, false)
	expect("in the same window")
	now = now.Add(time.Minute)
	many(10, "eve", true, false)
	expect("in the next window", "anomaly.denials eve 10")

	many(15, "sam", false, false)
	now = now.Add(5 * time.Minute)
	many(300, "sam", false, false)
	expect("a surge", "anomaly.surge sam 200")
	now = now.Add(5 * time.Minute)
	many(300, "sam", false, false)
	expect("the new habit")
	many(500, "new", false, false)
	expect("a newcomer is no surge")
	now = now.Add(time.Hour)
	many(300, "sam", false, false)
	expect("after a long silence")

	for i := range 100_000 {
		a.Saw(fmt.Sprint("id", i), true, false, now)
	}
	if n := a.Watched(); n > 4096 {
		t.Errorf("%d principals are watched", n)
	}
}

// The figures are Prometheus' own format, and hold no principals.
func TestMetrics(t *testing.T) {
	t.Parallel()
	m, err := monitor.New(monitor.Config{Probes: []monitor.Probe{{Name: "disk", Read: func(context.Context) (monitor.Reading, error) {
		return monitor.Reading{Level: monitor.Warning, Value: 7, Unit: "bytes"}, nil
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	m.Look(t.Context())
	metrics := monitor.NewMetrics("1.2.3", monitor.Gauges{
		Jobs: func() (int, int) { return 3, 1 }, Up: func() bool { return true }, Breaker: func() string { return "closed" },
		Record: func() error { return errors.New("full") }, Monitor: m,
	})
	metrics.Call("generate", "ok", 2*time.Second)
	metrics.Call("generate", "QUEUE_FULL", time.Millisecond)
	metrics.Refused("limit:pending")
	w := httptest.NewRecorder()
	metrics.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, want := range []string{
		`comfygate_build_info{version="1.2.3"} 1`, `comfygate_jobs{state="queued"} 3`, `comfygate_comfyui_up 1`,
		`comfygate_comfyui_breaker{state="closed"} 1`, `comfygate_audit_writable 0`, `comfygate_monitor_level{probe="disk"} 1`,
		`comfygate_monitor_value{probe="disk",unit="bytes"} 7`, `comfygate_calls_total{code="ok",tool="generate"} 1`,
		`comfygate_call_seconds_count{tool="generate"} 2`, `comfygate_refusals_total{rule="limit:pending"} 1`, "go_goroutines",
	} {
		if !strings.Contains(w.Body.String(), want+"\n") && !strings.Contains(w.Body.String(), want+" ") {
			t.Errorf("no %s", want)
		}
	}
}
