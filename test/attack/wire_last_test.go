package attack_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/comfy/emulator"
)

// lastWires look at what the others left.
func lastWires() map[string]wire {
	return map[string]wire{"T24": tokensStay, "T65": canaries, "T66": brokenLines, "A8": tamperedRecord, "A9": noVisit}
}

// evilCharacters is T41: errors and names of ComfyUI's hold what no terminal should see. The oracles search every answer for it.
func evilCharacters(t *testing.T, f *field) {
	f.once.Do(func() { evilAnswers(t, f.evil) }) // not at the same time
	for _, fault := range []string{"evil-error", "evil-name"} {
		parsed, err := emulator.ParseFault(fault)
		if err != nil {
			t.Fatal(err)
		}
		f.evil.comfy.SetFaults(parsed)
		c := f.evil.someone(t)
		out := c.call("generate", small("a cat"))
		if len(out.text) > 8<<10 {
			t.Errorf("%s: a text of %d bytes", fault, len(out.text))
		}
		if fault == "evil-error" && out.ok() {
			t.Errorf("no error: %s", out.answer)
		}
		c.call("status", nil)
		for _, m := range jobID.FindAllStringSubmatch(out.text, -1) {
			c.call("status", args{"job_id": m[1]})
		}
	}
	f.evil.comfy.SetFaults()
}

func tokensStay(t *testing.T, f *field) {
	for _, s := range []*site{f.main, f.slow, f.evil} {
		asked, log := strings.Join(s.comfy.requests(), "\n"), s.log.String()
		if asked == "" {
			t.Error("ComfyUI was never asked")
		}
		for _, token := range s.provider.tokens.all() {
			if _, signature, _ := strings.Cut(token[len(token)/2:], "."); strings.Contains(asked, signature) || strings.Contains(log, signature) {
				t.Error("a caller's token is at ComfyUI or in the log")
			}
		}
		want := "Basic " + base64.StdEncoding.EncodeToString([]byte("gate:"+canaryPassword))
		if !strings.Contains(asked, want) {
			t.Error("ComfyUI was asked without its own credentials")
		}
	}
}

func canaries(t *testing.T, f *field) {
	for _, s := range []*site{f.main, f.evil} {
		everywhere := s.files(t)
		everywhere["the log"] = s.log.String()
		for where, text := range everywhere {
			for _, mark := range []string{"CANARYPROMPT", canaryPassword, base64.StdEncoding.EncodeToString([]byte(canaryPassword)), hex.EncodeToString([]byte(canaryPassword)), "CANARYHEADER"} {
				if strings.Contains(text, mark) {
					t.Errorf("%s holds %q", where, mark)
				}
			}
			for _, token := range s.provider.tokens.all() {
				if strings.Contains(text, token) {
					t.Errorf("%s holds a token", where)
				}
			}
		}
	}
}

// records reads a site's record.
func (s *site) records(t *testing.T) []audit.Record {
	t.Helper()
	var list []audit.Record
	for e, err := range audit.Records(s.data(), audit.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e.Record)
	}
	return list
}

