package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// VerifyOptions narrow a verification. The zero value verifies everything.
type VerifyOptions struct {
	Slot        string   // only this one
	MaxFindings int      // kept in the report; default 1000
	Checkpoint  []byte   // a signed checkpoint that was kept elsewhere: the log must still hold the records that it signs
	Keys        []string // public keys in the note format; default those in the data folder, the first of which is believed
	FS          FS       // default the operating system's
}

// endWindow is how many ends verify remembers to see a second one: one that comes later is not seen.
const endWindow = 1 << 18

// Verify reads the logs of all slots of a data folder, or of one: framing, canonical bytes, hashes, chain, sequence, segments, the
// head, that each intent and each accepted job has one end, the tree, and that all checkpoints are signed by a trusted key and
// are of the records that there are. It takes no lock and may run beside the processes that write. The error is nil, a
// [*TamperedError] or a [*UnreadableError]; the report stands beside each.
func Verify(dataDir string, opts VerifyOptions) (Report, error) {
	if opts.FS == nil {
		opts.FS = OS()
	}
	if opts.MaxFindings == 0 {
		opts.MaxFindings = 1000
	}
	names, err := slotNames(opts.FS, dataDir)
	if err != nil {
		return Report{}, &UnreadableError{Err: err}
	}
	if opts.Slot != "" {
		if !slices.Contains(names, opts.Slot) {
			return Report{}, &UnreadableError{Slot: opts.Slot, Err: os.ErrNotExist}
		}
		names = []string{opts.Slot}
	}
	keys, wrong, err := readTrust(opts.FS, filepath.Join(dataDir, auditDir, trustFile), opts.Keys)
	if err != nil {
		return Report{}, &UnreadableError{Err: err}
	}
	anchor, err := anchorOf(opts.Checkpoint, keys)
	if err != nil {
		return Report{}, &UnreadableError{Err: err}
	}
	c := collector{most: opts.MaxFindings}
	var unreadable error
	anchored, signed := false, 0
	for _, name := range names {
		given := anchor
		if anchor != nil && !strings.HasSuffix(anchor.Origin, "/"+name) {
			given = nil
		}
		anchored = anchored || given != nil
		slot, err := c.verifySlot(opts.FS, filepath.Join(dataDir, auditDir, name), name, keys, given)
		if err != nil && unreadable == nil {
			unreadable = &UnreadableError{Slot: name, Err: err}
		}
		signed += slot.Checkpoints
		c.report.Slots = append(c.report.Slots, slot)
	}
	c.addKeys(keys, wrong, signed > 0)
	if anchor != nil && !anchored {
		c.add(Finding{Problem: ProblemAnchor, Text: "there is no log of the given checkpoint's origin, " + strconv.Quote(anchor.Origin)})
	}
	if c.tampered.Count > 0 {
		return c.report, &c.tampered
	}
	return c.report, unreadable
}

// verifySlot verifies one slot's log, again where its process removed a segment meanwhile.
func (c *collector) verifySlot(fsys FS, dir, name string, keys *trust, anchor *Checkpoint) (SlotReport, error) {
	for tries := 10; ; tries-- {
		found := collector{most: c.most}
		v := &verifier{
			folder: folder{fs: fsys, dir: dir},
			slot:   SlotReport{Name: name, Live: held(dir)},
			p:      newPairing(endWindow),
			report: found.add,
		}
		v.t.keys, v.t.anchor = keys, anchor
		err := v.verify()
		if errors.Is(err, fs.ErrNotExist) && v.slot.Live && tries > 1 {
			continue
		}
		for _, f := range found.report.Findings {
			c.add(f)
		}
		c.report.Omitted += found.report.Omitted
		c.tampered.Count += found.tampered.Count - count(found.report.Findings)
		return v.slot, err
	}
}

// count counts the findings that are no warnings.
func count(findings []Finding) (n int) {
	for _, f := range findings {
		if !f.Warning {
			n++
		}
	}
	return n
}

// addKeys adds what is wrong with the file of public keys.
func (c *collector) addKeys(keys *trust, wrong string, needed bool) {
	for _, k := range keys.strange {
		c.add(Finding{Segment: trustFile, Problem: ProblemKeys, Text: "no trusted key vouches for " + strconv.Quote(k)})
	}
	if wrong != "" && (needed || len(keys.statedBy) > 0) {
		c.add(Finding{Segment: trustFile, Problem: ProblemKeys, Text: wrong})
	}
}

