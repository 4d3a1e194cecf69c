package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/comfygate/comfygate/audit"
)

// whole is a data folder with two slots, several segments and nothing wrong with it.
func whole(tb testing.TB) string {
	tb.Helper()
	data := tb.TempDir()
	l := open(tb, data, func(c *audit.Config) { c.MaxBytes = 64 << 10 })
	other := open(tb, data, nil)
	for i := range 4 {
		intent, outcome := call(strconv.Itoa(i))
		outcome.Params = map[string]any{"ä": strings.Repeat("€", 50), "pad": strings.Repeat("x", 39_000)}
		l.append(tb, intent)
		l.append(tb, outcome)
		other.append(tb, intent)
		other.append(tb, outcome)
	}
	l.stop(tb)
	other.stop(tb)
	return data
}

// short is a log of a few short records, for tests that change every byte of it.
func short(tb testing.TB) (memory, string) {
	tb.Helper()
	data := tb.TempDir()
	l := open(tb, data, nil)
	intent, outcome := call("c1")
	l.append(tb, intent)
	outcome.Params = map[string]any{"ä": "€", "n": 1}
	l.append(tb, outcome)
	l.stop(tb)
	return remember(tb, data), "audit/001/" + filepath.Base(segments(tb, data)[0])
}

// tampered fails unless verify says so, and names a place.
func tampered(tb testing.TB, what string, m memory) audit.Report {
	tb.Helper()
	report, err := m.verify()
	var t *audit.TamperedError
	if !errors.As(err, &t) {
		tb.Errorf("%s: verify says %v", what, err)
		return report
	}
	if t.First.Slot+t.First.Segment == "" || t.First.Text == "" || audit.ExitCode(err) != audit.ExitTampered || !strings.Contains(err.Error(), t.First.String()) {
		tb.Errorf("%s: verify doesn't say where: %v", what, err)
	}
	return report
}

