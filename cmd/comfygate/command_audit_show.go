package main

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/comfygate/comfygate/audit"
)

// auditFilter are the flags that choose records.
type auditFilter struct {
	Since     string `placeholder:"TIME" help:"Records since this time, as 2026-01-31, 2026-01-31T12:00:00Z, or ago, as 90m, 12h, 7d."`
	Until     string `placeholder:"TIME" help:"Records before this time."`
	Principal string `placeholder:"NAME" help:"Records of this principal."`
	Tool      string `placeholder:"NAME" help:"Records of this tool."`
	Decision  string `enum:",allow,deny" default:"" help:"Records of calls that were allowed, or denied."`
	Status    string `placeholder:"STATUS" help:"Records with this status, as ok, error, accepted, succeeded."`
	Code      string `placeholder:"CODE" help:"Records with this error code."`
	Kind      string `enum:",intent,outcome,decision,job.end,start,stop,event" default:"" help:"Records of this kind: ${enum}."`
	Event     string `placeholder:"NAME" help:"Events of this name, or of names that begin so: auth, auth.failure."`
	Severity  string `enum:",info,low,medium,high,critical" default:"" help:"Records of at least this severity."`
	Job       string `placeholder:"ID" help:"Records of this job."`
	Call      string `placeholder:"ID" help:"Records of this call."`
	Slot      string `placeholder:"NAME" help:"Records of this slot's log."`
}

func (f *auditFilter) filter(now time.Time) (audit.Filter, error) {
	out := audit.Filter{
		Slot: f.Slot, Kind: audit.Kind(f.Kind), Event: f.Event, Principal: f.Principal, Tool: f.Tool, Decision: f.Decision,
		Status: f.Status, Code: f.Code, Severity: f.Severity, Job: f.Job, Call: f.Call,
	}
	var err error
	if out.Since, err = parseMoment(f.Since, now); err != nil {
		return out, usageError{fmt.Errorf("--since: %w", err)}
	}
	if out.Until, err = parseMoment(f.Until, now); err != nil {
		return out, usageError{fmt.Errorf("--until: %w", err)}
	}
	return out, nil
}

// parseMoment reads a time, a date, or how long ago.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", time.DateTime, time.DateOnly} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseFloat(days, 64); err == nil && n >= 0 && n < 100_000 {
			return now.Add(-time.Duration(n * 24 * float64(time.Hour))), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%q is no time; say 2026-01-31, 2026-01-31T12:00:00Z, or how long ago: 90m, 12h, 7d", text)
}

// A printer prints records in one of the forms.
type printer interface {
	print(audit.Entry) error
	end() error
}

func newPrinter(w io.Writer, form string) printer {
	switch form {
	case "json":
		return jsonPrinter{w}
	case "csv":
		return &csvPrinter{w: csv.NewWriter(w)}
	}
	return &tablePrinter{w: tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)}
}

// jsonPrinter prints the lines as they are stored.
type jsonPrinter struct{ w io.Writer }

func (p jsonPrinter) print(e audit.Entry) error {
	_, err := fmt.Fprintln(p.w, e.Line)
	return err
}

func (jsonPrinter) end() error { return nil }

type tablePrinter struct {
	w     *tabwriter.Writer
	begun bool
}

func (p *tablePrinter) print(e audit.Entry) error {
	if !p.begun {
		p.begun = true
		fmt.Fprintln(p.w, "TIME\tSLOT\tRECORD\tKIND\tPRINCIPAL\tTOOL\tSTATUS\tCODE\tCALL\tJOB")
	}
	kind := string(e.Kind)
	if e.Name != "" {
		kind = e.Name
	}
	_, err := fmt.Fprintf(p.w, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", e.Time.Format("2006-01-02T15:04:05.000Z"), e.Slot, e.Seq, plain(kind),
		plain(e.Principal), plain(e.Tool), plain(cmp.Or(e.Status, e.Decision)), plain(e.Code), plain(e.CallID), plain(e.JobID))
	return err
}

func (p *tablePrinter) end() error { return p.w.Flush() }

// plain is s on a terminal: whatever is no printable character becomes visible, and nothing is a dash.
func plain(s string) string {
	if s == "" {
		return "-"
	}
	quoted := strconv.QuoteToGraphic(s)
	if inner := quoted[1 : len(quoted)-1]; inner == s {
		return s
	}
	return quoted
}

