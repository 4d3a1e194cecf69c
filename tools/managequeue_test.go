package tools_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/jobs"
)

func (f *fakeJobs) All() (list []jobs.Job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range f.known {
		if !j.Over() {
			list = append(list, j)
		}
	}
	slices.SortFunc(list, func(a, b jobs.Job) int { return strings.Compare(a.ID, b.ID) })
	return list
}

func (f *fakeJobs) Find(ctx context.Context, id string) (jobs.Job, error) {
	f.mu.Lock()
	owner := f.known[id].Owner
	f.mu.Unlock()
	return f.Get(ctx, owner, id)
}

func (f *fakeJobs) Stop(ctx context.Context, by jobs.Stopper, id string) (jobs.Job, error) {
	j, err := f.Find(ctx, id)
	if err != nil {
		return j, err
	}
	f.stoppers = append(f.stoppers, by)
	return f.Cancel(ctx, j.Owner, id)
}

func (f *fakeJobs) Drop(ctx context.Context, by jobs.Stopper, owner string) (list []jobs.Job, err error) {
	for _, j := range f.All() {
		if j.State == jobs.Queued && (owner == "" || j.Owner == owner) {
			one, late := f.Stop(ctx, by, j.ID)
			list, err = append(list, one), errors.Join(err, late)
		}
	}
	return list, err
}

func (f *fakeJobs) Drain(ctx context.Context, by jobs.Stopper) ([]jobs.Job, error) {
	f.draining = jobs.ErrDraining
	return f.Drop(ctx, by, "")
}

func (f *fakeJobs) Resume() { f.draining = nil }

func (f *fakeJobs) Draining() error { return f.draining }

// A managed is what manage_queue tells.
type managed struct {
	Message  string
	Draining bool
	Jobs     []struct {
		ID        string `json:"job_id"`
		Principal string
		State     string
	}
	More        int            `json:"more_jobs"`
	ByPrincipal map[string]int `json:"by_principal"`
	Server      *struct {
		Running       int
		Pending       int
		OthersRunning int `json:"others_running"`
		OthersPending int `json:"others_pending"`
	} `json:"comfyui"`
	ServerError string `json:"comfyui_error"`
}

func (b *bench) manage(t *testing.T, arguments string) (m managed) {
	t.Helper()
	r := b.mustRun(t, "manage_queue", arguments)
	if err := json.Unmarshal([]byte(r.Text), &m); err != nil {
		t.Fatalf("%v: %s", err, r.Text)
	}
	if err := compile(t, b.tool(t, "manage_queue").Output).Validate(plain(t, r.Structured)); err != nil {
		t.Errorf("the structured content is not as the schema says: %v", err)
	}
	return m
}

