package emulator_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image/png"
	"maps"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// TestContract repeats everything that was recorded of two real servers.
func TestContract(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			s := start(t, emulator.Sketchy(emulator.Options{
				Version:  version,
				StepTime: 10 * time.Millisecond,
				Models: []emulator.Model{
					{Folder: "checkpoints", Name: "tiny_sd3_random.safetensors", Size: 12_482_904},
					{Folder: "upscale_models", Name: "tiny_compact_x2.safetensors", Size: 7_384},
				},
			}))
			prime(t, s, version)
			for _, sc := range scenarios() {
				ok := t.Run(sc.name, func(t *testing.T) {
					replay(t, s, version, sc)
				})
				if !ok {
					break // what follows would differ for this reason alone
				}
			}
		})
	}
}

// TestContract_complete makes sure that no recording is left out.
func TestContract_complete(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		files, err := filepath.Glob(filepath.Join("testdata", "recorded", "v"+version, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		var recorded, repeated []string
		for _, f := range files {
			recorded = append(recorded, strings.TrimSuffix(filepath.Base(f), ".json"))
		}
		for _, sc := range scenarios() {
			repeated = append(repeated, sc.name)
		}
		slices.Sort(recorded)
		slices.Sort(repeated)
		if !slices.Equal(recorded, repeated) {
			t.Errorf("%s: recorded %v, repeated %v", version, recorded, repeated)
		}
	}
}

// prime runs the very first job of the recorded server's life, which later
// recordings still see in its history and its cache.
func prime(t *testing.T, s *testServer, version string) {
	t.Helper()
	steps := readScenario(t, version, "introspection")
	first := steps[len(steps)-1]
	var history map[string]struct {
		Prompt []json.RawMessage
	}
	decode(t, first.JSON, &history)
	for id, e := range history {
		var extra struct {
			ClientID string `json:"client_id"`
		}
		decode(t, e.Prompt[3], &extra)
		ws := s.dialWS(extra.ClientID, false)
		body := map[string]any{"prompt": e.Prompt[2], "prompt_id": id, "client_id": extra.ClientID}
		if a := s.post("/api/prompt", body); a.status != http.StatusOK {
			t.Fatalf("%d %s", a.status, a.body)
		}
		ws.until("execution_success")
		ws.until("executing") // the last word on a job
		ws.close()
	}
}

func readScenario(t *testing.T, version, name string) []step {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "recorded", "v"+version, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var sc struct{ Steps []step }
	decode(t, data, &sc)
	return sc.Steps
}

// player repeats one scenario.
type player struct {
	t       *testing.T
	s       *testServer
	sc      scenario
	wanted  []difference
	sockets map[string]*playedSocket
	last    string   // the socket that was opened last
	sent    step     // the request whose answer is yet to be compared
	answers []answer // one at most
}

type playedSocket struct {
	*testSocket
	client  string
	stepped bool      // a report of a step was seen
	status  []message // frames of the queue that were passed over
	other   []message // and of the job
}

func replay(t *testing.T, s *testServer, version string, sc scenario) {
	t.Helper()
	var faults []emulator.Fault
	for _, f := range sc.faults {
		fault, err := emulator.ParseFault(f)
		if err != nil {
			t.Fatal(err)
		}
		faults = append(faults, fault)
	}
	s.SetFaults(faults...)
	p := &player{t: t, s: s, sc: sc, sockets: map[string]*playedSocket{}}
	for _, w := range wantedDifferences() {
		if w.scenario == sc.name {
			p.wanted = append(p.wanted, w)
		}
	}
	for i, st := range readScenario(t, version, sc.name) {
		p.where(i, st)
		switch {
		case st.Send == "http":
			p.request(st)
		case st.Recv == "http":
			p.answer(st)
		case st.Send == "ws-open":
			p.open(st)
		case st.Send == "ws":
			p.sockets[p.last].send(string(st.JSON))
		case st.Recv == "ws" || st.Recv == "ws-binary":
			p.frame(st)
		case st.Recv == "ws-closed":
			p.closed(st)
		case strings.Contains(st.Note, "0 more frames"):
			p.deaf()
		}
		if t.Failed() {
			return
		}
	}
}

// where makes failures name the step.
func (p *player) where(i int, st step) {
	p.t.Helper()
	if testing.Verbose() {
		p.t.Logf("step %d: %s%s %s %s", i, st.Send, st.Recv, st.Path, st.Note)
	}
}

func (p *player) fail(st step, diffs []string) {
	p.t.Helper()
	for _, d := range diffs {
		p.t.Errorf("%s %s %s: %s", p.sent.Method, p.sent.Path, st.Note, d)
	}
}

// upload makes the bytes of a file part: a picture where the recorder sent one,
// padded to the recorded size, so that same and other bytes stay the same and other.
func uploaded(t *testing.T, part formPart) []byte {
	t.Helper()
	if part.ContentType != "image/png" {
		return []byte("not a picture"[:part.Bytes])
	}
	var b bytes.Buffer
	if err := png.Encode(&b, testPicture(128, 128)); err != nil {
		t.Fatal(err)
	}
	data := make([]byte, part.Bytes)
	copy(data, b.Bytes())
	return data
}

// formBody writes a form as the recorder's library did, file names escaped.
func formBody(t *testing.T, parts []formPart) (string, []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, part := range parts {
		if part.Filename == "" {
			if err := w.WriteField(part.Name, part.Value); err != nil {
				t.Fatal(err)
			}
			continue
		}
		h := textproto.MIMEHeader{}
		h.Set("Content-Disposition", fmt.Sprintf(`form-data; name="%s"; filename="%s"`, part.Name,
			strings.ReplaceAll(part.Filename, "/", "%2F")))
		h.Set("Content-Type", part.ContentType)
		pw, err := w.CreatePart(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := pw.Write(uploaded(t, part)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), b.Bytes()
}

func (p *player) request(st step) {
	p.t.Helper()
	if st.Path == "/api/prompt" {
		nextMillisecond()
	}
	header := http.Header{}
	for k, v := range st.Headers {
		header.Set(k, v)
	}
	var body []byte
	switch {
	case st.Form != nil:
		var kind string
		kind, body = formBody(p.t, st.Form)
		header.Set("Content-Type", kind)
	case st.Text != nil && strings.HasPrefix(*st.Text, "<"):
		var size int
		if _, err := fmt.Sscanf(*st.Text, "<%d bytes>", &size); err != nil {
			p.t.Fatal(err)
		}
		body = bytes.Repeat([]byte(" "), size)
	case st.Text != nil:
		body = []byte(*st.Text)
	default:
		body = st.JSON
	}
	path := st.Path
	if len(st.Query) > 0 {
		q := url.Values{}
		for k, v := range st.Query {
			q.Set(k, v)
		}
		path += "?" + q.Encode()
	}
	a := p.s.do(st.Method, path, bytes.NewReader(body), header)
	if a.err != nil {
		p.t.Fatal(a.err)
	}
	p.sent, p.answers = st, []answer{a}
	if st.Method == http.MethodPost && st.Path == "/api/prompt" && a.status == http.StatusOK {
		p.taken()
	}
}

// taken waits until the worker has looked at the queue, as the recorded server's
// always had by the time that the recorder sent its next request.
func (p *player) taken() {
	p.t.Helper()
	for deadline := time.Now().Add(waitLong); time.Now().Before(deadline); {
		var q struct {
			Running []any `json:"queue_running"`
			Pending []any `json:"queue_pending"`
		}
		p.s.getJSON("/api/queue", &q)
		if len(q.Running) > 0 || len(q.Pending) == 0 {
			time.Sleep(2 * time.Millisecond) // jobs are sorted by the millisecond of their making
			return
		}
	}
	p.t.Fatal("the job is not taken")
}

func (p *player) answer(st step) {
	p.t.Helper()
	if len(p.answers) == 0 {
		p.t.Fatal("an answer without a request")
	}
	a := p.answers[0]
	p.answers = nil
	var diffs []string
	if a.status != st.Status {
		diffs = append(diffs, fmt.Sprintf("status: recorded %d, got %d %.300s", st.Status, a.status, a.body))
	}
	for k, v := range st.Headers {
		diffs = append(diffs, diffValues("header."+k, v, a.header.Get(k), p.wanted)...)
	}
	switch {
	case st.JSON != nil:
		var want, got any
		decode(p.t, st.JSON, &want)
		decode(p.t, a.body, &got)
		diffs = append(diffs, diffValues(p.sent.Path, want, got, p.wanted)...)
	case st.Text != nil:
		diffs = append(diffs, diffValues("text", *st.Text, string(a.body), p.wanted)...)
	case st.Bytes != nil:
		diffs = append(diffs, diffValues("body.bytes", *st.Bytes, json.Number(fmt.Sprint(len(a.body))), p.wanted)...)
	}
	p.fail(st, diffs)
}

func (p *player) open(st step) {
	p.last = st.Socket
	p.sockets[st.Socket] = &playedSocket{testSocket: p.s.dialWS(st.ClientID, false), client: st.ClientID}
}

// isStepFrame says whether a frame only tells of a step of a sampler.
func isStepFrame(m message) bool {
	if m.binary != nil {
		return true
	}
	var e event
	if json.Unmarshal(m.text, &e) != nil {
		return false
	}
	if e.Type == "progress" {
		return true
	}
	if e.Type != "progress_state" {
		return false
	}
	nodes, _ := e.Data["nodes"].(map[string]any)
	for _, n := range nodes {
		state, _ := n.(map[string]any)
		value, isNumber := state["value"].(float64)
		if state["state"] == "running" && isNumber && value > 0 {
			return true
		}
	}
	return false
}

func isStatus(m message) bool { return bytes.HasPrefix(m.text, []byte(`{"type": "status"`)) }

// take gives the next frame; where timing is chance, the reports of steps are
// left out, and what the queue says is kept apart.
func (p *player) take(w *playedSocket, status bool) message {
	p.t.Helper()
	held := &w.other
	if status {
		held = &w.status
	}
	if len(*held) > 0 {
		m := (*held)[0]
		*held = (*held)[1:]
		return m
	}
	for {
		m, ok := w.next(waitLong)
		if !ok || m.err != nil {
			p.t.Fatalf("no frame: %v", m.err)
		}
		switch {
		case p.sc.timing && isStepFrame(m):
			w.stepped = true
		case !p.sc.apart || isStatus(m) == status:
			return m
		case status:
			w.other = append(w.other, m)
		default:
			w.status = append(w.status, m)
		}
	}
}

func (p *player) frame(st step) {
	p.t.Helper()
	w := p.sockets[st.Socket]
	recorded := message{text: st.JSON}
	if st.Recv == "ws-binary" {
		recorded = message{binary: []byte{}}
	}
	if p.sc.timing && isStepFrame(recorded) {
		if w.stepped {
			return
		}
		m, ok := w.next(waitLong)
		if !ok || !isStepFrame(m) {
			p.t.Fatalf("no report of a step: %s %v", m.text, m.err)
		}
		w.stepped = true
		return
	}
	status := isStatus(message{text: st.compact(p.t)})
	m := p.take(w, status)
	if st.Recv == "ws-binary" {
		p.fail(st, diffBinary(st, m))
		return
	}
	var want, got any
	decode(p.t, st.JSON, &want)
	if m.text == nil {
		p.t.Fatalf("recorded %.200s, got a binary frame", st.JSON)
	}
	decode(p.t, m.text, &got)
	p.fail(st, diffValues("event", want, got, p.wanted))
}

// compact is the step's JSON as the server writes it.
func (st step) compact(t *testing.T) []byte {
	t.Helper()
	if st.JSON == nil {
		return nil
	}
	var e event
	decode(t, st.JSON, &e)
	return []byte(`{"type": "` + e.Type + `"`)
}

// diffBinary compares the head of a binary frame.
func diffBinary(st step, m message) []string {
	if len(m.binary) < 8 {
		return []string{fmt.Sprintf("recorded a binary frame, got %s", m.text)}
	}
	kind := int(binary.BigEndian.Uint32(m.binary))
	got := map[string]any{"event": kind}
	want := map[string]any{"event": st.Event}
	rest := m.binary[8:]
	n := int(binary.BigEndian.Uint32(m.binary[4:]))
	if kind == 1 {
		got["format"] = n
	} else {
		var meta any
		if err := json.Unmarshal(rest[:n], &meta); err != nil {
			return []string{err.Error()}
		}
		got["metadata"], rest = meta, rest[n:]
	}
	got["magic"] = fmt.Sprintf("%x", rest[:4])
	if st.Format != nil {
		want["format"] = *st.Format
	}
	if st.Metadata != nil {
		want["metadata"] = maps.Clone(st.Metadata)
	}
	want["magic"] = st.ImageMagic
	if st.ImageMagic == "ffd8ffe0" && strings.HasPrefix(fmt.Sprint(got["magic"]), "ffd8ff") {
		got["magic"] = st.ImageMagic // a JPEG without a JFIF header is one as well
	}
	return diffValues("frame", want, got, nil)
}

// closed ends a socket, and looks whether it got anything that was not recorded.
func (p *player) closed(st step) {
	p.t.Helper()
	w := p.sockets[st.Socket]
	w.close()
	for deadline := time.Now().Add(waitLong); p.s.Connected(w.client) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	for m, ok := w.next(time.Millisecond); ok && m.err == nil; m, ok = w.next(time.Millisecond) {
		if !p.sc.timing || !isStepFrame(m) {
			w.other = append(w.other, m)
		}
	}
	for _, m := range append(w.status, w.other...) {
		p.t.Errorf("a frame that was not recorded: %s", m.text)
	}
}

// deaf waits until the job has ended; the socket must not have heard of it.
func (p *player) deaf() {
	p.t.Helper()
	w := p.sockets["second"]
	for {
		m, ok := w.next(time.Millisecond)
		if !ok {
			break
		}
		if !isStepFrame(m) {
			p.t.Errorf("a deaf socket heard %s", m.text)
		}
	}
	for deadline := time.Now().Add(waitLong); time.Now().Before(deadline); {
		var q struct {
			Running []any `json:"queue_running"`
		}
		p.s.getJSON("/api/queue", &q)
		if len(q.Running) == 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if m, ok := w.next(time.Millisecond); ok {
		p.t.Errorf("a deaf socket heard %s", m.text)
	}
}
