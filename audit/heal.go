package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// healEvery is how often a log that can't be written tries again.
const healEvery = time.Second

// A gap is what a log says when it can be written again. (A record that is refused belongs to a call that was refused, too; in
// the fail-open mode it belongs to one that went on unrecorded.)
type gap struct {
	since   time.Time
	cause   string
	refused int
}

func (g *gap) record() Record {
	return Record{
		Kind: Event, Name: LogGap, Count: g.refused,
		Detail: map[string]string{"cause": g.cause, "since": string(appendTime(nil, g.since))},
	}
}

// distrust closes what was open, because of err.
func (w *writer) distrust(err error) {
	for _, f := range []File{w.file, w.head} {
		if f != nil {
			_ = f.Close() // its error would be the one at hand, or follow from it
		}
	}
	w.file, w.head = nil, nil
	w.blame(err)
}

// blame makes the log unhealthy, because of err.
func (w *writer) blame(err error) {
	if w.fault.Swap(&err) == nil {
		w.tried = time.Time{}
		w.log.Error("the audit log cannot be written", zap.String("cause", cause(err)))
	}
	if w.gap == nil {
		w.gap = &gap{since: time.Now(), cause: cause(err)}
	}
}

// healthy reports whether any record may be written, after trying to mend the log where the last try is long enough ago.
func (w *writer) healthy() bool {
	if w.fault.Load() == nil {
		return true
	}
	now := time.Now()
	if now.Sub(w.tried) < healEvery {
		return false
	}
	w.tried = now
	if err := w.mend(); err != nil {
		w.blame(err)
		return false
	}
	w.log.Info("the audit log can be written again", zap.Int("refused", w.gap.refused), zap.Duration("after", now.Sub(w.gap.since)))
	w.fault.Store(nil)
	return true
}

// mend gets trusted descriptors and a whole reserve, and after a fault a proof that the disk takes what it is given: a new head,
// and in the reserve as much as the longest line needs.
func (w *writer) mend() error {
	if err := w.reopen(); err != nil {
		return err
	}
	if w.fault.Load() == nil {
		size, err := w.reserved()
		if err != nil || size >= w.cfg.ReserveBytes {
			return err
		}
	} else if err := w.putHead(); err != nil {
		return err
	}
	return w.fillReserve(w.cfg.ReserveBytes)
}

// writeReserved writes what is owed. On a full disk it makes room with the reserve (AUD-04); another error gets a second try.
func (w *writer) writeReserved(batch []*entry) error {
	for tries := 2; ; {
		err := w.reopen()
		if err == nil {
			if err = w.write(batch); err == nil {
				return nil
			}
		}
		w.distrust(err)
		if noSpace(err) {
			if room, e := w.spendReserve(); e != nil || !room {
				return errors.Join(err, e)
			}
		} else if tries--; tries == 0 {
			return err
		}
	}
}

// reopen gets descriptors that can be trusted, where there are none: it compares the last durable line with the one that was
// written, cuts off what came behind it and writes again what was acknowledged without being durable.
func (w *writer) reopen() error {
	if w.file != nil {
		return nil
	}
	if !w.attached {
		return w.attach()
	}
	end := w.durable
	if end.offset > 0 {
		there, err := w.ends(end)
		if err != nil {
			return err
		}
		if !there {
			// Somebody took away what was durable. Verify will miss it; the log goes on in a new segment.
			end.place = place{segment: end.seq + 1}
			w.damaged("the last durable record is gone")
		}
	}
	if err := w.openAt(end); err != nil {
		return err
	}
	w.end, w.durable = end, end
	if len(w.unsynced) == 0 {
		return nil
	}
	if err := w.rewrite(); err != nil {
		w.distrust(err)
		return err
	}
	return nil
}

// openAt opens the segment and the head.
func (w *writer) openAt(end position) error {
	f, err := w.openEnd(end)
	if err != nil {
		return err
	}
	h, err := w.openHead()
	if err != nil {
		return joinClose(err, f)
	}
	w.file, w.head, w.room.ends = f, h, 0
	return nil
}

