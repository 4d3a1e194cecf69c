package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/monitor"
)

// Names of probes, as status, metrics and the record tell them.
const (
	probeComfyUI = "comfyui"
	probeDisk    = "disk"
	probeMemory  = "memory"
)

// A watch is everything that looks on and changes nothing.
type watch struct {
	monitor   *monitor.Monitor
	anomalies *monitor.Anomalies
	metrics   *monitor.Metrics // nil: nobody asked for any
}

// openWatch prepares looking. Nothing is looked at before begin.
func (h *house) openWatch() (err error) {
	m, a := h.cfg.Monitor, h.cfg.Anomaly
	h.watch.monitor, err = monitor.New(monitor.Config{Every: m.Interval, Probes: h.probes(), Alert: h.alert})
	if err != nil {
		return err
	}
	h.watch.anomalies = monitor.NewAnomalies(monitor.AnomalyConfig{
		Denials: a.Denials, Failures: a.Failures, Window: a.Window, Alert: h.anomaly,
	})
	if h.cfg.Metrics.Enabled || h.cfg.Metrics.Listen != "" {
		h.watch.metrics = monitor.NewMetrics(version, monitor.Gauges{
			Jobs: func() (queued, running int) {
				s := h.jobs.Stats()
				return s.Queued, s.Running
			},
			Up:      func() bool { return h.fleet.Health().Reachable },
			Breaker: func() string { return h.fleet.Health().Breaker },
			Record:  h.record.Healthy,
			Monitor: h.watch.monitor,
		})
	}
	return nil
}

// begin looks, until the house is closed.
func (w *watch) begin(ctx context.Context, h *house) error {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.monitor.Run(ctx)
	}()
	h.later("monitor", func(context.Context) error {
		cancel()
		<-done
		return nil
	})
	if h.cfg.Metrics.Listen == "" {
		return nil
	}
	return h.serveMetrics(ctx)
}

// serveMetrics serves Prometheus on a listener of this machine's own.
func (h *house) serveMetrics(ctx context.Context) error {
	lis, err := (&net.ListenConfig{}).Listen(ctx, "tcp", h.cfg.Metrics.Listen)
	if err != nil {
		return usageError{fmt.Errorf("COMFYGATE_METRICS__LISTEN: %w", err)}
	}
	if !auth.LoopbackAddr(lis.Addr()) {
		return usageError{errors.Join(errors.New("COMFYGATE_METRICS__LISTEN: it asks nobody who they are, so it must be an address of this machine such as 127.0.0.1:9464"), lis.Close())}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h.watch.metrics.Handler())
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 15 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := srv.Serve(lis); !errors.Is(err, http.ErrServerClosed) {
			h.log.Error("metrics", zap.Error(err))
		}
	}()
	h.log.Info("metrics", zap.Stringer("address", lis.Addr()))
	h.later("metrics", func(ctx context.Context) error {
		err := srv.Shutdown(ctx)
		<-done
		return err
	})
	return nil
}

// ended is told of each call.
func (h *house) ended(e mcpserver.Ended) {
	denied := e.Rule != ""
	h.watch.anomalies.Saw(e.Principal, denied, !denied && e.Code != "ok", time.Now())
	m := h.watch.metrics
	if m == nil {
		return
	}
	if denied {
		m.Refused(e.Rule)
	}
	if e.Tool != "" {
		m.Call(e.Tool, e.Code, e.Took)
	}
}

// alert writes down that something got worse or better.
func (h *house) alert(ctx context.Context, a monitor.Alert) {
	severity := map[monitor.Level]string{monitor.OK: audit.Info, monitor.Warning: audit.Low, monitor.Critical: audit.Medium}[a.Is]
	h.log.Warn("monitor", zap.String("probe", a.Probe), zap.Stringer("was", a.Was), zap.Stringer("is", a.Is), zap.String("text", a.Reading.Text))
	h.event(ctx, audit.Record{Name: audit.MonitorChanged, Severity: severity, Detail: map[string]string{
		"probe": a.Probe, "was": a.Was.String(), "is": a.Is.String(), "text": a.Reading.Text,
	}})
}

