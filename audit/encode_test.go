package audit_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/config"
)

// everything is a record with every field set.
func everything() audit.Record {
	return audit.Record{
		Kind: audit.Outcome, Name: "n", Severity: audit.Low, CallID: "c", JobID: "j", Principal: "p", Method: "m", Transport: "t",
		Session: "s", Tool: "g", Params: map[string]any{"b": true, "a": "x", "n": nil}, Decision: "allow", Rule: "r", PolicyHash: "h",
		Status: "ok", Code: "C", PromptID: "i", Outputs: []string{"o1", "o2"}, Contents: []string{"c1", ""}, Cost: 1.5, DurationMS: 7, Count: 3,
		Detail: map[string]string{"k": "v", "j": "w"},
	}
}

// lineOf returns the line that a record becomes.
func lineOf(tb testing.TB, r audit.Record) string {
	tb.Helper()
	data := tb.TempDir()
	l := open(tb, data, nil)
	l.append(tb, r)
	b := string(read(tb, segments(tb, data)[0]))
	l.stop(tb)
	verified(tb, data)
	lines := strings.SplitAfter(b, "\n")
	return lines[len(lines)-2]
}

// The line is what encoding/json makes of the struct: same names, same order, the same left out.
func TestLine_is_the_struct(t *testing.T) {
	t.Parallel()
	full := everything()
	v := reflect.ValueOf(full)
	for i := range v.NumField() {
		switch name := v.Type().Field(i).Name; name {
		case "Seq", "Time", "Prev", "Hash":
		default:
			if v.Field(i).IsZero() {
				t.Errorf("the test sets no %s", name)
			}
		}
	}
	for _, tc := range []struct {
		name   string
		record audit.Record
	}{
		{"every field", full},
		{"none", audit.Record{Kind: audit.Event, Severity: audit.Info}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			line := lineOf(t, tc.record)
			var got audit.Record
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatal(err)
			}
			var again bytes.Buffer
			e := json.NewEncoder(&again)
			e.SetEscapeHTML(false)
			if err := e.Encode(got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(line, again.String()); d != "" {
				t.Error(d)
			}
			tc.record.Seq, tc.record.Time, tc.record.Prev, tc.record.Hash = got.Seq, got.Time, got.Prev, got.Hash
			if d := cmp.Diff(tc.record, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// T66: no field of a record reaches a terminal, a line of its own or a spreadsheet's formula parser. What is escaped reads back as it was.
func TestT66_nothing_is_injected(t *testing.T) {
	t.Parallel()
	const evil = "a\r\n{\"seq\":1}\n\x1b[2J\x00\x7f\u0085\u2028\u2029\u202e\u2066\u200b\ufeff\U000e0041\"\\ <script>&=cmd|' /C'!A0 ä 漢 🙂"
	r := audit.Record{
		Kind: audit.Outcome, Name: evil, Severity: evil, CallID: evil, JobID: evil, Principal: evil, Method: evil, Transport: evil,
		Session: evil, Tool: evil, Params: map[string]any{evil: evil, "list": []any{evil}, "map": map[string]any{evil: evil}},
		Decision: evil, Rule: evil, PolicyHash: evil, Status: evil, Code: evil, PromptID: evil, Outputs: []string{evil},
		Detail: map[string]string{evil: evil},
	}
	line := lineOf(t, r)
	for _, c := range strings.TrimSuffix(line, "\n") {
		if unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp) {
			t.Errorf("the line holds a bare %U", c)
		}
	}
	if !strings.Contains(line, `<script>&=cmd|' /C'!A0 ä 漢 🙂`) || !strings.Contains(line, `\u001b[2J\u0000`) {
		t.Errorf("ordinary characters are escaped, or others are not: %s", line)
	}
	var got audit.Record
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatal(err)
	}
	r.Severity = audit.Low // an unknown one is not kept
	r.Seq, r.Time, r.Prev, r.Hash = got.Seq, got.Time, got.Prev, got.Hash
	if d := cmp.Diff(r, got); d != "" {
		t.Error(d)
	}
}

// AUD-13: what has no place in a log is masked, whoever put it there.
func TestAUD13_masks(t *testing.T) {
	t.Parallel()
	type digestLater string // as tools.Digest: a prompt that somebody forgot to digest
	const canary = "CANARY"
	deep := map[string]any{"x": canary}
	for range 20 {
		deep = map[string]any{"x": deep}
	}
	var deepList any = canary
	for range 20 {
		deepList = []any{deepList}
	}
	line := lineOf(t, audit.Record{Kind: audit.Intent, CallID: "c", Params: map[string]any{
		"secret": config.NewSecret(canary), "named": digestLater(canary), "bytes": []byte(canary), "struct": struct{ S string }{canary},
		"pointer": new(string), "error": fmt.Errorf("%s", canary), "func": func() {}, "deep": deep, "deeper": deepList,
		"list": []any{digestLater(canary), config.NewSecret(canary)}, "array": [6]byte{'C', 'A', 'N', 'A', 'R', 'Y'},
	}})
	if strings.Contains(line, canary) || strings.Contains(line, "Q0FOQVJZ") || strings.Contains(line, "67,65") {
		t.Errorf("the canary is there: %s", line)
	}
	if n := strings.Count(line, `"`+config.Mask+`"`); n != 12 {
		t.Errorf("%d masks in %s", n, line)
	}
}

func TestLine_numbers(t *testing.T) {
	t.Parallel()
	type steps int
	line := lineOf(t, audit.Record{
		Kind: audit.Outcome, Cost: math.NaN(),
		Params: map[string]any{
			"seed": uint64(math.MaxUint64), "min": int64(math.MinInt64), "named": steps(20), "f": 1e6, "tiny": 1e-9, "huge": 1e30,
			"f32": float32(0.5), "nan": math.NaN(), "inf": math.Inf(-1), "zero": 0.0, "ints": []int{1, 2}, "bools": []bool{true},
			"literal": json.Number("12.50"), "no literal": json.Number("1;2"), "empty": []string{},
		},
	})
	const want = `"params":{"bools":[true],"empty":[],"f":1000000,"f32":0.5,"huge":1e+30,"inf":"-Inf","ints":[1,2],"literal":12.50,` +
		`"min":-9223372036854775808,"named":20,"nan":"NaN","no literal":"1;2","seed":18446744073709551615,"tiny":1e-09,"zero":0}`
	if !strings.Contains(line, want) {
		t.Errorf("got %s\nwant %s", line, want)
	}
	if strings.Contains(line, "cost") {
		t.Error("a cost that is no number is kept")
	}
}

// Lines are at most 64 KiB, whatever is asked, and whatever is cut says so.
func TestSec_SC60_lines_are_bounded(t *testing.T) {
	t.Parallel()
	control := strings.Repeat("\x01", 100_000)
	many := map[string]any{}
	details := map[string]string{}
	for i := range 5000 {
		many[fmt.Sprint("key", i)] = control
		details[fmt.Sprint("key", i)] = control
	}
	outputs := make([]string, 10_000)
	for i := range outputs {
		outputs[i] = control
	}
	for _, tc := range []struct {
		name   string
		record audit.Record
		want   string
	}{
		{"a long prompt is kept whole", audit.Record{Params: map[string]any{"text": strings.Repeat("漢", 10_000)}}, strings.Repeat("漢", 10_000) + `"`},
		{"a longer one is cut", audit.Record{Params: map[string]any{"text": strings.Repeat("漢", 20_000)}}, `漢…"`},
		{"many texts are cut shorter", audit.Record{Params: map[string]any{"a": control, "b": control, "c": control}}, `\u0001…"`},
		{"params beyond all bounds are counted", audit.Record{Params: many}, `"params":{"omitted":5000}`},
		{"details and outputs too", audit.Record{Outputs: outputs, Detail: details}, `"detail":{"omitted":`},
		{"a long list", audit.Record{Params: map[string]any{"l": make([]int, 1_000_000)}}, `"params":{"omitted":1}`},
		{"a long id", audit.Record{CallID: strings.Repeat("ä", 5000)}, `ä…"`},
		{"words of control characters", audit.Record{
			Name: control, CallID: control, JobID: control, Principal: control, Method: control, Transport: control, Session: control,
			Tool: control, Decision: control, Rule: control, PolicyHash: control, Status: control, Code: control, PromptID: control, Params: many,
		}, `"params":{"omitted":5000}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.record.Kind = audit.Event
			line := lineOf(t, tc.record)
			if len(line) > 64<<10 {
				t.Errorf("the line has %d bytes", len(line))
			}
			if !strings.Contains(line, tc.want) {
				t.Errorf("the line (%d bytes) lacks %.40q", len(line), tc.want)
			}
			if !utf8.ValidString(line) {
				t.Error("the line is no text")
			}
		})
	}
}

// anyValue draws what a caller may put into Params, or should not.
func anyValue(depth int) *rapid.Generator[any] {
	plain := []*rapid.Generator[any]{
		rapid.String().AsAny(), rapid.Float64().AsAny(), rapid.Uint64().AsAny(), rapid.Int().AsAny(), rapid.Bool().AsAny(),
		rapid.SliceOf(rapid.String()).AsAny(), rapid.Just[any](nil), rapid.SliceOf(rapid.Byte()).AsAny(),
		rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) any { return string(b) }),
	}
	if depth > 0 {
		plain = append(plain,
			rapid.SliceOfN(anyValue(depth-1), 0, 4).AsAny(),
			rapid.MapOfN(rapid.String(), anyValue(depth-1), 0, 4).AsAny())
	}
	return rapid.OneOf(plain...)
}

// verify(append(x)) holds, for every x: what is written is canonical, and reads back.
func TestVerify_of_append_holds(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	l := open(t, data, func(c *audit.Config) { c.Fsync, c.MaxBytes = audit.FsyncInterval, 1<<20 })
	rapid.Check(t, func(rt *rapid.T) {
		word := rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 300), func(b []byte) string { return string(b) })
		r := audit.Record{
			Kind: audit.Kind(word.Draw(rt, "kind")), Name: word.Draw(rt, "name"), Principal: word.Draw(rt, "principal"),
			Tool: rapid.String().Draw(rt, "tool"), Cost: rapid.Float64().Draw(rt, "cost"),
			Params:     rapid.MapOfN(rapid.String(), anyValue(3), 0, 5).Draw(rt, "params"),
			Outputs:    rapid.SliceOfN(rapid.String(), 0, 3).Draw(rt, "outputs"),
			Detail:     rapid.MapOfN(rapid.String(), rapid.String(), 0, 3).Draw(rt, "detail"),
			DurationMS: rapid.Int64().Draw(rt, "duration"), Count: rapid.Int().Draw(rt, "count"),
		}
		if r.Kind == audit.Start || r.Kind == audit.Stop || r.Kind == audit.Intent {
			r.Kind = "x"
		}
		if err := l.Append(t.Context(), r); err != nil {
			rt.Fatal(err)
		}
	})
	l.stop(t)
	if report := verified(t, data); len(report.Findings) > 0 {
		t.Error(report.Findings)
	}
	for _, r := range scan(t, data) {
		if r.Time.IsZero() || time.Since(r.Time) > time.Hour {
			t.Errorf("record %d has time %v", r.Seq, r.Time)
		}
	}
}
