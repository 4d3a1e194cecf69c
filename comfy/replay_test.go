package comfy_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"

	"github.com/comfygate/comfygate/comfy"
)

// A step is one line of a recording of a real server.
type step struct {
	Send, Recv, Method, Path, Note string
	JSON                           json.RawMessage
	Query                          map[string]string
	Text                           *string
	Status                         int
	Headers                        map[string]string
	Bytes                          int
	Event                          int
	Metadata                       json.RawMessage
	ImageBytes                     int `json:"image_bytes"`
}

func recording(tb testing.TB, version, name string) []step {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "recorded", version, name+".json"))
	if err != nil {
		tb.Fatal(err)
	}
	var r struct{ Steps []step }
	if err := json.Unmarshal(data, &r); err != nil {
		tb.Fatal(err)
	}
	return r.Steps
}

func recordedClasses(tb testing.TB, version string) []byte {
	tb.Helper()
	file, err := os.Open(filepath.Join("testdata", "recorded", version, "object_info.json.gz"))
	if err != nil {
		tb.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	z, err := gzip.NewReader(file)
	if err != nil {
		tb.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// versions are the recorded servers'.
func versions() []string { return []string{"v0.3.64", "v0.33.0"} }

// write gives a recorded answer.
func (s step) write(w http.ResponseWriter) {
	for k, v := range s.Headers {
		w.Header().Set(k, v)
	}
	w.WriteHeader(s.Status)
	switch {
	case s.JSON != nil:
		_, _ = w.Write(s.JSON)
	case s.Text != nil:
		_, _ = io.WriteString(w, *s.Text)
	default:
		_, _ = w.Write(make([]byte, s.Bytes))
	}
}

// answer returns the recorded answer to the first request of method and path.
func answer(t *testing.T, steps []step, method, path string) step {
	t.Helper()
	for i, s := range steps {
		if s.Send != "http" || s.Method != method || s.Path != path {
			continue
		}
		for _, a := range steps[i:] {
			if a.Recv == "http" {
				return a
			}
		}
	}
	t.Fatalf("the recording has no such %s %s", method, path)
	return step{}
}

// A player lets the fake behave as the recorded server did, for the one prompt of a scenario.
type player struct {
	f           *fake
	steps       []step
	prompt, own string // ids in the recording
	entry       map[string]any
	over        chan struct{} // closed when all frames are sent
}

func newPlayer(t *testing.T, f *fake, steps []step) *player {
	t.Helper()
	p := &player{f: f, steps: steps, over: make(chan struct{})}
	for _, s := range steps {
		switch {
		case s.Send == "http" && s.Path == "/api/prompt" && s.Method == http.MethodPost:
			var in struct {
				PromptID string `json:"prompt_id"`
				Client   string `json:"client_id"`
			}
			f.must(json.Unmarshal(s.JSON, &in))
			p.prompt, p.own = in.PromptID, in.Client
		case s.Recv == "http" && bytes.HasPrefix(s.JSON, fmt.Appendf(nil, `{%q`, p.prompt)) && p.prompt != "":
			var out map[string]map[string]any
			f.must(json.Unmarshal(s.JSON, &out))
			p.entry = out[p.prompt]
		}
	}
	if p.entry == nil {
		t.Fatal("the recording has no history of its prompt")
	}
	f.placed = func(j *fakeJob) { go p.play(j) }
	return p
}

// play sends the recorded frames; at a recorded interrupt it waits for the client's.
func (p *player) play(j *fakeJob) {
	defer close(p.over)
	own := strings.NewReplacer(p.prompt, j.id, p.own, j.client)
	p.f.mu.Lock()
	j.state, j.stubborn = "running", true // the recording says how an interrupt is obeyed
	p.f.mu.Unlock()
	placed := false
	for _, s := range p.steps {
		switch {
		case s.Path == "/api/prompt":
			placed = true
		case !placed:
		case s.Path == "/api/interrupt":
			p.f.await("an interrupt", func() bool {
				for _, r := range p.f.seen {
					if r.path == "/interrupt" || strings.HasSuffix(r.path, "/cancel") {
						return true
					}
				}
				return false
			})
		case s.Recv == "ws":
			time.Sleep(time.Millisecond) // in the bubble: whoever watches has seen the frame before
			p.f.send(j.client, websocket.TextMessage, []byte(own.Replace(string(s.JSON))))
			p.ended(j, s)
		case s.Recv == "ws-binary" && s.Event == 4:
			time.Sleep(time.Millisecond) // likewise
			p.f.send(j.client, websocket.BinaryMessage, frame4([]byte(own.Replace(string(s.Metadata))), s.ImageBytes))
		}
	}
}

// ended writes the history after the terminal message, as the real server does.
func (p *player) ended(j *fakeJob, s step) {
	var m struct{ Type string }
	p.f.must(json.Unmarshal(s.JSON, &m))
	if m.Type == "execution_success" || m.Type == "execution_error" || m.Type == "execution_interrupted" {
		p.f.mu.Lock()
		j.state, j.entry = "ended", p.entry
		p.f.mu.Unlock()
	}
}

func frame4(meta []byte, size int) []byte {
	var m struct {
		MIME string `json:"image_type"`
	}
	_ = json.Unmarshal(meta, &m)
	image := make([]byte, size)
	copy(image, map[string]string{"image/jpeg": "\xff\xd8\xff\xe0", "image/png": "\x89PNG\r\n\x1a\n"}[m.MIME])
	out := append([]byte{0, 0, 0, 4, 0, 0, byte(len(meta) >> 8), byte(len(meta))}, meta...)
	return append(out, image...)
}

// recordedGraph is the graph that the recording's prompt posted.
func recordedGraph(t *testing.T, steps []step) comfy.Graph {
	t.Helper()
	for _, s := range steps {
		if s.Path == "/api/prompt" && s.Send == "http" {
			var in struct{ Prompt comfy.Graph }
			if err := json.Unmarshal(s.JSON, &in); err != nil {
				t.Fatal(err)
			}
			return in.Prompt
		}
	}
	t.Fatal("no graph")
	return nil
}

// Every recorded run of both servers is understood, by history alone and by the jobs API: its end, its files, its error.
// CLIENT-ALT-3, CLIENT-QUEUE-2, CLIENT-FAIL-3, CLIENT-FAIL-9 (what is cached is listed too).
func TestReplay(t *testing.T) {
	t.Parallel()
	scenarios := []struct {
		name     string
		state    comfy.State
		files    int
		previews bool
		err      string
	}{
		{"txt2img", comfy.Succeeded, 1, true, ""},
		{"txt2img-all-cached", comfy.Succeeded, 1, false, ""},
		{"txt2img-part-cached", comfy.Succeeded, 1, true, ""},
		{"txt2img-batch-2", comfy.Succeeded, 2, true, ""},
		{"upscale-model", comfy.Succeeded, 1, false, ""},
		{"load-image", comfy.Succeeded, 1, false, ""},
		{"no-models", comfy.Succeeded, 2, false, ""},
		{"save-image-websocket", comfy.Succeeded, 0, true, ""},
		{"execution-error-load-text", comfy.Failed, 0, false, "LoadImage"},
		{"execution-error-save-outside", comfy.Failed, 0, false, "SaveImage"},
		{"cancel-running", comfy.Cancelled, 0, true, ""},
		{"cancel-running-in-a-long-node", comfy.Cancelled, 0, true, ""},
	}
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			for _, s := range scenarios {
				for _, jobs := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/jobs %v", s.name, jobs), func(t *testing.T) {
						t.Parallel()
						synctest.Test(t, func(t *testing.T) {
							steps := recording(t, version, s.name)
							f := newFake(t, "/comfy")
							f.jobsAPI = jobs
							p := newPlayer(t, f, steps)
							run, err := f.client().Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: recordedGraph(t, steps)})
							if err != nil {
								t.Fatal(err)
							}
							previews := follow(t, run, s.state == comfy.Cancelled)
							res := result(t, run)
							<-p.over
							if res.State != s.state || len(res.Outputs) != s.files || (previews > 0) != s.previews {
								t.Errorf("%s with %d files and %d previews; want %s, %d, %v", res.State, len(res.Outputs), previews, s.state, s.files, s.previews)
							}
							if diff := cmp.Diff(filesOf(p.entry), namesOf(res.Outputs)); diff != "" {
								t.Errorf("files: %s", diff)
							}
							var failed *comfy.ExecutionError
							if errors.As(res.Err, &failed) != (s.err != "") || failed != nil && (failed.Class != s.err || failed.Exception == "" || failed.Message == "") {
								t.Errorf("error %#v", res.Err)
							}
						})
					})
				}
			}
		})
	}
}

