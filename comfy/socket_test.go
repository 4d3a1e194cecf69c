package comfy_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/comfygate/comfygate/comfy"
)

// CLIENT-WS-1: the first message names what the client understands. One socket for many runs, each heard by its own prompt id.
func TestSocket_CLIENT_WS_1(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "/x")
		c := f.client()
		a, b := submit(t, c), submit(t, c)
		synctest.Wait()
		if f.opened() != 1 || f.hellos[0] != `{"type":"feature_flags","data":{"supports_preview_metadata":true}}` {
			t.Errorf("hello %q", f.hellos)
		}
		f.begin(f.job(0))
		f.send(f.job(0).client, websocket.BinaryMessage, previewFrame(a.PromptID(), "image/jpeg", []byte("\xff\xd8\xff\xe0a")))
		synctest.Wait()
		if p := a.Progress(); p.State != comfy.Running || string(p.Preview) != "\xff\xd8\xff\xe0a" || p.PreviewMIME != "image/jpeg" {
			t.Errorf("the first: %+v", p)
		}
		if p := b.Progress(); p.State != comfy.Pending || p.Preview != nil {
			t.Errorf("the second: %+v", p)
		}
	})
}

// CLIENT-WS-2: a ping each 15 s, and 10 s for the pong; a connection that is dead without a word is replaced.
func TestSocket_CLIENT_WS_2(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		submit(t, f.client())
		synctest.Wait()
		time.Sleep(65 * time.Second)
		f.mu.Lock()
		pings := f.pings
		f.mute = true
		f.mu.Unlock()
		if pings != 4 || f.opened() != 1 {
			t.Errorf("%d pings, %d sockets in 65 s", pings, f.opened())
		}
		time.Sleep(30 * time.Second)
		if f.opened() != 2 {
			t.Errorf("%d sockets after a silence of 30 s", f.opened())
		}
	})
}

// CLIENT-FAIL-2, CLIENT-WS-14 (as design.md has it), SC-47: frames over the limits are dropped; run and socket go on.
func TestSocket_overLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		r := submit(t, f.client(func(cfg *comfy.Config) { cfg.Limits.TextFrame, cfg.Limits.PreviewFrame = 10_000, 20_000 }))
		j := f.job(0)
		f.begin(j)
		jpeg := func(n int) []byte { return append([]byte("\xff\xd8\xff\xe0"), make([]byte, n)...) }
		f.tell(j.client, "executed", map[string]any{"prompt_id": j.id, "output": strings.Repeat("x", 10_000)})
		f.send(j.client, websocket.BinaryMessage, previewFrame(j.id, "image/jpeg", jpeg(20_000)))
		synctest.Wait()
		if p := r.Progress(); p.Preview != nil || p.State != comfy.Running {
			t.Errorf("%s with %d bytes", p.State, len(p.Preview))
		}
		f.send(j.client, websocket.BinaryMessage, previewFrame(j.id, "image/jpeg", jpeg(15_000)))
		synctest.Wait()
		if p := r.Progress(); len(p.Preview) != 15_004 {
			t.Errorf("%d bytes of a preview below the limit", len(p.Preview))
		}
		f.end(j, "execution_success", picture("a.png"))
		if res := result(t, r); res.State != comfy.Succeeded || f.opened() != 1 {
			t.Errorf("%s, %d sockets", res.State, f.opened())
		}
	})
}

// SC-47: previews can be switched off.
func TestSocket_withoutPreviews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		r := submit(t, f.client(func(cfg *comfy.Config) { cfg.Limits.PreviewFrame = -1 }))
		f.begin(f.job(0))
		f.send(f.job(0).client, websocket.BinaryMessage, previewFrame(f.job(0).id, "image/jpeg", []byte("\xff\xd8\xff\xe0")))
		synctest.Wait()
		if p := r.Progress(); p.Preview != nil || p.State != comfy.Running {
			t.Errorf("%+v", p)
		}
	})
}

// CLIENT-FAIL-2: the server closes with 1009. The run is none the worse.
func TestSocket_1009(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		r := submit(t, f.client())
		j := f.job(0)
		f.begin(j)
		f.mu.Lock()
		conn := f.sockets[j.client]
		f.mu.Unlock()
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1009, "too big"), time.Now().Add(time.Second))
		time.Sleep(10 * time.Second)
		f.record(j, "execution_success", picture("a.png"), nil)
		if res := result(t, r); res.State != comfy.Succeeded {
			t.Errorf("%s", res.State)
		}
	})
}