// openEnd opens a segment for appending at the log's end, making it if it begins there. What the segment holds behind the end
// was never acknowledged, and is cut off.
func (w *writer) openEnd(end position) (File, error) {
	f, err := w.create(end.segment)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		err = fmt.Errorf("reading the size of a segment: %w", err)
	case info.Size() < end.offset:
		err = ErrDamaged
	case info.Size() > end.offset:
		err = cut(f, end.offset)
	case end.offset == 0:
		if err = w.fs.SyncDir(w.dir); err != nil {
			err = fmt.Errorf("beginning a segment: %w", err)
		}
	}
	if err != nil {
		return nil, joinClose(err, f)
	}
	return f, nil
}

// cut shortens a segment and makes that durable.
func cut(f File, size int64) error {
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("cutting off the end of a segment: %w", err)
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("cutting off the end of a segment: %w", err)
	}
	return nil
}

// rewrite writes what was acknowledged before a failed fsync, after which the system may have forgotten it.
func (w *writer) rewrite() error {
	end := w.end
	for line := range bytes.Lines(w.unsynced) {
		f, err := parseFrame(line[:len(line)-1])
		if err != nil {
			return fmt.Errorf("writing again: %w", err)
		}
		end.seq, end.hash, end.offset = f.seq, f.hash, end.offset+int64(len(line))
	}
	n, err := w.file.WriteAt(w.unsynced, w.end.offset)
	if err == nil && n < len(w.unsynced) {
		err = io.ErrShortWrite
	}
	if err != nil {
		return fmt.Errorf("writing again: %w", err)
	}
	if err := w.sync(end, time.Now()); err != nil {
		return err
	}
	w.end = end
	return nil
}

// attach finds the log's end, opens it, and queues what must be said first: what was mended, what a crash left open, and the
// beginning of this process's own part.
func (w *writer) attach() error {
	r, err := w.resume()
	if err != nil {
		return err
	}
	debts, err := w.debts(r)
	if err != nil {
		return err
	}
	before := w.startRecord(r.start)
	if !r.found {
		if err := w.makeHead(r.end); err != nil {
			return err
		}
	}
	if err := w.openAt(r.end); err != nil {
		return err
	}
	w.end, w.durable, w.start, w.headAt, w.attached, w.marked = r.end, r.end, r.start, r.end.seq, true, r.mark
	w.began, w.left = w.segmentBegan(r.end.segment), r.end
	if r.hurt != "" {
		w.damaged(r.hurt)
	}
	if r.torn > 0 {
		w.log.Warn("a torn line of the audit log was cut off", zap.Int64("bytes", r.torn))
		w.note(Record{Kind: Event, Name: LogMended, Detail: map[string]string{"bytes_cut": strconv.FormatInt(r.torn, 10)}})
	}
	w.crashed = debts.unpaid()
	for _, r := range w.crashed {
		w.note(r)
	}
	for _, r := range w.opening {
		if k := before.Detail["key"]; r.Kind == Start && k != "" && k != r.Detail["key"] {
			w.note(Record{Kind: Event, Name: KeyChanged, Detail: map[string]string{"before": k, "now": r.Detail["key"]}})
		}
		if k := before.Detail["signer"]; r.Kind == Start && k != "" && k != r.Detail["signer"] {
			w.note(w.signerChanged(k, r.Detail["signer"]))
		}
		w.note(r)
	}
	return nil
}

// signerChanged is the record of another signing key, with the statement about it: it bears both keys' signatures, unless the
// one before could not be asked.
func (w *writer) signerChanged(before, now string) Record {
	r := Record{Kind: Event, Name: SignerChanged, Detail: map[string]string{"before": before, "now": now}}
	if t, _, err := readTrust(w.fs, w.cfg.trustFile(), nil); err == nil && t.statedBy[now] != "" {
		r.Detail["statement"] = t.statedBy[now]
	}
	return r
}

// segmentBegan is the time of a segment's first record; now where there is none.
func (w *writer) segmentBegan(segment uint64) time.Time {
	lines, file, err := w.read(segment, 0, false)
	if err != nil {
		return time.Now()
	}
	defer file.Close() //nolint:errcheck // it was only read
	if line, err := lines.next(); err == nil {
		if f, err := parseFrame(line); err == nil {
			if r, err := parseRecord(line, f); err == nil {
				return r.Time
			}
		}
	}
	return time.Now()
}

func (w *writer) damaged(what string) {
	w.log.Error("the audit log is damaged", zap.String("damage", what))
	w.note(Record{Kind: Event, Name: LogDamaged, Detail: map[string]string{"damage": what}})
}

// joinClose closes files and joins their errors to err.
func joinClose(err error, files ...File) error {
	for _, f := range files {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	return err
}
