package doctor

import (
	"context"
	"fmt"
	"io"
	"strings"
)

// A Status is how a promise stands.
type Status string

// Statuses.
const (
	Pass          Status = "pass"
	Failed        Status = "fail"
	NotApplicable Status = "n-a" // the set-up has nothing that the promise is about
)

// A Line is one promise of the security checklist, or one of its boxes, as it stands in this set-up.
type Line struct {
	ID       string   `json:"id"` // SC-01 to SC-63, C1.1 to C5.8
	Title    string   `json:"title"`
	Status   Status   `json:"status"`
	Evidence string   `json:"evidence"`          // what was looked at, with its values
	Tests    []string `json:"held_by,omitempty"` // Go tests of what no setting can change
	Fix      string   `json:"fix,omitempty"`     // of a failure
}

// A SecurityReport has a line for each promise and each box.
type SecurityReport struct {
	Version   string `json:"version"`
	Transport string `json:"transport"`
	Policy    string `json:"policy"`      // COMFYGATE_POLICY__FILE, or built-in
	Hash      string `json:"policy_hash"` // of the policy in force
	Lines     []Line `json:"lines"`
}

// Count returns how many lines have a status.
func (r SecurityReport) Count(s Status) int {
	n := 0
	for _, l := range r.Lines {
		if l.Status == s {
			n++
		}
	}
	return n
}

// ExitCode is 1 where anything failed, else 0.
func (r SecurityReport) ExitCode() int {
	if r.Count(Failed) > 0 {
		return 1
	}
	return 0
}

// WriteJSON prints the report as one indented JSON object.
func (r SecurityReport) WriteJSON(w io.Writer) error {
	return writeJSON(w, r)
}

// WriteText prints one line for each promise, and below a failure its fix.
func (r SecurityReport) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "comfygate %s, %s, policy %s\n\n", r.Version, r.Transport, r.Policy)
	for _, l := range r.Lines {
		fmt.Fprintf(&b, "%-4s  %-5s  %s: %s\n", l.Status, l.ID, l.Title, l.Evidence)
		if l.Fix != "" {
			fmt.Fprintf(&b, "             fix: %s\n", l.Fix)
		}
	}
	fmt.Fprintf(&b, "\n%d pass, %d fail, %d n-a\n", r.Count(Pass), r.Count(Failed), r.Count(NotApplicable))
	_, err := io.WriteString(w, b.String())
	return err
}

// A verdict is what a check comes to.
type verdict struct {
	status   Status
	evidence string
	fix      string
}

func pass(format string, a ...any) verdict { return verdict{Pass, fmt.Sprintf(format, a...), ""} }
func none(format string, a ...any) verdict {
	return verdict{NotApplicable, fmt.Sprintf(format, a...), ""}
}

func failed(fix, format string, a ...any) verdict {
	return verdict{Failed, fmt.Sprintf(format, a...), fix}
}

// A promise is a row of the checklist.
type promise struct {
	id    string
	title string
	tests []string // hold what no setting can change
	look  func(*guard) verdict
}

// A box is a line of the checklist's second half: it stands where all its promises do.
type box struct {
	id, title string
	by        []string // promises
	tests     []string // of its own assertion
}

// A guard is one run of the security report.
type guard struct {
	*visit

	ctx      context.Context //nolint:containedctx // lives for one report
	findings map[string]Finding
	private  bool // nobody but this machine reaches the listener
	lines    map[string]Line
}