// T60, AUD-20: every byte of a log and of its head, changed in several ways, removed, or doubled.
func TestT60_every_byte(t *testing.T) {
	t.Parallel()
	m, segment := short(t)
	if _, err := m.verify(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{segment, "audit/001/head", "audit/001/checkpoints", "audit/001/tree", "audit/keys"} {
		t.Run(name[strings.LastIndexByte(name, '/')+1:], func(t *testing.T) {
			t.Parallel()
			b := m.MapFS[name].Data
			for i := range b {
				what := func(how string) string { return fmt.Sprintf("byte %d (%q) %s", i, b[i], how) }
				flipped := bytes.Clone(b)
				flipped[i] ^= []byte{0x01, 0x20, 0x80}[i%3]
				tampered(t, what("flipped"), m.with(name, flipped))
				switch i % 3 {
				case 0:
					tampered(t, what("removed"), m.with(name, slices.Delete(bytes.Clone(b), i, i+1)))
				case 1:
					tampered(t, what("doubled"), m.with(name, slices.Insert(bytes.Clone(b), i, b[i])))
				case 2:
					newline := bytes.Clone(b)
					if newline[i] = '\n'; b[i] != '\n' {
						tampered(t, what("made a newline"), m.with(name, newline))
					}
				}
			}
		})
	}
}

// T60: the tail cut at every byte.
func TestT60_truncated_tail(t *testing.T) {
	t.Parallel()
	m, segment := short(t)
	b := m.MapFS[segment].Data
	for size := range b {
		report := tampered(t, fmt.Sprintf("cut to %d bytes", size), m.with(segment, b[:size:size]))
		if !strings.Contains(problems(report), string(audit.ProblemTail)) {
			t.Errorf("cut to %d bytes: %v", size, report.Findings)
		}
	}
	tampered(t, "no segment", m.with(segment, nil))
	tampered(t, "no head", m.with("audit/001/head", nil))
	tampered(t, "empty head", m.with("audit/001/head", []byte{}))
}

// T60: lines and segments removed, doubled, swapped, replaced; each named.
func TestT60_lines_and_segments(t *testing.T) {
	t.Parallel()
	data := whole(t)
	m := remember(t, data)
	if _, err := m.verify(); err != nil {
		t.Fatal(err)
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(m.MapFS)), func(n string) bool { return !strings.HasSuffix(n, ".jsonl") })
	if len(names) < 4 {
		t.Fatalf("segments: %v", names)
	}
	for _, name := range names {
		lines := bytes.SplitAfter(m.MapFS[name].Data, []byte("\n"))
		lines = lines[:len(lines)-1]
		with := func(change func([][]byte) [][]byte) memory {
			return m.with(name, bytes.Join(change(slices.Clone(lines)), nil))
		}
		for i := range lines {
			what := func(how string) string { return fmt.Sprintf("%s, line %d %s", name, i+1, how) }
			report := tampered(t, what("removed"), with(func(l [][]byte) [][]byte { return slices.Delete(l, i, i+1) }))
			if f := report.Findings[0]; i < len(lines)-1 && (filepath.Base(f.Segment) != filepath.Base(name) || f.Line > 0 && f.Line != i+1) {
				t.Errorf("%s: found at %v", what("removed"), f)
			}
			tampered(t, what("doubled"), with(func(l [][]byte) [][]byte { return slices.Insert(l, i, l[i]) }))
			if i > 0 {
				tampered(t, what("swapped with the one before"), with(func(l [][]byte) [][]byte {
					l[i], l[i-1] = l[i-1], l[i]
					return l
				}))
			}
		}
		tampered(t, name+", first line doubled at the end", with(func(l [][]byte) [][]byte { return append(l, l[0]) }))
		tampered(t, name+", first and last line swapped", with(func(l [][]byte) [][]byte {
			l[0], l[len(l)-1] = l[len(l)-1], l[0]
			return l
		}))
		tampered(t, name+" removed", m.with(name, nil))
		tampered(t, name+" emptied", m.with(name, []byte{}))
		for _, other := range names {
			if other != name {
				tampered(t, name+" replaced by "+other, m.with(name, m.MapFS[other].Data))
			}
		}
		tampered(t, name+" renamed", m.with(name, nil).with(name[:len(name)-8]+"99.jsonl", m.MapFS[name].Data))
	}
	tampered(t, "a segment more", m.with("audit/001/audit-00000000000000009999.jsonl", m.MapFS[names[0]].Data))
	tampered(t, "another slot's head", m.with("audit/001/head", m.MapFS["audit/002/head"].Data))
	tampered(t, "an overlong line", m.with(names[0], append(bytes.Repeat([]byte("x"), 200_000), '\n')))
}

// T60: any change of any kind anywhere.
func TestT60_any_edit(t *testing.T) {
	t.Parallel()
	m, segment := short(t)
	rapid.Check(t, func(rt *rapid.T) {
		name := rapid.SampledFrom([]string{segment, "audit/001/head", "audit/001/checkpoints", "audit/001/tree", "audit/keys"}).Draw(rt, "file")
		b := m.MapFS[name].Data
		from := rapid.IntRange(0, len(b)).Draw(rt, "from")
		to := rapid.IntRange(from, min(len(b), from+50)).Draw(rt, "to")
		edited := slices.Concat(b[:from], rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(rt, "put"), b[to:])
		if bytes.Equal(edited, b) {
			return
		}
		_, err := m.with(name, edited).verify()
		// An unended line behind the end is what a crash leaves, and a warning only.
		torn := name == segment && bytes.HasPrefix(edited, b) && !bytes.Contains(edited[len(b):], []byte("\n"))
		if audit.ExitCode(err) != audit.ExitTampered && !torn {
			rt.Fatalf("%s: bytes %d to %d replaced: %v", name, from, to, err)
		}
	})
}

// rechain writes lines with hashes of their own, as a forger does who knows the format.
func rechain(lines [][]byte) []byte {
	return rechainAfter(lines, strings.Repeat("0", 64))
}

func rechainAfter(lines [][]byte, prev string) []byte {
	var out []byte
	for _, line := range lines {
		body, _, _ := bytes.Cut(line, []byte(`,"prev":"`))
		body = append(bytes.Clone(body), `,"prev":"`+prev+`"`...)
		sum := sha256.Sum256(append(bytes.Clone(body), '}'))
		prev = hex.EncodeToString(sum[:])
		out = append(out, body...)
		out = append(out, `,"hash":"`+prev+`"}`+"\n"...)
	}
	return out
}

