package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// A Recovery says what [RecoverSlots] did.
type Recovery struct {
	Slots  int // free slots whose process had crashed
	Closed int // intents and accepted jobs that got an end, unknown(crash)
}

// RecoverSlots ends, in every slot that no process holds, what a crash left open there, each under its lock. A slot that
// can't be recovered doesn't keep the others from it; the errors of all are joined. Of cfg it takes all but Dir. The log in
// own (nil: none) is left to [Open].
func RecoverSlots(dataDir string, own *Slot, cfg Config) (Recovery, error) {
	if cfg.FS == nil {
		cfg.FS = OS()
	}
	names, err := slotNames(cfg.FS, dataDir)
	if err != nil {
		return Recovery{}, err
	}
	var sum Recovery
	var errs []error
	for _, name := range names {
		if own != nil && name == own.name {
			continue
		}
		if err := recoverSlot(filepath.Join(dataDir, auditDir), name, cfg, &sum); err != nil {
			errs = append(errs, fmt.Errorf("audit slot %s: %w", name, err))
		}
	}
	return sum, errors.Join(errs...)
}

func recoverSlot(root, name string, cfg Config, sum *Recovery) (err error) {
	slot, err := lockSlot(root, name)
	if err != nil || slot == nil {
		return err
	}
	defer func() { err = errors.Join(err, slot.Release()) }()
	cfg.Dir = slot.dir
	if cfg, err = cfg.withDefaults(); err != nil {
		return err
	}
	if err := endSlot(cfg, sum); err != nil {
		return err
	}
	return pruneSlot(cfg)
}

// pruneSlot removes the segments of a slot that nobody holds, where there are any to remove: a log says itself what it loses, so it is
// opened for that.
func pruneSlot(cfg Config) error {
	if cfg.RetainFor == 0 && cfg.RetainBytes == 0 {
		return nil
	}
	t := &tracker{folder: folder{fs: cfg.FS, dir: cfg.Dir}, retainFor: cfg.RetainFor, retainBytes: cfg.RetainBytes}
	segments, err := t.segments()
	if err != nil || len(segments) < 2 {
		return err
	}
	if n, err := t.expendable(segments, time.Now()); err != nil || n == 0 {
		return err
	}
	l, err := Open(cfg)
	if err != nil {
		return err
	}
	told := make(chan error, 1)
	l.w.tracker.pruneNow <- told
	err = <-told
	l.end()
	<-l.done
	return errors.Join(err, l.closeErr)
}

// endSlot ends what a crash left open in a slot.
func endSlot(cfg Config, sum *Recovery) error {
	d := folder{fs: cfg.FS, dir: cfg.Dir}
	r, err := d.resume()
	if err != nil || !r.found || d.stopped(r) {
		return err
	}
	w := newWriter(cfg, Record{Kind: Stop, Status: StatusCrashed})
	if err := w.begin(); err != nil {
		return err
	}
	sum.Slots++
	sum.Closed += len(w.crashed)
	w.signEnd()
	return joinClose(nil, w.file, w.head)
}

// signEnd signs what another process left, with the key that it had. Where that can't be, the next process in the slot signs it.
func (w *writer) signEnd() {
	s, err := openSigner(w.cfg)
	if err != nil || !w.signedBefore(s) {
		return
	}
	w.tracker = newTracker(w.cfg, s, func(Record) {}, nil) // what it would say, it logs; the next process says it again
	w.tracker.follow(w.durable)
	w.tracker.complete()
	w.writeHead(true)
}

// signedBefore reports whether the log's last process signed with a key: its start record says so, or, where that was removed, the last
// checkpoint.
func (w *writer) signedBefore(s *signer) bool {
	if start := w.startRecord(w.start); start.Kind == Start {
		return start.Detail["signer"] == s.public
	}
	key, err := newTrust([]string{s.public})
	if err != nil {
		return false
	}
	f, err := w.fs.OpenFile(w.path(checkpointFile), os.O_RDONLY, 0)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // it was only read
	signed, _, err := lastNote(f)
	if err != nil || signed == nil {
		return false
	}
	_, _, err = openCheckpoint(signed, key)
	return err == nil
}

// stopped reports that a log's last record is a stop that left nothing open.
func (d folder) stopped(r resumption) bool {
	if r.torn > 0 || r.hurt != "" || r.end.offset == 0 {
		return false
	}
	line, err := d.readBefore(r.end.place)
	if err != nil {
		return false
	}
	f, err := parseFrame(line)
	if err != nil || f.kind != Stop {
		return false
	}
	last, err := parseRecord(line, f)
	return err == nil && last.Count == 0
}
