package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// What an operator does with jobs of others.
var (
	// ErrDraining refuses a job while the manager takes in none (DRAINING).
	ErrDraining = errors.New("no new jobs are taken in at present")
	// ErrStopped goes with the end of a job that an operator stopped (JOB_STOPPED).
	ErrStopped = errors.New("an operator stopped the job")
)

// A Stopper is who stops jobs, and by which call: the end of each says so in the record.
type Stopper struct{ Principal, CallID string }

// A stoppedError ends a job for a [Stopper].
type stoppedError struct{ by Stopper }

func (*stoppedError) Error() string { return ErrStopped.Error() }
func (*stoppedError) Unwrap() error { return ErrStopped }

// stopper is who stopped a job that ended with err; nil where its owner did, or nobody.
func stopper(err error) *Stopper {
	if stopped, ok := errors.AsType[*stoppedError](err); ok {
		return &stopped.by
	}
	return nil
}

// All returns the jobs of all owners that have not ended, the oldest first. Places in line are not told.
func (m *Manager) All() []Job {
	m.mu.Lock()
	list := make([]Job, 0, len(m.live))
	for _, e := range m.live {
		list = append(list, e.job)
	}
	m.mu.Unlock()
	slices.SortFunc(list, func(a, b Job) int { return a.Created.Compare(b.Created) })
	return list
}

// Find returns a job, whoever's it is.
func (m *Manager) Find(ctx context.Context, id string) (Job, error) {
	if list := m.which(func(j Job) bool { return j.ID == id }); len(list) > 0 {
		return m.snapshot(ctx, list[0]), nil
	}
	m.forget(ctx)
	found, err := m.cfg.Store.List(ctx, "")
	if err != nil {
		return Job{}, fmt.Errorf("looking for a job: %w", err)
	}
	for _, entry := range found {
		if entry.Value.ID == id {
			return entry.Value, nil
		}
	}
	return Job{}, ErrNotFound
}

// Stop is Cancel of a job whoever's it is. Another's id is no secret to who may do this.
func (m *Manager) Stop(ctx context.Context, by Stopper, id string) (Job, error) {
	list := m.which(func(j Job) bool { return j.ID == id })
	if len(list) == 0 {
		return m.Find(ctx, id)
	}
	stopped, err := m.stopAll(ctx, by, list)
	return stopped[0], err
}

// Drop stops the jobs that have not begun, those of owner or, where it is empty, of all, also those that wait at a server; no job of anybody
// else there is touched. It returns them as they ended. When ctx ends first, some stand as they stood, and it returns ctx's error; their
// servers go on being asked.
func (m *Manager) Drop(ctx context.Context, by Stopper, owner string) ([]Job, error) {
	return m.stopAll(ctx, by, m.which(func(j Job) bool { return j.State == Queued && (owner == "" || j.Owner == owner) }))
}

// Drain takes in no job until Resume, and drops those that have not begun, as Drop does. Those that run end by themselves.
func (m *Manager) Drain(ctx context.Context, by Stopper) ([]Job, error) {
	m.setDraining(true)
	return m.Drop(ctx, by, "")
}

// Resume takes in jobs again.
func (m *Manager) Resume() { m.setDraining(false) }

// Draining returns [ErrDraining] between Drain and Resume.
func (m *Manager) Draining() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.admits()
}

func (m *Manager) setDraining(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.draining = on
}

// admits is called with mu held.
func (m *Manager) admits() error {
	if m.draining {
		return ErrDraining
	}
	return nil
}

// which returns the jobs that have not ended and that are asked for, the oldest first.
func (m *Manager) which(wanted func(Job) bool) (list []*entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.live {
		if wanted(e.job) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *entry) int { return a.job.Created.Compare(b.job.Created) })
	return list
}

// stopAll stops all of them at once and waits for their ends.
func (m *Manager) stopAll(ctx context.Context, by Stopper, list []*entry) ([]Job, error) {
	for _, e := range list {
		e.cancel(&stoppedError{by})
	}
	out := make([]Job, len(list))
	var late error
	for i, e := range list {
		select {
		case <-e.over:
		case <-ctx.Done():
			late = context.Cause(ctx)
		}
		out[i] = m.snapshot(ctx, e)
	}
	return out, late
}
