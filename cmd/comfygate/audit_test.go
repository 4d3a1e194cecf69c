package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/audit"
)

// TestAuditVerify: the exit code tells a whole record from one that was changed, and from none.
func TestAuditVerify(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded)
	if out := w.run(t, "audit", "verify"); out.code != audit.ExitUnreadable || !strings.Contains(out.err, "no record in "+w.data()) || out.out != "" {
		t.Errorf("before there is one: %+v", out)
	}
	a := w.stdio(t)
	a.picture(t, "a cat")
	if out := w.run(t, "audit", "verify"); out.code != audit.ExitOK || !strings.Contains(out.out, "in use now") {
		t.Errorf("while it is written: %+v", out)
	}
	a.end(t)
	w.whole(t)
	if out := w.run(t, "audit", "verify", "--slot", "007"); out.code != audit.ExitUnreadable {
		t.Errorf("a slot that is not there: %+v", out)
	}
	segments, err := filepath.Glob(filepath.Join(w.data(), "audit", "001", "*.jsonl"))
	if err != nil || len(segments) != 1 {
		t.Fatal(segments, err)
	}
	before, err := os.ReadFile(segments[0])
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(before, []byte("\n"))
	flipped := append([]byte(nil), before...)
	flipped[len(lines[0])+len(lines[1])/2] ^= 1 // in the middle of the second line
	for name, test := range map[string]struct {
		data  []byte
		where string
	}{
		"a flipped byte":   {flipped, `slot 001, audit-\d+\.jsonl, line 2`},
		"a line taken out": {bytes.Join([][]byte{lines[0], bytes.Join(lines[2:], nil)}, nil), `slot 001, audit-\d+\.jsonl, line 2`},
		"a tail cut off":   {bytes.Join(lines[:len(lines)-2], nil), `slot 001`},
	} {
		if err := os.WriteFile(segments[0], test.data, 0o600); err != nil {
			t.Fatal(err)
		}
		out := w.run(t, "audit", "verify")
		if out.code != audit.ExitTampered || !regexp.MustCompile(test.where).MatchString(out.err) || strings.Contains(out.out, "whole") {
			t.Errorf("%s: %+v", name, out)
		}
		if out := w.run(t, "audit", "verify", "--json"); out.code != audit.ExitTampered || !json.Valid([]byte(out.out)) {
			t.Errorf("%s, as JSON: %+v", name, out)
		}
	}
	if err := os.WriteFile(segments[0], before, 0o600); err != nil {
		t.Fatal(err)
	}
	w.whole(t)
}
