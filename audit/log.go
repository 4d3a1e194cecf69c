package audit

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// maxWaiting bounds the records that wait for the disk. More come only when callers gave up on a disk that hangs.
	maxWaiting = 4096
	maxBatch   = 1 << 20 // bytes written at once, about
	// slowAfter is how long the disk may take before the log counts as unhealthy.
	slowAfter = 5 * time.Second
)

// A Log is an open audit log. It is safe for concurrent use.
type Log struct {
	cfg     Config
	keys    *keyring
	w       *writer
	entries sync.Pool
	dropped atomic.Uint64

	kick chan struct{} // something waits
	quit chan struct{}
	done chan struct{} // the writer is gone, and closeErr is set

	closeErr error

	feeds      atomic.Pointer[[]*feed] // nil: there are no sinks
	feeding    sync.WaitGroup
	shown      atomic.Uint64 // the last durable record
	lastSigned atomic.Pointer[signedNote]

	mu      sync.Mutex
	waiting []*entry
	queued  atomic.Int32 // how many wait, to be read without the lock
	missed  int          // how many waited already when the last group was answered; the writer's own
	closed  bool
}

// Open opens or makes the log below cfg.Dir, mends a torn tail, closes open intents and jobs of the crashed process before as unknown(crash)
// and writes the start record. The caller holds the slot.
func Open(cfg Config) (*Log, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := ownDir(cfg.Dir); err != nil && !cfg.FailOpen {
		return nil, fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	k, err := openKey(cfg)
	if err != nil {
		return nil, err
	}
	l := &Log{
		cfg: cfg, keys: newKeyring(cfg, k),
		kick: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
		entries: sync.Pool{New: func() any { return &entry{done: make(chan error, 1)} }},
	}
	start := Record{Kind: Start, Detail: map[string]string{
		"version": cfg.Version, "config": cfg.ConfigSum, "key": k.id(), "fsync": cfg.Fsync,
		"fail_closed": strconv.FormatBool(!cfg.FailOpen), "prompts": strconv.FormatBool(cfg.Privacy.Prompts == ModeFull),
		"privacy": string("prompts=" + cfg.Privacy.Prompts + ",arguments=" + cfg.Privacy.Arguments + ",sessions=" + cfg.Privacy.Sessions),
	}}
	s, err := openSigner(cfg)
	switch {
	case err == nil:
		start.Detail["origin"], start.Detail["signer"] = cfg.origin(s), s.public
	case !cfg.FailOpen:
		return nil, err
	}
	l.w = newWriter(cfg, start)
	l.w.show = l.show
	l.w.answering = func() { l.missed = int(l.queued.Load()) }
	if s != nil {
		l.w.tracker = newTracker(cfg, s, l.say, l.announce)
		l.w.tracker.publish, l.w.tracker.needed = l.signed, l.neededBySinks
	}
	if err := l.w.begin(); err != nil && !cfg.FailOpen {
		return nil, fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	if l.w.tracker != nil {
		l.w.tracker.begin(l.w.left)
		go l.w.tracker.run()
	}
	go l.run()
	return l, nil
}

// Append makes r durable, or returns an error that is [ErrUnwritable]. Concurrent appends share an fsync (AUD-07).
//
// When ctx ends first, the error is ErrUnwritable too. A record that was at the disk just then may be written all the same.
func (l *Log) Append(ctx context.Context, r Record) error { return l.settle(l.append(ctx, &r, false)) }

// AppendReserved is Append for what is owed when the disk is full: outcomes, job ends, cancels (AUD-04).
func (l *Log) AppendReserved(ctx context.Context, r Record) error {
	return l.settle(l.append(ctx, &r, true))
}

// settle says what the mode makes of an append's error.
func (l *Log) settle(err error) error {
	if err != nil && l.cfg.FailOpen {
		l.dropped.Add(1)
		return nil
	}
	return err
}

func (l *Log) append(ctx context.Context, r *Record, reserved bool) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	e, ok := l.entries.Get().(*entry)
	if !ok {
		return ErrUnwritable
	}
	e.record, e.reserved = *r, reserved
	e.state.Store(waiting)
	e.record.Severity = severity(&e.record)
	l.keepPrivate(&e.record)
	e.body = appendBody(e.body[:0], &e.record)
	e.record.Params, e.record.Detail = nil, nil // the caller's again
	if err := l.enqueue(e); err != nil {
		return err
	}
	select {
	case err := <-e.done:
		seq := e.seq
		if cap(e.body) <= maxLine/4 { // one large prompt must not make them all large
			l.entries.Put(e)
		}
		if err == nil && !reserved {
			return l.awaitSinks(ctx, seq)
		}
		return err
	case <-ctx.Done():
		e.state.CompareAndSwap(waiting, abandoned)
		return fmt.Errorf("%w: gave up waiting for the disk: %w", ErrUnwritable, ctx.Err())
	}
}

// say puts an event into the log without waiting for it. A closed log says no more.
func (l *Log) say(r Record) {
	e := noteEntry(r)
	e.done = make(chan error, 1)
	if err := l.enqueue(e); err != nil {
		l.cfg.Log.Warn("an event of the audit log itself was not recorded", zap.String("event", r.Name))
	}
}

// signed keeps the last checkpoint for the sinks.
func (l *Log) signed(size uint64, text string) {
	l.lastSigned.Store(&signedNote{size, text})
	l.show(l.shown.Load())
	if l.cfg.Checkpointed != nil {
		l.cfg.Checkpointed(text)
	}
}

// announce puts an event into the log and waits until it is durable. A log that is closed refuses it; one that closes meanwhile writes it.
func (l *Log) announce(r Record) error {
	e := noteEntry(r)
	e.done = make(chan error, 1)
	if err := l.enqueue(e); err != nil {
		return err
	}
	select {
	case err := <-e.done:
		return err
	case <-l.quit:
		return ErrUnwritable
	}
}

func (l *Log) enqueue(e *entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return fmt.Errorf("%w: it is closed", ErrUnwritable)
	case len(l.waiting) >= maxWaiting:
		return fmt.Errorf("%w: %d records wait for the disk already", ErrUnwritable, maxWaiting)
	}
	l.waiting = append(l.waiting, e)
	l.queued.Add(1)
	select {
	case l.kick <- struct{}{}:
	default: // the writer knows
	}
	return nil
}

