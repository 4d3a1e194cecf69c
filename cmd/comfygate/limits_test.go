package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A spent is what status tells of limits.
type spent struct {
	Budgets []struct {
		Limit     string
		Max, Left float64
	}
	Rates []struct {
		Limit     string
		PerMinute int `json:"per_minute"`
		Left      int
	}
	Places struct {
		MaxPerPrincipal int `json:"max_per_principal"`
	}
	Limits map[string]float64
}

func (a *agent) spent(t *testing.T) (s spent) {
	t.Helper()
	if out := a.must(t, "status", nil); json.Unmarshal([]byte(out.text), &s) != nil {
		t.Fatalf("status: %s", out.text)
	}
	return s
}

// later is what a refusal says about when to come again.
func later(t *testing.T, out answer) time.Duration {
	t.Helper()
	var f struct {
		Retryable bool
		After     int64 `json:"retry_after_ms"`
	}
	if err := json.Unmarshal([]byte(out.text), &f); err != nil || !f.Retryable || f.After <= 0 {
		t.Fatalf("no time to come again: %s", out.text)
	}
	return time.Duration(f.After) * time.Millisecond
}

// T53, LIM-03: work is charged, what a cancelled job did not do comes back, status tells what is left, and what is spent is refused with
// the time at which there is enough again.
func TestLimits_T53_budget(t *testing.T) {
	t.Parallel()
	u := slow(t)
	w := newWorld(t, append(unlimited(), u.on(), "COMFYGATE_LIMITS__BUDGET_PER_HOUR=20", "COMFYGATE_LIMITS__BUDGET_PER_DAY=100")...)
	a := w.stdio(t)
	if s := a.spent(t); len(s.Budgets) != 2 || s.Budgets[0].Left != 20 || s.Budgets[1].Max != 100 || s.Limits["calls"] != 512 {
		t.Fatalf("status: %+v", s)
	}
	large := args{"prompt": "a cat", "width": 1024, "height": 1024, "steps": 16, "wait_seconds": 0} // 17 megapixel-steps
	made := a.must(t, "generate", large)
	a.running(t)
	began := a.spent(t).Budgets
	if began[0].Left > 4 || began[1].Left > 84 {
		t.Errorf("after it began: %+v", began)
	}
	out := a.call(t, "generate", large)
	if out.fault == nil || out.fault.Code != "BUDGET_EXHAUSTED" {
		t.Fatalf("the second: %s", out.text)
	}
	if after := later(t, out); after > time.Hour || after < 35*time.Minute { // 14 of 20 must come back
		t.Errorf("retry after %v", after)
	}
	a.refused(t, "generate", args{"prompt": "a cat", "width": 1024, "height": 1024, "steps": 40}, "LIMIT_EXCEEDED")
	a.must(t, "cancel", args{"job_id": made.job(t)})
	if b := a.spent(t).Budgets; b[0].Left < began[0].Left+5 || b[1].Left < began[1].Left+5 {
		t.Errorf("after it was cancelled: %+v", b)
	}
	a.must(t, "generate", args{"prompt": "a cat", "width": 512, "height": 512, "steps": 20, "wait_seconds": 0}) // 6
	a.end(t)
	w.whole(t)
}

// T55: who waits as long as was told gets through.
func TestLimits_T55_honest(t *testing.T) {
	t.Parallel()
	a := newWorld(t, embedded, "COMFYGATE_RATELIMIT__GENERATE_PER_MINUTE=30", "COMFYGATE_RATELIMIT__BURST=1").stdio(t)
	for range 3 {
		out := a.call(t, "generate", args{"prompt": "a cat", "width": 64, "height": 64, "steps": 1, "wait_seconds": 0})
		if out.fault == nil {
			continue
		}
		if out.fault.Code != "RATE_LIMITED" {
			t.Fatal(out.text)
		}
		time.Sleep(later(t, out)) // what an agent does
		a.must(t, "generate", args{"prompt": "a cat", "width": 64, "height": 64, "steps": 1, "wait_seconds": 0})
	}
}

// The policy file gives roles and people limits of their own, which hold from the moment at which it is read.
func TestLimits_ofPolicy(t *testing.T) {
	t.Parallel()
	w := newWorld(t, append(unlimited(), embedded)...)
	file := filepath.Join(w.home, "policy.yaml")
	text := strings.Join([]string{
		"version: 1", "principals: {ada: operator, bob: operator}", "limits:", "  roles:", "    operator: {work_per_hour: 2, status_per_minute: 500}",
		"  principals:", "    bob: {generate_per_minute: 0, pending: 3}", "rules:", "  - {id: all, effect: allow}", "",
	}, "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := w.with("COMFYGATE_POLICY__FILE="+file, "COMFYGATE_AUTH__TOKENS="+tokenOf("ada")+","+tokenOf("bob")).http(t)
	ada, bob := s.streamable(t, "Authorization", "Bearer token-of-ada"), s.streamable(t, "Authorization", "Bearer token-of-bob")
	for range 2 {
		ada.picture(t, "a cat")
	}
	ada.refused(t, "generate", small("a cat"), "BUDGET_EXHAUSTED")
	bob.refused(t, "generate", small("a cat"), "LIMIT_EXCEEDED")
	if got := bob.spent(t); len(got.Budgets) != 1 || got.Budgets[0].Left != 2 || got.Places.MaxPerPrincipal != 3 || got.Rates[len(got.Rates)-1].PerMinute != 500 {
		t.Errorf("bob's: %+v", got)
	}
}
