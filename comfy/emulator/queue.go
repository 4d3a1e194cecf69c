package emulator

import (
	"container/heap"
	"sync"
)

// job is one accepted prompt. It is not changed after it was queued.
type job struct {
	number  any     // *big.Int or pyFloat, as answered
	order   float64 // the number, for sorting
	id      string
	graph   *object
	extra   *object // extra_data without secrets
	outputs []string
	client  client
}

// client is whose events a job's are: the one with that id, or everybody's if the
// job has none.
type client struct {
	id    string
	known bool
}

// tuple is the job as /queue and the history show it.
func (j *job) tuple() []any {
	return []any{j.number, j.id, j.graph, j.extra, anyStrings(j.outputs)}
}

// jobHeap sorts by number, then by id, as Python compares the tuples.
type jobHeap []*job

func (h jobHeap) Len() int { return len(h) }

func (h jobHeap) Less(a, b int) bool {
	if h[a].order != h[b].order {
		return h[a].order < h[b].order
	}
	return h[a].id < h[b].id
}

func (h jobHeap) Swap(a, b int) { h[a], h[b] = h[b], h[a] }

func (h *jobHeap) Push(x any) {
	if j, ok := x.(*job); ok {
		*h = append(*h, j)
	}
}

func (h *jobHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return last
}

// entry is a job that has ended.
type entry struct {
	job      *job
	outputs  *object
	meta     *object
	status   string
	messages []any // of [event, data]
}

// value is the entry as /history shows it.
func (e *entry) value() *object {
	return obj(
		pair{"prompt", e.job.tuple()},
		pair{"outputs", e.outputs},
		pair{"status", obj(
			pair{"status_str", e.status},
			pair{"completed", e.status == "success"},
			pair{"messages", e.messages},
		)},
		pair{"meta", e.meta},
	)
}

// queue holds pending, running and ended jobs. changed is called under the lock,
// so that its calls keep their order, whenever the number of the first two may
// have changed; it must not wait.
type queue struct {
	changed func(remaining int)
	limit   int // entries of history

	mu      sync.Mutex
	pending jobHeap
	running *job
	counter int64
	history map[string]*entry
	order   []string // ids of history, oldest first
	free    bool     // asked to drop the caches
	wake    chan struct{}
	halt    chan struct{} // closed by an interrupt, replaced when a job starts
	halted  bool
}

func newQueue(limit int, changed func(int)) *queue {
	return &queue{
		changed: changed,
		limit:   limit,
		history: map[string]*entry{},
		wake:    make(chan struct{}, 1),
		halt:    make(chan struct{}),
	}
}

// number takes the next number of the counter.
func (q *queue) number() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.counter++
	return q.counter - 1
}

func (q *queue) put(j *job) {
	q.mu.Lock()
	heap.Push(&q.pending, j)
	q.changed(q.remainingLocked())
	q.mu.Unlock()
	q.poke()
}

// poke wakes the worker.
func (q *queue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// next takes the first pending job; nil if there is none.
func (q *queue) next() *job {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.pending) == 0 {
		return nil
	}
	q.running, _ = heap.Pop(&q.pending).(*job)
	q.changed(q.remainingLocked())
	return q.running
}

// done moves the running job to the history; e may be nil to forget it.
func (q *queue) done(e *entry) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running = nil
	if e != nil {
		if len(q.history) > q.limit {
			delete(q.history, q.order[0])
			q.order = q.order[1:]
		}
		if _, again := q.history[e.job.id]; !again {
			q.order = append(q.order, e.job.id)
		}
		q.history[e.job.id] = e
	}
	q.changed(q.remainingLocked())
}

func (q *queue) remaining() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.remainingLocked()
}

func (q *queue) remainingLocked() int {
	n := len(q.pending)
	if q.running != nil {
		n++
	}
	return n
}

// snapshot returns the running jobs, of which there is at most one, and the
// pending ones in the order of the heap.
func (q *queue) snapshot() (running, pending []*job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running != nil {
		running = []*job{q.running}
	}
	return running, append([]*job(nil), q.pending...)
}

// clear drops all pending jobs.
func (q *queue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending = nil
	q.changed(q.remainingLocked())
}

// drop removes one pending job and says whether it was there.
func (q *queue) drop(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, j := range q.pending {
		if j.id != id {
			continue
		}
		last := len(q.pending) == 1
		q.pending = append(q.pending[:i:i], q.pending[i+1:]...)
		heap.Init(&q.pending)
		if last {
			q.changed(q.remainingLocked()) // ComfyUI empties the queue first and says so
		}
		q.changed(q.remainingLocked())
		return true
	}
	return false
}

// interrupt sets the flag that the running node looks at. With an id it does so
// only if that job runs, and says whether it does.
func (q *queue) interrupt(id string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if id != "" && (q.running == nil || q.running.id != id) {
		return false
	}
	if !q.halted {
		q.halted = true
		close(q.halt)
	}
	return true
}

// resetInterrupt takes the flag back, as every job does when it starts.
func (q *queue) resetInterrupt() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.halted {
		q.halted = false
		q.halt = make(chan struct{})
	}
}

// takeInterrupt says whether the flag is set, and takes it back.
func (q *queue) takeInterrupt() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.halted {
		return false
	}
	q.halted = false
	q.halt = make(chan struct{})
	return true
}

// interrupted is closed when the flag is set.
func (q *queue) interrupted() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.halt
}

func (q *queue) ended(id string) *entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.history[id]
}

// past returns ended jobs, oldest first, as /history takes its parameters: the
// last items if there is no offset, all if items is negative and not given.
func (q *queue) past(items, offset int, bounded bool) []*entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	if offset < 0 && bounded {
		offset = len(q.order) - items
	}
	var out []*entry
	for i, id := range q.order {
		if i < offset {
			continue
		}
		out = append(out, q.history[id])
		if bounded && len(out) >= items {
			break
		}
	}
	return out
}

func (q *queue) forget(id string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, ok := q.history[id]; !ok {
		return
	}
	delete(q.history, id)
	for i, other := range q.order {
		if other == id {
			q.order = append(q.order[:i:i], q.order[i+1:]...)
			return
		}
	}
}

func (q *queue) forgetAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.history, q.order = map[string]*entry{}, nil
}

// askFree asks the worker to drop the caches after the current job.
func (q *queue) askFree() {
	q.mu.Lock()
	q.free = true
	q.mu.Unlock()
	q.poke()
}

// takeFree says whether the caches are to be dropped, once.
func (q *queue) takeFree() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	f := q.free
	q.free = false
	return f
}