// A log whose chain was written anew is held by its head, and by what records must be like.
func TestT60_forged_chain(t *testing.T) {
	t.Parallel()
	m, segment := short(t)
	lines := bytes.SplitAfter(m.MapFS[segment].Data, []byte("\n"))
	lines = lines[:len(lines)-1]
	if !bytes.Equal(rechain(lines), m.MapFS[segment].Data) {
		t.Fatal("the test forges badly")
	}
	forge := func(old, changed string) memory {
		return m.with(segment, rechain(bytes.SplitAfter(bytes.TrimSuffix(bytes.Replace(bytes.Join(lines, nil), []byte(old), []byte(changed), 1), []byte("\n")), []byte("\n"))))
	}
	for _, tc := range []struct{ name, old, changed, want string }{
		{"another principal", `"ann"`, `"eve"`, "head"},
		{"another key order", `"n":1,"ä":"€"`, `"ä":"€","n":1`, "canonical head"},
		{"an unknown field", `"kind":"intent"`, `"kind":"intent","zone":"x"`, "canonical head"},
		{"a doubled field", `"kind":"intent"`, `"kind":"intent","kind":"intent"`, "canonical head"},
		{"a field in other case", `"call_id"`, `"Call_ID"`, "canonical head"},
		{"an empty field", `"kind":"intent"`, `"kind":"intent","event":""`, "canonical head"},
		{"an escape that need not be", `"n":1`, `"\u006e":1`, "canonical head"},
		{"another zone", `Z","kind":"intent"`, `+00:00","kind":"intent"`, "canonical head"},
		{"white space", `"n":1`, `"n": 1`, "canonical head"},
		{"a seq with a plus", `"seq":2`, `"seq":+2`, "framing chain head"},
		{"a gap", `"seq":2`, `"seq":3`, "sequence head"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			report := tampered(t, tc.name, forge(tc.old, tc.changed))
			for want := range strings.FieldsSeq(tc.want) {
				if want != "chain" && !strings.Contains(problems(report), want) {
					t.Errorf("found %s, want %s", problems(report), tc.want)
				}
			}
		})
	}
}

// Each call and each job ends once; what is open is a warning, and none while its process runs (SC-60, design.md "a job's end").
func TestSec_SC60_pairing(t *testing.T) {
	t.Parallel()
	intent, outcome := call("c")
	accepted := outcome
	accepted.Status, accepted.JobID = audit.StatusAccepted, "j"
	end := audit.Record{Kind: audit.JobEnd, CallID: "c", JobID: "j", Status: "succeeded"}
	denied := audit.Record{Kind: audit.DecisionK, CallID: "c", Decision: "deny", Status: audit.StatusDenied}
	aggregate := audit.Record{Kind: audit.DecisionK, Decision: "deny", Count: 500}
	for _, tc := range []struct {
		name    string
		records []audit.Record
		want    string // problems
		tamper  bool
		calls   int
		jobs    int
	}{
		{name: "a call", records: []audit.Record{intent, outcome}},
		{name: "a read", records: []audit.Record{outcome}},
		{name: "a denial", records: []audit.Record{denied}},
		{name: "aggregates", records: []audit.Record{aggregate, aggregate}},
		{name: "a job", records: []audit.Record{intent, accepted, end}},
		{name: "a job that ends first", records: []audit.Record{intent, end, accepted}},
		{name: "a job that the call waited for", records: []audit.Record{intent, end, outcome}},
		{name: "an intent alone", records: []audit.Record{intent}, want: "open", calls: 1},
		{name: "a job alone", records: []audit.Record{intent, accepted}, want: "open", jobs: 1},
		{name: "two intents", records: []audit.Record{intent, intent, outcome}, want: "pairing", tamper: true},
		{name: "an intent afterwards", records: []audit.Record{outcome, intent}, want: "pairing", tamper: true},
		{name: "two outcomes", records: []audit.Record{intent, outcome, outcome}, want: "pairing", tamper: true},
		{name: "an outcome and a denial", records: []audit.Record{denied, outcome}, want: "pairing", tamper: true},
		{name: "two ends of a job", records: []audit.Record{intent, accepted, end, end}, want: "pairing", tamper: true},
		{name: "an intent of no call", records: []audit.Record{{Kind: audit.Intent}}, want: "pairing", tamper: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			l := open(t, data, nil)
			for _, r := range tc.records {
				l.append(t, r)
			}
			live, err := audit.Verify(data, audit.VerifyOptions{})
			if !live.Slots[0].Live {
				t.Error("the slot reads as not in use")
			}
			if s := live.Slots[0]; s.OpenCalls != tc.calls || s.OpenJobs != tc.jobs {
				t.Errorf("%d calls and %d jobs are open, want %d and %d", s.OpenCalls, s.OpenJobs, tc.calls, tc.jobs)
			}
			if (err != nil) != tc.tamper {
				t.Errorf("while it runs: %v", err)
			}
			l.stop(t)
			report, err := audit.Verify(data, audit.VerifyOptions{})
			if d := cmp.Diff(tc.want, problems(report)); d != "" || (err != nil) != tc.tamper {
				t.Errorf("afterwards: %v, %s", err, d)
			}
			for _, f := range report.Findings {
				if f.Warning != (f.Problem == audit.ProblemOpen) {
					t.Errorf("a warning, or none: %v", f)
				}
			}
		})
	}
}