// A csvPrinter prints tables for spreadsheets, which must not take a text for a formula.
type csvPrinter struct {
	w     *csv.Writer
	begun bool
}

func (p *csvPrinter) print(e audit.Entry) error {
	if !p.begun {
		p.begun = true
		if err := p.w.Write([]string{
			"time", "slot", "record", "kind", "event", "severity", "principal", "auth", "transport", "session", "tool", "decision", "rule",
			"status", "code", "call_id", "job_id", "prompt_id", "cost", "duration_ms", "count", "outputs", "hash",
		}); err != nil {
			return err
		}
	}
	row := []string{
		e.Time.Format(time.RFC3339Nano), e.Slot, strconv.FormatUint(e.Seq, 10), string(e.Kind), e.Name, e.Severity, e.Principal, e.Method, e.Transport,
		e.Session, e.Tool, e.Decision, e.Rule, e.Status, e.Code, e.CallID, e.JobID, e.PromptID,
		strconv.FormatFloat(e.Cost, 'f', -1, 64), strconv.FormatInt(e.DurationMS, 10), strconv.Itoa(e.Count), strings.Join(e.Outputs, " "), e.Hash,
	}
	for i := range row {
		row[i] = inert(row[i])
	}
	return p.w.Write(row)
}

func (p *csvPrinter) end() error {
	p.w.Flush()
	return p.w.Error()
}

// inert is a cell that no spreadsheet calculates (T66): with an apostrophe before what it would take for a formula, and without
// control characters. Numbers of ours stay numbers.
func inert(cell string) string {
	cell = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, cell)
	if cell != "" && strings.ContainsRune("=+-@＝＋－＠|%", []rune(cell)[0]) || strings.HasPrefix(strings.TrimSpace(cell), "=") {
		return "'" + cell
	}
	return cell
}

type auditShowCommand struct {
	auditFilter
	Format string `enum:"table,json,csv" default:"table" help:"How to print: ${enum}. json is the lines as they are stored."`
	Limit  int    `placeholder:"N" help:"At most so many, the latest ones; default all."`
}

// Run prints records.
func (c *auditShowCommand) Run(p *process) error {
	return showRecords(p, p.stdout, &c.auditFilter, c.Format, c.Limit)
}

func showRecords(p *process, w io.Writer, flags *auditFilter, format string, limit int) error {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	filter, err := flags.filter(time.Now())
	if err != nil {
		return err
	}
	out := newPrinter(w, format)
	var last []audit.Entry // a ring, where there is a limit
	n := 0
	for e, err := range audit.Records(cfg.Storage.Dir, filter) {
		switch {
		case errors.Is(err, os.ErrNotExist):
			return noRecord(cfg)
		case err != nil:
			return err
		case limit <= 0:
			if err := out.print(e); err != nil {
				return err
			}
		case len(last) < limit:
			last = append(last, e)
		default:
			last[n%limit] = e
		}
		n++
	}
	for i := range last {
		if err := out.print(last[(n+i)%len(last)]); err != nil {
			return err
		}
	}
	return out.end()
}

type auditTailCommand struct {
	auditFilter
	Format string `enum:"table,json,csv" default:"table" help:"How to print: ${enum}."`
	Lines  int    `short:"n" default:"20" help:"So many records that are there already."`
	Follow bool   `short:"f" help:"Go on with the records to come, until interrupted."`
}

// tailEvery is how often a tail looks for new records.
const tailEvery = 500 * time.Millisecond

// Run prints the last records.
func (c *auditTailCommand) Run(p *process) error {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	filter, err := c.filter(time.Now())
	if err != nil {
		return err
	}
	after := map[string]uint64{}
	var last []audit.Entry
	for e, err := range audit.Records(cfg.Storage.Dir, audit.Filter{Slot: filter.Slot, Since: filter.Since}) {
		if errors.Is(err, os.ErrNotExist) {
			return noRecord(cfg)
		}
		if err != nil {
			return err
		}
		after[e.Slot] = e.Seq
		if filter.Match(&e.Record) && c.Lines > 0 {
			if len(last) == c.Lines {
				last = append(last[:0], last[1:]...)
			}
			last = append(last, e)
		}
	}
	out := newPrinter(p.stdout, c.Format)
	for _, e := range last {
		if err := out.print(e); err != nil {
			return err
		}
	}
	if err := out.end(); err != nil || !c.Follow {
		return err
	}
	return follow(p, audit.NewTail(cfg.Storage.Dir, filter, after), out)
}

