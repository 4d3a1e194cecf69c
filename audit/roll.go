package audit

import (
	"fmt"
	"strconv"
	"time"

	"go.uber.org/zap"
	"golang.org/x/mod/sumdb/tlog"
)

// roll begins a new segment where the batch would make this one too large, or where it is old enough. The old one ends with
// the root of all records before (AUD-14), and nobody writes to it any more.
func (w *writer) roll(batch []*entry, now time.Time) error {
	size := w.end.offset
	for _, e := range batch {
		size += int64(len(e.body)) + maxFrame
	}
	old := w.cfg.RotateEvery > 0 && now.Sub(w.began) >= w.cfg.RotateEvery
	if w.end.offset == 0 || size <= w.cfg.MaxBytes && !old {
		return nil
	}
	if len(w.unsynced) > 0 {
		if err := w.sync(w.end, now); err != nil {
			return err
		}
	}
	if later, err := w.seal(now); later || err != nil {
		return err
	}
	done := w.end.segment
	next := w.end
	next.place = place{segment: w.end.seq + 1}
	f, err := w.openEnd(next)
	if err != nil {
		return err
	}
	before := w.file
	w.file, w.end, w.durable, w.began = f, next, next, now
	if err := before.Close(); err != nil {
		return fmt.Errorf("closing a segment: %w", err)
	}
	if err := w.fs.Chmod(w.path(segmentName(done)), doneMode); err != nil {
		w.log.Warn("a complete segment of the audit log stays writable", zap.String("cause", cause(err)))
	}
	w.note(Record{Kind: Event, Name: LogRotated, Detail: map[string]string{"records_before": strconv.FormatUint(w.end.seq, 10)}})
	return nil
}

// seal ends a segment with the root of the tree, and without room. It is true while the tree is so far behind that the segment had
// better grow on; where there is no tree, the segment ends without.
func (w *writer) seal(now time.Time) (later bool, err error) {
	root, ok, known := w.root()
	if known && !ok {
		return true, nil
	}
	if !known && !w.roomy() {
		return false, nil
	}
	if err := w.giveRoom(); err != nil {
		return false, err
	}
	w.draft.begin(w.end)
	if known {
		w.draft.add([]*entry{noteEntry(Record{Kind: Event, Name: LogSealed, Detail: map[string]string{
			"tree_size": strconv.FormatUint(w.end.seq, 10), "root": root.String(),
		}})}, now)
	}
	if err := w.put(); err != nil {
		return false, err
	}
	if err := w.sync(w.draft.to, now); err != nil {
		return false, err
	}
	w.end = w.draft.to
	return false, nil
}

// root is the root of the tree of all records; not ok while the tree is too far behind, not known where there is none.
func (w *writer) root() (root tlog.Hash, ok, known bool) {
	if w.tracker == nil {
		return root, false, false
	}
	root, ok, err := w.tracker.seal(w.end)
	return root, ok, err == nil && !w.tracker.lost() // a disk in trouble is the next step's to tell
}