func TestVerify_time_that_goes_back_is_a_warning(t *testing.T) {
	t.Parallel()
	m, segment := short(t)
	lines := bytes.SplitAfter(m.MapFS[segment].Data, []byte("\n"))
	lines = lines[:len(lines)-1]
	ts, _, _ := strings.Cut(string(lines[1][len(`{"seq":2,"ts":"`):]), `"`)
	lines[1] = bytes.Replace(lines[1], []byte(ts), []byte("2020-01-02T03:04:05.6Z"), 1)
	forged := m.with(segment, rechain(lines)).with("audit/001/head", nil)
	report, err := forged.verify()
	if got := problems(report); got != "tree clock tree head" || err == nil {
		t.Errorf("found %s, %v", got, err)
	}
	if f := report.Findings[1]; !f.Warning || f.Seq != 2 || f.Line != 2 {
		t.Errorf("found %+v", f)
	}
}

func TestVerify_says_how_a_finding_reads(t *testing.T) {
	t.Parallel()
	m, segment := short(t)
	report := tampered(t, "a name", m.with(segment, bytes.Replace(m.MapFS[segment].Data, []byte("ann"), []byte("eve"), 1)))
	const want = "slot 001, audit-00000000000000000001.jsonl, line 2 (record 2): its hash is not the hash of its content"
	if got := report.Findings[0].String(); got != want || len(report.Findings) != 1 {
		t.Errorf("found %v, want only %s", report.Findings, want)
	}
}

func TestVerify_unreadable(t *testing.T) {
	t.Parallel()
	data := whole(t)
	for _, tc := range []struct {
		name string
		data string
		opts audit.VerifyOptions
	}{
		{name: "no data folder", data: filepath.Join(data, "elsewhere")},
		{name: "no such slot", data: data, opts: audit.VerifyOptions{Slot: "007"}},
		{name: "a file that can't be opened", data: data, opts: audit.VerifyOptions{FS: failing(fs.ErrPermission)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := audit.Verify(tc.data, tc.opts)
			var u *audit.UnreadableError
			if !errors.As(err, &u) || audit.ExitCode(err) != audit.ExitUnreadable || u.Unwrap() == nil || u.Error() == "" {
				t.Errorf("got %v, want an UnreadableError", err)
			}
		})
	}
	report, err := audit.Verify(data, audit.VerifyOptions{Slot: "002"})
	if err != nil || len(report.Slots) != 1 || report.Slots[0].Name != "002" || audit.ExitCode(err) != audit.ExitOK {
		t.Errorf("one slot: %+v, %v", report, err)
	}
}

func failing(err error) audit.FS {
	d := newDisk()
	d.failOpens(err)
	return d
}

