package monitor

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are what Prometheus reads. They tell of tools, codes and the house, never of principals, prompts or models: their number does not
// grow with callers. They are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	calls    *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	refused  *prometheus.CounterVec
}

// Gauges are read when Prometheus asks.
type Gauges struct {
	Jobs    func() (queued, running int)
	Up      func() bool // ComfyUI answers
	Breaker func() string
	Record  func() error // nil: the audit log can be written
	Monitor *Monitor
}

// NewMetrics registers everything.
func NewMetrics(version string, g Gauges) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		calls: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "comfygate_calls_total", Help: "Tool calls that ended, by tool and code; ok is success.",
		}, []string{"tool", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "comfygate_call_seconds", Help: "Time from the arrival of a tool call to its end, waiting included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .1, .5, 1, 5, 15, 45, 120, 300},
		}, []string{"tool"}),
		refused: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "comfygate_refusals_total", Help: "Calls and messages that were refused, by the rule or limit that did.",
		}, []string{"rule"}),
	}
	m.registry.MustRegister(m.calls, m.seconds, m.refused, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), house{version, g})
	return m
}

// Handler serves the text format of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second})
}

// Call counts a call that ended.
func (m *Metrics) Call(tool, code string, took time.Duration) {
	m.calls.WithLabelValues(tool, code).Inc()
	m.seconds.WithLabelValues(tool).Observe(took.Seconds())
}

// Refused counts a refusal.
func (m *Metrics) Refused(rule string) { m.refused.WithLabelValues(rule).Inc() }

// house collects the gauges.
type house struct {
	version string
	g       Gauges
}

var (
	descBuild   = prometheus.NewDesc("comfygate_build_info", "1, with the version.", []string{"version"}, nil)
	descJobs    = prometheus.NewDesc("comfygate_jobs", "Jobs that have not ended, by state.", []string{"state"}, nil)
	descUp      = prometheus.NewDesc("comfygate_comfyui_up", "1 while ComfyUI answers.", nil, nil)
	descBreaker = prometheus.NewDesc("comfygate_comfyui_breaker", "1 for the state that the circuit breaker is in.", []string{"state"}, nil)
	descRecord  = prometheus.NewDesc("comfygate_audit_writable", "1 while the audit log can be written.", nil, nil)
	descLevel   = prometheus.NewDesc("comfygate_monitor_level", "What the monitor saw last: 0 well, 1 warning, 2 critical.", []string{"probe"}, nil)
	descValue   = prometheus.NewDesc("comfygate_monitor_value", "The value that it saw, in the probe's unit.", []string{"probe", "unit"}, nil)
)

// Describe implements [prometheus.Collector].
func (house) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descBuild, descJobs, descUp, descBreaker, descRecord, descLevel, descValue} {
		ch <- d
	}
}

// Collect implements [prometheus.Collector].
func (h house) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descBuild, 1, h.version)
	queued, running := h.g.Jobs()
	gauge(descJobs, float64(queued), "queued")
	gauge(descJobs, float64(running), "running")
	gauge(descUp, number(h.g.Up()))
	gauge(descBreaker, 1, h.g.Breaker())
	gauge(descRecord, number(h.g.Record() == nil))
	for _, r := range h.g.Monitor.Report().Readings {
		gauge(descLevel, float64(r.Level), r.Name)
		gauge(descValue, r.Value, r.Name, r.Unit)
	}
}

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
