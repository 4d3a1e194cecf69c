package audit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"
)

// Retention removes whole segments, the oldest first (AUD-14). Before one goes the log says so, in a record of its own, and what stays holds
// on to it: the checkpoint at the border, and the file of the tree, which stays whole. So a log that was pruned still verifies from
// there, and one whose beginning somebody else removed doesn't.

// pruneEvery is how often a log looks for segments to remove, beside each rotation.
const pruneEvery = time.Hour

// prune removes the segments that the settings don't keep. It runs in the tracker's goroutine.
func (t *tracker) prune(now time.Time) {
	if t.retainFor == 0 && t.retainBytes == 0 || now.Before(t.pruneAt) {
		return
	}
	t.pruneAt = now.Add(pruneEvery)
	err := t.pruneSegments(now)
	if err != nil {
		t.log.Warn("old segments of the audit log could not be removed", zap.String("cause", cause(err)))
	}
}

func (t *tracker) pruneSegments(now time.Time) error {
	segments, err := t.segments()
	if err != nil {
		return err
	}
	n, err := t.expendable(segments, now)
	if err != nil || n == 0 {
		return err
	}
	border := segments[n] - 1
	if err := t.announce(Record{Kind: Event, Name: LogPruned, Count: n, Detail: map[string]string{
		"records_before": strconv.FormatUint(border, 10), "segments": strconv.Itoa(n),
	}}); err != nil {
		return err
	}
	for _, segment := range segments[:n] {
		name := t.path(segmentName(segment))
		if err := t.fs.Chmod(name, fileMode); err != nil { // some systems don't remove what is read-only
			return fmt.Errorf("removing a segment: %w", err)
		}
		if err := t.fs.Remove(name); err != nil {
			return fmt.Errorf("removing a segment: %w", err)
		}
	}
	if err := t.fs.SyncDir(t.dir); err != nil {
		return fmt.Errorf("removing segments: %w", err)
	}
	t.log.Info("old segments of the audit log were removed", zap.Int("segments", n), zap.Uint64("records_before", border))
	return t.trimNotes(border)
}

// expendable counts the segments, from the oldest on, that aren't to be kept: too old or too many, with a checkpoint at the end of
// the last of them, and with nothing in them that somebody still waits for.
func (t *tracker) expendable(segments []uint64, now time.Time) (int, error) {
	var total int64
	at := t.reached()
	sizes := make([]int64, len(segments))
	for i, segment := range segments {
		var err error
		if sizes[i], err = t.size(segment); err != nil {
			return 0, err
		}
		if segment == at.segment { // what is behind may be room
			sizes[i] = min(sizes[i], at.offset)
		}
		total += sizes[i]
	}
	marks, err := t.borders()
	if err != nil {
		return 0, err
	}
	n := 0
	for i := range len(segments) - 1 {
		next := segments[i+1]
		began, ok := t.firstTime(next)
		old := t.retainFor > 0 && ok && now.Sub(began) >= t.retainFor
		large := t.retainBytes > 0 && total > t.retainBytes
		if !old && !large || t.needed != nil && t.needed() < next {
			break
		}
		if total -= sizes[i]; slices.Contains(marks, next-1) {
			n = i + 1
		}
	}
	return n, nil
}

// borders lists the sizes of all checkpoints.
func (t *tracker) borders() ([]uint64, error) {
	var sizes []uint64
	err := t.eachNote(func(_ []byte, c Checkpoint) { sizes = append(sizes, c.Size) })
	return sizes, err
}

// eachNote reads the checkpoints that are whole.
func (t *tracker) eachNote(fn func(signed []byte, c Checkpoint)) (err error) {
	f, err := t.fs.OpenFile(t.path(checkpointFile), os.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("reading the checkpoints: %w", err)
	}
	defer closing(f, &err)
	notes := newNoteReader(f)
	for {
		signed, err := notes.next()
		if errors.Is(err, io.EOF) || errors.Is(err, errUnended) || errors.Is(err, errNote) {
			return nil
		}
		if err != nil {
			return err
		}
		text, _, _ := bytes.Cut(signed, []byte("\n\n"))
		if c, err := parseCheckpoint(string(text) + "\n"); err == nil {
			fn(signed, c)
		}
	}
}

// trimNotes removes the checkpoints of what is not there any more, all but the one at the border.
func (t *tracker) trimNotes(border uint64) (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var kept bytes.Buffer
	dropped := 0
	if err := t.eachNote(func(signed []byte, c Checkpoint) {
		if c.Size < border {
			dropped++
			return
		}
		kept.Write(signed)
		kept.WriteByte('\n')
	}); err != nil || dropped == 0 {
		return err
	}
	next := t.path(checkpointFile + ".new")
	f, err := t.fs.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return fmt.Errorf("trimming the checkpoints: %w", err)
	}
	_, err = f.Write(kept.Bytes())
	if err == nil {
		err = f.Sync()
	}
	if err = joinClose(err, f); err != nil {
		return fmt.Errorf("trimming the checkpoints: %w", err)
	}
	t.unload() // its file is about to be another
	if err := t.fs.Rename(next, t.path(checkpointFile)); err != nil {
		return fmt.Errorf("trimming the checkpoints: %w", err)
	}
	if err := t.fs.SyncDir(t.dir); err != nil {
		return fmt.Errorf("trimming the checkpoints: %w", err)
	}
	return nil
}
