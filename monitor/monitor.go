// Package monitor looks at what comfygate depends on, every so often, and tells when something gets worse or better: the transition, not the
// state at every look. It changes nothing; in particular it never closes a circuit breaker (SC-62).
package monitor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Level is how bad something is.
type Level int

// Levels.
const (
	OK Level = iota
	Warning
	Critical
)

func (l Level) String() string { return [...]string{"ok", "warning", "critical"}[l] }

// States of the whole.
const (
	Healthy   = "healthy"
	Degraded  = "degraded"  // something is at warning
	Unhealthy = "unhealthy" // something is critical
)

// A Reading is what a probe saw. Text is for people and holds nothing secret.
type Reading struct {
	Level Level
	Value float64
	Unit  string // bytes, jobs, ms, …
	Text  string
}

// Falling judges a value that is bad when it is low.
func Falling(value, warning, critical float64) Level {
	switch {
	case value < critical:
		return Critical
	case value < warning:
		return Warning
	}
	return OK
}

// Rising judges a value that is bad when it is high.
func Rising(value, warning, critical float64) Level {
	switch {
	case value > critical:
		return Critical
	case value > warning:
		return Warning
	}
	return OK
}

// A Probe reads one thing. Its error says that nothing could be seen, which changes nothing of what was seen last.
type Probe struct {
	Name string
	Read func(ctx context.Context) (Reading, error)
}

// An Alert is a transition of one probe.
type Alert struct {
	Probe   string
	Was, Is Level
	Reading Reading
}

// Config of a [Monitor]. Probes are required.
type Config struct {
	Probes []Probe
	Every  time.Duration // between two looks; default 60 s
	Within time.Duration // for one probe; default 5 s
	// Alert, where set, is told of each transition, one at a time.
	Alert func(ctx context.Context, a Alert)
}

// A Monitor is safe for concurrent use.
type Monitor struct {
	cfg Config

	mu   sync.RWMutex
	last map[string]Reading
	at   time.Time
}

// New returns a monitor that has seen nothing yet.
func New(cfg Config) (*Monitor, error) {
	if len(cfg.Probes) == 0 {
		return nil, errors.New("monitor: there is nothing to look at")
	}
	seen := map[string]bool{}
	for _, p := range cfg.Probes {
		if p.Name == "" || p.Read == nil || seen[p.Name] {
			return nil, fmt.Errorf("monitor: probe %q has no name, reads nothing or is there twice", p.Name)
		}
		seen[p.Name] = true
	}
	if cfg.Every <= 0 {
		cfg.Every = time.Minute
	}
	if cfg.Within <= 0 {
		cfg.Within = 5 * time.Second
	}
	return &Monitor{cfg: cfg, last: map[string]Reading{}}, nil
}

// Run looks now and then again and again, until ctx ends.
func (m *Monitor) Run(ctx context.Context) {
	tick := time.NewTicker(m.cfg.Every)
	defer tick.Stop()
	for {
		m.Look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Look asks every probe once.
func (m *Monitor) Look(ctx context.Context) {
	for _, p := range m.cfg.Probes {
		if ctx.Err() != nil {
			return
		}
		m.look(ctx, p)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at = time.Now()
}

func (m *Monitor) look(ctx context.Context, p Probe) {
	short, cancel := context.WithTimeout(ctx, m.cfg.Within)
	defer cancel()
	r, err := p.Read(short)
	if err != nil {
		return
	}
	m.mu.Lock()
	was := m.last[p.Name].Level
	m.last[p.Name] = r
	m.mu.Unlock()
	if r.Level != was && m.cfg.Alert != nil {
		m.cfg.Alert(ctx, Alert{Probe: p.Name, Was: was, Is: r.Level, Reading: r})
	}
}

// A Report is what was seen last.
type Report struct {
	State    string // healthy, degraded or unhealthy
	At       time.Time
	Readings []Named // in the order of the probes; those that saw nothing yet are left out
}

// Named is a reading with its probe's name.
type Named struct {
	Name string
	Reading
}

// Report returns what was seen last. A monitor that has seen nothing is healthy.
func (m *Monitor) Report() Report {
	m.mu.RLock()
	defer m.mu.RUnlock()
	r := Report{At: m.at}
	worst := OK
	for _, p := range m.cfg.Probes {
		if last, seen := m.last[p.Name]; seen {
			r.Readings = append(r.Readings, Named{p.Name, last})
			worst = max(worst, last.Level)
		}
	}
	r.State = [...]string{Healthy, Degraded, Unhealthy}[worst]
	return r
}

// Level returns what a probe saw last; OK where it saw nothing.
func (m *Monitor) Level(probe string) Level {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.last[probe].Level
}

// A ShortError refuses to make anything new because something is critical. Its text is safe to show.
type ShortError struct{ Probe string }

func (e *ShortError) Error() string { return e.Probe + " is critical" }

// Short returns a [*ShortError] for the first of probes that is critical, or nil.
func (m *Monitor) Short(probes ...string) error {
	for _, p := range probes {
		if m.Level(p) == Critical {
			return &ShortError{p}
		}
	}
	return nil
}