// brokenLines sends names that break lines, and reads the record back.
func brokenLines(t *testing.T, f *field) {
	c := f.main.someone(t)
	names := []string{"=cmd|' /C calc'!A0", "@SUM(1+1)", "CEF:0|evil|x|1|x|x|10|", "<13>1 - evil", "a\\nb", "none\",\"kind\":\"outcome"}
	c.initialize()
	for _, name := range names {
		c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":` + c.json(name) + `,"arguments":{}}}`)
		c.post(strings.Replace(hello, `"attack"`, c.json(name), 1), "Mcp-Session-Id", "")
	}
	for _, raw := range []string{"a\nb", "a\r\nb", "a\x1b[31mb", "a\u2028b"} {
		c.post(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":` + c.json(raw) + `,"arguments":{}}}`)
		c.refused("status", args{"job_id": raw})
	}
	list := f.main.records(t)
	mine := slices.DeleteFunc(slices.Clone(list), func(r audit.Record) bool { return r.Principal != c.name })
	if len(mine) < len(names) {
		t.Errorf("%d records of these calls", len(mine))
	}
	for path, text := range f.main.files(t) {
		if !strings.HasSuffix(path, ".jsonl") {
			continue
		}
		for line := range strings.Lines(text) {
			var v map[string]any
			if json.Unmarshal([]byte(line), &v) != nil || strings.ContainsAny(strings.TrimSuffix(line, "\n"), "\r\x1b\u2028") {
				t.Errorf("%s: a line is broken: %.200q", path, line)
			}
		}
	}
	for _, format := range []string{"table", "csv", "json"} {
		out, code := f.main.run(t, "audit", "show", "--principal", c.name, "--format", format)
		if code != 0 || strings.Contains(out, "\x1b") || format == "csv" && strings.Contains(out, ",=cmd") {
			t.Errorf("audit show as %s, exit code %d: %.300q", format, code, out)
		}
	}
}

func noVisit(t *testing.T, f *field) {
	evil := "127.0.0.1:" + f.trap.port
	c := f.main.someone(t)
	for _, header := range [][]string{
		{"X-Forwarded-Host", evil}, {"Forwarded", "host=" + evil}, {"Referer", "http://" + evil + "/"}, {"X-Original-URL", "http://" + evil}, {"X-Forwarded-Proto", "gopher"}, {"Via", "1.1 " + evil},
	} {
		out := read(c.ask("tools/call", `{"name":"upload_image","arguments":{"link":true}}`, header...))
		if strings.Contains(out.text, evil) || !strings.Contains(out.text, public) {
			t.Errorf("%s: %s", header[0], out.answer)
		}
	}
	for _, url := range f.trap.addresses() {
		c.ask("resources/subscribe", fmt.Sprintf(`{"uri":%q}`, url))
		c.call("generate", args{"prompt": "see " + url, "negative_prompt": url, "family": "sd15", "width": 64, "height": 64, "steps": 1})
	}
	conn := f.main.dial(t) // as a proxy
	if _, err := fmt.Fprintf(conn, "GET http://%s/ HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\nCONNECT %s HTTP/1.1\r\n\r\n", evil, evil, evil); err != nil {
		t.Fatal(err)
	}
	if n := f.trap.visits.Load(); n > 0 {
		t.Errorf("%d visits at an address that callers named", n)
	}
}

// tamperedRecord verifies the record of this run, and copies of it that were tampered with.
func tamperedRecord(t *testing.T, f *field) {
	s := f.slow // nothing goes on there any more
	s.judge.alive(s)
	s.end(t)
	if out, code := s.run(t, "audit", "verify"); code != 0 {
		t.Fatalf("the record of this run: exit code %d: %s", code, out)
	}
	offered := 0
	for _, r := range s.records(t) {
		if r.Name == audit.ToolsOffered && len(r.Detail["sha256"]) == 64 {
			offered++
		}
	}
	if offered != 1 {
		t.Errorf("T44: the digest of what is offered is %d times on the record of a start", offered)
	}
	var segment string
	for path := range s.files(t) {
		if strings.HasSuffix(path, ".jsonl") && (segment == "" || path < segment) {
			segment = path
		}
	}
	whole, err := os.ReadFile(filepath.Join(s.home, segment))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(strings.TrimSuffix(string(whole), "\n")+"\n", "\n")
	middle := len(lines) / 2
	for name, text := range map[string]string{
		"a byte":         string(whole[:len(whole)/2]) + string(whole[len(whole)/2]^1) + string(whole[len(whole)/2+1:]),
		"a line removed": strings.Join(slices.Delete(slices.Clone(lines), middle, middle+1), ""),
		"a line doubled": strings.Join(slices.Insert(slices.Clone(lines), middle, lines[middle]), ""),
		"lines swapped":  strings.Join(append(append(slices.Clone(lines[:middle]), lines[middle+1], lines[middle]), lines[middle+2:]...), ""),
		"cut":            strings.Join(lines[:middle], ""),
		"another name":   strings.Replace(string(whole), `"principal":"p`, `"principal":"q`, 1),
		"emptied":        "",
	} {
		copied := filepath.Join(t.TempDir(), "data")
		if err := os.CopyFS(copied, os.DirFS(s.data())); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(copied, strings.TrimPrefix(segment, "/data"))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		report, err := audit.Verify(copied, audit.VerifyOptions{})
		if err == nil && len(report.Findings) == 0 {
			t.Errorf("%s: not found: %+v", name, report)
		}
	}
	call := ""
	for _, r := range s.records(t) {
		if r.Kind == audit.Outcome {
			call = r.CallID
		}
	}
	receipt := filepath.Join(t.TempDir(), "receipt")
	if out, code := s.run(t, "audit", "prove", "--call", call, "-o", receipt); code != 0 {
		t.Fatalf("a receipt: exit code %d: %s", code, out)
	}
	data, err := os.ReadFile(receipt)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := audit.TrustedKeys(s.data())
	if err != nil {
		t.Fatal(err)
	}
	if r, _, _, err := audit.VerifyReceipt(data, keys); err != nil || r.CallID != call {
		t.Errorf("a true receipt: %v", err)
	}
	for i := 0; i < len(data); i += 17 {
		forged := slices.Clone(data)
		forged[i] ^= 1
		if r, _, _, err := audit.VerifyReceipt(forged, keys); err == nil && r.CallID != call {
			t.Errorf("a receipt with byte %d changed is believed", i)
		}
	}
}