// run is the writer's goroutine.
func (l *Log) run() {
	defer close(l.done)
	var spare []*entry
	for {
		var tick <-chan time.Time
		if l.w.restless() {
			tick = time.After(healEvery)
		}
		select {
		case <-l.kick:
			spare = l.drain(spare)
		case <-tick:
			l.w.tend()
		case <-l.quit:
			l.drain(spare)
			l.closeErr = l.w.finish(Record{Kind: Stop})
			return
		}
	}
}

// gatherYields is for how many yields nobody may come until a group is written: some microseconds, a fraction of an fsync.
const gatherYields = 64

// drain writes all that waits, a group at a time. It returns an empty list whose room is used again.
func (l *Log) drain(spare []*entry) []*entry {
	for answered := 0; ; {
		group := l.gather(spare, answered)
		if len(group) == 0 {
			return group
		}
		l.w.commit(group)
		answered = len(group)
		clear(group)
		spare = group[:0]
	}
}

// gather adds to group what waits, and what is about to come. Those who were just told that their record is durable often have the next
// one ready: it yields to them until as many have come, or until nobody came for a while, and makes lines of what is there meanwhile.
func (l *Log) gather(group []*entry, answered int) []*entry {
	expected := l.missed + answered
	for quiet, size := 0, 0; quiet < gatherYields && size < maxBatch; quiet++ {
		runtime.Gosched()
		came := len(group)
		if group, size = l.take(group, size); len(group) > came {
			l.w.prepare(group[came:])
			quiet = 0
		}
		if len(group) >= expected {
			break
		}
	}
	return group
}

// take moves what waits to group, whose records have so many bytes, until they are about as many as are written at once.
func (l *Log) take(group []*entry, size int) ([]*entry, int) {
	if l.queued.Load() == 0 {
		return group, size
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for ; n < len(l.waiting) && size < maxBatch; n++ {
		if e := l.waiting[n]; e.state.CompareAndSwap(waiting, taken) {
			group = append(group, e)
			size += len(e.body)
		}
	}
	l.waiting = slices.Delete(l.waiting, 0, n)
	l.queued.Store(int32(len(l.waiting)))
	return group, size
}

// Healthy returns nil, or why new calls are refused now. It doesn't touch the disk.
func (l *Log) Healthy() error {
	if l.cfg.FailOpen {
		return nil
	}
	if fault := l.w.fault.Load(); fault != nil {
		return fmt.Errorf("%w: %w", ErrUnwritable, *fault)
	}
	if d := l.w.working(); d > slowAfter {
		return fmt.Errorf("%w: the disk has not answered for %v", ErrUnwritable, d.Round(time.Second))
	}
	return l.sinksHealthy()
}

// Dropped counts the records that were lost because the log fails open. It is 0 for ever in one that doesn't.
func (l *Log) Dropped() uint64 { return l.dropped.Load() }

// Digest is the HMAC-SHA256 of a principal's text under that principal's key, in hex, with its length in characters: what a
// record holds of a prompt. In the mode full it holds the text as well, in the mode redact only the length.
func (l *Log) Digest(principal, text string) map[string]any {
	return l.keys.of(principal).digest(text, l.cfg.Privacy.Prompts)
}

// end has the log end, once.
func (l *Log) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.quit)
	}
}

// Close writes the stop record and closes the files. Records that wait are written first; later ones are refused. An error says that the
// stop record may be missing. Where ctx ends first the log closes by itself when the disk answers.
func (l *Log) Close(ctx context.Context) error {
	l.end()
	select {
	case <-l.done:
	case <-ctx.Done():
		return fmt.Errorf("%w: gave up closing it: %w", ErrUnwritable, ctx.Err())
	}
	l.feeding.Wait() // each sink gets its last records within sinkLast
	if l.closeErr != nil && !l.cfg.FailOpen {
		return fmt.Errorf("%w: closing it: %w", ErrUnwritable, l.closeErr)
	}
	return nil
}