// follow watches a run until its end, cancels it at its first preview if asked to, and checks what must hold of any progress.
func follow(t *testing.T, run *comfy.Run, cancel bool) (previews int) {
	t.Helper()
	last := 0.0
	for {
		changed := run.Changed()
		p := run.Progress()
		if p.Fraction < last || p.Fraction > 1 || p.Step > p.Steps || p.Step < 0 { // CLIENT-FAIL-21
			t.Errorf("progress %+v after %v", p, last)
		}
		last = p.Fraction
		if p.Preview != nil {
			previews++
			if cancel {
				cancel = false
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				if err := run.Cancel(ctx); err != nil {
					t.Errorf("cancel: %v", err)
				}
				stop()
			}
		}
		select {
		case <-run.Done():
			return previews
		case <-changed:
		}
	}
}

// filesOf names the files of a recorded history entry in no order.
func filesOf(entry map[string]any) map[string]bool {
	names := map[string]bool{}
	outputs, _ := entry["outputs"].(map[string]any)
	for node, kinds := range outputs {
		m, _ := kinds.(map[string]any)
		for kind, list := range m {
			items, _ := list.([]any)
			for _, item := range items {
				if file, ok := item.(map[string]any); ok {
					names[fmt.Sprint(node, kind, file["type"], file["subfolder"], file["filename"])] = true
				}
			}
		}
	}
	return names
}