// CLIENT-WS-12: nobody takes a run's progress, and the socket's reader goes on for all.
func TestSocket_idleConsumers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		r := submit(t, f.client())
		j := f.job(0)
		f.begin(j)
		for i := range 5000 {
			f.tell(j.client, "progress", map[string]any{"prompt_id": j.id, "node": "3", "value": i, "max": 5000})
		}
		synctest.Wait()
		if p := r.Progress(); p.Step != 4999 {
			t.Errorf("step %d", p.Step)
		}
	})
}

// CLIENT-FAIL-21, CLIENT-WS-10: the fraction is over the graph without what was cached, keyed by node, and never goes back; it follows a
// sampler's steps, because a sampler takes most of the time;
// progress_state outranks progress; what people see is the display node.
func TestProgress_CLIENT_FAIL_21(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		r := submit(t, f.client())
		j := f.job(0)
		f.begin(j)
		at := func(want float64, node, class string, step, steps int) {
			t.Helper()
			synctest.Wait()
			p := r.Progress()
			if got := fmt.Sprintf("%.3f %s %s %d/%d", p.Fraction, p.Node, p.Class, p.Step, p.Steps); got != fmt.Sprintf("%.3f %s %s %d/%d", want, node, class, step, steps) {
				t.Errorf("%s", got)
			}
		}
		state := func(nodes map[string][3]any) {
			all := map[string]any{}
			for id, n := range nodes {
				all[id] = map[string]any{"value": n[0], "max": n[1], "state": n[2], "display_node_id": strings.Split(id, ".")[0]}
			}
			f.tell(j.client, "progress_state", map[string]any{"prompt_id": j.id, "nodes": all})
		}
		f.tell(j.client, "execution_cached", map[string]any{"prompt_id": j.id, "nodes": []string{"1", "77"}})
		f.tell(j.client, "executing", map[string]any{"prompt_id": j.id, "node": "3.0.1", "display_node": "3"})
		at(0, "3", "KSampler", 0, 0)
		f.tell(j.client, "progress", map[string]any{"prompt_id": j.id, "node": "3", "value": 1, "max": 4})
		at(0, "3", "KSampler", 1, 4)
		state(map[string][3]any{"1": {1, 1, "finished"}, "3": {2, 4, "running"}}) // 1 was cached, whatever the server says of it
		at(0.455, "3", "KSampler", 2, 4)                                          // 5 of 11: the sampler weighs ten
		state(map[string][3]any{"3": {3, 4, "running"}, "3.0.5": {1, 9, "finished"}})
		at(0.682, "3", "KSampler", 3, 4)
		f.tell(j.client, "progress", map[string]any{"prompt_id": j.id, "node": "9", "value": 1, "max": 9})
		at(0.682, "3", "KSampler", 3, 4)
		state(map[string][3]any{"3": {0, 4, "running"}}) // a second pass of the same node
		at(0.682, "3", "KSampler", 0, 4)
		state(map[string][3]any{"3": {4, 4, "finished"}, "9": {0.0, 1.0, "running"}})
		at(0.909, "9", "SaveImage", 0, 1)
		f.end(j, "execution_success", nil)
		at(1, "9", "SaveImage", 0, 1)
	})
}

// A socket that nobody needs is closed after a minute and opened again for the next run, under another id.
func TestSocket_idle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		f.placed = func(j *fakeJob) {
			f.record(j, "execution_success", nil, nil)
			f.tell(j.client, "execution_success", map[string]any{"prompt_id": j.id})
		}
		c := f.client()
		for range 3 {
			if res := result(t, submit(t, c)); res.State != comfy.Succeeded {
				t.Fatal(res.State)
			}
			time.Sleep(30 * time.Second)
		}
		if f.opened() != 1 || f.open() != 1 {
			t.Errorf("%d sockets opened, %d open", f.opened(), f.open())
		}
		time.Sleep(40 * time.Second)
		if f.open() != 0 {
			t.Error("still open")
		}
		if res := result(t, submit(t, c)); res.State != comfy.Succeeded || f.opened() != 2 || f.job(0).client == f.job(3).client {
			t.Errorf("%s, %d sockets", res.State, f.opened())
		}
	})
}

// What is submitted between two connections goes by the next one's id, and is heard of when that stands.
func TestSocket_submittedMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		f.noWS = true
		c := f.client()
		r := submit(t, c)
		f.mu.Lock()
		f.noWS = false
		f.mu.Unlock()
		time.Sleep(5 * time.Second)
		j := f.job(0)
		f.begin(j)
		f.tell(j.client, "progress", map[string]any{"prompt_id": j.id, "node": "3", "value": 1, "max": 4})
		synctest.Wait()
		if p := r.Progress(); p.Step != 1 {
			t.Errorf("not heard: %+v", p)
		}
	})
}

