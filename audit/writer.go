package audit

import (
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	syncEvery  = time.Second // AUDIT__FSYNC=interval
	maxUnsync  = 1 << 20     // bytes that may wait for that
	headEvery  = 8192        // records after which the head is made durable
	openWindow = 4096        // ends that a running log remembers
)

// A writer is the only one that writes a log. One goroutine uses it; what others may read is atomic.
//
// After an error of the file system no descriptor is trusted (AUD-06): the segment is opened again, its last line compared, and
// what was not acknowledged is cut off (AUD-05). After a full disk there must be room again, too.
type writer struct {
	folder
	cfg Config
	log *zap.Logger

	attached  bool // the log's end is known
	file      File // nil: not trusted
	room      room // behind the end
	head      File
	end       position         // behind the last acknowledged record
	durable   position         // behind the last record that is on the disk
	unsynced  []byte           // the lines between the two
	synced    time.Time        // when there were none
	start     place            // of the last start record
	answering func()           // called before a group is told that it is durable; may be nil
	left      position         // the log's end as the process before left it
	tracker   *tracker         // keeps the tree; nil: nobody does
	show      func(seq uint64) // told how far the log is durable; may be nil
	began     time.Time        // when the segment's first record was written
	headAt    uint64           // seq of the last head that is on the disk
	marked    uint64           // what the head of the process before said of its last checkpoint

	opening []Record // what begins this process's part of the log
	notes   []*entry // records of the log's own, to be written before all else
	open    *pairing // what this process owes
	draft   draft    // what is written next
	headBuf []byte

	fault atomic.Pointer[error] // why only what is owed is written; nil: healthy
	busy  atomic.Int64          // since when the disk is at work, as nanoseconds after born; 0: it isn't
	born  time.Time
	tried time.Time // when it was last tried to mend it
	gap   *gap      // what the log must say of the last fault

	crashed []Record // what attaching ended in the name of a process that crashed
}

// An entry is a record on its way. Its done takes one result and never blocks.
type entry struct {
	body     []byte
	record   Record // what pairing needs of it
	seq      uint64 // once it is written
	reserved bool
	state    atomic.Int32 // waiting, taken or abandoned
	done     chan error   // nil for a note
}

// States of an entry: either the writer takes it, or its caller gives it up before that.
const (
	waiting int32 = iota
	taken
	abandoned
)

// note queues a record of the log's own.
func (w *writer) note(r Record) {
	w.notes = append(w.notes, noteEntry(r))
}

func noteEntry(r Record) *entry {
	r.Severity = severity(&r)
	return &entry{body: appendBody(nil, &r), record: r, reserved: true}
}

// newWriter returns a writer that begins its part of the log with a record, if it has one.
func newWriter(cfg Config, opening ...Record) *writer {
	return &writer{
		folder: folder{fs: cfg.FS, dir: cfg.Dir}, cfg: cfg, log: cfg.Log,
		opening: opening, open: newPairing(openWindow), born: time.Now(),
	}
}

// work notes that the disk is at work from now on. (The clock that never steps is the one that counts from born.)
func (w *writer) work() { w.busy.Store(max(1, int64(time.Since(w.born)))) }

// working tells for how long the disk has been at work.
func (w *writer) working() time.Duration {
	since := w.busy.Load()
	if since == 0 {
		return 0
	}
	return time.Since(w.born) - time.Duration(since)
}

// begin finds the log and writes what it begins with. After an error the writer holds no files.
func (w *writer) begin() error {
	if err := w.mend(); err != nil {
		w.blame(err)
		if !w.attached {
			return err
		}
	}
	if err := w.writeReserved(nil); err != nil {
		return err
	}
	w.writeHead(true)
	return nil
}

// mark is the size of the last checkpoint.
func (w *writer) mark() uint64 {
	if w.tracker == nil {
		return w.marked
	}
	return max(w.marked, w.tracker.marked.Load())
}

// restless reports whether there is something to tend to.
func (w *writer) restless() bool {
	return w.fault.Load() != nil || len(w.unsynced) > 0 || w.roomy()
}

// commit makes a batch durable and tells each entry how that went. Reserved ones are tried harder.
func (w *writer) commit(batch []*entry) {
	w.work()
	defer w.busy.Store(0)
	if w.healthy() {
		err := w.write(batch)
		if err == nil {
			if w.answering != nil {
				w.answering()
			}
			answer(batch, nil)
			w.writeHead(false)
			return
		}
		w.distrust(err)
	}
	refusal := fmt.Errorf("%w: %w", ErrUnwritable, *w.fault.Load())
	var owed []*entry
	for _, e := range batch {
		if e.reserved {
			owed = append(owed, e)
		} else {
			w.gap.refused++
			e.done <- refusal
		}
	}
	if len(owed) == 0 {
		return
	}
	if err := w.writeReserved(owed); err != nil {
		w.gap.refused += len(owed)
		answer(owed, fmt.Errorf("%w: %w", ErrUnwritable, err))
		return
	}
	answer(owed, nil)
	w.writeHead(false)
}

func answer(batch []*entry, err error) {
	for _, e := range batch {
		e.done <- err
	}
}

