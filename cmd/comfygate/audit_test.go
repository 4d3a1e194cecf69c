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
	"github.com/comfygate/comfygate/images"
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

// TestAuditCommands: what was made is shown, counted, exported, proved and found again, offline.
func TestAuditCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded)
	a := w.stdio(t)
	a.picture(t, "a cat on a roof")
	a.end(t)
	show := func(args ...string) []audit.Record {
		t.Helper()
		out := w.run(t, append([]string{"audit", "show", "--format", "json"}, args...)...)
		if out.code != 0 {
			t.Fatalf("%v: %+v", args, out)
		}
		var list []audit.Record
		for line := range strings.Lines(out.out) {
			var r audit.Record
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			list = append(list, r)
		}
		return list
	}
	ends := show("--kind", "job.end", "--tool", "generate", "--since", "1h")
	if len(ends) != 1 || len(ends[0].Outputs) != 1 || len(ends[0].Contents) != 1 || len(ends[0].Contents[0]) != 64 {
		t.Fatalf("job ends: %+v", ends)
	}
	end := ends[0]
	if n := len(show("--call", end.CallID)); n != 3 {
		t.Errorf("%d records of the call", n)
	}
	for _, none := range [][]string{{"--principal", "eve"}, {"--until", "2020-01-01"}, {"--job", "x"}, {"--decision", "deny"}, {"--severity", "critical"}} {
		if list := show(none...); len(list) != 0 {
			t.Errorf("%v: %+v", none, list)
		}
	}
	if out := w.run(t, "audit", "show", "--since", "yesterday"); out.code != exitUsage || !strings.Contains(out.err, "7d") {
		t.Errorf("no time: %+v", out)
	}
	if out := w.run(t, "audit", "stats"); out.code != 0 || !strings.Contains(out.out, "1 results of jobs") {
		t.Errorf("stats: %+v", out)
	}
	if out := w.run(t, "audit", "tail", "-n", "1"); out.code != 0 || !strings.Contains(out.out, "stop") || strings.Contains(out.out, "start") {
		t.Errorf("tail: %+v", out)
	}
	csv := filepath.Join(w.home, "out.csv")
	if out := w.run(t, "audit", "export", "--format", "csv", "-o", csv); out.code != 0 {
		t.Errorf("export: %+v", out)
	}
	if b, err := os.ReadFile(csv); err != nil || bytes.Count(b, []byte("\n")) != len(show())+1 {
		t.Errorf("exported %s, %v", b, err)
	}

	receipt := filepath.Join(w.home, "receipt")
	if out := w.run(t, "audit", "prove", "--call", end.CallID, "-o", receipt); out.code != 0 {
		t.Fatalf("prove: %+v", out)
	}
	key := strings.TrimSpace(w.run(t, "audit", "keys").out)
	elsewhere := newWorld(t) // another machine: it has the receipt and the key
	if out := elsewhere.run(t, "audit", "verify-receipt", receipt, "--verifier", key); out.code != 0 || !strings.Contains(out.out, end.CallID) {
		t.Errorf("verify-receipt: %+v", out)
	}
	b, err := os.ReadFile(receipt)
	if err != nil {
		t.Fatal(err)
	}
	forged := filepath.Join(w.home, "forged")
	if err := os.WriteFile(forged, regexp.MustCompile(`(?m)^index \d+$`).ReplaceAll(b, []byte("index 1")), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := elsewhere.run(t, "audit", "verify-receipt", forged, "--verifier", key); out.code != audit.ExitTampered || out.out != "" {
		t.Errorf("a forged receipt: %+v", out)
	}

	if out := w.run(t, "audit", "hash", "a cat on a roof"); out.code != 0 || !strings.Contains(out.out, end.CallID) {
		t.Errorf("hash: %+v", out)
	}
	if out := w.run(t, "audit", "hash", "a dog"); out.code != exitError || out.out != "" {
		t.Errorf("hash of another text: %+v", out)
	}
	if out := w.run(t, "audit", "forget", end.Principal); out.code != 0 {
		t.Errorf("forget: %+v", out)
	}
	if out := w.run(t, "audit", "hash", "a cat on a roof"); out.code != exitError || out.out != "" {
		t.Errorf("hash of a text that was forgotten: %+v", out)
	}

	checkpoint := filepath.Join(w.home, "kept")
	if out := w.run(t, "audit", "checkpoint", "-o", checkpoint); out.code != 0 {
		t.Errorf("checkpoint: %+v", out)
	}
	if out := w.run(t, "audit", "rotate-key"); out.code != 0 || out.out == "" {
		t.Errorf("rotate-key: %+v", out)
	}
	w.stdio(t).end(t)
	if out := w.run(t, "audit", "verify", "--checkpoint", checkpoint, "--verifier", key); out.code != 0 {
		t.Errorf("verify by what was kept: %+v", out)
	}
	var report struct {
		Whole bool
		Slots []struct{ Records, Signed int }
	}
	if out := w.run(t, "audit", "verify", "--json"); json.Unmarshal([]byte(out.out), &report) != nil || !report.Whole || report.Slots[0].Records != report.Slots[0].Signed {
		t.Errorf("verify --json: %+v", out)
	}
}

// TestAUD17_findImage: a picture is found by its file, and by its pixels when its metadata is gone; another is not.
func TestAUD17_findImage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded)
	a := w.stdio(t)
	a.picture(t, "a cat")
	a.end(t)
	files, err := filepath.Glob(filepath.Join(w.data(), "pictures", "*.png"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	var bare bytes.Buffer
	if _, err := images.StripPNG(&bare, bytes.NewReader(b), images.StripOptions{}); err != nil || bytes.Equal(bare.Bytes(), b) {
		t.Fatal("the picture has no metadata to take away", err)
	}
	other := bytes.Clone(bare.Bytes())
	other = append(other[:len(other)-12-100], other[len(other)-12:]...)
	for name, tc := range map[string]struct {
		file []byte
		code int
		how  string
	}{
		"as it is":              {b, exitOK, "as it is"},
		"metadata taken away":   {bare.Bytes(), exitOK, "pixel data"},
		"something else":        {other, exitError, "no such picture"},
		"something quite other": {[]byte("x"), exitError, "no such picture"},
	} {
		file := filepath.Join(t.TempDir(), "picture")
		if err := os.WriteFile(file, tc.file, 0o600); err != nil {
			t.Fatal(err)
		}
		out := w.run(t, "audit", "find-image", file)
		if out.code != tc.code || !strings.Contains(out.err, tc.how) || (out.code == exitOK) != strings.Contains(out.out, "generate") {
			t.Errorf("%s: %+v", name, out)
		}
	}
}