// A tampered log dominates one that can't be read; the report is bounded, the count isn't.
func TestVerify_many_findings(t *testing.T) {
	t.Parallel()
	m, segment := short(t)
	junk := bytes.Repeat([]byte("junk\n"), 5000)
	report, err := audit.Verify("", audit.VerifyOptions{FS: m.with(segment, junk), MaxFindings: 10})
	var tampered *audit.TamperedError
	if !errors.As(err, &tampered) || tampered.Count < 5000 || !strings.Contains(err.Error(), "places") {
		t.Errorf("got %v", err)
	}
	if len(report.Findings) != 10 || report.Omitted+10 != tampered.Count {
		t.Errorf("%d findings, %d omitted, %d counted", len(report.Findings), report.Omitted, tampered.Count)
	}
}

func TestScan(t *testing.T) {
	t.Parallel()
	data := whole(t)
	slots := map[string]int{}
	stop := errors.New("enough")
	if err := audit.Scan(data, func(slot string, _ audit.Record) error { slots[slot]++; return nil }); err != nil {
		t.Fatal(err)
	}
	if slots["001"] < 10 || slots["002"] != 10 {
		t.Errorf("records: %v", slots)
	}
	n := 0
	if err := audit.Scan(data, func(string, audit.Record) error {
		if n++; n == 3 {
			return stop
		}
		return nil
	}); !errors.Is(err, stop) || n != 3 {
		t.Errorf("stopped after %d records with %v", n, err)
	}
	name := segments(t, data)[0]
	write(t, name, bytes.Replace(read(t, name), []byte("ann"), []byte("eve"), 1))
	var seqs []uint64
	err := audit.Scan(data, func(slot string, r audit.Record) error {
		if slot == "001" {
			seqs = append(seqs, r.Seq)
		}
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "audit slot 001, audit-00000000000000000001.jsonl, line 2") {
		t.Errorf("a record that was changed: %v", err)
	}
	if len(seqs) != slots["001"]-1 || slices.Contains(seqs, 2) {
		t.Errorf("records: %v", seqs)
	}
	if err := audit.Scan(filepath.Join(data, "elsewhere"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no data folder: %v", err)
	}
}

// FuzzVerifyLines: whatever stands in a segment, verify says something about it, and a log that it finds whole reads back whole.
func FuzzVerifyLines(f *testing.F) {
	m, segment := short(f)
	b := m.MapFS[segment].Data
	f.Add(b)
	f.Add(b[:len(b)-1])
	f.Add([]byte(`{"seq":1,"ts":"2026-01-01T00:00:00Z","kind":"start","prev":"` + strings.Repeat("0", 64) + `","hash":"` + strings.Repeat("0", 64) + `"}` + "\n"))
	f.Add([]byte("\n\n{}\n"))
	f.Add(rechain([][]byte{[]byte(`{"seq":1,"ts":"2026-01-01T00:00:00Z","kind":"intent","params":{"a":[1e400,{"b":null}]},"prev":"`)}))
	f.Fuzz(func(t *testing.T, lines []byte) {
		report, err := m.with(segment, lines).with("audit/001/head", nil).verify()
		if len(lines) == 0 {
			return
		}
		if err == nil {
			t.Fatal("a log without a head is whole")
		}
		for _, finding := range report.Findings {
			if finding.String() == "" || finding.Problem == "" {
				t.Errorf("a finding that says nothing: %+v", finding)
			}
			if !finding.Warning && finding.Problem != audit.ProblemHead && finding.Problem != audit.ProblemPairing {
				return
			}
		}
		// Nothing is wrong but the head: so all lines but a torn one are records, chained.
		whole := lines[:bytes.LastIndexByte(lines, '\n')+1]
		if n := bytes.Count(whole, []byte("\n")); n != report.Slots[0].Records {
			t.Errorf("%d lines, %d records", n, report.Slots[0].Records)
		}
		if chained := rechain(bytes.SplitAfter(bytes.TrimSuffix(whole, []byte("\n")), []byte("\n"))); len(whole) > 0 && !bytes.Equal(chained, whole) {
			t.Errorf("lines that don't follow each other were found whole")
		}
	})
}
