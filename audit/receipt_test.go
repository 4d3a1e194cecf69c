package audit_test

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/audit"
)

// proven is a log of some records, and its data folder.
func proven(tb testing.TB) string {
	tb.Helper()
	data := tb.TempDir()
	l := open(tb, data, func(c *audit.Config) { lazily(c); c.MaxBytes = 64 << 10 })
	for i := range 40 {
		intent, outcome := call("c" + strconv.Itoa(i))
		intent.Params = map[string]any{"pad": strings.Repeat("x", 2000)}
		l.append(tb, intent)
		l.append(tb, outcome)
	}
	l.stop(tb)
	return data
}

// AUD-19: every record has a receipt that the public key alone proves.
func TestAUD19_receipts(t *testing.T) {
	t.Parallel()
	data := proven(t)
	keys := publicKeys(t, data)
	for _, r := range scan(t, data) {
		receipt, err := audit.Prove(data, "001", r.Seq)
		if err != nil {
			t.Fatal(err)
		}
		got, line, c, err := audit.VerifyReceipt(receipt, keys)
		if err != nil || got.Hash != r.Hash || !strings.Contains(line, r.Hash) || c.Size == 0 || !strings.HasSuffix(c.Origin, "/001") {
			t.Fatalf("record %d: %+v, %v", r.Seq, got, err)
		}
	}
	for slot, seq := range map[string]uint64{"001": 9999, "002": 1} {
		if _, err := audit.Prove(data, slot, seq); err == nil {
			t.Errorf("a receipt of record %d of slot %s", seq, slot)
		}
	}
	if _, err := audit.Prove(data, "001", 0); !errors.Is(err, audit.ErrNoRecord) {
		t.Errorf("record 0: %v", err)
	}
	l := open(t, data, lazily)
	l.append(t, audit.Record{Kind: audit.Event, Name: "x"})
	if _, err := audit.Prove(data, "001", scan(t, data)[len(scan(t, data))-1].Seq); !errors.Is(err, audit.ErrUnsigned) {
		t.Errorf("a record that no checkpoint holds yet: %v", err)
	}
	l.stop(t)
}

// AUD-19: no byte of a receipt can be changed, and nobody else's key proves it.
func TestAUD19_forged_receipts(t *testing.T) {
	t.Parallel()
	data := proven(t)
	keys := publicKeys(t, data)
	receipt, err := audit.Prove(data, "001", 7)
	if err != nil {
		t.Fatal(err)
	}
	for i := range receipt {
		for _, forged := range [][]byte{flip(receipt, i), append(bytes.Clone(receipt[:i]), receipt[i+1:]...)} {
			if _, _, _, err := audit.VerifyReceipt(forged, keys); !errors.Is(err, audit.ErrBadReceipt) {
				t.Errorf("byte %d (%q): %v", i, receipt[i], err)
			}
		}
	}
	_, other, err := audit.GenerateSigningKey("x")
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		keys []string
		want error
	}{
		"another key": {[]string{other}, audit.ErrBadReceipt}, "no key": {nil, audit.ErrBadReceipt}, "a key that is none": {[]string{"x"}, audit.ErrBadKey},
	} {
		if _, _, _, err := audit.VerifyReceipt(receipt, tc.keys); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzVerifyReceipt: whatever a receipt says, it proves only a record that the log has.
func FuzzVerifyReceipt(f *testing.F) {
	data := proven(f)
	keys := publicKeys(f, data)
	known := map[string]bool{}
	for _, r := range scan(f, data) {
		known[r.Hash] = true
	}
	receipt, err := audit.Prove(data, "001", 7)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(receipt)
	f.Add([]byte("c2sp.org/tlog-proof@v1\nextra \nindex 0\n\nx\n1\n\n— x y\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, _, _, err := audit.VerifyReceipt(b, keys); err == nil && !known[r.Hash] {
			t.Errorf("%q proves record %+v", b, r)
		}
	})
}