// anomaly writes down that a principal does something out of the ordinary.
func (h *house) anomaly(a monitor.Anomaly) {
	h.log.Warn("out of the ordinary", zap.String("kind", a.Kind), zap.String("principal", a.Principal), zap.Int("count", a.Count))
	ctx := context.Background() //nolint:forbidigo // of no call: the call that was one too many has its own record
	h.event(ctx, audit.Record{Name: a.Kind, Principal: a.Principal, Count: a.Count})
}

// probes are what is looked at.
func (h *house) probes() []monitor.Probe {
	m := h.cfg.Monitor
	return []monitor.Probe{
		{Name: probeComfyUI, Read: h.seeComfyUI},
		{Name: "queue", Read: func(context.Context) (monitor.Reading, error) {
			n, most := float64(h.jobs.Stats().Queued), float64(h.cfg.Limits.Pending)
			return monitor.Reading{
				Level: monitor.Rising(n, most*3/4, most-1), Value: n, Unit: "jobs", Text: fmt.Sprintf("%.0f of %.0f places taken", n, most),
			}, nil
		}},
		{Name: probeDisk, Read: func(context.Context) (monitor.Reading, error) {
			return room(h.cfg.Storage.Dir, h.cfg.Output.Dir, m.DiskWarnGB, m.DiskCriticalGB)
		}},
		{Name: probeMemory, Read: func(context.Context) (monitor.Reading, error) {
			free, err := monitor.AvailableMemory()
			return below(free, m.MemoryWarnGB, m.MemoryCriticalGB, "available"), err
		}},
		{Name: "pictures", Read: func(context.Context) (monitor.Reading, error) {
			held, err := h.store.Held()
			most := float64(m.ArtifactsWarnMB) * (1 << 20)
			if most == 0 {
				most = float64(h.cfg.Storage.MaxBytes) * 9 / 10
			}
			return monitor.Reading{
				Level: monitor.Rising(float64(held), most, 1<<62), Value: float64(held), Unit: "bytes", Text: gib(uint64(max(held, 0))) + " held",
			}, err
		}},
		{Name: "audit", Read: func(context.Context) (monitor.Reading, error) {
			if writable := h.record.Healthy() == nil; writable {
				return monitor.Reading{Value: 1, Unit: "writable", Text: "written"}, nil
			}
			return monitor.Reading{Level: monitor.Critical, Unit: "writable", Text: "the audit log cannot be written"}, nil
		}},
		{Name: "goroutines", Read: func(context.Context) (monitor.Reading, error) {
			n := float64(runtime.NumGoroutine())
			return monitor.Reading{Level: monitor.Rising(n, 20_000, 50_000), Value: n, Unit: "goroutines", Text: fmt.Sprintf("%.0f goroutines", n)}, nil
		}},
	}
}

// seeComfyUI tells what the fleet knows; it asks nobody.
func (h *house) seeComfyUI(context.Context) (monitor.Reading, error) {
	health := h.fleet.Health()
	switch {
	case health.Checked.IsZero():
		return monitor.Reading{}, errors.New("not asked yet")
	case !health.Reachable:
		return monitor.Reading{Level: monitor.Critical, Unit: "ms", Text: "does not answer; breaker " + health.Breaker}, nil
	}
	ms := float64(health.Info.LatencyHint.Milliseconds())
	return monitor.Reading{Level: monitor.Rising(ms, 2000, 1e9), Value: ms, Unit: "ms", Text: fmt.Sprintf("answers in %.0f ms", ms)}, nil
}

// room is the smaller of what two folders' disks have left.
func room(storage, output string, warn, critical int) (monitor.Reading, error) {
	free, err := monitor.FreeSpace(storage)
	if err != nil {
		return monitor.Reading{}, err
	}
	if output != "" {
		if other, err := monitor.FreeSpace(output); err == nil { // it may not be there yet
			free = min(free, other)
		}
	}
	return below(free, warn, critical, "free"), nil
}

func below(bytes uint64, warn, critical int, word string) monitor.Reading {
	return monitor.Reading{
		Level: monitor.Falling(float64(bytes), float64(warn)*(1<<30), float64(critical)*(1<<30)),
		Value: float64(bytes), Unit: "bytes", Text: gib(bytes) + " " + word,
	}
}

func gib(bytes uint64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }
