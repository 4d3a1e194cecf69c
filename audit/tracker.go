package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	checkpointFile = "checkpoints"

	// trackStep is how many records the tree may be behind before it follows: few, so that it has done so by the time that the disk
	// has made others durable, and a rotation finds it near.
	trackStep = 128
	// trackChunk is how many records it takes at once: others wait for the lock so long at most.
	trackChunk = 4096
	// sealChunks bound how far behind the tree may be for a rotation to wait for it, closeChunks for the log's end.
	sealChunks, closeChunks = 4, 64
	// checkpointPause is the least time between two checkpoints that the number of records calls for: each costs two fsyncs.
	checkpointPause = time.Second
	maxPending      = 1 << 20 // bytes of hashes that wait to be written
	maxLost         = 1 << 24 // records in a row that may be missing
)

// A tracker follows a log's durable records, keeps their tree and signs checkpoints of it (AUD-08, 11). It reads the segments
// as anybody could, so it never delays a record, and what it does can be done again: after an error, or a crash, it goes on
// from its last checkpoint.
type tracker struct {
	folder
	log     *zap.Logger
	signer  *signer
	origin  string
	trusted string // file of public keys
	every   time.Duration
	records uint64
	say     func(Record)                     // puts an event into the log, without waiting
	publish func(size uint64, signed string) // tells a checkpoint to whoever wants it

	announce    func(Record) error // puts an event into the log, and waits until it is durable
	retainFor   time.Duration
	retainBytes int64
	needed      func() uint64 // the first record that must be kept; nil: none
	pruneAt     time.Time     // not before; only the tracker's goroutine uses it
	rotated     atomic.Bool
	pruneNow    chan chan error

	target struct {
		sync.Mutex
		position
	}
	called position      // how far the log reached when the tree was last told to follow; the writer's own
	marked atomic.Uint64 // size of the last checkpoint
	kick   chan struct{}
	quit   chan struct{}
	done   chan struct{}
	closed atomic.Bool

	mu      sync.Mutex // guards what follows
	loaded  bool
	lines   *lineReader // kept for its room
	off     bool        // the records are not such that a tree could be made
	tree    tree
	pending []byte // hashes that are not in the file
	written int64  // bytes in the file
	hashes  File
	notes   File
	ends    int64     // of the last note
	at      place     // of the next record
	known   position  // of a record that may be the last in the tree, so that nobody has to look for it
	last    uint64    // size of the last checkpoint; a tree that is made again is not signed below that
	signed  tlog.Hash // its root
	lastAt  time.Time
}

func newTracker(cfg Config, s *signer, say func(Record), announce func(Record) error) *tracker {
	return &tracker{
		pruneNow: make(chan chan error),
		folder:   folder{fs: cfg.FS, dir: cfg.Dir}, log: cfg.Log, signer: s, origin: cfg.origin(s), trusted: cfg.trustFile(),
		every: cfg.CheckpointEvery, records: uint64(cfg.CheckpointRecords), say: say,
		announce: announce, retainFor: cfg.RetainFor, retainBytes: cfg.RetainBytes,
		kick: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}), lines: newLineReader(nil, 0), lastAt: time.Now(),
	}
}

// follow says how far the log reaches. It never waits.
func (t *tracker) follow(to position) {
	t.target.Lock()
	defer t.target.Unlock()
	t.target.position = to
}

// spare says that the log is about to wait for the disk, which is when the tree may follow: in between, those whose records became
// durable need the processors for their next ones. Only the log's writer calls it.
func (t *tracker) spare() {
	to := t.reached()
	if to.seq < t.called.seq+trackStep && to.segment == t.called.segment {
		return
	}
	t.called = to
	select {
	case t.kick <- struct{}{}:
	default: // it has not come to the call before
	}
}

func (t *tracker) reached() position {
	t.target.Lock()
	defer t.target.Unlock()
	return t.target.position
}

// run follows until the tracker is closed.
func (t *tracker) run() {
	defer close(t.done)
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	for {
		select {
		case <-t.quit:
			return
		case <-t.kick:
			t.advance(false)
		case <-tick.C:
			t.advance(true)
		case told := <-t.pruneNow:
			t.advance(true)
			told <- t.pruneSegments(time.Now())
			continue
		}
		if t.rotated.Swap(false) {
			t.pruneAt = time.Time{}
		}
		t.prune(time.Now())
	}
}

