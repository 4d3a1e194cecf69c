package comfy_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/comfygate/comfygate/comfy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fake is a scripted ComfyUI under a path prefix, reached through pipes in memory, so that tests with a fake clock can use it.
// It keeps jobs as a server does and lets the test say when they begin and end. What no client may ever send fails the test.
type fake struct {
	t      *testing.T
	prefix string
	server *http.Server
	pipes  *pipeListener

	busy sync.WaitGroup // handlers

	mu      sync.Mutex
	jobsAPI bool // has /api/jobs, with cancel
	noWS    bool
	routes  map[string]http.HandlerFunc // replaces the answer of "METHOD /path/with/*"
	seen    []seen
	jobs    []*fakeJob
	sockets map[string]*websocket.Conn
	hellos  []string
	pings   int
	mute    bool          // gives no pong
	arrived chan struct{} // closed and replaced at each request and socket
	placed  func(*fakeJob)
}

type seen struct {
	method, path, query, body string
	header                    http.Header
}

type fakeJob struct {
	id, client string
	number     float64
	body       map[string]any
	state      string // pending, running, ended, gone
	entry      map[string]any
	stubborn   bool // obeys no interrupt
}

func newFake(t *testing.T, prefix string) *fake {
	t.Helper()
	f := &fake{
		t: t, prefix: prefix, pipes: newPipes(), routes: map[string]http.HandlerFunc{},
		sockets: map[string]*websocket.Conn{}, arrived: make(chan struct{}),
	}
	f.server = &http.Server{Handler: f, ReadHeaderTimeout: time.Minute}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = f.server.Serve(f.pipes)
	}()
	t.Cleanup(func() {
		f.dropSockets()
		_ = f.server.Close()
		<-served
		f.busy.Wait()
	})
	return f
}

