package jobs

import (
	"context"
	"crypto/rand"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/comfygate/comfygate/engine"
)

// Manager is safe for concurrent use. It has no goroutine while it has no job.
type Manager struct {
	cfg     Config
	turns   sync.Mutex // one hand-out of turns at a time
	running sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	draining bool
	live     map[string]*entry // jobs that have not ended, by key
	placed   map[string]int    // jobs at the servers, by owner
	inAll    int               // jobs at the servers
	ended    []ended           // oldest end first
}

// An entry is a job that has not ended. The last group is guarded by Manager.mu.
type entry struct {
	key    string
	item   engine.Item
	spec   Spec
	cancel context.CancelCauseFunc // of the job, for Cancel
	close  context.CancelCauseFunc // of the life around it, for Close
	turn   chan turn               // one turn, when it is this job's
	over   chan struct{}           // closed when the job has ended or was left alone
	given  sync.Once               // guards spec.Release

	revision uint64 // of the stored job; belongs to who brings the job to its end

	job     Job
	waiting bool          // in the queue
	changed chan struct{} // closed with the next change of job, and replaced
}

// A turn is a place at a server.
type turn struct {
	server  Server
	release func()
}

// New returns a manager without jobs.
func New(cfg Config) (*Manager, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg.setDefaults()
	return &Manager{
		cfg:    cfg,
		live:   make(map[string]*entry),
		placed: make(map[string]int),
	}, nil
}

// key binds an id to its owner: nobody finds another's job by its id. Owners are escaped, so that none is another's prefix.
func key(owner, id string) string { return prefix(owner) + id }

func prefix(owner string) string { return url.PathEscape(owner) + "/" }

// Start takes over an admitted job and returns at once; the job goes on by itself, also after ctx has ended.
// An error means that there is no job; s.Release was called then.
func (m *Manager) Start(ctx context.Context, s Spec) (Job, error) {
	alive, closer := context.WithCancelCause(context.WithoutCancel(ctx))
	ctx, cancel := context.WithCancelCause(alive)
	id := strings.ToLower(rand.Text())
	e := &entry{
		key:     key(s.Owner, id),
		item:    engine.Item{Owner: s.Owner, ID: id, Cost: s.Cost},
		spec:    s,
		cancel:  cancel,
		close:   closer,
		turn:    make(chan turn, 1),
		over:    make(chan struct{}),
		waiting: true,
		changed: make(chan struct{}),
		job: Job{
			ID: id, Owner: s.Owner, Tool: s.Tool, CallID: s.CallID, State: Queued,
			Seed: s.Seed, Model: s.Model, Summary: s.Summary, Created: time.Now(),
		},
	}
	if err := m.add(ctx, e); err != nil {
		closer(err)
		e.release()
		return Job{}, err
	}
	go m.life(alive, ctx, e)
	return m.snapshot(ctx, e), nil
}

// add makes e known and lines it up.
func (m *Manager) add(ctx context.Context, e *entry) (err error) {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return ErrClosed
	}
	if err := m.admits(); err != nil {
		m.mu.Unlock()
		return err
	}
	m.live[e.key] = e
	m.running.Add(1)
	m.mu.Unlock()
	defer func() {
		if err != nil {
			m.mu.Lock()
			delete(m.live, e.key)
			m.mu.Unlock()
			m.running.Done()
		}
	}()
	if e.revision, err = m.cfg.Store.Create(ctx, e.key, e.job); err != nil {
		return err
	}
	if err = m.cfg.Queue.Push(ctx, e.item); err != nil {
		_ = m.cfg.Store.Delete(ctx, e.key) // what is left over is forgotten like any job
	}
	return err
}

// release gives the pending place back, once.
func (e *entry) release() {
	e.given.Do(func() {
		if e.spec.Release != nil {
			e.spec.Release()
		}
	})
}

// change applies f to e's job and tells those who watch.
func (m *Manager) change(e *entry, f func(*Job)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&e.job)
	e.tell()
}