// advance takes what is new, and signs a checkpoint where that is due, or at once.
func (t *tracker) advance(now bool) {
	for more := true; more; {
		select {
		case <-t.quit:
			return
		default:
		}
		t.mu.Lock()
		to := t.reached()
		reached, err := t.take(to, trackChunk)
		if err == nil && reached && t.due(now) {
			err = t.checkpoint()
		}
		t.fail(err)
		t.mu.Unlock()
		more = err == nil && !reached
	}
}

// due reports whether it is time for a checkpoint.
func (t *tracker) due(now bool) bool {
	size := uint64(t.tree.size)
	return !t.off && size > t.last && (now || size-t.last >= t.records && time.Since(t.lastAt) >= checkpointPause)
}

// fail forgets what can't be believed after an error; the caller holds the lock.
func (t *tracker) fail(err error) {
	if err == nil {
		return
	}
	t.log.Warn("the tree of the audit log could not be kept up; it is tried again", zap.String("cause", cause(err)))
	t.unload()
}

// unload closes the files; what is not in them yet is read again.
func (t *tracker) unload() {
	_ = joinClose(nil, t.hashes, t.notes) // what of them is durable was made so
	t.hashes, t.notes, t.loaded, t.pending = nil, nil, false, t.pending[:0]
}

// seal returns the root of all records up to a position, which ends a segment; false while the tree is too far behind.
func (t *tracker) seal(end position) (root tlog.Hash, ok bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for range sealChunks {
		ok, err = t.take(end, trackChunk)
		if ok || err != nil {
			break
		}
	}
	if err == nil && ok && !t.off {
		root, err = t.tree.root()
	}
	t.fail(err)
	return root, ok && !t.off, err
}

// lost reports that there will be no tree any more.
func (t *tracker) lost() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.off
}

// finish signs a last checkpoint of all that there is, if the tree gets there soon, and closes the files.
func (t *tracker) finish() {
	if t.closed.Swap(true) {
		return
	}
	close(t.quit)
	<-t.done
	t.complete()
}

// complete is finish, without a goroutine to end.
func (t *tracker) complete() {
	t.mu.Lock()
	defer t.mu.Unlock()
	var reached bool
	var err error
	for i := 0; i < closeChunks && !reached && err == nil; i++ {
		reached, err = t.take(t.reached(), trackChunk)
	}
	if err == nil && reached && t.due(true) {
		err = t.checkpoint()
	}
	t.fail(errors.Join(err, joinClose(nil, t.hashes, t.notes)))
	t.hashes, t.notes = nil, nil
}

// take adds records to the tree, up to a position or so many. It returns whether it got there.
func (t *tracker) take(to position, most int) (bool, error) {
	if to.seq == 0 || t.off {
		return true, nil
	}
	if !t.loaded {
		if err := t.load(to); err != nil {
			return false, err
		}
	}
	for uint64(t.tree.size) < to.seq {
		n, err := t.takeSegment(to, most)
		if err != nil {
			return false, err
		}
		if most -= n; most <= 0 || t.off {
			break
		}
		if uint64(t.tree.size) < to.seq {
			if err := t.nextSegment(to); err != nil {
				return false, err
			}
		}
	}
	return uint64(t.tree.size) >= to.seq || t.off, nil
}

