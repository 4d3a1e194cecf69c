package attack_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func sessionWires() map[string]wire {
	return map[string]wire{"T14": droppedStream, "T16": foreignCancel, "T17": foreignProgress, "T18": foreignSession, "T19": lastProgress}
}

// A running call is one whose job does not end by itself.
type running struct {
	job    string
	cut    context.CancelFunc
	answer <-chan outcome
}

// start makes a call whose job never ends, in the caller's session if there is one, and waits until ComfyUI runs it.
func (c *caller) start(id, progress string) running {
	c.t.Helper()
	arguments := `{"prompt":"a cat","width":64,"height":64,"steps":8,"wait_seconds":300}`
	params := `{"name":"generate","arguments":` + arguments + `}`
	body, header := asking("tools/call", params, progress)
	body = strings.Replace(body, `"id":1,`, `"id":`+id+`,`, 1)
	if c.session != "" {
		header = nil
		body = `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"name":"generate","arguments":` + arguments + `,"_meta":{"progressToken":"` + progress + `"}}}`
	}
	ctx, cancel := context.WithCancel(c.t.Context())
	c.t.Cleanup(cancel)
	req := c.request(ctx, http.MethodPost, "/mcp", strings.NewReader(body), header...)
	answered := make(chan outcome, 1)
	patient := *c
	patient.within = 5 * patience
	go func() { answered <- read(patient.do(req)) }()
	r := running{cut: cancel, answer: answered}
	watcher := *c // of the same principal
	watcher.session = ""
	eventually(c.t, "the job runs", func() bool {
		for _, id := range jobID.FindAllStringSubmatch(watcher.call("status", nil).text, -1) {
			if r.job == "" && watcher.state(id[1]) == "running" {
				r.job = id[1]
			}
		}
		return r.job != ""
	})
	return r
}

func droppedStream(t *testing.T, f *field) {
	c := f.slow.someone(t)
	r := c.start("7", "p")
	r.cut()
	eventually(t, "the vanished caller's job is cancelled", func() bool { return c.state(r.job) == "cancelled" })
	if len(f.slow.comfy.posted(t, "")) == 0 {
		t.Error("ComfyUI never had the job")
	}
}

func foreignCancel(t *testing.T, f *field) {
	for name, inSession := range map[string]bool{"older": true, "newest": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			victim, mallory := f.slow.someone(t), f.slow.someone(t)
			if inSession {
				victim.initialize()
			}
			r := victim.start("7", "p")
			cancel := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`
			newest := `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7,"_meta":{` + meta + `}}}`
			names := []string{"Mcp-Protocol-Version", modern, "Mcp-Method", "notifications/cancelled"}
			mallory.post(cancel)
			mallory.post(newest, names...)
			mallory.post(cancel, "Mcp-Session-Id", "mcp-session-00000000-0000-4000-8000-000000000001")
			mallory.post(newest, append(names, "Mcp-Session-Id", "x")...)
			if victim.session != "" {
				mallory.post(cancel, "Mcp-Session-Id", victim.session)
			}
			mallory.initialize()
			mallory.post(cancel)
			mallory.post(strings.Replace(cancel, ":7", `:"7"`, 1))
			mallory.session = ""
			mallory.refused("cancel", args{"job_id": r.job}, "JOB_NOT_FOUND")
			select {
			case out := <-r.answer:
				t.Errorf("the call has ended: %s", out.answer)
			default:
			}
			own := *victim
			own.session = ""
			if state := own.state(r.job); state != "running" {
				t.Errorf("the job is %s", state)
			}
			own.must("cancel", args{"job_id": r.job})
			<-r.answer
		})
	}
}

// foreignProgress listens on a stream of one's own while another's call reports under the same token.
func foreignProgress(t *testing.T, f *field) {
	mallory := f.main.someone(t).initialize()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	res, err := direct.Do(mallory.request(ctx, http.MethodGet, "/mcp", nil)) //nolint:bodyclose // closed below, elsewhere
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan string, 1)
	go func() {
		all, _ := io.ReadAll(res.Body) // until it is cut
		_ = res.Body.Close()           // as above
		heard <- string(all)
	}()
	for i := range 3 {
		victim := f.main.someone(t).initialize()
		for _, c := range []*caller{victim, mallory} { // the same token and the same id
			out := c.progressing("tools/call", 7, "shared")
			if !out.ok() {
				t.Fatalf("%d: %s", i, out.answer)
			}
			for _, m := range out.messages {
				if m.Method != "" && m.Params.Token != "shared" {
					t.Errorf("a stream of its own has %+v", m)
				}
			}
		}
	}
	cancel()
	if text := <-heard; strings.Contains(text, "progress") {
		t.Errorf("the stream heard of calls: %q", text)
	}
}

// progressing makes a small picture in the caller's session, and hears of its steps.
func (c *caller) progressing(method string, id int, token string) outcome {
	c.t.Helper()
	return read(c.post(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":{"name":"generate","arguments":{"prompt":"a cat","width":64,"height":64,"steps":3},"_meta":{"progressToken":%q}}}`, id, method, token)))
}