// A collector collects findings.
type collector struct {
	report   Report
	most     int
	tampered TamperedError
}

func (c *collector) add(f Finding) {
	if !f.Warning {
		if c.tampered.Count++; c.tampered.Count == 1 {
			c.tampered.First = f
		}
	}
	if len(c.report.Findings) < c.most {
		c.report.Findings = append(c.report.Findings, f)
	} else {
		c.report.Omitted++
	}
}

// held reports whether a process holds the slot in a folder.
func held(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // it was not written
	ok, err := tryLock(f)
	return err == nil && !ok
}

// A verifier follows one slot's log.
type verifier struct {
	folder
	slot   SlotReport
	p      *pairing
	report func(Finding)

	head    head
	headErr error

	segment  uint64
	line     int
	seq      uint64 // of the line before
	hash     digest // of the line before
	known    bool   // hash is what the next line must follow
	start    place  // of the last start record
	startSeq uint64
	time     time.Time
	wrong    bool // there is a finding that is no warning
	cleanly  bool // the line before is a stop in order

	t treeVerifier
}

// find reports a problem of the line at hand.
func (v *verifier) find(p Problem, warning bool, text string) {
	f := Finding{Slot: v.slot.Name, Line: v.line, Seq: v.seq, Problem: p, Warning: warning, Text: text}
	if v.segment > 0 {
		f.Segment = segmentName(v.segment)
	}
	v.wrong = v.wrong || !warning
	v.report(f)
}

func (v *verifier) verify() error {
	// The head is read first: a process that writes on makes the log longer than its head, never shorter.
	v.head, v.headErr = v.readHead()
	if v.headErr != nil && !errors.Is(v.headErr, errNoHead) && !errors.Is(v.headErr, errBadHead) {
		return v.headErr
	}
	segments, err := v.segments()
	if err != nil {
		return err
	}
	v.slot.Segments = len(segments)
	v.known = true
	first := uint64(1)
	if len(segments) > 0 {
		first = max(segments[0], 1)
	}
	defer v.t.close()
	if err := v.openTree(first); err != nil {
		return err
	}
	v.anchorBefore()
	for i, segment := range segments {
		v.segment, v.line = segment, 0
		if segment != v.seq+1 {
			v.misplaced(i, segment)
		}
		if err := v.verifySegment(segment, i == len(segments)-1); err != nil {
			return err
		}
	}
	v.verifyEnd(len(segments))
	return nil
}

// misplaced reports a segment that doesn't begin where the one before it ends.
func (v *verifier) misplaced(i int, segment uint64) {
	before := v.seq
	v.seq = 0
	switch {
	case i == 0: // the end tells whether the log says that they were removed
	case segment > before+1:
		v.find(ProblemSegment, false, fmt.Sprintf("the records from %d to %d are missing before it", before+1, segment-1))
	default:
		v.find(ProblemSegment, false, fmt.Sprintf("it begins with record %d, but the segment before it ends with %d", segment, before))
	}
	v.seq, v.known = segment-1, false
}

func (v *verifier) verifySegment(segment uint64, latest bool) error {
	lines, file, err := v.read(segment, 0, latest)
	if err != nil {
		return err
	}
	if latest && v.headErr == nil && segment == v.head.end.segment {
		lines.firm = v.head.end.offset
	}
	defer file.Close() //nolint:errcheck // it was only read
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return v.verifyRoom(lines)
		}
		v.line = lines.number
		switch {
		case err == nil:
			v.verifyLine(line, lines.offset)
		case errors.Is(err, errUnended) && latest:
			v.seq++
			v.find(ProblemTorn, true, "a last line that was being written, or that a crash tore; the next start removes it")
			v.seq--
			return nil
		case bad(err):
			v.seq++
			v.find(ProblemFraming, false, err.Error())
			v.known = false
		default:
			return fmt.Errorf("reading %s: %w", segmentName(segment), err)
		}
	}
}

// verifyRoom tells of room that no process gave back. One that stops in order does.
func (v *verifier) verifyRoom(lines *lineReader) error {
	if !lines.room || v.slot.Live {
		return nil
	}
	content, err := v.filled(v.segment, lines.offset)
	if err != nil {
		return err
	}
	v.line = lines.number + 1
	v.seq++
	defer func() { v.seq-- }()
	switch {
	case v.cleanly:
		v.find(ProblemFraming, false, "zeros behind the record of an orderly stop")
	case content > lines.offset:
		v.find(ProblemTorn, true, "part of a group of lines that a crash tore; the next start removes it")
	default:
		v.find(ProblemTorn, true, "room that a crash left; the next start removes it")
	}
	return nil
}

