package jobs

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
)

// recordGrace bounds the writing of a job's end.
const recordGrace = 10 * time.Second

// ended remembers an ended job for forgetting it.
type ended struct {
	key, owner string
	at         time.Time
}

// endOf tells what the end of a job's work makes of the job.
func endOf(err error) (State, error) {
	switch {
	case err == nil:
		return Succeeded, nil
	case errors.Is(err, ErrStopped):
		return Cancelled, err
	case errors.Is(err, errCancelled), errors.Is(err, errClosing):
		if errors.Is(err, ErrUnverified) {
			return Cancelled, ErrUnverified
		}
		return Cancelled, nil
	case errors.Is(err, ErrInterrupted):
		return Cancelled, err
	case errors.Is(err, ErrLost):
		return Lost, err
	}
	return Failed, err
}

// finish writes the job's one record, then lets its end be seen: nobody learns of an end that is not written down (AUD-03).
func (m *Manager) finish(ctx context.Context, e *entry, err error) {
	j := m.ending(e, err)
	m.record(ctx, j, e.spec.Cost, stopper(j.Err))
	if e.spec.Settle != nil {
		e.spec.Settle(settled(j, e.spec.Cost))
	}
	e.release()
	m.change(e, func(old *Job) { *old = j })
	m.save(ctx, e)
	m.mu.Lock()
	m.ended = append(m.ended, ended{e.key, e.item.Owner, time.Now()})
	delete(m.live, e.key) // after save: who does not find it here finds it there
	m.mu.Unlock()
	close(e.over)
	m.forget(ctx)
}

// ending returns e's job as err ends it. A job that is left to its server stands as it stood.
func (m *Manager) ending(e *entry, err error) Job {
	m.mu.Lock()
	j := e.job
	m.mu.Unlock()
	if errors.Is(err, errDetached) {
		return j
	}
	j.State, j.Err = endOf(err)
	j.Ended = time.Now()
	j.Progress = Progress{Step: j.Progress.Step, Steps: j.Progress.Steps, Node: j.Progress.Node, Fraction: j.Progress.Fraction}
	if j.State == Succeeded {
		j.Progress.Fraction = 1
	}
	return j
}

func (m *Manager) record(ctx context.Context, j Job, cost float64, by *Stopper) {
	r := audit.Record{
		Kind: audit.JobEnd, CallID: j.CallID, JobID: j.ID, Principal: j.Owner, Tool: j.Tool,
		Status: string(j.State), PromptID: j.PromptID, Cost: settled(j, cost),
	}
	if !j.Over() {
		r.Status = "detached"
	}
	if j.Err != nil {
		r.Code = m.cfg.Code(j.Err)
	}
	if by != nil {
		r.Detail = map[string]string{"by": by.Principal, "by_call": by.CallID}
	}
	if !j.Started.IsZero() {
		r.DurationMS = time.Since(j.Started).Milliseconds()
	}
	r.Outputs, r.Contents = j.hashes(), j.contents()
	ctx, cancel := context.WithTimeout(ctx, recordGrace)
	defer cancel()
	if err := m.cfg.Record.AppendReserved(ctx, r); err != nil {
		m.cfg.Log.Error("recording a job's end", zap.String("job", j.ID), zap.Error(err))
	}
}

// settled is what a job cost in the end: all of it when it succeeded or goes on without us, else the part that was done.
func settled(j Job, cost float64) float64 {
	switch {
	case j.State == Succeeded, !j.Over():
		return cost
	case j.Started.IsZero():
		return 0
	}
	return cost * min(max(j.Progress.Fraction, 0), 1)
}

// save writes the job as it stands into the store, if nobody else has written it since (ENG-01).
func (m *Manager) save(ctx context.Context, e *entry) {
	m.mu.Lock()
	j := e.job
	m.mu.Unlock()
	j.Progress.Preview, j.Progress.PreviewMIME = nil, ""
	revision, err := m.cfg.Store.Update(ctx, e.key, j, e.revision)
	if err != nil {
		m.cfg.Log.Error("keeping a job", zap.String("job", j.ID), zap.Error(err))
		return
	}
	e.revision = revision
}

// forget removes ended jobs that are too old or too many, the oldest first.
func (m *Manager) forget(ctx context.Context) {
	for _, key := range m.forgettable(time.Now()) {
		if err := m.cfg.Store.Delete(ctx, key); err != nil {
			m.cfg.Log.Error("forgetting a job", zap.Error(err))
		}
	}
}

// forgettable takes the keys of jobs to forget off the list.
func (m *Manager) forgettable(now time.Time) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	owned := make(map[string]int)
	for _, job := range m.ended {
		owned[job.owner]++
	}
	var gone []string
	kept := m.ended[:0]
	for i, job := range m.ended {
		switch {
		case now.Sub(job.at) >= m.cfg.KeepFor, len(m.ended)-i > m.cfg.Keep, owned[job.owner] > m.cfg.KeepPerOwner:
			gone = append(gone, job.key)
			owned[job.owner]--
		default:
			kept = append(kept, job)
		}
	}
	clear(m.ended[len(kept):])
	m.ended = kept
	return gone
}
