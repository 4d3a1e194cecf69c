package attack_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"unicode"
)

// The seven oracles, by their ids in the table.
const (
	oracleCrash      = "O1"
	oracleBypass     = "O2"
	oracleReflection = "O3"
	oracleOversize   = "O4"
	oracleHang       = "O5"
	oracleInternal   = "O6"
	oracleLeak       = "O7"
)

// A judge puts every answer to the oracles. It is safe for concurrent use.
type judge struct {
	secrets *words // no answer may hold one

	mu       sync.Mutex
	answers  int
	findings map[string][]string // by oracle
}

func newJudge(secrets *words) *judge {
	return &judge{secrets: secrets, findings: make(map[string][]string)}
}

// found notes a finding.
func (j *judge) found(oracle, format string, a ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.findings[oracle] = append(j.findings[oracle], fmt.Sprintf(format, a...))
}

// An open route may be read by anybody: its address is public, or a credential of its own.
var open = regexp.MustCompile(`^/(healthz|\.well-known/.*|images/.*|uploads/.*)$`)

// answer judges one.
func (j *judge) answer(c *caller, req *http.Request, a answer) {
	j.mu.Lock()
	j.answers++
	j.mu.Unlock()
	what := fmt.Sprintf("%s: %s %s: %s", c.t.Name(), req.Method, req.URL.Path, a)
	if !c.good && a.status < http.StatusMultipleChoices && !open.MatchString(req.URL.Path) {
		j.found(oracleBypass, "%s", what)
	}
	if len(a.body) > 1<<20 && !open.MatchString(req.URL.Path) {
		j.found(oracleOversize, "%s: %d bytes", what, len(a.body))
	}
	if a.took > c.within*9/10 {
		j.found(oracleHang, "%s: %s", what, a.took)
	}
	if a.status >= http.StatusInternalServerError && a.status != http.StatusServiceUnavailable {
		j.found(oracleInternal, "%s", what)
	}
	if open.MatchString(req.URL.Path) && a.status < http.StatusBadRequest {
		return // a picture, or a text of our own
	}
	j.reflected(what, a)
	for _, text := range texts(a.body) {
		j.text(what, c, text)
	}
}

// evaluated are what payloads of the suite come to where something runs them.
var evaluated = regexp.MustCompile(`1787569|uid=\d+\(|root:x:0:0|<script`)

func (j *judge) reflected(what string, a answer) {
	for name, values := range a.header {
		if strings.EqualFold(name, "X-Injected") || evaluated.MatchString(strings.Join(values, " ")) {
			j.found(oracleReflection, "%s: header %s: %q", what, name, values)
		}
	}
	if m := evaluated.Find(a.body); m != nil {
		j.found(oracleReflection, "%s: %q", what, m)
	}
}

// leaks are what only the inside of a program says.
var leaks = regexp.MustCompile(`goroutine \d|runtime error|\.go:\d|\bpanic\b|Traceback|\bjson: |\bstrconv\.|unmarshal|` +
	`\*(errors|fmt|net|json|tools|comfy|auth|policy|jobs|images|audit|mcp)\.|dial tcp|oidc: |jwt: |go-jose|square/go-jose`)

// text judges one text of an answer, as a client reads it.
func (j *judge) text(what string, c *caller, text string) {
	for _, r := range text {
		if r != '\n' && r != '\t' && r != '\r' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			j.found(oracleReflection, "%s: %U", what, r)
			break
		}
	}
	if strings.Contains(text, `"INTERNAL"`) || strings.Contains(text, "-32603") {
		j.found(oracleInternal, "%s", what)
	}
	if m := leaks.FindString(text); m != "" {
		j.found(oracleLeak, "%s: %q", what, m)
	}
	inner := []string{c.site.home, c.site.comfy.url, strings.TrimPrefix(c.site.comfy.url, "http://"), canaryPassword}
	for _, secret := range slices.Concat(inner, j.secrets.all()) {
		if strings.Contains(text, secret) {
			j.found(oracleLeak, "%s: %q", what, secret[:min(len(secret), 40)])
		}
	}
}

// maxText is longer than any text for people: beyond it there is a picture.
const maxText = 64 << 10

// texts are the texts of an answer: those within JSON, decoded, or else all of it.
func texts(body []byte) []string {
	var all []string
	for line := range strings.Lines(string(body)) {
		line = strings.TrimPrefix(strings.TrimRight(line, "\r\n"), "data: ")
		var v any
		if json.Unmarshal([]byte(line), &v) != nil {
			all = append(all, line)
			continue
		}
		all = walk(all, v)
	}
	return slices.DeleteFunc(all, func(s string) bool { return len(s) > maxText })
}

func walk(all []string, v any) []string {
	switch v := v.(type) {
	case string:
		all = append(all, v)
	case float64:
		all = append(all, fmt.Sprint(v))
	case []any:
		for _, e := range v {
			all = walk(all, e)
		}
	case map[string]any:
		for k, e := range v {
			if k == "data" || k == "blob" {
				continue // a picture
			}
			all = walk(append(all, k), e)
		}
	}
	return all
}

// alive looks whether a program still runs and has not panicked.
func (j *judge) alive(s *site) {
	if s.over() && !s.told.Load() {
		j.found(oracleCrash, "comfygate has ended, exit code %d", s.cmd.ProcessState.ExitCode())
	}
	for _, bad := range []string{"DATA RACE", "panic", "goroutine 1 ["} {
		if log := s.log.String(); strings.Contains(log, bad) {
			at := strings.Index(log, bad)
			j.found(oracleCrash, "the log has %q: %s", bad, log[max(0, at-200):min(len(log), at+400)])
		}
	}
}

// result is what an oracle found.
func (j *judge) result(oracle string) (findings []string, answers int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.findings[oracle]), j.answers
}
