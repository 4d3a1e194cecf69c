package audit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// ErrDamaged says that nothing can be appended to a log. Its folder must be moved away, as evidence.
var ErrDamaged = errors.New("the audit log is damaged where it would go on: move its slot's folder away and start again")

// A resumption is how a log goes on that another process left.
type resumption struct {
	end   position
	start place  // of the last start record; zero where that isn't known
	torn  int64  // bytes behind end that were never acknowledged; to be cut off
	hurt  string // damage that is left where it is; end is a new segment behind it then
	found bool   // there was a log
	mark  uint64 // size of the last checkpoint, as the head has it
}

// resume finds where a log ends. It reads little: from where the head points to the end.
//
// A last line that a crash tore is to be cut off: it was never acknowledged. Damage in what was acknowledged stays, for it is
// evidence, and verify shows it; the log goes on behind it in a new segment.
func (d folder) resume() (resumption, error) {
	segments, err := d.segments()
	if err != nil {
		return resumption{}, err
	}
	h, headErr := d.readHead()
	switch {
	case headErr == nil:
		from := h.end
		from.segment = max(from.segment, 1)
		w, err := d.walk(from, true, segments)
		if err != nil {
			return resumption{}, err
		}
		if w.hurt == "" {
			start := h.start
			if w.start.segment > 0 {
				start = w.start
			}
			return resumption{end: w.end, start: start, torn: w.torn, found: w.end.seq > 0, mark: h.mark}, nil
		}
		r, err := d.salvage(w, segments)
		r.mark = h.mark
		return r, err
	case !errors.Is(headErr, errNoHead) && !errors.Is(headErr, errBadHead):
		return resumption{}, headErr
	case len(segments) == 0:
		return resumption{end: position{place: place{segment: 1}}}, nil
	default:
		return d.salvage(walked{hurt: headErr.Error()}, segments)
	}
}

// salvage finds where to go on when the head is missing or the log isn't as the head says: behind the last good line of the last
// segment, but never before w, which is as far as the log reached for certain.
func (d folder) salvage(w walked, segments []uint64) (resumption, error) {
	last, err := d.walkLast(segments)
	if err != nil {
		return resumption{}, err
	}
	end := w.end
	if last.end.seq > w.end.seq {
		end = last.end
		if last.hurt == "" {
			return resumption{end: end, torn: last.torn, hurt: w.hurt, found: true}, nil
		}
	}
	if end.seq == 0 {
		return resumption{}, ErrDamaged
	}
	end.place = place{segment: end.seq + 1}
	if slices.Contains(segments, end.segment) {
		if size, err := d.size(end.segment); err != nil || size > 0 {
			return resumption{}, errors.Join(ErrDamaged, err)
		}
	}
	return resumption{end: end, hurt: w.hurt, found: true}, nil
}

// walkLast walks the last segment that holds anything, believing its first line.
func (d folder) walkLast(segments []uint64) (walked, error) {
	for _, segment := range slices.Backward(segments) {
		size, err := d.size(segment)
		if err != nil {
			return walked{}, err
		}
		if size > 0 && segment > 0 {
			return d.walk(position{seq: segment - 1, place: place{segment: segment}}, false, segments)
		}
	}
	return walked{}, nil
}

// A walked says how far good lines reach.
type walked struct {
	end   position // behind the last good line; its seq is 0 where there was none and nothing to start from
	torn  int64    // bytes behind that, at the end of the last segment, with no good line among them
	start place    // of the last start record on the way; zero where there was none
	hurt  string   // what else is wrong, or ""
}

// walk follows the chain behind from, through later segments too. Where from isn't anchored, the first line's prev is believed.
func (d folder) walk(from position, anchored bool, segments []uint64) (walked, error) {
	w := walked{end: from}
	if anchored && from.offset > 0 {
		there, err := d.ends(from)
		if err != nil {
			return walked{}, err
		}
		if !there {
			w.hurt = "the record that the head names is not there"
			return w, nil
		}
	}
	if !slices.Contains(segments, from.segment) {
		if len(segments) > 0 {
			w.hurt = "a segment is missing"
		}
		return w, nil
	}
	for {
		latest := w.end.segment == segments[len(segments)-1]
		more, err := d.walkSegment(&w, anchored, latest)
		if err != nil {
			return walked{}, err
		}
		switch {
		case w.hurt != "" || latest:
			return w, nil
		case !more:
			w.hurt = "a segment ends with a broken line"
			return w, nil
		case !slices.Contains(segments, w.end.seq+1) || w.end.seq+1 <= w.end.segment:
			w.hurt = "a segment is missing"
			return w, nil
		}
		w.end.place = place{segment: w.end.seq + 1}
		anchored = true
	}
}

