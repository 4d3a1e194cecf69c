package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/audit"
)

// A queue is what manage_queue tells.
type queue struct {
	Message  string
	Draining bool
	Running  int
	Queued   int
	Jobs     []struct {
		ID        string `json:"job_id"`
		Principal string
		State     string
	}
	Server struct {
		Running       int
		Pending       int
		OthersRunning int `json:"others_running"`
		OthersPending int `json:"others_pending"`
	} `json:"comfyui"`
}

func (a *agent) manage(t *testing.T, in args) (q queue) {
	t.Helper()
	if out := a.must(t, "manage_queue", in); json.Unmarshal([]byte(out.text), &q) != nil {
		t.Fatalf("manage_queue: %s", out.text)
	}
	return q
}

// stranger posts a job to ComfyUI, as somebody does who sits before it, and returns its id.
func (u *comfyUI) stranger(t *testing.T) string {
	t.Helper()
	body := `{"prompt":{"1":{"class_type":"EmptyImage","inputs":{"width":64,"height":64,"batch_size":1,"color":1}},
		"2":{"class_type":"SaveImage","inputs":{"images":["1",0],"filename_prefix":"theirs"}}}}`
	rec := httptest.NewRecorder()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/prompt", strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	u.Handler().ServeHTTP(rec, req)
	var made struct {
		ID string `json:"prompt_id"`
	}
	if err := json.NewDecoder(rec.Body).Decode(&made); err != nil || made.ID == "" {
		t.Fatalf("a stranger's job: %d %s, %v", rec.Code, rec.Body, err)
	}
	return made.ID
}

// SC-43: who operates sees everybody's jobs and contains what must be contained while the server runs; nobody else may, nobody else's jobs
// at ComfyUI are touched, and the record says of each job who ended it.
func TestSec_SC43_manageQueue(t *testing.T) {
	t.Parallel()
	u := slow(t)
	w := newWorld(t, append(unlimited(), u.on(), "COMFYGATE_TOOLSETS__ENABLED=images,operations",
		"COMFYGATE_AUTH__TOKENS="+strings.Join([]string{tokenOf("ada"), tokenOf("bob"), tokenOf("root") + ":admin"}, ","))...)
	s := w.http(t)
	as := func(name string) *agent { return s.streamable(t, "Authorization", "Bearer token-of-"+name) }
	ada, bob, root := as("ada"), as("bob"), as("root")

	if slices.Contains(bob.tools(t), "manage_queue") || !slices.Contains(root.tools(t), "manage_queue") {
		t.Error("manage_queue is offered to who may not use it, or not to who may")
	}
	bob.refused(t, "manage_queue", args{"action": "drain"}, "POLICY_DENIED")

	begin := func(a *agent) string {
		t.Helper()
		return a.must(t, "generate", args{"prompt": "a cat", "width": 64, "height": 64, "steps": 8, "wait_seconds": 0}).job(t)
	}
	running := begin(ada)
	if got := ada.running(t); got != running {
		t.Fatalf("%s runs, want %s", got, running)
	}
	theirs := u.stranger(t)
	waiting := begin(ada)
	eventually(t, "the second job is at ComfyUI too", func() bool { return u.left(t) == 3 })
	bobs := begin(bob)

	q := root.manage(t, args{"action": "list"})
	if len(q.Jobs) != 3 || q.Running != 1 || q.Queued != 2 || q.Server.OthersPending != 1 || q.Server.OthersRunning != 0 || q.Draining {
		t.Errorf("list: %+v", q)
	}
	if q = root.manage(t, args{"action": "drop_pending", "principal": "bob"}); len(q.Jobs) != 1 || q.Jobs[0].ID != bobs || q.Jobs[0].State != "cancelled" {
		t.Errorf("bob's are dropped: %+v", q)
	}
	if out := bob.must(t, "status", args{"job_id": bobs}); !strings.Contains(out.text, "JOB_STOPPED") {
		t.Errorf("bob is told %s", out.text)
	}
	if q = root.manage(t, args{"action": "drain"}); !q.Draining || len(q.Jobs) != 1 || q.Jobs[0].ID != waiting || q.Running != 1 {
		t.Errorf("drain: %+v", q)
	}
	later(t, bob.call(t, "generate", small("a cat")))
	bob.refused(t, "generate", small("a cat"), "DRAINING")
	if out := bob.must(t, "status", nil); !strings.Contains(out.text, `"draining":true`) {
		t.Errorf("a drained server does not tell who looks: %s", out.text)
	}
	if q = root.manage(t, args{"action": "interrupt", "job_id": running}); len(q.Jobs) != 1 || q.Jobs[0].State != "cancelled" || q.Jobs[0].Principal != "ada" {
		t.Errorf("interrupt: %+v", q)
	}
	root.refused(t, "manage_queue", args{"action": "interrupt", "job_id": strings.Repeat("a", 26)}, "JOB_NOT_FOUND")
	root.manage(t, args{"action": "free_memory"})
	root.manage(t, args{"action": "resume"})
	last := begin(bob)
	root.manage(t, args{"action": "interrupt", "job_id": last})

	// Their job was never spoken of; slow as everything here is, it may have ended by now.
	for _, r := range u.requests() {
		if r.line != "" && (strings.Contains(r.line, theirs) || strings.Contains(r.body, theirs)) || strings.Contains(r.body, `"clear"`) {
			t.Errorf("a stranger's job was touched: %s %s", r.line, r.body)
		}
	}
	freed := slices.ContainsFunc(u.requests(), func(r seen) bool {
		return strings.HasPrefix(r.line, "POST /api/free") && strings.Contains(r.body, `"unload_models":true`)
	})
	if !freed {
		t.Error("ComfyUI was not asked to free memory")
	}
	root.end(t)
	w.whole(t)
	for id, owner := range map[string]string{running: "ada", waiting: "ada", bobs: "bob", last: "bob"} {
		ends := where(w.records(t), func(r audit.Record) bool { return r.Kind == audit.JobEnd && r.JobID == id })
		if len(ends) != 1 || ends[0].Principal != owner || ends[0].Detail["by"] != "root" || ends[0].Detail["by_call"] == "" || ends[0].Code != "JOB_STOPPED" {
			t.Errorf("the end of %s's job: %+v", owner, ends)
		}
	}
	acts := where(w.records(t), func(r audit.Record) bool { return r.Tool == "manage_queue" && r.Kind == audit.Intent })
	if len(acts) != 7 || acts[1].Params["of"] != "bob" || acts[1].Principal != "root" {
		t.Errorf("%d acts of the operator are recorded, want 7: %+v", len(acts), acts)
	}
}
