package audit

import (
	"cmp"
	"slices"
)

// A debt is what is owed for an intent or an accepted job: the record that ends it says the same of these.
type debt struct {
	callID, jobID, principal, method, transport, session, tool string
}

func debtOf(r *Record) debt {
	return debt{r.CallID, r.JobID, r.Principal, r.Method, r.Transport, r.Session, r.Tool}
}

// maxOpen bounds what a pairing keeps of either kind. So many calls never run at once; a log that says so is wrong, and the
// rest of its open ones are counted only.
const maxOpen = 1 << 16

// An end is what ended: a call or a job.
type end struct{ call, job string }

// A pairing matches ends to beginnings, within one life of a process: an intent and its one outcome (or the one decision that
// denied it), a job that a call left running and its one job.end. It remembers as many ends as its window has, to see
// a second one.
type pairing struct {
	calls, jobs map[string]debt
	uncounted   int // open ones beyond maxOpen

	ended  map[end]struct{}
	window []end // a ring of what ended holds, at most limit long
	limit  int
	next   int
}

func newPairing(window int) *pairing {
	return &pairing{
		calls: map[string]debt{}, jobs: map[string]debt{}, ended: map[end]struct{}{},
		limit: window,
	}
}

// add takes one record and returns what is wrong about it, or "".
func (p *pairing) add(r *Record) string {
	switch r.Kind {
	case Intent:
		return p.begin(r)
	case Outcome, DecisionK:
		return p.finish(r)
	case JobEnd:
		if r.JobID == "" {
			return ""
		}
		delete(p.jobs, r.JobID)
		if !p.remember(end{job: r.JobID}) {
			return "a second job.end for its job"
		}
	case Start, Stop, Event:
	}
	return ""
}

func (p *pairing) begin(r *Record) string {
	if r.CallID == "" {
		return "an intent without a call id"
	}
	_, open := p.calls[r.CallID]
	if _, over := p.ended[end{call: r.CallID}]; open || over {
		return "a second intent for its call"
	}
	p.open(p.calls, r.CallID, debtOf(r))
	return ""
}

func (p *pairing) finish(r *Record) string {
	if r.CallID == "" { // an aggregate
		return ""
	}
	delete(p.calls, r.CallID)
	if r.Kind == Outcome && r.Status == StatusAccepted && r.JobID != "" {
		// The job may have ended while its call was being answered.
		if _, over := p.ended[end{job: r.JobID}]; !over {
			p.open(p.jobs, r.JobID, debtOf(r))
		}
	}
	if !p.remember(end{call: r.CallID}) {
		return "a second end for its call"
	}
	return ""
}

func (p *pairing) open(m map[string]debt, id string, d debt) {
	if len(m) >= maxOpen {
		p.uncounted++
		return
	}
	m[id] = d
}

// remember adds an end, and is false where it is remembered already.
func (p *pairing) remember(e end) bool {
	if _, ok := p.ended[e]; ok {
		return false
	}
	if len(p.window) < p.limit {
		p.window = append(p.window, e)
	} else {
		delete(p.ended, p.window[p.next])
		p.window[p.next] = e
		p.next = (p.next + 1) % len(p.window)
	}
	p.ended[e] = struct{}{}
	return true
}

// owed counts what is open.
func (p *pairing) owed() int { return len(p.calls) + len(p.jobs) + p.uncounted }

// reset forgets all, for a new process has begun.
func (p *pairing) reset() {
	clear(p.calls)
	clear(p.jobs)
	clear(p.ended)
	p.window, p.next, p.uncounted = p.window[:0], 0, 0
}

// unpaid lists the records that end what is open, in the name of a process that can't any more (AUD-01), in an order that is
// always the same.
func (p *pairing) unpaid() []Record {
	var records []Record
	for _, kind := range []struct {
		kind Kind
		open map[string]debt
	}{{Outcome, p.calls}, {JobEnd, p.jobs}} {
		first := len(records)
		for _, d := range kind.open {
			records = append(records, Record{
				Kind: kind.kind, CallID: d.callID, JobID: d.jobID, Principal: d.principal, Method: d.method,
				Transport: d.transport, Session: d.session, Tool: d.tool, Status: StatusCrashed,
			})
		}
		slices.SortFunc(records[first:], func(a, b Record) int {
			return cmp.Or(cmp.Compare(a.CallID, b.CallID), cmp.Compare(a.JobID, b.JobID))
		})
	}
	return records
}