func foreignSession(t *testing.T, f *field) {
	alice, mallory := f.main.someone(t).initialize(), f.main.someone(t)
	ended := f.main.someone(t).initialize()
	if a := ended.send(http.MethodDelete, "/mcp", ""); a.status != http.StatusOK {
		t.Fatalf("DELETE: %s", a)
	}
	flipped := []byte(alice.session)
	flipped[len(flipped)/2] ^= 1
	for name, tc := range map[string]struct {
		id   string
		want int
	}{
		"none": {"", http.StatusBadRequest}, "garbage": {"garbage", http.StatusNotFound}, "another's": {alice.session, http.StatusNotFound},
		"one bit off": {string(flipped), http.StatusNotFound}, "ended": {ended.session, http.StatusNotFound}, "padded": {alice.session + "=", http.StatusNotFound},
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodDelete} {
			body := ""
			if method == http.MethodPost {
				body = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
			}
			if a := mallory.send(method, "/mcp", body, "Mcp-Session-Id", tc.id); a.status != tc.want {
				t.Errorf("%s, %s: %s", name, method, a)
			}
		}
		if a := f.main.nobody(t, "").send(http.MethodPost, "/message?sessionId="+tc.id, hello); a.status != http.StatusUnauthorized {
			t.Errorf("%s, unsigned: %s", name, a)
		}
		if a := mallory.send(http.MethodPost, "/message?sessionId="+alice.session, `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); a.status < http.StatusBadRequest {
			t.Errorf("%s, as a stream: %s", name, a)
		}
	}
	if a := alice.post(`{"jsonrpc":"2.0","id":1,"method":"tools/list"}`); a.status != http.StatusOK {
		t.Errorf("her session was harmed: %s", a)
	}
}

func lastProgress(t *testing.T, f *field) {
	each, calls := 5, times(40, 10)
	var c *caller
	for i := range calls {
		if i%each == 0 {
			c = f.main.someone(t)
		}
		var out outcome
		if i%2 == 0 {
			body, header := asking("tools/call", `{"name":"generate","arguments":{"prompt":"a cat","width":64,"height":64,"steps":3}}`, "tok")
			c.session = ""
			out = read(c.post(body, header...))
		} else {
			if c.session == "" {
				c.initialize()
			}
			out = c.progressing("tools/call", i, "tok")
		}
		if !out.ok() || len(out.messages) < 2 {
			t.Fatalf("call %d: %s", i, out.answer)
		}
		last := out.messages[len(out.messages)-2].Params
		if last.Total == 0 || last.Progress != last.Total {
			t.Errorf("call %d: the last step told is %v of %v", i, last.Progress, last.Total)
		}
	}
}
