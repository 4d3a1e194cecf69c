package audit

import "time"

// A draft is the lines of a group that is about to be written.
type draft struct {
	lines []byte
	count int      // of their records
	from  position // the log's end before them; the zero position is no log's, and says that there are none
	to    position // the log's end behind them
	start place    // of the last start record among them; the zero place: there is none
}

// begin empties the draft; its lines will follow from.
func (d *draft) begin(from position) {
	d.lines, d.count, d.from, d.to, d.start = d.lines[:0], 0, from, from, place{}
}

// drop forgets the lines.
func (d *draft) drop() { d.count, d.from = 0, position{} }

// add appends the lines of records, and numbers these.
func (d *draft) add(list []*entry, now time.Time) {
	var room [40]byte
	ts := appendTime(room[:0], now)
	for _, e := range list {
		if e.record.Kind == Start {
			d.start = d.to.place
		}
		before := len(d.lines)
		d.lines, d.to.hash = appendLine(d.lines, d.to.seq+1, ts, e.body, d.to.hash)
		d.to.seq++
		e.seq = d.to.seq
		d.to.offset += int64(len(d.lines) - before)
	}
	d.count += len(list)
}
