package audit

import (
	"strconv"
	"testing"
)

// What a pairing remembers is bounded: open ones beyond the bound are counted, ends beyond the window are forgotten.
func TestPairing_bounds(t *testing.T) {
	t.Parallel()
	p := newPairing(100)
	const more = 10
	for i := range maxOpen + more {
		if wrong := p.add(&Record{Kind: Intent, CallID: strconv.Itoa(i)}); wrong != "" {
			t.Fatal(wrong)
		}
	}
	if len(p.calls) != maxOpen || p.owed() != maxOpen+more || p.uncounted != more {
		t.Errorf("%d are kept, %d owed", len(p.calls), p.owed())
	}
	for i := range 1000 {
		p.add(&Record{Kind: Outcome, CallID: strconv.Itoa(i)})
	}
	if len(p.ended) != 100 || len(p.window) != 100 {
		t.Errorf("%d ends are kept", len(p.ended))
	}
	for _, tc := range []struct {
		call int
		want string
	}{{999, "a second end for its call"}, {900, "a second end for its call"}, {899, ""}} {
		if got := p.add(&Record{Kind: Outcome, CallID: strconv.Itoa(tc.call)}); got != tc.want {
			t.Errorf("a second end of call %d: %q, want %q", tc.call, got, tc.want)
		}
	}
	p.reset()
	if p.owed() != 0 || len(p.unpaid()) != 0 || p.add(&Record{Kind: Outcome, CallID: "999"}) != "" {
		t.Error("something is left after a reset")
	}
}
