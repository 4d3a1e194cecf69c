package comfy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/config"
)

// form reads what was uploaded.
func form(t *testing.T, r *http.Request, body io.Reader) (fields map[string]string, length int64) {
	t.Helper()
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		t.Error(err)
		return nil, 0
	}
	fields = map[string]string{}
	parts := multipart.NewReader(body, params["boundary"])
	for {
		part, err := parts.NextPart()
		if err != nil {
			return fields, r.ContentLength
		}
		data, _ := io.ReadAll(part)
		fields[part.FormName()] = string(data)
		if part.FileName() != "" {
			fields["filename"] = part.FileName()
		}
	}
}

// CLIENT-FILE-1, CLIENT-FILE-2, CLIENT-FILE-3: into the temp folder, under our name, loaded by the name that the server answers.
func TestUpload_CLIENT_FILE_3(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct {
		data   io.Reader
		answer string
		want   string
	}{
		"a known length":   {strings.NewReader("bytes"), `{"name":"ab12.png","subfolder":"comfygate","type":"temp"}`, "comfygate/ab12.png [temp]"},
		"no known length":  {io.MultiReader(strings.NewReader("by"), strings.NewReader("tes")), `{"name":"ab12.png","subfolder":"comfygate","type":"temp"}`, "comfygate/ab12.png [temp]"},
		"renamed":          {strings.NewReader("bytes"), `{"name":"ab12 (1).png","subfolder":"","type":"temp"}`, "ab12 (1).png [temp]"},
		"a cloud's folder": {strings.NewReader("bytes"), `{"name":"ab12.png","type":"input","asset":{}}`, "ab12.png"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan map[string]string, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fields, length := form(t, r, r.Body)
				if known := name != "no known length"; known != (length > 0) {
					t.Errorf("length %d", length)
				}
				got <- fields
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, row.answer)
			}))
			t.Cleanup(server.Close)
			value, err := newClient(t, comfy.Config{URL: server.URL}).Upload(t.Context(), "ab12.png", row.data)
			fields := <-got
			if err != nil || value != row.want || fields["image"] != "bytes" || fields["filename"] != "ab12.png" || fields["type"] != "temp" || fields["subfolder"] != "comfygate" {
				t.Errorf("%q, %v, %v", value, err, fields)
			}
		})
	}
}

