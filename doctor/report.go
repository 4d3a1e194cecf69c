package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// A Severity tells how bad a finding is.
type Severity string

// Severities, from good to bad.
const (
	OK   Severity = "ok"
	Info Severity = "info" // worth knowing
	Warn Severity = "warn" // works, but should be changed
	Fail Severity = "fail" // does not work, or must not stay
)

// A Finding is one thing that was looked at. Its texts are for the operator and hold no credential.
type Finding struct {
	ID       string   `json:"id"` // stable, such as comfyui_port_exposed
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
	Details  []string `json:"details,omitempty"`
	Fix      string   `json:"fix,omitempty"` // what to do about it
}

// A Report is everything that a run found, in the order in which it was looked at.
type Report struct {
	Version  string    `json:"version"`
	Backend  string    `json:"backend"`           // comfyui or embedded
	ComfyUI  string    `json:"comfyui,omitempty"` // its address, without credentials
	Findings []Finding `json:"findings"`
}

// Count returns how many findings are of severity s.
func (r Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// ExitCode is 1 where anything failed, else 0.
func (r Report) ExitCode() int {
	if r.Count(Fail) > 0 {
		return 1
	}
	return 0
}

// WriteJSON prints the report as one indented JSON object.
func (r Report) WriteJSON(w io.Writer) error {
	return writeJSON(w, r)
}

// writeJSON prints v for programs.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// maxShown bounds the details of one finding that people are shown.
const maxShown = 6

// WriteText prints the report for people.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "comfygate %s looks at its set-up\n\n", r.Version)
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "%-4s  %s\n", f.Severity, f.Text)
		for _, d := range f.Details[:min(len(f.Details), maxShown)] {
			fmt.Fprintf(&b, "      - %s\n", d)
		}
		if n := len(f.Details) - maxShown; n > 0 {
			fmt.Fprintf(&b, "      - and %d more, which --json lists\n", n)
		}
		if f.Fix != "" {
			fmt.Fprintf(&b, "      fix: %s\n", f.Fix)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", r.summary())
	_, err := io.WriteString(w, b.String())
	return err
}

func (r Report) summary() string {
	fails, warns := r.Count(Fail), r.Count(Warn)
	switch {
	case fails > 0:
		return fmt.Sprintf("%s to mend, %s.", count(fails, "thing"), count(warns, "warning"))
	case warns > 0:
		return fmt.Sprintf("It works, with %s.", count(warns, "warning"))
	default:
		return "All is well."
	}
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