// client returns a client of the fake that is closed with the test.
func (f *fake) client(change ...func(*comfy.Config)) *comfy.Client {
	f.t.Helper()
	cfg := comfy.Config{URL: "http://127.0.0.1:8188" + f.prefix, Dial: f.pipes.dial, Retry: comfy.Retry{Max: -1}}
	for _, c := range change {
		c(&cfg)
	}
	c, err := comfy.New(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	comfy.DemandDeadlines(c, f.t.Errorf)
	return c
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.busy.Add(1)
	defer f.busy.Done()
	path, ok := strings.CutPrefix(r.URL.Path, f.prefix+"/api")
	if bare, found := strings.CutPrefix(path, f.prefix+"/templates/"); !ok && found { // the one route that is nowhere else
		path = "/templates/" + bare
	} else if !ok {
		f.t.Errorf("request outside of the /api form: %s", r.URL.Path) // CLIENT-HTTP-2
	}
	for name := range r.Header {
		if name == "Origin" || strings.HasPrefix(name, "Sec-Fetch-") { // CLIENT-HTTP-4
			f.t.Errorf("%s %s with %s", r.Method, path, name)
		}
	}
	for _, other := range []string{"/internal", "/user", "/v2/", "/settings", "/assets"} { // CLIENT-ALT-1, 2, CLIENT-ALT-4
		if strings.HasPrefix(path, other) {
			f.t.Errorf("%s %s", r.Method, path)
		}
	}
	var body []byte
	if path != "/upload/image" {
		body, _ = io.ReadAll(r.Body)
	}
	f.mu.Lock()
	f.seen = append(f.seen, seen{r.Method, path, r.URL.RawQuery, string(body), r.Header.Clone()})
	f.notify()
	handler := f.routes[r.Method+" "+path]
	if handler == nil {
		handler = f.routes[r.Method+" "+path[:strings.LastIndex(path, "/")+1]+"*"]
	}
	f.mu.Unlock()
	if path != "/upload/image" {
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if handler != nil {
		handler(w, r)
		return
	}
	f.answer(w, r, path, body)
}

func (f *fake) answer(w http.ResponseWriter, r *http.Request, path string, body []byte) {
	word, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	switch r.Method + " " + word {
	case "GET ws":
		f.serveSocket(w, r)
	case "POST prompt":
		f.place(w, body)
	case "GET queue":
		f.listQueue(w)
	case "GET history":
		f.mu.Lock()
		defer f.mu.Unlock()
		out := map[string]any{}
		if j := f.find(rest); j != nil && j.state == "ended" {
			out[rest] = j.entry
		}
		reply(w, http.StatusOK, out)
	case "GET jobs", "POST jobs":
		f.serveJobs(w, r, rest)
	case "POST queue":
		var what struct{ Delete []string }
		f.must(json.Unmarshal(body, &what))
		if len(what.Delete) == 0 {
			f.t.Errorf("POST /queue that would clear it: %s", body)
		}
		f.remove(what.Delete)
	case "POST interrupt":
		var what map[string]string
		if err := json.Unmarshal(body, &what); err != nil || what["prompt_id"] == "" {
			f.t.Errorf("a global interrupt: %q", body)
		}
		f.interrupt(what["prompt_id"])
	case "POST history", "POST free":
	default:
		w.Header().Set("Content-Type", "application/octet-stream") // as recorded: no words
		w.WriteHeader(http.StatusNotFound)
	}
}

func (f *fake) place(w http.ResponseWriter, body []byte) {
	var in map[string]any
	f.must(json.Unmarshal(body, &in))
	for key, value := range in {
		if value == nil || key == "number" || key == "front" { // CLIENT-PROMPT-3, CLIENT-PROMPT-4
			f.t.Errorf("POST /prompt with %s: %v", key, value)
		}
	}
	id, _ := in["prompt_id"].(string)
	client, _ := in["client_id"].(string)
	if id == "" || client == "" {
		f.t.Errorf("POST /prompt without prompt_id or client_id: %s", body) // CLIENT-WS-9
	}
	f.mu.Lock()
	if f.find(id) != nil {
		f.t.Errorf("prompt %s was posted twice", id)
	}
	j := &fakeJob{id: id, client: client, number: float64(len(f.jobs)), body: in, state: "pending"}
	f.jobs = append(f.jobs, j)
	placed := f.placed
	f.mu.Unlock()
	if placed != nil {
		placed(j)
	}
	reply(w, http.StatusOK, map[string]any{"prompt_id": id, "number": j.number, "node_errors": map[string]any{}})
}

func (f *fake) listQueue(w http.ResponseWriter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	running, pending := []any{}, []any{}
	for _, j := range f.jobs {
		item := []any{j.number, j.id, j.body["prompt"], map[string]any{}, []string{"9"}}
		switch j.state {
		case "running":
			running = append(running, item)
		case "pending":
			pending = append(pending, item)
		}
	}
	slices.Reverse(pending) // it is a heap, not a list (CLIENT-QUEUE-1)
	reply(w, http.StatusOK, map[string]any{"queue_running": running, "queue_pending": pending})
}

func (f *fake) serveJobs(w http.ResponseWriter, r *http.Request, rest string) {
	f.mu.Lock()
	there := f.jobsAPI
	f.mu.Unlock()
	id, cancel := strings.CutSuffix(rest, "/cancel")
	switch {
	case !there:
		w.Header().Set("Content-Type", "application/octet-stream")
		w.WriteHeader(http.StatusNotFound)
	case cancel && r.Method == http.MethodPost:
		reply(w, http.StatusOK, map[string]any{"cancelled": f.remove([]string{id}) || f.interrupt(id)})
	case rest == "":
		f.listJobs(w)
	default:
		f.mu.Lock()
		defer f.mu.Unlock()
		if j := f.find(id); j != nil && j.state != "gone" {
			reply(w, http.StatusOK, j.asJob())
			return
		}
		reply(w, http.StatusNotFound, map[string]any{"error": "Job not found"})
	}
}

func (f *fake) listJobs(w http.ResponseWriter) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []any{}
	for _, j := range f.jobs {
		if j.state == "pending" || j.state == "running" {
			list = append(list, j.asJob())
		}
	}
	reply(w, http.StatusOK, map[string]any{"jobs": list})
}

// asJob is the job as the jobs API of the recordings tells it.
func (j *fakeJob) asJob() map[string]any {
	out := map[string]any{"id": j.id, "priority": j.number, "create_time": 1, "status": map[string]string{
		"pending": "pending", "running": "in_progress",
	}[j.state]}
	if j.state != "ended" {
		return out
	}
	status, _ := j.entry["status"].(map[string]any)
	out["status"], out["outputs"], out["execution_status"] = "completed", j.entry["outputs"], status
	if status["status_str"] == "error" {
		out["status"] = "failed"
		if strings.Contains(fmt.Sprint(status["messages"]), "execution_interrupted") {
			out["status"] = "cancelled"
		}
	}
	return out
}

func (f *fake) find(id string) *fakeJob {
	for _, j := range f.jobs {
		if j.id == id {
			return j
		}
	}
	return nil
}

func (f *fake) remove(ids []string) (hit bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		if j := f.find(id); j != nil && j.state == "pending" {
			j.state, hit = "gone", true
		}
	}
	return hit
}

func (f *fake) interrupt(id string) bool {
	f.mu.Lock()
	j := f.find(id)
	hit := j != nil && j.state == "running" && !j.stubborn
	f.mu.Unlock()
	if hit {
		f.end(j, "execution_interrupted", nil)
	}
	return hit
}

// begin lets a job run.
func (f *fake) begin(j *fakeJob) {
	f.mu.Lock()
	j.state = "running"
	f.mu.Unlock()
	f.tell(j.client, "execution_start", map[string]any{"prompt_id": j.id, "timestamp": 1000})
}

// end writes the history and then tells of it, in the order of a server: the last word, the status, executing null.
func (f *fake) end(j *fakeJob, word string, outputs map[string]any) { f.endWith(j, word, outputs, nil) }