func namesOf(outputs []comfy.Output) map[string]bool {
	names := map[string]bool{}
	for _, o := range outputs {
		names[fmt.Sprint(o.Node, o.Kind, o.Type, o.Subfolder, o.Filename)] = true
	}
	return names
}

// CLIENT-PROMPT-2, CLIENT-FAIL-24: each recorded refusal becomes a RejectedError that names every node and its fault.
func TestReplay_refusals(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			var posted, said step
			for _, s := range recording(t, version, "validation-errors") {
				if s.Send == "http" {
					posted = s
				}
				if s.Recv != "http" || s.Status != http.StatusBadRequest {
					continue
				}
				said = s
				t.Run(strings.ReplaceAll(posted.Note, "/", " "), func(t *testing.T) { refusal(t, said) })
			}
		})
	}
}

func refusal(t *testing.T, said step) {
	t.Helper()
	f := newFake(t, "")
	f.on("POST /prompt", func(w http.ResponseWriter, _ *http.Request) { said.write(w) })
	_, err := f.client().Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
	var got *comfy.RejectedError
	if !errors.As(err, &got) {
		t.Fatalf("error %v", err)
	}
	var want struct {
		Error struct{ Type, Message string }
		Nodes map[string]struct {
			Class  string `json:"class_type"`
			Errors []struct{ Type string }
		} `json:"node_errors"`
	}
	if err := json.Unmarshal(said.JSON, &want); err != nil {
		t.Fatal(err)
	}
	if got.Type != want.Error.Type || got.Message != want.Error.Message {
		t.Errorf("says %s: %s", got.Type, got.Message)
	}
	for id, node := range want.Nodes {
		for _, fault := range node.Errors {
			found := false
			for _, n := range got.Nodes {
				found = found || n.Node == id && n.Class == node.Class && n.Type == fault.Type
			}
			if !found {
				t.Errorf("%s of node %s (%s) is not told", fault.Type, id, node.Class)
			}
		}
	}
}

// CLIENT-PROMPT-1, CLIENT-FAIL-16: 200 with node errors is a refusal, and the part that runs is cancelled.
func TestReplay_halfAccepted(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				steps := recording(t, version, "validation-one-output-of-two-bad")
				f := newFake(t, "/comfy")
				f.jobsAPI = version == "v0.33.0"
				var id string
				f.on("POST /prompt", func(w http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					f.place(discard{http.Header{}}, body)
					id = f.job(0).id
					a := answer(t, steps, http.MethodPost, "/api/prompt")
					a.JSON = bytes.ReplaceAll(a.JSON, promptID(a.JSON), []byte(id))
					f.begin(f.job(0))
					a.write(w)
				})
				_, err := f.client().Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
				var got *comfy.RejectedError
				if !errors.As(err, &got) || len(got.Nodes) != 1 || got.Nodes[0].Node != "19" || got.Nodes[0].Type != "exception_during_validation" {
					t.Errorf("error %#v", err)
				}
				time.Sleep(time.Second)
				if f.job(0).state != "ended" {
					t.Errorf("the rest of the graph runs on: %s", f.job(0).state)
				}
			})
		})
	}
}

