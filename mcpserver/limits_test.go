package mcpserver_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// What limits refuse reads like everything that is refused, and says honestly whether waiting helps.
func TestErrors_limits(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err   error
		code  string
		again bool
		says  string
	}{
		"a budget":       {&limits.BudgetError{Limit: limits.BudgetPerHour, Cost: 26.2, Left: 3.9, Max: 100, RetryAfter: time.Minute}, "BUDGET_EXHAUSTED", true, "takes 27 megapixel-steps, and of budget_per_hour (100) there are 3 left: wait 1m0s"},
		"too small":      {&limits.BudgetError{Limit: limits.BudgetPerDay, Cost: 200, Max: 100}, "LIMIT_EXCEEDED", false, "takes 200 megapixel-steps, but budget_per_day is 100"},
		"a rate":         {&limits.RateError{Limit: limits.GlobalPerMinute, RetryAfter: time.Second}, "RATE_LIMITED", true, "global_per_minute"},
		"a rate of none": {&limits.RateError{Limit: limits.Burst}, "LIMIT_EXCEEDED", false, "burst"},
		"calls":          {&limits.BusyError{Limit: limits.CallsAll, Running: 5, Max: 5}, "RESOURCE_EXHAUSTED", true, "5 of 5"},
	} {
		f := mcpserver.Explain(tc.err)
		if f.Code != tc.code || f.Retryable != tc.again || (f.RetryAfter > 0) != tc.again || !strings.Contains(f.Message, tc.says) {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// limited is a server with real limits over one tool that makes something, by its registered name and through the whole chain (LIM-12).
func limited(t *testing.T, w *work, budgets limits.BudgetConfig, calls *limits.Calls) *set {
	t.Helper()
	b, err := limits.NewBudgets(budgets)
	if err != nil {
		t.Fatal(err)
	}
	return newSet(t, []tools.Tool{makeTool("generate", w), readTool("get_image", &work{}), cancelTool(), operateTool()}, func(s *set) {
		s.cfg.Budgets = b
		if calls != nil {
			s.cfg.Calls = calls
		}
	})
}

// pass sends a call through every stage and returns the code it ends with.
func (s *set) pass(t *testing.T, who auth.Principal, name, args string) string {
	t.Helper()
	i := slices.IndexFunc(s.cfg.Tools, func(tool tools.Tool) bool { return tool.Name == name })
	order := make([]int, len(s.server.StageNames()))
	for n := range order {
		order[n] = n
	}
	_, err := s.server.CallInOrder(auth.NewContext(t.Context(), who), order, s.cfg.Tools[i], args, time.Now())
	if err == nil {
		return ""
	}
	return mcpserver.Explain(err).Code
}

func cancelTool() tools.Tool {
	t := readTool("cancel", &work{})
	t.Scope, t.Hints = policy.JobCancel, tools.Hints{Destructive: true}
	return t
}

// T53, LIM-03, LIM-12: a job is charged as it is admitted, and settled when it has ended; what makes no job costs nothing.
func TestT53_budgetOfCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var settle func(float64)
		jobID := "job1"
		var fail error
		w := &work{cost: tools.Cost{Tokens: 1, Work: 40, Place: true}}
		w.run = func(_ context.Context, c tools.Caller) (tools.Result, error) {
			settle = c.Settle
			return tools.Result{JobID: jobID, Accepted: jobID != ""}, fail
		}
		s := limited(t, w, limits.BudgetConfig{PerHour: 100}, nil)
		ann := person("ann", policy.Operator)
		call := func(want string) {
			t.Helper()
			if got := s.pass(t, ann, "generate", `{"prompt":"x"}`); got != want {
				t.Fatalf("%q, want %q", got, want)
			}
		}
		call("")
		first := settle
		call("")
		call("BUDGET_EXHAUSTED") // 80 of 100 are spent
		first(10)                // it failed early
		first(0)                 // told again: only the first counts
		call("")
		call("BUDGET_EXHAUSTED")
		jobID, fail = "", errTest
		time.Sleep(time.Hour)
		for range 5 {
			call("INTERNAL") // no job, no cost
		}
		last := s.record.records()
		if r := last[len(last)-1]; r.Cost != 40 {
			t.Errorf("the record's cost %v", r.Cost)
		}
		denied := 0
		for _, r := range last {
			if r.Kind == audit.DecisionK && r.Rule == "limit:budget_per_hour" {
				denied++
			}
		}
		if denied != 2 {
			t.Errorf("%d refusals on the record", denied)
		}
		if s.places.taken() != 0 {
			t.Errorf("%d places held", s.places.taken())
		}
	})
}