// plain is v as JSON has it.
func plain(t *testing.T, v any) (out any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// withJobs gives a bench one running job of ann, one waiting of hers at the server, and one waiting of bob's here.
func withJobs(t *testing.T) *bench {
	t.Helper()
	b := newBench(t, nil)
	for id, j := range map[string]jobs.Job{
		"a": {Owner: "ann", State: jobs.Running, PromptID: "a"}, "b": {Owner: "ann", State: jobs.Queued, PromptID: "b"},
		"c": {Owner: "bob", State: jobs.Queued}, "d": {Owner: "bob", State: jobs.Succeeded, PromptID: "c"},
	} {
		j.ID, j.Tool = strings.Repeat(id, 26), "generate"
		b.jobs.known[j.ID] = j
	}
	return b
}

// SC-43: the whole queue is seen, others' jobs at ComfyUI as numbers only.
func TestManageQueue_SC43_list(t *testing.T) {
	t.Parallel()
	b := withJobs(t)
	m := b.manage(t, `{"action":"list"}`) // the fake server runs a, and has b and c waiting
	if len(m.Jobs) != 3 || m.ByPrincipal["ann"] != 2 || m.ByPrincipal["bob"] != 1 || m.Jobs[0].State != "running" {
		t.Errorf("%+v", m)
	}
	if s := m.Server; s == nil || s.Running != 1 || s.Pending != 2 || s.OthersRunning != 0 || s.OthersPending != 1 {
		t.Errorf("at ComfyUI: %+v", m.Server)
	}
	if m = b.manage(t, `{"action":"list","principal":"bob"}`); len(m.Jobs) != 1 || m.Jobs[0].Principal != "bob" || m.Server.OthersPending != 1 {
		t.Errorf("of bob: %+v", m)
	}
	b.server.err = comfy.ErrUnreachable
	if m = b.manage(t, `{"action":"list"}`); len(m.Jobs) != 3 || m.Server != nil || m.ServerError == "" {
		t.Errorf("without ComfyUI: %+v", m)
	}
	for i := range 150 {
		id := fmt.Sprintf("%026d", i)
		b.jobs.known[id] = jobs.Job{ID: id, Owner: fmt.Sprint("p", i), State: jobs.Queued}
	}
	if m = b.manage(t, `{"action":"list"}`); len(m.Jobs) != 100 || m.More != 53 || len(m.ByPrincipal) != 100 {
		t.Errorf("of many: %d jobs, %d more, %d principals", len(m.Jobs), m.More, len(m.ByPrincipal))
	}
	if len(b.jobs.cancelled) > 0 {
		t.Errorf("looking cancelled %v", b.jobs.cancelled)
	}
}

// SC-43: what is done, to whom, and under whose name.
func TestManageQueue_SC43_contain(t *testing.T) {
	t.Parallel()
	id := func(s string) string { return strings.Repeat(s, 26) }
	tests := map[string]struct {
		args      string
		cancelled string
		says      string
	}{
		"all that wait":       {`{"action":"drop_pending"}`, id("b") + " " + id("c"), "2 jobs"},
		"one principal's":     {`{"action":"drop_pending","principal":"ann"}`, id("b"), "1 job."},
		"nobody's":            {`{"action":"drop_pending","principal":"eve"}`, "", "0 jobs"},
		"one that runs":       {`{"action":"interrupt","job_id":"` + id("a") + `"}`, id("a"), "is cancelled"},
		"another's that runs": {`{"action":"interrupt","job_id":"` + id("c") + `"}`, id("c"), "is cancelled"},
		"one that has ended":  {`{"action":"interrupt","job_id":"` + id("d") + `"}`, id("d"), "Too late"},
		"drain":               {`{"action":"drain"}`, id("b") + " " + id("c"), "No new jobs"},
		"resume":              {`{"action":"resume"}`, "", "New jobs are taken in"},
		"memory":              {`{"action":"free_memory"}`, "", "unloads its models"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := withJobs(t)
			m := b.manage(t, tt.args)
			if got := strings.Join(b.jobs.cancelled, " "); got != tt.cancelled || !strings.Contains(m.Message, tt.says) {
				t.Errorf("cancelled %s; says %q", got, m.Message)
			}
			for _, by := range b.jobs.stoppers {
				if by.Principal != "ann" || by.CallID != "call1" {
					t.Errorf("stopped by %+v", by)
				}
			}
			if m.Draining != (name == "drain") || (b.server.asked["free"] == 1) != (name == "memory") {
				t.Errorf("draining: %v, ComfyUI was asked %v", m.Draining, b.server.asked)
			}
		})
	}
}

// AUD-12: the record says what was done and to whom.
func TestManageQueue_AUD12_record(t *testing.T) {
	t.Parallel()
	b := withJobs(t)
	for args, want := range map[string]string{
		`{"action":"drop_pending","principal":"bob"}`:                       "map[action:drop_pending of:bob]",
		`{"action":"interrupt","job_id":"` + strings.Repeat("c", 26) + `"}`: "map[action:interrupt job_id:" + strings.Repeat("c", 26) + " owner:bob]",
	} {
		if got := fmt.Sprint(b.plan(t, "manage_queue", args).Record()); got != want {
			t.Errorf("%s: %s", args, got)
		}
	}
}

func TestManageQueue_refusals(t *testing.T) {
	t.Parallel()
	b := withJobs(t)
	for args, field := range map[string]string{
		`{"action":"interrupt"}`:                       "job_id",
		`{"action":"drain","principal":"ann"}`:         "principal",
		`{"action":"free_memory","principal":"ann"}`:   "principal",
		`{"action":"resume","job_id":"` + jobID + `"}`: "job_id",
	} {
		_, err := b.resolve(t, "manage_queue", args)
		if faults, ok := errors.AsType[workflow.FieldErrors](err); !ok || faults[0].Field != field {
			t.Errorf("%s: %v", args, err)
		}
	}
	if _, err := b.resolve(t, "manage_queue", `{"action":"interrupt","job_id":"`+jobID+`"}`); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("an unknown job: %v", err)
	}
	b.server.err = comfy.ErrUnreachable
	if _, err := b.run(t, "manage_queue", `{"action":"free_memory"}`); !errors.Is(err, comfy.ErrUnreachable) {
		t.Errorf("memory of a server that is away: %v", err)
	}
}

// A server that does not confirm in time is told as such, and the call answers.
func TestManageQueue_unconfirmed(t *testing.T) {
	t.Parallel()
	b := withJobs(t)
	b.jobs.cancel = func(_ context.Context, j jobs.Job) (jobs.Job, error) {
		j.State, j.Err = jobs.Cancelled, jobs.ErrUnverified
		return j, nil
	}
	if m := b.manage(t, `{"action":"drop_pending"}`); !strings.Contains(m.Message, "0 jobs; 2 more were asked to stop") {
		t.Errorf("it says %q", m.Message)
	}
	b = withJobs(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.runAs(ctx, t, b.caller(), "manage_queue", `{"action":"drop_pending"}`); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that has gone: %v", err)
	}
}