func follow(p *process, tail *audit.Tail, out printer) error {
	tick := time.NewTicker(tailEvery)
	defer tick.Stop()
	for {
		select {
		case <-p.ctx.Done():
			return nil
		case <-tick.C:
		}
		if err := tail.Next(out.print); err != nil {
			return err
		}
		if err := out.end(); err != nil {
			return err
		}
	}
}

type auditExportCommand struct {
	auditFilter
	Format string `enum:"json,csv" default:"json" help:"json is the lines as they are stored; csv is safe to open in a spreadsheet."`
	Output string `short:"o" type:"path" placeholder:"FILE" help:"Where to; default stdout. The file must not be there yet."`
}

// Run exports records.
func (c *auditExportCommand) Run(p *process) (err error) {
	if c.Output == "" {
		return showRecords(p, p.stdout, &c.auditFilter, c.Format, 0)
	}
	f, err := os.OpenFile(c.Output, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(showRecords(p, f, &c.auditFilter, c.Format, 0), f.Close())
}

type auditStatsCommand struct {
	auditFilter
}

// Run counts records.
func (c *auditStatsCommand) Run(p *process) error {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	filter, err := c.filter(time.Now())
	if err != nil {
		return err
	}
	t := newTally()
	for e, err := range audit.Records(cfg.Storage.Dir, filter) {
		if errors.Is(err, os.ErrNotExist) {
			return noRecord(cfg)
		}
		if err != nil {
			return err
		}
		t.add(&e.Record)
	}
	return t.print(p.stdout)
}

// tallied are the fields whose values are counted.
var tallied = [...]struct { //nolint:gochecknoglobals // an immutable table
	name string
	of   func(*audit.Record) string
}{
	{"kind", func(r *audit.Record) string { return string(r.Kind) }},
	{"event", func(r *audit.Record) string { return r.Name }},
	{"severity", func(r *audit.Record) string { return r.Severity }},
	{"principal", func(r *audit.Record) string { return r.Principal }},
	{"tool", func(r *audit.Record) string { return r.Tool }},
	{"decision", func(r *audit.Record) string { return r.Decision }},
	{"status", func(r *audit.Record) string { return r.Status }},
	{"code", func(r *audit.Record) string { return r.Code }},
}

// A tally counts records.
type tally struct {
	records, results int
	cost             float64 // megapixel-steps
	from, to         time.Time
	counts           [len(tallied)]map[string]int
}

func newTally() *tally {
	t := &tally{}
	for i := range t.counts {
		t.counts[i] = map[string]int{}
	}
	return t
}

func (t *tally) add(r *audit.Record) {
	if t.records++; t.records == 1 {
		t.from = r.Time
	}
	t.to = r.Time
	if r.Kind == audit.JobEnd {
		t.results += len(r.Outputs)
		t.cost += r.Cost
	}
	for i, f := range tallied {
		v := f.of(r)
		if m := t.counts[i]; v != "" && (m[v] > 0 || len(m) < maxCounted) {
			m[v] += max(1, r.Count*decided(r.Kind))
		}
	}
}

func (t *tally) print(out io.Writer) error {
	fmt.Fprintf(out, "%d records", t.records)
	if t.records > 0 {
		fmt.Fprintf(out, " from %s to %s, %d results of jobs, %.1f megapixel-steps", t.from.Format(time.RFC3339), t.to.Format(time.RFC3339), t.results, t.cost)
	}
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for i, f := range tallied {
		m := t.counts[i]
		for _, v := range slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(m[b]-m[a], cmp.Compare(a, b)) }) {
			fmt.Fprintf(w, "%s\t%s\t%d\n", f.name, plain(v), m[v])
		}
	}
	return w.Flush()
}

// maxCounted bounds the values of one kind that are counted apart.
const maxCounted = 10_000

// decided is 1 for decisions, whose count says for how many refusals they stand, else 0.
func decided(k audit.Kind) int {
	if k == audit.DecisionK {
		return 1
	}
	return 0
}