type discard struct{ h http.Header }

func (d discard) Header() http.Header       { return d.h }
func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) WriteHeader(int)             {}
func promptID(data []byte) []byte {
	var m struct {
		PromptID string `json:"prompt_id"`
	}
	_ = json.Unmarshal(data, &m)
	return []byte(m.PromptID)
}

// CLIENT-HTTP-3, CLIENT-FAIL-15: 413 and 500 come as text, and the text is kept, for the log.
func TestReplay_textErrors(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			for _, s := range recording(t, version, "bad-bodies") {
				if s.Recv != "http" || s.Text == nil || s.Status < 400 {
					continue
				}
				f := newFake(t, "")
				f.on("POST /prompt", func(w http.ResponseWriter, _ *http.Request) { s.write(w) })
				_, err := f.client().Submit(t.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
				var got *comfy.StatusError
				if !errors.As(err, &got) || got.Status != s.Status || !strings.HasPrefix(got.Text, (*s.Text)[:10]) {
					t.Errorf("%d %q became %#v", s.Status, *s.Text, err)
				}
			}
		})
	}
}

// CLIENT-HTTP-1: what the probe learns of both servers.
func TestReplay_probe(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			steps := recording(t, version, "introspection")
			f := newFake(t, "/comfy")
			f.jobsAPI = version == "v0.33.0"
			for _, path := range []string{"/system_stats", "/features", "/models/checkpoints", "/models/nope", "/embeddings"} {
				a := answer(t, steps, http.MethodGet, "/api"+path)
				f.on("GET "+path, func(w http.ResponseWriter, _ *http.Request) { a.write(w) })
			}
			c := f.client()
			got, err := c.Probe(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.LatencyHint <= 0 || len(got.Devices) != 1 || got.Devices[0].VRAMTotal == 0 {
				t.Errorf("%+v", got)
			}
			got.LatencyHint, got.Devices = 0, nil
			want := comfy.ServerInfo{Version: strings.TrimPrefix(version, "v"), JobsAPI: f.jobsAPI, JobCancel: f.jobsAPI, MaxUpload: 104857600}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
			if files, err := c.Models(t.Context(), "checkpoints"); err != nil || len(files) != 1 || files[0].Name != "tiny_sd3_random.safetensors" {
				t.Errorf("models %v, %v", files, err)
			}
			if files, err := c.Models(t.Context(), "nope"); err != nil || len(files) != 0 {
				t.Errorf("an unknown folder: %v, %v", files, err)
			}
			if names, err := c.Embeddings(t.Context()); err != nil || len(names) != 0 {
				t.Errorf("embeddings %v, %v", names, err)
			}
		})
	}
}

// The recorded queue of both servers, in heap order (CLIENT-QUEUE-1), and the recorded jobs of 0.33.0.
func TestReplay_queueAndJobs(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			steps := recording(t, version, "cancel-pending")
			a := answer(t, steps, http.MethodGet, "/api/queue")
			f := newFake(t, "")
			f.on("GET /queue", func(w http.ResponseWriter, _ *http.Request) { a.write(w) })
			q, err := f.client().Queue(t.Context())
			if err != nil || len(q.Running) != 1 || len(q.Pending) != 3 {
				t.Fatalf("%v, %v", q, err)
			}
			var raw struct {
				Pending []json.RawMessage `json:"queue_pending"`
			}
			if err := json.Unmarshal(a.JSON, &raw); err != nil {
				t.Fatal(err)
			}
			last := -1e9
			for _, id := range q.Pending {
				for _, item := range raw.Pending {
					if bytes.Contains(item, []byte(id)) {
						var number float64
						_, _ = fmt.Sscanf(string(item), "[%g", &number)
						if number < last {
							t.Errorf("%s, number %g, stands behind %g", id, number, last)
						}
						last = number
					}
				}
			}
		})
	}
}