// CLIENT-WS-11: an attempt that may have half succeeded at the server is not repeated under the same id.
func TestSocket_halfOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		f.on("GET /ws", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		began := time.Now()
		submit(t, f.client())
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("submitted after %v", took)
		}
		time.Sleep(10 * time.Second)
		ids := map[string]bool{}
		for _, s := range f.requests() {
			if s.path == "/ws" && ids[s.query] {
				t.Errorf("%s again", s.query)
			}
			ids[s.query] = true
		}
		if len(ids) < 3 {
			t.Errorf("%d attempts", len(ids))
		}
	})
}

// Reconnecting goes on while a run needs it, at a bounded pace, and ends when none does (CLIENT-TIME-3).
func TestSocket_pace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		f.noWS = true
		r := submit(t, f.client())
		time.Sleep(time.Minute)
		tries := f.count("GET", "/ws")
		if tries < 10 || tries > 40 {
			t.Errorf("%d attempts in a minute", tries)
		}
		f.record(f.job(0), "execution_success", nil, nil)
		result(t, r)
		time.Sleep(10 * time.Second)
		before := f.count("GET", "/ws")
		time.Sleep(time.Minute)
		if n := f.count("GET", "/ws"); n != before {
			t.Errorf("%d attempts for nobody", n-before)
		}
	})
}

// A server that sends rubbish of every kind costs nothing but progress.
func TestSocket_rubbish(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		r := submit(t, f.client())
		j := f.job(0)
		f.begin(j)
		for _, text := range []string{"", "{", "[]", `{"type":"progress_state","data":{"prompt_id":"` + j.id + `","nodes":{"3":3}}}`, `{"type":"x"}`, "\x00\xff"} {
			f.send(j.client, websocket.TextMessage, []byte(text))
			f.send(j.client, websocket.BinaryMessage, []byte(text))
		}
		f.tell(j.client, "progress", map[string]any{"prompt_id": j.id, "node": "3", "value": 1e300, "max": -5})
		f.tell(j.client, "executing", map[string]any{"prompt_id": j.id, "node": strings.Repeat("x", 1000)})
		f.end(j, "execution_success", picture("a.png"))
		if res := result(t, r); res.State != comfy.Succeeded || f.opened() != 1 {
			t.Errorf("%s, %d sockets", res.State, f.opened())
		}
	})
}

// CLIENT-SEC-10, CLIENT-FILE-5: names in an answer that cannot be a file's are dropped, the others are told as they are, in the
// order of the nodes, also where two have the same (CLIENT-SEC-11). Texts are told cleaned and bounded (T41).
func TestOutputs_CLIENT_SEC_10(t *testing.T) {
	t.Parallel()
	dialects(t, func(f *fake) {
		t := f.t
		file := func(name, sub, kind string) any {
			return map[string]any{"filename": name, "subfolder": sub, "type": kind}
		}
		outputs := map[string]any{
			"10": map[string]any{"images": []any{file("same.png", "b", "output")}},
			"9":  map[string]any{"images": []any{file("same.png", "a", "output"), file("x.png", "", "temp")}, "animated": []any{true}, "text": []any{"hello"}},
			"11": map[string]any{"text": []any{"a\x1b[31mred\u202e\x00\n\tb", "", nil, 3, []any{"c", "d"}, file("t.txt", "", "output"), strings.Repeat("é", 10_000)}},
			"2": map[string]any{
				"gifs": []any{file("v.mp4", "", "output")}, "images": []any{
					file("../../etc/passwd", "", "output"), file("/etc/passwd", "", "output"), file(`..\x`, "", "output"), file("a\x1b.png", "", "output"),
					file("a.png", "../..", "output"), file("a.png", "", "secret"), file("", "", "output"), file("a.png [input]", "", "output"),
					file(strings.Repeat("x", 600), "", "output"), 3, nil,
					[]any{},
					map[string]any{"filename": 3},
					map[string]any{"filename": "ok.png"},
				},
			},
			"7": map[string]any{"result": "a text", "3d": nil},
			"8": map[string]any{},
		}
		f.placed = func(j *fakeJob) { f.record(j, "execution_success", outputs, nil) }
		var got []string
		for _, o := range result(t, submit(t, f.client())).Outputs {
			got = append(got, o.Node+":"+o.Kind+":"+o.Type+":"+o.Subfolder+"/"+o.Filename+o.Text)
		}
		long := "11:text::/" + strings.Repeat("é", 8190) + "…" // 16 KiB
		want := "2:gifs:output:/v.mp4 2:images:output:/ok.png 9:images:output:a/same.png 9:images:temp:/x.png 9:text::/hello 10:images:output:b/same.png " +
			"11:text::/ared\n\tb 11:text::/c\nd 11:text:output:/t.txt " + long
		if strings.Join(got, " ") != want {
			t.Errorf("%v", got)
		}
	})
}