// write appends the log's own notes and a batch, and makes them durable where that is the mode. An error leaves the log as
// it was, for all but its descriptors.
func (w *writer) write(batch []*entry) error {
	defer w.draft.drop()
	now := time.Now()
	if err := w.roll(batch, now); err != nil {
		return err
	}
	own := w.notes
	said := w.gap != nil && w.fault.Load() == nil
	if said {
		own = append(slices.Clip(own), noteEntry(w.gap.record()))
	}
	w.assemble(own, batch, now)
	end := w.draft.to
	if err := w.makeRoom(len(batch)); err != nil {
		return err
	}
	if err := w.put(); err != nil {
		return err
	}
	if err := w.settle(end, now); err != nil {
		return err
	}
	if w.end.offset == 0 {
		w.began = now
	}
	w.end, w.notes = end, nil
	if w.draft.start != (place{}) {
		w.start = w.draft.start
	}
	if said {
		w.gap = nil
	}
	for _, list := range [...][]*entry{own, batch} {
		for _, e := range list {
			if e.record.Kind == Start {
				w.open.reset()
			}
			w.open.add(&e.record)
		}
	}
	return nil
}

// put writes the draft to the log's end.
func (w *writer) put() error {
	if len(w.draft.lines) == 0 {
		return nil
	}
	n, err := w.file.WriteAt(w.draft.lines, w.end.offset)
	if err == nil && n < len(w.draft.lines) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("writing: %w", err)
	}
	return nil
}

// prepare makes the lines of records that come next in the group that is about to be committed. It does nothing where the log has
// something to say before them.
func (w *writer) prepare(list []*entry) {
	if w.fault.Load() != nil || w.gap != nil || len(w.notes) > 0 {
		return
	}
	if w.draft.from != w.end {
		w.draft.begin(w.end)
	}
	w.draft.add(list, time.Now())
}

// assemble completes the draft: the lines of own, then those of batch, the first of which may be there already.
func (w *writer) assemble(own, batch []*entry, now time.Time) {
	if len(own) > 0 || w.draft.from != w.end { // something comes before them, or has come between
		w.draft.begin(w.end)
		w.draft.add(own, now)
	}
	w.draft.add(batch[w.draft.count-len(own):], now)
}

// settle makes what was just written durable, now or, where the mode allows it, soon.
func (w *writer) settle(end position, now time.Time) error {
	if w.cfg.Fsync != FsyncInterval {
		return w.sync(end, now)
	}
	if before := len(w.unsynced); before+len(w.draft.lines) > maxUnsync || now.Sub(w.synced) >= syncEvery {
		return w.sync(end, now)
	}
	w.unsynced = append(w.unsynced, w.draft.lines...)
	return nil
}

// sync makes everything up to end durable.
func (w *writer) sync(end position, now time.Time) error {
	if w.tracker != nil {
		w.tracker.spare()
	}
	if err := w.file.SyncData(); err != nil {
		return fmt.Errorf("making durable: %w", err)
	}
	w.durable, w.synced, w.unsynced = end, now, w.unsynced[:0]
	return nil
}

// writeHead says in the head what is durable, and makes the head so now and then, or at once. An error makes the log
// unhealthy; what was acknowledged stays so.
func (w *writer) writeHead(now bool) {
	err := w.putHead()
	if err == nil && (now || w.durable.seq >= w.headAt+headEvery) {
		w.headAt = w.durable.seq
		if err = w.head.Sync(); err != nil {
			err = fmt.Errorf("making the head durable: %w", err)
		}
	}
	if err != nil {
		w.distrust(err)
		return
	}
	if w.tracker != nil {
		w.tracker.follow(w.durable)
	}
	if w.show != nil {
		w.show(w.durable.seq)
	}
}

func (w *writer) putHead() error {
	w.headBuf = head{w.durable, w.start, w.mark()}.append(w.headBuf[:0])
	if _, err := w.head.WriteAt(w.headBuf, 0); err != nil {
		return fmt.Errorf("writing the head: %w", err)
	}
	return nil
}

// tend does what is due when nobody writes: it mends what is broken, makes durable what isn't and gives back what is too much.
func (w *writer) tend() {
	w.work()
	defer w.busy.Store(0)
	switch {
	case w.fault.Load() != nil:
		if !w.healthy() {
			return
		}
		if err := w.write(nil); err != nil {
			w.distrust(err)
			return
		}
	case len(w.unsynced) > 0:
		if err := w.sync(w.end, time.Now()); err != nil {
			w.distrust(err)
			return
		}
	default:
		w.room.tally = 0
		if err := w.giveRoom(); err != nil {
			w.distrust(err)
		}
		return
	}
	w.writeHead(false)
}

// finish writes the last records and closes the files. The last checkpoint comes behind the last record; without one the
// log is whole nevertheless.
func (w *writer) finish(last Record) error {
	if w.tracker != nil {
		defer w.tracker.finish()
	}
	if !w.attached {
		return *w.fault.Load()
	}
	last.Count = w.open.owed()
	w.note(last)
	w.room.tally = 0
	err := w.writeReserved(nil)
	if err == nil && len(w.unsynced) > 0 {
		err = w.sync(w.end, time.Now())
	}
	if err == nil {
		if w.tracker != nil {
			w.tracker.follow(w.durable)
			w.tracker.finish()
		}
		w.writeHead(true)
	}
	return joinClose(err, w.file, w.head)
}