// CLIENT-FILE-5: names of ours and of the server's that are none.
func TestUpload_refuses(t *testing.T) {
	t.Parallel()
	f := newFake(t, "")
	c := f.client()
	for _, name := range []string{"", ".", "..", ".png", "a/b.png", `a\b.png`, "a b.png", "a\x00", "ä.png", strings.Repeat("x", 129)} {
		if _, err := c.Upload(t.Context(), name, strings.NewReader("x")); !errors.Is(err, comfy.ErrFileName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, answer := range []map[string]any{
		{"name": "../x.png", "type": "temp"},
		{"name": "..", "type": "temp"},
		{"name": "a.png [output]", "type": "temp"},
		{"name": "", "type": "temp"},
		{"name": "a.png", "subfolder": "/etc", "type": "temp"},
		{"name": "a.png", "subfolder": "../..", "type": "temp"},
		{"name": "a\n.png", "type": "temp"},
		{"name": "a.png", "type": "secret"},
		{"name": "a.png"},
		{"name": 3},
		{"name": "C:\\x", "type": "temp"},
	} {
		f.on("POST /upload/image", answers(answer))
		if got, err := c.Upload(t.Context(), "a.png", strings.NewReader("x")); !errors.Is(err, comfy.ErrProtocol) {
			t.Errorf("%v gives %q, %v", answer, got, err)
		}
	}
}

// SC-47: an upload is bounded, told or not.
func TestUpload_tooLarge(t *testing.T) {
	t.Parallel()
	f := newFake(t, "")
	f.on("POST /upload/image", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		reply(w, http.StatusOK, map[string]any{"name": "a.png", "type": "temp"})
	})
	c := f.client(func(cfg *comfy.Config) { cfg.Limits.ViewBytes = 1000; cfg.QueryToken = config.NewSecret("t0ken") })
	for name, data := range map[string]io.Reader{
		"told": bytes.NewReader(make([]byte, 1001)), "not told": io.MultiReader(bytes.NewReader(make([]byte, 600)), bytes.NewReader(make([]byte, 600))),
	} {
		var large *comfy.TooLargeError
		if _, err := c.Upload(t.Context(), "a.png", data); !errors.As(err, &large) || secretIn(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := c.Upload(t.Context(), "a.png", bytes.NewReader(make([]byte, 1000))); err != nil {
		t.Errorf("at the limit: %v", err)
	}
}

// What the recorded servers answered to strange uploads is an error here.
func TestReplay_uploads(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			steps := recording(t, version, "uploads")
			n := 0
			for i, s := range steps {
				if s.Send != "http" {
					continue
				}
				a := steps[i+1]
				f := newFake(t, "")
				f.on("POST /upload/image", func(w http.ResponseWriter, _ *http.Request) { a.write(w) })
				value, err := f.client().Upload(t.Context(), "a.png", strings.NewReader("x"))
				odd := a.Status != http.StatusOK
				if odd != (err != nil) || strings.Contains(value, "..%2F") && strings.Contains(value, "/..") {
					t.Errorf("%s: %q, %v", s.Note, value, err)
				}
				n++
			}
			if n < 10 {
				t.Errorf("%d uploads", n)
			}
		})
	}
}

