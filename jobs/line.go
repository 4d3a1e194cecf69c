package jobs

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// await waits for e's turn at a server. Whoever waits hands out turns: there is no dispatcher to start or to stop.
// It returns [ErrQueueTimeout] or ctx's cause when the turn did not come; the job is out of the line then.
func (m *Manager) await(ctx context.Context, e *entry) (turn, error) {
	late := time.NewTimer(m.cfg.StartTimeout)
	defer late.Stop()
	for {
		// Taken before the hand-out, so that no change is missed.
		changed := m.cfg.Servers.Changed()
		m.handOut(context.WithoutCancel(ctx))
		select {
		case t := <-e.turn:
			return t, nil
		case <-changed:
		case <-late.C:
			return m.leave(ctx, e, ErrQueueTimeout)
		case <-ctx.Done():
			return m.leave(ctx, e, context.Cause(ctx))
		}
	}
}

// leave takes e out of the line. A turn that came meanwhile is given back.
func (m *Manager) leave(ctx context.Context, e *entry, why error) (turn, error) {
	m.turns.Lock() // so that e is either in line or has its turn, and not in between
	removed, err := m.cfg.Queue.Remove(context.WithoutCancel(ctx), e.item)
	m.turns.Unlock()
	if err != nil {
		m.cfg.Log.Error("leaving the queue", zap.String("job", e.item.ID), zap.Error(err))
	}
	if !removed && err == nil {
		m.giveBack(e, <-e.turn)
	}
	m.mu.Lock()
	e.waiting = false
	m.mu.Unlock()
	m.moved()
	return turn{}, why
}

// handOut gives turns to those who are next, as long as there are places.
func (m *Manager) handOut(ctx context.Context) {
	m.turns.Lock()
	defer m.turns.Unlock()
	for m.hasPlace() {
		it, ok, err := m.cfg.Queue.Take(ctx, m.mayHaveTurn)
		if err != nil {
			m.cfg.Log.Error("reading the queue", zap.Error(err))
		}
		if err != nil || !ok {
			return
		}
		// A place is asked for only when there is someone to take it: one given back at once would be news to
		// everyone who waits, who would ask again.
		server, release, ok := m.cfg.Servers.Acquire()
		if !ok {
			if err := m.cfg.Queue.Return(ctx, it); err != nil {
				m.cfg.Log.Error("returning a job to the queue", zap.String("job", it.ID), zap.Error(err))
			}
			return
		}
		if e := m.place(key(it.Owner, it.ID)); e != nil {
			e.turn <- turn{server, release}
			m.moved()
		} else {
			release()
		}
	}
}

func (m *Manager) hasPlace() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.inAll < m.cfg.InFlight
}

func (m *Manager) mayHaveTurn(owner string) bool {
	most := m.cfg.PerOwner
	if m.cfg.OwnPerOwner != nil {
		if own, ok := m.cfg.OwnPerOwner(owner); ok {
			most = own
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.placed[owner] < most
}

// place counts a job as being at a server. It returns nil when the job is gone.
func (m *Manager) place(key string) *entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.live[key]
	if e != nil {
		e.waiting = false
		m.placed[e.item.Owner]++
		m.inAll++
	}
	return e
}

// giveBack undoes place and gives t's place back, in this order: giving it back makes others ask for a turn.
func (m *Manager) giveBack(e *entry, t turn) {
	m.mu.Lock()
	m.inAll--
	m.placed[e.item.Owner]--
	if m.placed[e.item.Owner] == 0 {
		delete(m.placed, e.item.Owner)
	}
	m.mu.Unlock()
	t.release()
}

// moved tells those who watch a waiting job that its place in line may have changed.
func (m *Manager) moved() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range m.live {
		if e.waiting {
			e.tell()
		}
	}
}