func (v *verifier) verifyLine(line []byte, ends int64) {
	begins := ends - int64(len(line)) - 1
	before, followed, known := v.seq, v.hash, v.known
	f, err := parseFrame(line)
	v.cleanly = false
	if errors.Is(err, errFrame) {
		v.seq++
		v.find(ProblemFraming, false, err.Error())
		v.known = false
		return
	}
	v.seq, v.hash, v.known = f.seq, f.hash, true
	switch {
	case err != nil:
		v.find(ProblemHash, false, err.Error())
		v.grow(f.seq, line, false)
		return
	case f.seq > before+1:
		v.find(ProblemSequence, false, fmt.Sprintf("the records from %d to %d are missing before it", before+1, f.seq-1))
	case f.seq <= before:
		v.find(ProblemSequence, false, fmt.Sprintf("it stands behind record %d", before))
	case known && f.prev != followed:
		v.find(ProblemChain, false, "it does not follow the record before it")
	}
	if f.kind == Start {
		v.start, v.startSeq = place{v.segment, begins}, f.seq
	}
	if v.headErr == nil && f.seq == v.head.end.seq {
		v.verifyHead(position{f.seq, f.hash, place{v.segment, ends}})
	}
	r, err := parseRecord(line, f)
	if err != nil {
		v.find(ProblemCanonical, false, err.Error())
		v.grow(f.seq, line, true)
		return
	}
	v.heed(&r)
	v.grow(f.seq, line, true)
	v.verifyRecord(&r)
}

// verifyHead compares the record that the head names with the one there is.
func (v *verifier) verifyHead(end position) {
	switch {
	case end != v.head.end:
		v.find(ProblemHead, false, "the head names another record of this number, or another place")
	case v.start != v.head.start && !v.wrong && (v.t.base == 0 || v.start.segment > 0): // else it may be what is missing
		v.find(ProblemHead, false, "the head names another start record")
	}
}

func (v *verifier) verifyRecord(r *Record) {
	if v.slot.Records == 0 {
		v.slot.First, v.slot.From = r.Seq, r.Time
	}
	v.slot.Records++
	v.slot.Last, v.slot.Hash, v.slot.To = r.Seq, r.Hash, r.Time
	if r.Time.Before(v.time) {
		v.find(ProblemClock, true, "its time is "+v.time.Sub(r.Time).String()+" before that of the record before it")
	}
	v.time = r.Time
	v.cleanly = r.Kind == Stop && r.Status == ""
	if r.Kind == Start {
		v.reportOpen()
		v.p.reset()
		return
	}
	if wrong := v.p.add(r); wrong != "" {
		v.find(ProblemPairing, false, wrong)
	}
}

// reportOpen warns of what is open where a process began or the log ends.
func (v *verifier) reportOpen() {
	for _, r := range v.p.unpaid() {
		text := "the intent of call " + r.CallID + " has no outcome"
		if r.Kind == JobEnd {
			text = "job " + r.JobID + " has no end"
		}
		v.find(ProblemOpen, true, text)
	}
	if n := v.p.uncounted; n > 0 {
		v.find(ProblemOpen, true, fmt.Sprintf("%d more intents or jobs have no end", n))
	}
}

func (v *verifier) verifyEnd(segments int) {
	last := v.seq
	v.segment, v.line, v.seq = 0, 0, 0
	switch {
	case v.headErr != nil && segments > 0:
		v.find(ProblemHead, false, v.headErr.Error()+", so nobody can tell whether the end was cut off")
	case v.headErr == nil && v.head.end.seq > last:
		v.find(ProblemTail, false, fmt.Sprintf("the records from %d to %d are missing at the end", last+1, v.head.end.seq))
	case v.headErr == nil && !v.slot.Live && v.head.end.seq < v.startSeq && v.startSeq < last:
		// A process makes its head durable before its first call.
		v.find(ProblemHead, false, fmt.Sprintf("the head is of record %d, older than the process that wrote the last records", v.head.end.seq))
	}
	v.treeEnd(last, v.cleanly)
	v.slot.OpenCalls, v.slot.OpenJobs = len(v.p.calls), len(v.p.jobs)
	if !v.slot.Live {
		v.reportOpen()
	}
}