// takeSegment adds records of the segment at hand, and returns how many it took.
func (t *tracker) takeSegment(to position, most int) (n int, err error) {
	from, file, err := t.open(t.at.segment, t.at.offset)
	if errors.Is(err, os.ErrNotExist) { // somebody took it away; its records count as lost
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer closing(file, &err)
	t.lines.reset(from, t.at.offset)
	if t.at.segment == to.segment {
		t.lines.firm = to.offset
	}
	for ; n < most && uint64(t.tree.size) < to.seq; n++ {
		line, err := t.lines.next()
		if errors.Is(err, io.EOF) || errors.Is(err, errUnended) {
			return n, nil
		}
		if err != nil && !bad(err) {
			return n, fmt.Errorf("reading the audit log: %w", err)
		}
		t.at.offset = t.lines.offset
		if err != nil {
			continue
		}
		if err := t.takeLine(line, to); err != nil || t.off {
			return n, err
		}
	}
	return n, nil
}

// takeLine adds a record. One that is in the tree already is left out; in place of those that are missing stands a leaf of nothing.
func (t *tracker) takeLine(line []byte, to position) error {
	seq, _, ok := parseStart(line)
	size := uint64(t.tree.size)
	if !ok || seq <= size || seq > to.seq {
		return nil
	}
	if err := t.lose(seq - 1); err != nil || t.off {
		return err
	}
	return t.grow(tlog.RecordHash(line))
}

// lose fills the tree up to a size.
func (t *tracker) lose(size uint64) error {
	if uint64(t.tree.size)+maxLost < size {
		t.off = true
		t.log.Error("so many records of the audit log are missing that it gets no tree any more")
		return nil
	}
	for uint64(t.tree.size) < size {
		if err := t.grow(lostLeaf()); err != nil {
			return err
		}
	}
	return nil
}

func (t *tracker) grow(leaf tlog.Hash) error {
	list := t.tree.add(leaf)
	for i := range list {
		t.pending = append(t.pending, list[i][:]...)
	}
	if uint64(t.tree.size) == t.last {
		if root, err := t.tree.root(); err != nil || root != t.signed {
			t.hurt("the records are not the ones that the last checkpoint signs")
		}
	}
	if len(t.pending) >= maxPending {
		return t.flush()
	}
	return nil
}

// hurt records a damage.
func (t *tracker) hurt(damage string) {
	t.log.Error("the audit log is damaged", zap.String("damage", damage))
	t.say(Record{Kind: Event, Name: LogDamaged, Detail: map[string]string{"damage": damage}})
}

// flush writes the hashes that wait.
func (t *tracker) flush() error {
	if len(t.pending) == 0 {
		return nil
	}
	if _, err := t.hashes.WriteAt(t.pending, t.written); err != nil {
		return fmt.Errorf("writing the tree: %w", err)
	}
	t.written += int64(len(t.pending))
	t.pending = t.pending[:0]
	return nil
}

// nextSegment goes on to the segment behind the one at hand, after a checkpoint of all before it: what may be left of the log
// one day (AUD-14). Behind the last one, what is missing is lost.
func (t *tracker) nextSegment(to position) error {
	segments, err := t.segments()
	if err != nil {
		return err
	}
	i, _ := slices.BinarySearch(segments, t.at.segment+1)
	if i == len(segments) || segments[i] > to.segment {
		return t.lose(to.seq)
	}
	t.at = place{segment: segments[i]}
	if uint64(t.tree.size) == segments[i]-1 && t.due(true) {
		if err := t.checkpoint(); err != nil {
			return err
		}
	}
	t.rotated.Store(true)
	return nil
}

// checkpoint makes the tree durable, then signs it.
func (t *tracker) checkpoint() error {
	root, err := t.tree.root()
	if err != nil {
		return err
	}
	if err := t.flush(); err != nil {
		return err
	}
	if err := t.hashes.Sync(); err != nil {
		return fmt.Errorf("making the tree durable: %w", err)
	}
	c := Checkpoint{t.origin, uint64(t.tree.size), root}
	signed, err := note.Sign(&note.Note{Text: c.text()}, t.signer)
	if err != nil {
		return fmt.Errorf("signing a checkpoint: %w", err)
	}
	if _, err := t.notes.WriteAt(append(signed, '\n'), t.ends); err != nil {
		return fmt.Errorf("writing a checkpoint: %w", err)
	}
	if err := t.notes.Sync(); err != nil {
		return fmt.Errorf("making a checkpoint durable: %w", err)
	}
	t.ends += int64(len(signed)) + 1
	t.last, t.signed, t.lastAt = c.Size, c.Root, time.Now()
	t.known = position{seq: c.Size, place: t.at}
	t.marked.Store(c.Size)
	if t.publish != nil {
		t.publish(c.Size, string(signed))
	}
	return nil
}