// CLIENT-QUEUE-2: the last message outranks the word for the whole, and a history without messages has only that word. Python's NaN
// in it, of a graph that always changes, spoils nothing.
func TestOutcome_CLIENT_QUEUE_2(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		status string
		want   comfy.State
	}{
		"stale word":      {`{"status_str":"error","completed":false,"messages":[["execution_start",{}],["execution_success",{}]]}`, comfy.Succeeded},
		"interrupted":     {`{"status_str":"error","completed":false,"messages":[["execution_interrupted",{}]]}`, comfy.Cancelled},
		"blocked is none": {`{"status_str":"success","messages":[["execution_error",{"exception_type":"ExecutionBlocked"}]]}`, comfy.Succeeded},
		"the word alone":  {`{"status_str":"success","messages":[]}`, comfy.Succeeded},
		"odd messages":    {`{"status_str":"error","messages":[3,["x"],["a",1],null,["y",{"timestamp":"z"}]]}`, comfy.Failed},
		"no status":       {`null`, comfy.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := newFake(t, "")
				f.placed = func(j *fakeJob) {
					f.mu.Lock()
					defer f.mu.Unlock()
					j.state = "quiet" // in no queue
					f.routes["GET /history/"+j.id] = func(w http.ResponseWriter, _ *http.Request) {
						w.Header().Set("Content-Type", "application/json")
						_, _ = fmt.Fprintf(w, `{%q: {"prompt": [1, %q, {"3": {"is_changed": [NaN, -Infinity]}}], "outputs": {}, "status": %s}}`, j.id, j.id, row.status)
					}
				}
				if res := result(t, submit(t, f.client())); res.State != row.want || (res.State == comfy.Failed) != (res.Err != nil) {
					t.Errorf("%s, %v", res.State, res.Err)
				}
			})
		})
	}
}

func TestLink(t *testing.T) {
	t.Parallel()
	data, err := json.Marshal(comfy.Link{Node: "4", Slot: 1})
	if err != nil || !bytes.Equal(data, []byte(`["4",1]`)) {
		t.Errorf("%s, %v", data, err)
	}
	var l comfy.Link
	if err := json.Unmarshal(data, &l); err != nil || l != (comfy.Link{Node: "4", Slot: 1}) {
		t.Errorf("%v, %v", l, err)
	}
	for _, bad := range []string{`[]`, `["4"]`, `["4",1,2]`, `[4,1]`, `["4","1"]`, `["4",-1]`, `["4",1.5]`, `{}`} {
		if json.Unmarshal([]byte(bad), &l) == nil {
			t.Errorf("%s passes", bad)
		}
	}
}

// A long sampler moves the bar; a node that only chooses one does not.
func TestProgress_samplers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t, "")
		graph := comfy.Graph{
			"1": {ClassType: "CheckpointLoaderSimple"}, "2": {ClassType: "KSamplerSelect"}, "3": {ClassType: "SamplerCustomAdvanced"}, "4": {ClassType: "VAEDecode"},
		}
		r, err := f.client().Submit(t.Context(), comfy.Submission{Graph: graph, PromptID: comfy.NewPromptID()})
		if err != nil {
			t.Fatal(err)
		}
		j := f.job(0)
		f.begin(j)
		nodes := map[string]any{}
		last := -1.0
		tell := func(id string, value, most int, state string, want float64) {
			t.Helper()
			nodes[id] = map[string]any{"value": value, "max": most, "state": state, "display_node_id": id}
			f.tell(j.client, "progress_state", map[string]any{"prompt_id": j.id, "nodes": nodes})
			synctest.Wait()
			got := r.Progress().Fraction
			if math.Abs(got-want/13) > 1e-9 || got < last {
				t.Errorf("node %s at %d/%d: %.3f after %.3f, want %.3f", id, value, most, got, last, want/13)
			}
			last = got
		}
		tell("1", 1, 1, "finished", 1)
		tell("2", 1, 1, "finished", 2)
		for step := range 21 {
			tell("3", step, 20, "running", 2+float64(step)/2)
		}
		tell("3", 20, 20, "finished", 12)
		tell("4", 1, 1, "finished", 13)
	})
}
