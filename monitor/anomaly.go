package monitor

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// Kinds of anomalies.
const (
	Denials  = "anomaly.denials"  // many refusals
	Failures = "anomaly.failures" // many calls that failed
	Surge    = "anomaly.surge"    // suddenly many calls
)

// A surge is at least so many calls in a window, and so many times those of the window before.
const (
	surgeCalls = 200
	surgeTimes = 10
)

// maxWatched bounds the principals that are watched at once; of more, those who were silent longest are forgotten.
const maxWatched = 4096

// An Anomaly is something out of the ordinary that one principal does.
type Anomaly struct {
	Kind      string
	Principal string
	Count     int // in the window
}

// AnomalyConfig of [Anomalies].
type AnomalyConfig struct {
	Denials  int           // in a window; default 10
	Failures int           // likewise; default 10
	Window   time.Duration // default 5 min
	Alert    func(Anomaly) // told once for each kind, principal and window
}

// Anomalies count what each principal does, in windows of time. They are safe for concurrent use and hold at most 4096 principals.
type Anomalies struct {
	cfg AnomalyConfig

	mu      sync.Mutex
	watched *simplelru.LRU[string, *habits]
}

type habits struct {
	began                    time.Time
	calls, before            int
	denials, failures        int
	denied, failed, surprise bool // told in this window
}

// NewAnomalies returns counters of nobody.
func NewAnomalies(cfg AnomalyConfig) *Anomalies {
	if cfg.Denials <= 0 {
		cfg.Denials = 10
	}
	if cfg.Failures <= 0 {
		cfg.Failures = 10
	}
	if cfg.Window <= 0 {
		cfg.Window = 5 * time.Minute
	}
	watched, err := simplelru.NewLRU[string, *habits](maxWatched, nil)
	if err != nil {
		panic("monitor: " + err.Error()) // the size is a constant above 0
	}
	return &Anomalies{cfg: cfg, watched: watched}
}

// Saw counts one call of a principal at now: denied, or failed for another reason, or neither.
func (a *Anomalies) Saw(principal string, denied, failed bool, now time.Time) {
	for _, found := range a.count(principal, denied, failed, now) {
		if a.cfg.Alert != nil {
			a.cfg.Alert(found)
		}
	}
}

func (a *Anomalies) count(principal string, denied, failed bool, now time.Time) (found []Anomaly) {
	a.mu.Lock()
	defer a.mu.Unlock()
	h, known := a.watched.Get(principal)
	if !known {
		h = &habits{began: now}
		a.watched.Add(principal, h)
	}
	if age := now.Sub(h.began); age >= a.cfg.Window {
		*h = habits{began: now, before: h.calls}
		if age >= 2*a.cfg.Window {
			h.before = 0
		}
	}
	h.calls++
	if denied {
		h.denials++
	}
	if failed {
		h.failures++
	}
	for _, rule := range []struct {
		holds bool
		told  *bool
		kind  string
		count int
	}{
		{h.denials >= a.cfg.Denials, &h.denied, Denials, h.denials},
		{h.failures >= a.cfg.Failures, &h.failed, Failures, h.failures},
		{h.calls >= surgeCalls && h.before > 0 && h.calls >= surgeTimes*h.before, &h.surprise, Surge, h.calls},
	} {
		if rule.holds && !*rule.told {
			*rule.told = true
			found = append(found, Anomaly{rule.kind, principal, rule.count})
		}
	}
	return found
}

// Watched returns how many principals are watched.
func (a *Anomalies) Watched() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.watched.Len()
}