// A call that is refused behind its charge gets it back: nothing is spent on what did not run.
func TestAdmit_givesWorkBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &work{cost: tools.Cost{Tokens: 2, Work: 60, Place: true}, keep: true, run: func(context.Context, tools.Caller) (tools.Result, error) {
			return tools.Result{JobID: "job1"}, nil
		}}
		s := limited(t, w, limits.BudgetConfig{PerHour: 100}, nil)
		s.places.max = 0
		ann := person("ann", policy.Operator)
		for range 5 {
			if got := s.pass(t, ann, "generate", `{"prompt":"x"}`); got != "QUEUE_FULL" {
				t.Fatal(got)
			}
		}
		s.places.max = 9
		if got := s.pass(t, ann, "generate", `{"prompt":"x"}`); got != "" {
			t.Errorf("the budget went to calls that did not run: %s", got)
		}
	})
}

func operateTool() tools.Tool {
	t := readTool("manage_queue", &work{})
	t.Scope, t.Hints = policy.Operate, tools.Hints{Destructive: true}
	return t
}

// LIM-05: under load what makes something is shed first; looking goes on in what is kept for it, and cancelling always, and so does operating.
func TestLIM05_shedding(t *testing.T) {
	t.Parallel()
	began, end := make(chan struct{}), make(chan struct{})
	w := &work{run: func(context.Context, tools.Caller) (tools.Result, error) {
		began <- struct{}{}
		<-end
		return tools.Result{}, nil
	}}
	s := limited(t, w, limits.BudgetConfig{}, limits.NewCalls(5, 5))
	ann := person("ann", policy.Operator)
	codes := make(chan string)
	for range 4 {
		go func() { codes <- s.pass(t, ann, "generate", `{"prompt":"x"}`) }()
		<-began
	}
	for tool, want := range map[string]string{"generate": "RESOURCE_EXHAUSTED", "get_image": "", "cancel": ""} {
		args := map[string]string{"generate": `{"prompt":"x"}`}[tool]
		if got := s.pass(t, ann, tool, args); got != want {
			t.Errorf("%s under load: %q, want %q", tool, got, want)
		}
	}
	if got := s.pass(t, person("root", policy.Admin), "manage_queue", `{}`); got != "" {
		t.Errorf("an operator under load: %q", got)
	}
	close(end)
	for range 4 {
		if got := <-codes; got != "" {
			t.Error(got)
		}
	}
	go func() { <-began }()
	if got := s.pass(t, ann, "generate", `{"prompt":"x"}`); got != "" {
		t.Errorf("afterwards: %s", got)
	}
}

// Whoever calls is told of before anything is asked of the limits.
func TestSeen(t *testing.T) {
	t.Parallel()
	var seen []string
	s := newSet(t, []tools.Tool{readTool("status", &work{})}, func(s *set) {
		s.cfg.Seen = func(p auth.Principal) { seen = append(seen, p.Name+" "+string(p.Role)) }
		s.rates.left = 0
	})
	if got := s.pass(t, person("ann", policy.Viewer), "status", `{}`); got != "RATE_LIMITED" || len(seen) != 1 || seen[0] != "ann viewer" {
		t.Errorf("%s, %v", got, seen)
	}
}