func (f *fake) endWith(j *fakeJob, word string, outputs, fault map[string]any) {
	f.record(j, word, outputs, fault)
	f.tell(j.client, word, merge(fault, map[string]any{"prompt_id": j.id, "timestamp": 3500}))
	f.tell(j.client, "status", map[string]any{"status": map[string]any{"exec_info": map[string]any{"queue_remaining": 0}}})
	f.tell(j.client, "executing", map[string]any{"node": nil, "prompt_id": j.id})
}

// record ends a job without a word on the socket.
func (f *fake) record(j *fakeJob, word string, outputs, fault map[string]any) {
	status := "error"
	if word == "execution_success" {
		status = "success"
	}
	if outputs == nil {
		outputs = map[string]any{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	j.state = "ended"
	j.entry = map[string]any{"prompt": []any{j.number, j.id, j.body["prompt"]}, "outputs": outputs, "status": map[string]any{
		"status_str": status, "completed": status == "success", "messages": []any{
			[]any{"execution_start", map[string]any{"prompt_id": j.id, "timestamp": 1000}},
			[]any{word, merge(fault, map[string]any{"prompt_id": j.id, "timestamp": 3500})},
		},
	}}
}

func merge(a, b map[string]any) map[string]any {
	out := maps.Clone(b)
	maps.Copy(out, a)
	return out
}

func picture(name string) map[string]any {
	return map[string]any{"9": map[string]any{"images": []any{map[string]any{"filename": name, "subfolder": "", "type": "output"}}}}
}

// serveSocket greets and reads until the end.
func (f *fake) serveSocket(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	refuse := f.noWS
	f.mu.Unlock()
	if refuse {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		f.t.Errorf("upgrade: %v", err)
		return
	}
	pong := conn.PingHandler()
	conn.SetPingHandler(func(data string) error {
		f.mu.Lock()
		f.pings++
		mute := f.mute
		f.mu.Unlock()
		if mute {
			return nil
		}
		return pong(data)
	})
	id := r.URL.Query().Get("clientId")
	f.mu.Lock()
	if f.sockets[id] != nil {
		f.t.Errorf("client id %s connects while its old socket lingers", id) // CLIENT-WS-11
	}
	f.sockets[id] = conn
	f.mu.Unlock()
	go f.tell(id, "status", map[string]any{"status": map[string]any{}, "sid": id})
	first := true
	for {
		_, data, err := conn.ReadMessage()
		if err != nil {
			break
		}
		f.mu.Lock()
		if first {
			f.hellos = append(f.hellos, string(data))
			f.notify()
		}
		f.mu.Unlock()
		first = false
	}
	_ = conn.Close()
	f.mu.Lock()
	delete(f.sockets, id)
	f.notify()
	f.mu.Unlock()
}

// tell sends one text message to a client that is connected.
func (f *fake) tell(client, kind string, data any) {
	text, err := json.Marshal(map[string]any{"type": kind, "data": data})
	f.must(err)
	f.send(client, websocket.TextMessage, text)
}

func (f *fake) send(client string, kind int, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if conn := f.sockets[client]; conn != nil {
		_ = conn.SetWriteDeadline(time.Now().Add(5 * time.Second))
		_ = conn.WriteMessage(kind, data)
	}
}

func (f *fake) dropSockets() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range f.sockets {
		_ = conn.Close()
	}
}

// notify is called with the lock held.
func (f *fake) notify() {
	close(f.arrived)
	f.arrived = make(chan struct{})
}

// await waits until ok holds, which is asked again at each request.
func (f *fake) await(what string, ok func() bool) {
	f.t.Helper()
	late := time.After(time.Minute)
	for {
		f.mu.Lock()
		arrived, done := f.arrived, ok()
		f.mu.Unlock()
		if done {
			return
		}
		select {
		case <-arrived:
		case <-late:
			f.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// count returns how many requests of method and path prefix came.
func (f *fake) count(method, prefix string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(f.seen), func(s seen) bool { return s.method != method || !strings.HasPrefix(s.path, prefix) }))
}

// opened and open are how many sockets there have been and are.
func (f *fake) opened() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.hellos)
}

func (f *fake) open() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sockets)
}

func (f *fake) requests() []seen {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.seen)
}

// on replaces the answer of a route.
func (f *fake) on(route string, h http.HandlerFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.routes[route] = h
}

func (f *fake) job(i int) *fakeJob {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.jobs[i]
}

// forget is a restart: queue and history are gone.
func (f *fake) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, j := range f.jobs {
		j.state = "gone"
	}
}

func (f *fake) must(err error) {
	if err != nil {
		f.t.Errorf("fake: %v", err)
	}
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	_, _ = w.Write(data)
}

func previewFrame(prompt, mime string, image []byte) []byte {
	meta := fmt.Appendf(nil, `{"node_id":"3","prompt_id":%q,"display_node_id":"3","image_type":%q}`, prompt, mime)
	out := binary.BigEndian.AppendUint32(nil, 4)
	out = binary.BigEndian.AppendUint32(out, uint32(len(meta)))
	return append(append(out, meta...), image...)
}
