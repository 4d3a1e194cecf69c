package audit

import "fmt"

// While many write at once, a segment gets room: zeros behind its end, over which the next lines are written. A file that neither grows
// nor gets new blocks is made durable in about half the time (docs/decisions/0012). Room is given back when the crowd is gone, so a log
// at rest ends with its last line.
//
// No line holds a zero byte, so a reader tells room from lines. What a crash leaves of it the next start cuts off, as it does with a torn line.
const (
	crowd     = 16      // records in a group of many writers
	patience  = 16      // such groups, less the others, until room is made, and others until it is given back
	roomBytes = 2 << 20 // made at once
)

var zeros [64 << 10]byte

// A room is what the writer knows of it.
type room struct {
	ends  int64 // the file's size, where that is more than the log takes
	tally int   // of groups that make a crowd, less the others; 0 to patience
}

// makeRoom makes room for the draft, or gives it back, as a group of so many records suggests.
func (w *writer) makeRoom(records int) error {
	if records >= crowd {
		w.room.tally = min(w.room.tally+1, patience)
	} else {
		w.room.tally = max(w.room.tally-1, 0)
	}
	need := w.end.offset + int64(len(w.draft.lines))
	switch {
	case w.room.tally == 0:
		return w.giveRoom()
	case w.room.tally < patience || need <= w.room.ends || w.end.offset == 0 || w.fault.Load() != nil || w.cfg.Fsync == FsyncInterval:
		return nil
	}
	w.room.ends = max(w.room.ends, w.end.offset)
	for until := need + roomBytes; w.room.ends < until; {
		n, err := w.file.WriteAt(zeros[:], w.room.ends)
		w.room.ends += int64(n)
		if err != nil { // a full disk, most likely; whether the group itself fits is for its own write to tell
			w.room.tally = 0
			return w.giveRoom()
		}
	}
	return nil
}

// roomy reports that there is room to give back.
func (w *writer) roomy() bool { return w.room.ends > w.end.offset }

// giveRoom gives room back. The next fsync makes that durable.
func (w *writer) giveRoom() error {
	if !w.roomy() {
		return nil
	}
	w.room.ends = 0
	if err := w.file.Truncate(w.end.offset); err != nil {
		return fmt.Errorf("giving back room: %w", err)
	}
	return nil
}