// tell is called with Manager.mu held.
func (e *entry) tell() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// snapshot returns the job as it stands, with its place in line.
func (m *Manager) snapshot(ctx context.Context, e *entry) Job {
	m.mu.Lock()
	j, waiting, ahead := e.job, e.waiting, 0
	if waiting {
		ahead = m.unstarted()
	}
	m.mu.Unlock()
	if !waiting {
		return j
	}
	if position, err := m.cfg.Queue.Position(ctx, e.item); err == nil && position > 0 {
		j.Progress.Position = ahead + position
	}
	return j
}

// unstarted counts the jobs that are at a server and wait there. It is called with mu held.
func (m *Manager) unstarted() int {
	n := 0
	for _, e := range m.live {
		if !e.waiting && e.job.State == Queued {
			n++
		}
	}
	return n
}

func (m *Manager) find(owner, id string) *entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.live[key(owner, id)]
}

// Get returns owner's job.
func (m *Manager) Get(ctx context.Context, owner, id string) (Job, error) {
	if e := m.find(owner, id); e != nil {
		return m.snapshot(ctx, e), nil
	}
	m.forget(ctx)
	found, err := m.cfg.Store.Get(ctx, key(owner, id))
	if err != nil {
		return Job{}, ErrNotFound
	}
	return found.Value, nil
}

// List returns owner's jobs, newest first, at most n.
func (m *Manager) List(ctx context.Context, owner string, n int) []Job {
	m.forget(ctx)
	found, err := m.cfg.Store.List(ctx, prefix(owner))
	if err != nil {
		return nil
	}
	list := make([]Job, len(found))
	for i, entry := range found {
		list[i] = entry.Value
		if e := m.find(owner, entry.Value.ID); e != nil {
			list[i] = m.snapshot(ctx, e)
		}
	}
	slices.SortStableFunc(list, func(a, b Job) int { return b.Created.Compare(a.Created) })
	return list[:min(n, len(list))]
}

// Watch calls changed (coalesced, never concurrently) with each new snapshot until the job is over or ctx ends, and returns the last one.
// The end of ctx is no error: the job runs on. A job that Close leaves to its server is returned as it stood.
func (m *Manager) Watch(ctx context.Context, owner, id string, changed func(Job)) (Job, error) {
	e := m.find(owner, id)
	if e == nil {
		return m.Get(ctx, owner, id)
	}
	for {
		m.mu.Lock()
		next := e.changed
		m.mu.Unlock()
		j := m.snapshot(ctx, e)
		changed(j)
		select {
		case <-next:
		case <-e.over:
			return m.snapshot(ctx, e), nil
		case <-ctx.Done():
			return m.snapshot(ctx, e), nil
		}
	}
}

// Cancel stops owner's job, at the server too, and returns how it ended. A job that ended before is returned as it is.
// When ctx ends first, the job is returned as it stands, with ctx's error; the server goes on being asked.
func (m *Manager) Cancel(ctx context.Context, owner, id string) (Job, error) {
	e := m.find(owner, id)
	if e == nil {
		return m.Get(ctx, owner, id)
	}
	e.cancel(errCancelled)
	select {
	case <-e.over:
		return m.snapshot(ctx, e), nil
	case <-ctx.Done():
		return m.snapshot(ctx, e), context.Cause(ctx)
	}
}

// Stats counts jobs for status.
type Stats struct{ Queued, Running, Ended int }

// Stats returns the counts of all owners.
func (m *Manager) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := Stats{Ended: len(m.ended)}
	for _, e := range m.live {
		if e.job.State == Running {
			s.Running++
		} else {
			s.Queued++
		}
	}
	return s
}

// Close ends within ctx: pending jobs are cancelled, submitted ones detached or cancelled as configured. Close the audit log after it.
func (m *Manager) Close(ctx context.Context) error {
	m.mu.Lock()
	m.closed = true
	for _, e := range m.live {
		e.close(errClosing)
	}
	m.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		m.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