// walkSegment follows the chain to the end of w's segment. It returns whether all lines were good.
func (d folder) walkSegment(w *walked, anchored, latest bool) (bool, error) {
	lines, file, err := d.read(w.end.segment, w.end.offset, latest)
	if err != nil {
		return false, err
	}
	defer file.Close() //nolint:errcheck // it was only read
	first := w.end
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil && !bad(err) {
			return false, fmt.Errorf("reading the audit log: %w", err)
		}
		var f frame
		if err == nil {
			f, err = parseFrame(line)
		}
		chained := f.prev == w.end.hash || !anchored && w.end == first
		switch {
		case w.torn == 0 && err == nil && f.seq == w.end.seq+1 && chained:
			if f.kind == Start {
				w.start = w.end.place
			}
			w.end.seq, w.end.hash, w.end.offset = f.seq, f.hash, lines.offset
			continue
		case err == nil: // whole, but out of its place
			w.hurt = "a line is not the one that was written"
		}
		w.torn = lines.offset - w.end.offset
	}
	if err := d.countTorn(w, lines); err != nil {
		return false, err
	}
	if !anchored && w.end == first {
		w.end.seq = 0
	}
	return w.torn == 0, nil
}

// countTorn counts what a crash left in the room where lines end, if they do: a group may be there in part, with holes.
func (d folder) countTorn(w *walked, lines *lineReader) error {
	if !lines.room {
		return nil
	}
	content, err := d.filled(w.end.segment, lines.offset)
	w.torn = content - w.end.offset
	return err
}

// ends reports whether the record of a position stands right before it.
func (d folder) ends(at position) (bool, error) {
	line, err := d.readBefore(at.place)
	if bad(err) || errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	f, err := parseFrame(line)
	return err == nil && f.seq == at.seq && f.hash == at.hash, nil
}

// readBefore reads the line that ends at a place.
func (d folder) readBefore(p place) (_ []byte, err error) {
	f, err := d.fs.OpenFile(d.path(segmentName(p.segment)), os.O_RDONLY, 0)
	if err != nil {
		return nil, fmt.Errorf("opening a segment of the audit log: %w", err)
	}
	defer closing(f, &err)
	b := make([]byte, min(p.offset, maxLine+1))
	if _, err := f.ReadAt(b, p.offset-int64(len(b))); errors.Is(err, io.EOF) {
		return nil, errUnended
	} else if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	if len(b) < 2 || b[len(b)-1] != '\n' {
		return nil, errUnended
	}
	b = b[:len(b)-1]
	return b[1+lastNewline(b):], nil
}

func lastNewline(b []byte) int {
	for i, c := range slices.Backward(b) {
		if c == '\n' {
			return i
		}
	}
	return -1
}

// debts reads what a log owes since its last start: nothing, and no reading, where it was stopped in order.
func (d folder) debts(r resumption) (*pairing, error) {
	p := newPairing(maxOpen)
	if d.stopped(r) {
		return p, nil
	}
	segments, err := d.segments()
	if err != nil || len(segments) == 0 {
		return p, err
	}
	from := r.start
	if d.startRecord(from).Kind != Start {
		from = place{segment: segments[0]}
	}
	for _, segment := range segments {
		if segment < from.segment || segment > r.end.segment {
			continue
		}
		var offset int64
		if segment == from.segment {
			offset = from.offset
		}
		if err := d.collect(p, place{segment, offset}, segment == r.end.segment); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// startRecord reads the start record at a place; the zero record where there is none.
func (d folder) startRecord(p place) Record {
	if p.segment == 0 {
		return Record{}
	}
	lines, file, err := d.read(p.segment, p.offset, false)
	if err != nil {
		return Record{}
	}
	defer file.Close() //nolint:errcheck // it was only read
	line, err := lines.next()
	if err != nil {
		return Record{}
	}
	f, err := parseFrame(line)
	if err != nil || f.kind != Start {
		return Record{}
	}
	r, err := parseRecord(line, f)
	if err != nil {
		return Record{}
	}
	return r
}

// collect adds a segment's records from a place on to p. Lines that aren't good owe nothing.
func (d folder) collect(p *pairing, from place, latest bool) error {
	lines, file, err := d.read(from.segment, from.offset, latest)
	if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !bad(err) {
			return fmt.Errorf("reading the audit log: %w", err)
		}
		if err != nil {
			continue
		}
		f, err := parseFrame(line)
		if err != nil {
			continue
		}
		if f.kind == Start {
			p.reset()
			continue
		}
		if r, err := parseRecord(line, f); err == nil {
			p.add(&r)
		}
	}
}