// CLIENT-SEC-12, SC-47, CLIENT-FAIL-9: a file comes through whole and bounded; an absent one is told apart.
func TestView(t *testing.T) {
	t.Parallel()
	f := newFake(t, "/p")
	picture := bytes.Repeat([]byte("x"), 5000)
	f.on("GET /view", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("encoding %q", r.Header.Get("Accept-Encoding"))
		}
		switch r.URL.Query().Get("filename") {
		case "chunked.png":
			w.Header().Set("Content-Type", "image/png")
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(picture)
		case "huge.png":
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(append(picture, make([]byte, 1)...))
		case "told.png":
			w.Header().Set("Content-Length", "5001")
			_, _ = w.Write(append(picture, 'x'))
		case "cut.png":
			w.Header().Set("Content-Length", "5000")
			_, _ = w.Write(picture[:100])
		case "page.png":
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = io.WriteString(w, "sign in")
		case "sub dir.png":
			if q := r.URL.Query(); q.Get("subfolder") != `a\b/c` || q.Get("type") != "temp" {
				t.Errorf("query %v", q)
			}
			_, _ = w.Write(picture)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	c := f.client(func(cfg *comfy.Config) { cfg.Limits.ViewBytes = 5000 })
	var large *comfy.TooLargeError
	for name, row := range map[string]struct {
		out comfy.Output
		ok  func(error) bool
	}{
		"chunked":   {comfy.Output{Filename: "chunked.png"}, func(err error) bool { return err == nil }},
		"subfolder": {comfy.Output{Filename: "sub dir.png", Subfolder: `a\b/c`, Type: "temp"}, func(err error) bool { return err == nil }},
		"endless":   {comfy.Output{Filename: "huge.png"}, func(err error) bool { return errors.As(err, &large) }},
		"large":     {comfy.Output{Filename: "told.png"}, func(err error) bool { return errors.As(err, &large) }},
		"cut":       {comfy.Output{Filename: "cut.png"}, func(err error) bool { return errors.Is(err, comfy.ErrUnreachable) }},
		"a page":    {comfy.Output{Filename: "page.png"}, func(err error) bool { return errors.Is(err, comfy.ErrProtocol) }},
		"absent":    {comfy.Output{Filename: "none.png"}, func(err error) bool { return errors.Is(err, comfy.ErrNotFound) }},
	} {
		var b bytes.Buffer
		n, err := c.View(t.Context(), row.out, &b)
		if !row.ok(err) || n != int64(b.Len()) || err == nil && !bytes.Equal(b.Bytes(), picture) || n > 5000 {
			t.Errorf("%s: %d bytes, %v", name, n, err)
		}
	}
	full := errors.New("disk full")
	if _, err := c.View(t.Context(), comfy.Output{Filename: "chunked.png"}, failing{full}); !errors.Is(err, full) || errors.Is(err, comfy.ErrUnreachable) {
		t.Errorf("the writer's error: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// The recorded statuses of /view.
func TestReplay_view(t *testing.T) {
	t.Parallel()
	for _, version := range versions() {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			steps := recording(t, version, "view")
			for i, s := range steps {
				if s.Send != "http" {
					continue
				}
				a := steps[i+1]
				f := newFake(t, "")
				f.on("GET /view", func(w http.ResponseWriter, _ *http.Request) { a.write(w) })
				n, err := f.client().View(t.Context(), comfy.Output{Filename: "x"}, io.Discard)
				if (a.Status == http.StatusOK) != (err == nil) || (a.Status == http.StatusNotFound) != errors.Is(err, comfy.ErrNotFound) {
					t.Errorf("%v, %d: %d bytes, %v", s.Query, a.Status, n, err)
				}
			}
		})
	}
}

// Comfy Cloud's dialect (CLIENT-AUTH-5, CLIENT-AUTH-6, CLIENT-ALT-3, CLIENT-SEC-13): key under its own header, on the socket as a
// token; the file's redirect followed with nothing of ours; times in seconds; no interrupt that would stop other jobs.
func TestCloud_CLIENT_AUTH_6(t *testing.T) {
	t.Parallel()
	var storageSaw http.Header
	storage := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		storageSaw = r.Header.Clone()
		if r.URL.Query().Get("token") != "" {
			t.Error("the token went to the storage")
		}
		_, _ = io.WriteString(w, "picture")
	}))
	t.Cleanup(storage.Close)
	cloud := newCloud(t, storage.URL+"/signed?sig=1")
	ca, cert := authority(t, "cloud.comfy.org")
	cloud.server.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	cloud.server.StartTLS()
	t.Cleanup(cloud.server.Close)
	both := joinFiles(t, ca, caFile(t, storage.Certificate()))
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		if strings.HasPrefix(addr, "cloud.comfy.org") {
			addr = cloud.server.Listener.Addr().String()
		}
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	c := newClient(t, comfy.Config{
		URL: "https://cloud.comfy.org", APIKey: config.NewSecret("s3cret"), AuthHeader: "Authorization", CAFile: both, Dial: dial,
	})
	if info, err := c.Probe(t.Context()); err != nil || !info.Cloud || !info.JobsAPI || !c.Cloud() {
		t.Fatalf("%+v, %v", info, err)
	}
	if files, err := c.Models(t.Context(), "checkpoints"); err != nil || len(files) != 1 || files[0].Size != 7 {
		t.Errorf("models %v, %v", files, err)
	}
	r := submit(t, c)
	res := result(t, r)
	if res.State != comfy.Succeeded || res.Duration != 2500*time.Millisecond || len(res.Outputs) != 1 {
		t.Fatalf("%+v", res)
	}
	var b bytes.Buffer
	if n, err := c.View(t.Context(), res.Outputs[0], &b); err != nil || b.String() != "picture" || n != 7 {
		t.Errorf("%d, %v", n, err)
	}
	for name := range storageSaw {
		if strings.Contains(name, "Auth") || strings.Contains(name, "Key") || name == "Cookie" {
			t.Errorf("the storage got %s", name)
		}
	}
	cloud.mu.Lock()
	cloud.location = "http://example.com/plain"
	cloud.mu.Unlock()
	if _, err := c.View(t.Context(), res.Outputs[0], io.Discard); !errors.Is(err, comfy.ErrRedirect) {
		t.Errorf("a redirect into clear text: %v", err)
	}
	cloud.mu.Lock()
	cloud.status, cloud.others = "in_progress", []string{"other"}
	cloud.mu.Unlock()
	second := submit(t, c)
	if err := cancelWithin(t, second, 300*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if cloud.interrupts() != 0 {
		t.Error("interrupted, though another job was running")
	}
	cloud.mu.Lock()
	cloud.others = nil
	cloud.mu.Unlock()
	if err := cancelWithin(t, second, 5*time.Second); err != nil || cloud.interrupts() == 0 {
		t.Errorf("alone: %v", err)
	}
}

