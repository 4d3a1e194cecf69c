package audit

import (
	"errors"
	"iter"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// A Filter chooses records. What is empty chooses nothing; all that is given must hold.
type Filter struct {
	Slot         string
	Since, Until time.Time // of the record; Until is not included
	Kind         Kind
	Event        string // a name, or its beginning up to a dot: auth
	Principal    string
	Tool         string
	Decision     string // allow, deny
	Status       string
	Code         string
	Severity     string // at least this one
	Job          string
	Call         string
	Output       string // SHA-256 of a picture that a job made, of its file or of its content
}

// Match reports whether the filter chooses r.
func (f *Filter) Match(r *Record) bool {
	for _, c := range [...]struct{ want, got string }{
		{string(f.Kind), string(r.Kind)},
		{f.Principal, r.Principal},
		{f.Tool, r.Tool},
		{f.Decision, r.Decision},
		{f.Status, r.Status},
		{f.Code, r.Code},
		{f.Job, r.JobID},
		{f.Call, r.CallID},
	} {
		if c.want != "" && c.want != c.got {
			return false
		}
	}
	switch {
	case f.Event != "" && r.Name != f.Event && !strings.HasPrefix(r.Name, f.Event+"."),
		!f.Since.IsZero() && r.Time.Before(f.Since),
		!f.Until.IsZero() && !r.Time.Before(f.Until),
		f.Severity != "" && rank(r.Severity) < rank(f.Severity),
		f.Output != "" && !slices.Contains(r.Outputs, f.Output) && !slices.Contains(r.Contents, f.Output):
		return false
	}
	return true
}

// ranked are the severities from the least on.
var ranked = [...]string{Info, Low, Medium, High, Critical} //nolint:gochecknoglobals // an immutable table

func rank(severity string) int { return slices.Index(ranked[:], severity) }

// An Entry is a record, where it stands, and its line.
type Entry struct {
	Slot string
	Record
	Line string // as it is stored, without its newline
}

// Records lists the records of a data folder that a filter chooses, all slots together in the order of their times. It reads what
// is there now, also beside processes that write. Lines that are no records are left out: [Verify] tells of them.
func Records(dataDir string, filter Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		names, err := slotNames(OS(), dataDir)
		if err != nil {
			yield(Entry{}, err)
			return
		}
		var sources []source
		defer func() {
			for _, s := range sources {
				s.stop()
			}
		}()
		for _, name := range names {
			if filter.Slot != "" && filter.Slot != name {
				continue
			}
			next, stop := iter.Pull2(slotRecords(filepath.Join(dataDir, auditDir, name), name, &filter))
			sources = append(sources, source{next: next, stop: stop})
		}
		merge(sources, yield)
	}
}

// A source is one slot's records.
type source struct {
	next  func() (Entry, error, bool)
	stop  func()
	entry Entry
	err   error
	more  bool
}

// merge yields the records of all sources, the oldest first. Within a slot their order stays, whatever their clocks said.
func merge(sources []source, yield func(Entry, error) bool) {
	for i := range sources {
		s := &sources[i]
		s.entry, s.err, s.more = s.next()
	}
	for {
		var first *source
		for i := range sources {
			if s := &sources[i]; s.more && (first == nil || s.err != nil || s.entry.Time.Before(first.entry.Time)) {
				first = s
			}
		}
		if first == nil || !yield(first.entry, first.err) || first.err != nil {
			return
		}
		first.entry, first.err, first.more = first.next()
	}
}

var errEnough = errors.New("enough")

func slotRecords(dir, name string, filter *Filter) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		f := follower{folder: folder{fs: OS(), dir: dir}}
		if err := f.skipTo(filter.Since); err != nil {
			yield(Entry{}, err)
			return
		}
		err := f.next(math.MaxInt, math.MaxUint64, func(_ uint64, line []byte) error {
			r, ok := record(line)
			if ok && filter.Match(&r) && !yield(Entry{name, r, string(line)}, nil) {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			yield(Entry{}, err)
		}
	}
}

// skipTo goes to the last segment that begins before a time: what was written since stands there or later.
func (f *follower) skipTo(since time.Time) error {
	segments, err := f.segments()
	if err != nil || since.IsZero() {
		return err
	}
	for _, segment := range slices.Backward(segments) {
		if began, ok := f.firstTime(segment); ok && began.Before(since) {
			f.at, f.seq = place{segment: segment}, segment-1
			return nil
		}
	}
	return nil
}

// firstTime is the time of a segment's first record.
func (d folder) firstTime(segment uint64) (time.Time, bool) {
	lines, file, err := d.read(segment, 0, false)
	if err != nil {
		return time.Time{}, false
	}
	defer file.Close() //nolint:errcheck // it was only read
	line, err := lines.next()
	if err != nil {
		return time.Time{}, false
	}
	r, ok := record(line)
	return r.Time, ok
}

// A Tail follows the logs of a data folder.
type Tail struct {
	dataDir   string
	filter    Filter
	followers map[string]*follower
}

// NewTail returns a Tail that begins behind the records that are there now, or with after behind that one of each slot.
func NewTail(dataDir string, filter Filter, after map[string]uint64) *Tail {
	t := &Tail{dataDir: dataDir, filter: filter, followers: map[string]*follower{}}
	for slot, seq := range after {
		t.followers[slot] = t.follower(slot, seq)
	}
	return t
}

func (t *Tail) follower(slot string, seq uint64) *follower {
	return &follower{folder: folder{fs: OS(), dir: filepath.Join(t.dataDir, auditDir, slot)}, seq: seq}
}

// Next calls fn for the records that came since it was called last. It returns fn's error.
func (t *Tail) Next(fn func(Entry) error) error {
	names, err := slotNames(OS(), t.dataDir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if t.filter.Slot != "" && t.filter.Slot != name {
			continue
		}
		f := t.followers[name]
		if f == nil {
			f = t.follower(name, 0)
			t.followers[name] = f
		}
		if err := f.next(math.MaxInt, math.MaxUint64, func(_ uint64, line []byte) error {
			if r, ok := record(line); ok && t.filter.Match(&r) {
				return fn(Entry{name, r, string(line)})
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