// Security looks at everything that the checklist promises, as it stands in this set-up, within a minute.
func Security(ctx context.Context, in Input) (SecurityReport, error) {
	if err := in.validate(); err != nil {
		return SecurityReport{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	in.Machine = in.Machine.filled()
	g := &guard{
		visit: &visit{Input: in, clean: in.Config.Redactor()}, ctx: ctx, findings: make(map[string]Finding), lines: make(map[string]Line),
	}
	for _, look := range []func(){func() { g.exposure(ctx) }, func() { g.listener(ctx) }, g.disk, func() { g.audit(ctx) }} {
		look()
	}
	for _, f := range g.visit.findings {
		g.findings[f.ID] = f
	}
	g.private = g.loopback(ctx, in.Config.HTTP.Host) && !in.Published
	r := SecurityReport{Version: in.Version, Transport: in.Config.Server.Transport, Policy: in.Config.Policy.File, Hash: in.PolicyHash}
	if r.Policy == "" {
		r.Policy = "built-in"
	}
	for _, p := range promises() {
		r.Lines = append(r.Lines, g.line(p))
	}
	for _, b := range boxes() {
		r.Lines = append(r.Lines, g.box(b))
	}
	return r, nil
}

// line judges one promise and remembers it for the boxes.
func (g *guard) line(p promise) Line {
	v := pass("held by %s", strings.Join(p.tests, ", "))
	if p.look != nil {
		v = p.look(g)
	}
	l := Line{p.id, p.title, v.status, g.clean.Clean(v.evidence), p.tests, g.clean.Clean(v.fix)}
	g.lines[p.id] = l
	return l
}

// box joins what its promises came to.
func (g *guard) box(b box) Line {
	l := Line{ID: b.id, Title: b.title, Status: NotApplicable, Tests: b.tests}
	var broken, held []string
	for _, id := range b.by {
		switch g.lines[id].Status {
		case Failed:
			broken = append(broken, id)
		case Pass:
			held = append(held, id)
		case NotApplicable:
		}
	}
	switch {
	case len(broken) > 0:
		l.Status, l.Evidence, l.Fix = Failed, strings.Join(broken, ", ")+" failed", "see "+strings.Join(broken, ", ")
	case len(held) > 0:
		l.Status, l.Evidence = Pass, "by "+strings.Join(held, ", ")
	default:
		l.Evidence = strings.Join(b.by, ", ") + " are about what is not here"
	}
	return l
}

// HeldBy returns the tests that each promise and box names, by its id: what a reader is told to rely on must be there.
func HeldBy() map[string][]string {
	held := make(map[string][]string)
	for _, p := range promises() {
		held[p.id] = p.tests
	}
	for _, b := range boxes() {
		held[b.id] = b.tests
	}
	return held
}

func boxes() []box {
	return []box{
		{"C1.1", "every parameter of every tool is validated", []string{"SC-24", "SC-25", "SC-26", "SC-27", "SC-28", "SC-48"}, []string{"TestCatalog_C11_properties"}},
		{"C1.2", "file types are restricted, in and out", []string{"SC-49", "SC-53"}, nil},
		{"C1.3", "image dimension limits are configured", []string{"SC-27", "SC-49"}, []string{"TestCatalog_C11_properties"}},
		{"C1.4", "memory controls are active", []string{"SC-55"}, nil},
		{"C1.5", "processing timeouts are set", []string{"SC-56"}, []string{"TestTimeout_SC56"}},
		{"C1.6", "temporary files are cleaned up", []string{"SC-34", "SC-51"}, nil},
		{"C1.7", "models are loaded safely", []string{"SC-52"}, nil},
		{"C1.8", "resource exhaustion is prevented", []string{"SC-50", "SC-55", "SC-58"}, nil},
		{"C2.1", "the API communication is secure", []string{"SC-13", "SC-14", "SC-15", "SC-16", "SC-17", "SC-18", "SC-19", "SC-20", "SC-47"}, nil},
		{"C2.2", "authentication exists, of callers and towards ComfyUI", []string{"SC-10", "SC-20", "SC-59"}, nil},
		{"C2.3", "input sanitization is active", []string{"SC-25", "SC-49"}, nil},
		{"C2.4", "workflow validation is on", []string{"SC-54"}, []string{"TestFit_SC54_mutations"}},
		{"C2.5", "errors are handled securely", []string{"SC-61"}, nil},
		{"C2.6", "logging is configured", []string{"SC-35", "SC-36", "SC-37"}, nil},
		{"C2.7", "access controls are in place", []string{"SC-59"}, nil},
		{"C2.8", "resource monitoring is active", []string{"SC-62"}, nil},
		{"C3.1", "no hardcoded keys or secrets", []string{"SC-57"}, nil},
		{"C3.2", "credentials come from the environment", []string{"SC-57"}, nil},
		{"C3.3", "rate limiting is configured", []string{"SC-58"}, []string{"TestSec_SC58_defaults"}},
		{"C3.4", "authentication exists where enabled", []string{"SC-10", "SC-59"}, nil},
		{"C3.5", "authorization controls are in place", []string{"SC-59"}, nil},
		{"C3.6", "audit logging is enabled", []string{"SC-60"}, nil},
		{"C3.7", "input is validated on all endpoints", []string{"SC-48"}, []string{"TestSec_SC10_routes"}},
		{"C3.8", "error handling leaks no information", []string{"SC-61"}, nil},
		{"C4.1", "image processing security is implemented", []string{"SC-49", "SC-50", "SC-51", "SC-52", "SC-53", "SC-54", "SC-55", "SC-56"}, nil},
		{"C4.2", "file upload restrictions are enforced", []string{"SC-49"}, nil},
		{"C4.3", "resource limits are configured", []string{"SC-50", "SC-55", "SC-56"}, nil},
		{"C4.4", "MCP security guidelines are followed", []string{"SC-12", "SC-57", "SC-58", "SC-59", "SC-60", "SC-61"}, []string{"TestSec_SC12_hosts", "TestHTTP_MCP08_foreignSession", "TestHTTP_MCP21_list"}},
		{"C5.1", "file types are validated", []string{"SC-49", "SC-53"}, nil},
		{"C5.2", "image size limits are enforced", []string{"SC-27", "SC-49"}, nil},
		{"C5.3", "memory controls are active", []string{"SC-55"}, nil},
		{"C5.4", "the processing timeout is configured", []string{"SC-56"}, nil},
		{"C5.5", "temporary files are handled safely", []string{"SC-33", "SC-34"}, nil},
		{"C5.6", "input sanitization is complete", []string{"SC-25", "SC-26", "SC-49"}, []string{"FuzzDecode", "FuzzInputs"}},
		{"C5.7", "errors are handled securely", []string{"SC-61"}, nil},
		{"C5.8", "resource monitoring is enabled", []string{"SC-62"}, nil},
	}
}