func joinFiles(t *testing.T, names ...string) string {
	t.Helper()
	var all []byte
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data...)
	}
	name := filepath.Join(t.TempDir(), "all.pem")
	if err := os.WriteFile(name, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A cloud is a little of Comfy Cloud: all jobs of a user arrive on one socket, whatever its client id.
type cloud struct {
	t      *testing.T
	server *httptest.Server

	mu       sync.Mutex
	location string
	id       string
	status   string
	others   []string // other jobs that run
	stopped  int
}

func newCloud(t *testing.T, location string) *cloud {
	t.Helper()
	c := &cloud{t: t, location: location, status: "completed"}
	c.server = httptest.NewUnstartedServer(c)
	return c
}

func (c *cloud) interrupts() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stopped
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/ws" {
		c.socket(w, r)
		return
	}
	if r.Header.Get("X-Api-Key") != "s3cret" || r.Header.Get("Authorization") != "" || r.URL.Query().Get("token") != "" {
		c.t.Errorf("%s: credentials %v", r.URL.Path, r.Header)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch path := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/api"); path {
	case "GET /features":
		reply(w, http.StatusOK, map[string]any{"max_upload_size": 50 << 20})
	case "GET /jobs":
		reply(w, http.StatusOK, map[string]any{"jobs": []any{}})
	case "GET /experiment/models/checkpoints":
		reply(w, http.StatusOK, []any{map[string]any{"name": "a.safetensors", "size": 7}})
	case "POST /prompt":
		var in struct {
			PromptID string `json:"prompt_id"`
		}
		body, _ := io.ReadAll(r.Body)
		in.PromptID = string(promptID(body))
		c.id = in.PromptID
		reply(w, http.StatusOK, map[string]any{"prompt_id": c.id, "node_errors": map[string]any{}})
	case "GET /jobs/" + c.id:
		reply(w, http.StatusOK, map[string]any{
			"id": c.id, "status": c.status, "execution_start_time": 100.5, "execution_end_time": 103, "outputs": picture("a.png"),
		})
	case "GET /queue":
		running := []any{[]any{1, c.id}}
		for _, o := range c.others {
			running = append(running, []any{2, o})
		}
		reply(w, http.StatusOK, map[string]any{"queue_running": running, "queue_pending": []any{}})
	case "POST /queue":
	case "POST /interrupt":
		c.stopped++
		c.status = "cancelled"
	case "GET /view":
		http.Redirect(w, r, c.location, http.StatusFound)
	default:
		if !strings.HasSuffix(path, "/cancel") {
			c.t.Errorf("%s is not a route of Comfy Cloud", path)
		}
		w.WriteHeader(http.StatusNotFound)
	}
}

func (c *cloud) socket(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("token") != "s3cret" {
		c.t.Error("the socket has no token")
	}
	up := websocket.Upgrader{}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	// Of another job: not this one's business.
	_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"execution_error","data":{"prompt_id":"other","exception_type":"X"}}`))
	_, _, err = conn.ReadMessage()
	for err == nil {
		_, _, err = conn.ReadMessage()
	}
	_ = conn.Close()
}
