package audit

import (
	"context"
	"errors"
	"sync"
	"time"
)

const (
	// denialsPerSecond are recorded one by one for each principal; the rest of the second becomes one record (design.md, "The
	// way of a call"), so that a flood of refused calls doesn't become a flood of fsyncs (AUD-18, LIM-06).
	denialsPerSecond = 50
	denialWindow     = time.Second
	// maxDeniers bounds the principals that are counted apart; the others are counted together.
	maxDeniers    = 1024
	denialTimeout = 5 * time.Second // to write an aggregate
)

// Others is the principal of an aggregate for more principals than are counted apart.
const Others = "(others)"

// Denials records refusals: decisions and the like that are the only record of their call. It is safe for concurrent use.
type Denials struct {
	log Appender

	mu      sync.Mutex
	windows map[denier]*denials
	closed  bool
	timers  sync.WaitGroup // windows that will end
}

// A denier is what is counted apart.
type denier struct {
	principal string
	kind      Kind
	name      string
}

// denials are one denier's in its present second.
type denials struct {
	key         denier
	singly      int
	sum         Record // of the rest; its Count is 0 when there is none
	first, last string // call ids
	from, to    time.Time
	timer       *time.Timer
}

// An Appender makes records durable; a [*Log] does.
type Appender interface {
	Append(ctx context.Context, r Record) error
}

// NewDenials returns a Denials that writes to log. It must be closed before the log is.
func NewDenials(log Appender) *Denials {
	return &Denials{log: log, windows: make(map[denier]*denials)}
}

// Denied makes r durable, or counts it into an aggregate that is written when the second is over. Its error is the log's.
func (d *Denials) Denied(ctx context.Context, r Record) error {
	if d.counted(ctx, &r) {
		return nil
	}
	return d.log.Append(ctx, r)
}

// counted reports whether r was added to an aggregate.
func (d *Denials) counted(ctx context.Context, r *Record) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return false
	}
	key := denier{r.Principal, r.Kind, r.Name}
	w, ok := d.windows[key]
	if !ok && len(d.windows) >= maxDeniers {
		key = denier{Others, r.Kind, r.Name}
		if len(d.windows) >= 2*maxDeniers { // kinds and names are few, unless somebody makes them up
			key = denier{principal: Others}
		}
		w, ok = d.windows[key]
	}
	if !ok {
		w = &denials{key: key}
		d.windows[key] = w
		d.arm(context.WithoutCancel(ctx), w)
	}
	if w.singly < denialsPerSecond {
		w.singly++
		return false
	}
	w.add(r)
	return true
}

// arm ends w's second a second from now. The caller holds the lock.
func (d *Denials) arm(ctx context.Context, w *denials) {
	d.timers.Add(1)
	w.timer = time.AfterFunc(denialWindow, func() {
		defer d.timers.Done()
		_ = d.end(ctx, w) // what failed is tried again
	})
}

// end writes w's aggregate. One that can't be written goes on to the next second.
func (d *Denials) end(ctx context.Context, w *denials) error {
	d.mu.Lock()
	delete(d.windows, w.key)
	count := w.sum.Count
	d.mu.Unlock()
	if count == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, denialTimeout)
	defer cancel()
	err := d.log.Append(ctx, w.record())
	if err == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return err
	}
	if now, ok := d.windows[w.key]; ok {
		now.merge(w)
		return err
	}
	d.windows[w.key] = w
	d.arm(context.WithoutCancel(ctx), w)
	return err
}

// Close writes what is still to be written. Later refusals are recorded one by one.
func (d *Denials) Close(ctx context.Context) error {
	d.mu.Lock()
	d.closed = true
	var left []*denials
	for _, w := range d.windows {
		if w.timer.Stop() {
			d.timers.Done()
			left = append(left, w)
		}
	}
	d.mu.Unlock()
	var errs []error
	for _, w := range left {
		errs = append(errs, d.end(ctx, w))
	}
	d.timers.Wait() // each is bounded by denialTimeout
	return errors.Join(errs...)
}

// add counts r into the aggregate, which says only what all of its records say.
func (w *denials) add(r *Record) {
	now := time.Now()
	if w.sum.Count == 0 {
		w.sum = Record{
			Kind: r.Kind, Name: r.Name, Severity: SeverityOf(*r), Principal: w.key.principal, Method: r.Method,
			Transport: r.Transport, Tool: r.Tool, Decision: r.Decision, Rule: r.Rule, PolicyHash: r.PolicyHash,
			Status: r.Status, Code: r.Code,
		}
		w.first, w.from = r.CallID, now
	}
	w.common(r)
	w.sum.Count++
	w.last, w.to = r.CallID, now
}

// common empties what r says otherwise.
func (w *denials) common(r *Record) {
	for _, pair := range []struct {
		sum   *string
		other string
	}{
		{&w.sum.Severity, SeverityOf(*r)},
		{&w.sum.Method, r.Method},
		{&w.sum.Transport, r.Transport},
		{&w.sum.Tool, r.Tool},
		{&w.sum.Decision, r.Decision},
		{&w.sum.Rule, r.Rule},
		{&w.sum.PolicyHash, r.PolicyHash},
		{&w.sum.Status, r.Status},
		{&w.sum.Code, r.Code},
	} {
		if *pair.sum != pair.other {
			*pair.sum = ""
		}
	}
}

// merge adds an earlier aggregate that could not be written.
func (w *denials) merge(earlier *denials) {
	if w.sum.Count == 0 {
		w.sum, w.last, w.to = earlier.sum, earlier.last, earlier.to
	} else {
		w.common(&earlier.sum)
		w.sum.Count += earlier.sum.Count
	}
	w.first, w.from = earlier.first, earlier.from
}

func (w *denials) record() Record {
	r := w.sum
	r.Detail = map[string]string{
		"first_call": w.first, "last_call": w.last,
		"from": string(appendTime(nil, w.from)), "to": string(appendTime(nil, w.to)),
	}
	return r
}
