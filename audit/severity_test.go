package audit_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/audit"
)

// SC-41: the table is total over the names of events, read from the source so that a new one can't be forgotten.
func TestSec_SC41_every_event_has_a_severity(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseFile(token.NewFileSet(), "severity.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST || g.Doc.Text() != "Names of events, for Record.Name.\n" {
			continue
		}
		for _, s := range g.Specs {
			if v, ok := s.(*ast.ValueSpec); ok {
				lit, ok := v.Values[0].(*ast.BasicLit)
				if !ok {
					t.Fatalf("%v is no literal", v.Names)
				}
				name, err := strconv.Unquote(lit.Value)
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	table := audit.EventSeverities()
	if d := cmp.Diff(names, slices.Sorted(maps.Keys(table))); d != "" || len(names) < 10 {
		t.Errorf("names of events and their table differ: %s", d)
	}
	known := []string{audit.Critical, audit.High, audit.Medium, audit.Low, audit.Info}
	for _, table := range []map[string]string{table, audit.CodeSeverities()} {
		for name, severity := range table {
			if !slices.Contains(known, severity) {
				t.Errorf("%s is %q", name, severity)
			}
		}
	}
}

// SC-41's own examples.
func TestSec_SC41_severities(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		record audit.Record
		want   string
	}{
		{"traversal attempt", audit.Record{Kind: audit.Event, Name: audit.Traversal}, audit.High},
		{"traversal in a call", audit.Record{Kind: audit.Outcome, Status: audit.StatusError, Code: "SECURITY_ERROR"}, audit.High},
		{"repeated authentication failure", audit.Record{Kind: audit.Event, Name: audit.AuthBlocked}, audit.High},
		{"bomb image", audit.Record{Kind: audit.Event, Name: audit.ImageAttack}, audit.Critical},
		{"rate-limit hit", audit.Record{Kind: audit.DecisionK, Decision: "deny", Status: audit.StatusDenied, Code: "RATE_LIMITED"}, audit.Medium},
		{"exposed without authentication", audit.Record{Kind: audit.Event, Name: audit.ExposedWithoutAuth}, audit.High},
		{"validation error", audit.Record{Kind: audit.Outcome, Status: audit.StatusError, Code: "INVALID_PARAMETER"}, audit.Low},
		{"a call that went well", audit.Record{Kind: audit.Outcome, Status: audit.StatusOK}, audit.Info},
		{"an intent", audit.Record{Kind: audit.Intent, Decision: "allow"}, audit.Info},
		{"a denial without a code", audit.Record{Kind: audit.DecisionK, Decision: "deny"}, audit.Medium},
		{"a code unheard of", audit.Record{Kind: audit.Outcome, Status: audit.StatusError, Code: "NEW"}, audit.Low},
		{"an event unheard of", audit.Record{Kind: audit.Event, Name: "new"}, audit.Low},
		{"the caller's own", audit.Record{Kind: audit.Event, Name: "new", Severity: audit.Critical}, audit.Critical},
		{"none of ours", audit.Record{Kind: audit.Event, Name: audit.AuthFailure, Severity: "urgent"}, audit.Medium},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := audit.SeverityOf(tc.record); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}
