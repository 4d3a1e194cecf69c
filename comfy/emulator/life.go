package emulator

import (
	"encoding/hex"
	"sync"
)

// life is what a ComfyUI process has and a restart loses: queue, history,
// sockets, cached outputs and the worker that runs jobs.
type life struct {
	server *Server
	stop   chan struct{}
	ending sync.Once
	work   sync.WaitGroup
	queue  *queue
	hub    *hub
	cache  *cache

	mu      sync.Mutex
	current progressOwner
}

// progressOwner is whose job runs and which node, for sockets that come back.
type progressOwner struct {
	client client
	node   string
}

func (s *Server) newLife() *life {
	l := &life{server: s, stop: make(chan struct{}), cache: newCache()}
	l.hub = newHub(s.faults, l.stop)
	l.queue = newQueue(s.opts.HistoryEntries, func(remaining int) {
		l.hub.send("status", obj(pair{"status", queueInfo(remaining)}), client{})
	})
	l.work.Go(l.hub.publish)
	l.work.Go(l.worker)
	return l
}

// end tells all goroutines of the life to end and cuts its sockets.
func (l *life) end() {
	l.ending.Do(func() { close(l.stop) })
	l.hub.cut()
}

// wait returns when they have ended.
func (l *life) wait() { l.work.Wait() }

// worker runs one job after the other until the life ends.
func (l *life) worker() {
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		if l.queue.takeFree() {
			l.cache.clear()
		}
		if j := l.take(); j != nil {
			if !l.run(j) {
				return
			}
			continue
		}
		select {
		case <-l.stop:
			return
		case <-l.queue.wake:
		}
	}
}

// take returns the next job, or nil if there is none or the worker is a zombie.
func (l *life) take() *job {
	if l.queue.remaining() == 0 || l.server.faults.on(faultZombie) {
		return nil
	}
	return l.queue.next()
}

func (l *life) setCurrent(c client, node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.current = progressOwner{c, node}
}

// greeting is what a new socket under sid is told.
func (l *life) greeting(sid string) greeting {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := greeting{remaining: l.queue.remaining(), features: l.server.features()}
	if l.current.client == (client{sid, true}) {
		g.node = l.current.node
	}
	return g
}

func queueInfo(remaining int) *object {
	return obj(pair{"exec_info", obj(pair{"queue_remaining", remaining})})
}

func hexString(b []byte) string { return hex.EncodeToString(b) }
