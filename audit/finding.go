package audit

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Exit codes of `audit verify`, as [ExitCode] gives them. 1 and 2 stay for what any command may fail of.
const (
	ExitOK         = 0 // every log is whole; there may be warnings
	ExitTampered   = 3 // something was changed, removed, added or damaged
	ExitUnreadable = 4 // something could not be read, so nothing is proved
)

// ExitCode is the exit code for an error of [Verify].
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if _, ok := errors.AsType[*TamperedError](err); ok {
		return ExitTampered
	}
	return ExitUnreadable
}

// A Problem is a kind of [Finding].
type Problem string

// Problems. The last three are warnings: they come of crashes, of clocks, and of what runs just now.
const (
	ProblemFraming    Problem = "framing"    // a line that is none
	ProblemHash       Problem = "hash"       // a line whose content was changed
	ProblemCanonical  Problem = "canonical"  // a line that no log writes so
	ProblemChain      Problem = "chain"      // a line that does not follow the one before it
	ProblemSequence   Problem = "sequence"   // records that are missing, doubled or out of order
	ProblemSegment    Problem = "segment"    // a segment that is missing or misnamed
	ProblemTail       Problem = "tail"       // records that are missing at the end
	ProblemHead       Problem = "head"       // a head that is missing or says something else
	ProblemPairing    Problem = "pairing"    // a second end of a call or job
	ProblemTree       Problem = "tree"       // a tree that is not that of the records
	ProblemCheckpoint Problem = "checkpoint" // a checkpoint that is missing, not believed or of other records
	ProblemAnchor     Problem = "anchor"     // records that are not those of a checkpoint that the verifier brought along
	ProblemKeys       Problem = "keys"       // a public key that nobody vouches for
	ProblemTorn       Problem = "torn"       // a last line that was never acknowledged
	ProblemClock      Problem = "clock"      // time that went back
	ProblemOpen       Problem = "open"       // an intent or a job without an end
)

// A Finding is one thing that is wrong, and where.
type Finding struct {
	Slot    string  `json:"slot"`
	Segment string  `json:"file,omitempty"`   // file name; "" where it is about the whole slot
	Line    int     `json:"line,omitempty"`   // from 1, of checkpoints their number; 0 where it is about the whole file
	Seq     uint64  `json:"record,omitempty"` // of the record, where that is known
	Problem Problem `json:"problem"`
	Warning bool    `json:"warning"` // no sign of tampering
	Text    string  `json:"text"`
}

func (f Finding) String() string {
	s := "slot " + f.Slot
	if f.Slot == "" {
		s = "all slots"
	}
	if f.Segment != "" {
		s += ", " + f.Segment
	}
	switch {
	case f.Line > 0 && f.Segment == checkpointFile:
		s += ", checkpoint " + strconv.Itoa(f.Line)
	case f.Line > 0:
		s += ", line " + strconv.Itoa(f.Line)
	}
	if f.Seq > 0 {
		s += fmt.Sprintf(" (record %d)", f.Seq)
	}
	return s + ": " + f.Text
}

// A TamperedError says that logs are not as they were written.
type TamperedError struct {
	First Finding
	Count int
}

func (e *TamperedError) Error() string {
	if e.Count == 1 {
		return "the audit log was changed: " + e.First.String()
	}
	return fmt.Sprintf("the audit log was changed in %d places; the first: %v", e.Count, e.First)
}

// An UnreadableError says that a log could not be read, so that nothing is known about it.
type UnreadableError struct {
	Slot string // "" for the data folder
	Err  error
}

func (e *UnreadableError) Error() string {
	if e.Slot == "" {
		return "the audit log could not be read: " + e.Err.Error()
	}
	return "audit slot " + e.Slot + " could not be read: " + e.Err.Error()
}

// Unwrap returns why.
func (e *UnreadableError) Unwrap() error { return e.Err }

// A SlotReport is what a slot holds.
type SlotReport struct {
	Name        string    `json:"name"`
	Live        bool      `json:"live"` // a process holds it now
	Segments    int       `json:"segments"`
	Records     int       `json:"records"`
	First       uint64    `json:"first"` // sequence numbers
	Last        uint64    `json:"last"`
	Hash        string    `json:"hash"`       // of the last record
	From        time.Time `json:"from"`       // of the first record
	To          time.Time `json:"to"`         // of the last record
	OpenCalls   int       `json:"open_calls"` // intents without an end
	OpenJobs    int       `json:"open_jobs"`  // accepted jobs without an end
	Checkpoints int       `json:"checkpoints"`
	Signed      uint64    `json:"signed"` // records that the last checkpoint holds
	Root        string    `json:"root"`   // of these, to be kept elsewhere
	Origin      string    `json:"origin"`
}

// A Report is what [Verify] found.
type Report struct {
	Slots    []SlotReport `json:"slots"`
	Findings []Finding    `json:"findings"`
	Omitted  int          `json:"omitted"` // findings beyond VerifyOptions.MaxFindings
}