// Records of all slots come in the order of their times, chosen by every field of the filter; SC-43.
func TestSec_SC43_records(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	a, b := open(t, data, lazily), open(t, data, lazily)
	for i := range 10 {
		for slot, l := range []*logs{a, b} {
			r := audit.Record{
				Kind: audit.Outcome, CallID: strconv.Itoa(i), JobID: "j" + strconv.Itoa(i), Principal: []string{"ann", "bob"}[slot], Tool: "generate",
				Decision: "allow", Status: audit.StatusOK, Outputs: []string{"hash" + strconv.Itoa(i)}, Contents: []string{"content" + strconv.Itoa(i)},
			}
			if i == 9 {
				r = audit.Record{Kind: audit.Event, Name: audit.AuthFailure, Code: "X"}
			}
			l.append(t, r)
		}
	}
	a.stop(t)
	b.stop(t)
	all := scan(t, data)
	for _, tc := range []struct {
		name   string
		filter audit.Filter
		want   int
	}{
		{"all", audit.Filter{}, 24},
		{"slot", audit.Filter{Slot: "002"}, 12},
		{"principal", audit.Filter{Principal: "bob"}, 9},
		{"tool", audit.Filter{Tool: "generate"}, 18},
		{"kind", audit.Filter{Kind: audit.Start}, 2},
		{"decision", audit.Filter{Decision: "deny"}, 0},
		{"status", audit.Filter{Status: audit.StatusOK}, 18},
		{"code", audit.Filter{Code: "X"}, 2},
		{"job", audit.Filter{Job: "j3"}, 2},
		{"call", audit.Filter{Call: "3"}, 2},
		{"event", audit.Filter{Event: "auth"}, 2},
		{"part of an event's name", audit.Filter{Event: "auth.fail"}, 0},
		{"severity", audit.Filter{Severity: audit.Medium}, 2},
		{"output", audit.Filter{Output: "hash4"}, 2},
		{"content", audit.Filter{Output: "content4"}, 2},
		{"since", audit.Filter{Slot: "001", Since: all[5].Time}, 7},
		{"until", audit.Filter{Slot: "001", Until: all[5].Time}, 5},
		{"two at once", audit.Filter{Principal: "ann", Call: "3"}, 1},
	} {
		n := 0
		var before audit.Entry
		for e, err := range audit.Records(data, tc.filter) {
			if err != nil {
				t.Fatal(err)
			}
			if n++; e.Time.Before(before.Time) {
				t.Errorf("%s: record %d of %s comes after %d of %s", tc.name, e.Seq, e.Slot, before.Seq, before.Slot)
			}
			before = e
		}
		if n != tc.want {
			t.Errorf("%s: %d records, want %d", tc.name, n, tc.want)
		}
	}
	for _, err := range audit.Records(t.TempDir(), audit.Filter{}) {
		if err == nil {
			t.Error("records of nothing")
		}
	}
	for _, err := range audit.Records(data, audit.Filter{}) {
		if err != nil {
			t.Error(err)
		}
		break // and nothing is left over
	}
}

// A tail goes on where it was, over new segments and new slots.
func TestTail(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, func(c *audit.Config) { lazily(c); c.MaxBytes = 64 << 10 })
	l.append(t, audit.Record{Kind: audit.Event, Name: "old"})
	tail := audit.NewTail(data, audit.Filter{Kind: audit.Event}, map[string]uint64{"001": 2})
	next := func() (names []string) {
		t.Helper()
		if err := tail.Next(func(e audit.Entry) error {
			if e.Name != audit.LogRotated && e.Name != audit.LogSealed {
				names = append(names, e.Slot+" "+e.Name)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return names
	}
	if got := next(); got != nil {
		t.Errorf("before there is anything new: %v", got)
	}
	for i := range 4 {
		l.append(t, audit.Record{Kind: audit.Event, Name: "new" + strconv.Itoa(i), Params: map[string]any{"pad": strings.Repeat("x", 39_000)}})
	}
	other := open(t, data, lazily)
	other.append(t, audit.Record{Kind: audit.Event, Name: "there"})
	if got := strings.Join(next(), ","); got != "001 new0,001 new1,001 new2,001 new3,002 there" {
		t.Errorf("got %v", got)
	}
	if got := next(); got != nil {
		t.Errorf("again: %v", got)
	}
	l.stop(t)
	other.stop(t)
}
