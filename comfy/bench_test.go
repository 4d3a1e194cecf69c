package comfy_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/comfygate/comfygate/comfy"
)

// An instant server runs each job in no time and says so in the order of a real one.
type instant struct {
	mu    sync.Mutex
	conns map[string]*websocket.Conn
	ended map[string]bool
}

func (s *instant) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, "/api/")
	switch {
	case path == "ws":
		up := websocket.Upgrader{}
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[r.URL.Query().Get("clientId")] = conn
		s.mu.Unlock()
		for err == nil {
			_, _, err = conn.ReadMessage()
		}
		_ = conn.Close()
	case path == "prompt":
		var in struct {
			PromptID string `json:"prompt_id"`
			Client   string `json:"client_id"`
		}
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &in)
		reply(w, http.StatusOK, map[string]any{"prompt_id": in.PromptID, "node_errors": map[string]any{}})
		go s.run(in.Client, in.PromptID)
	case strings.HasPrefix(path, "history/"):
		s.mu.Lock()
		defer s.mu.Unlock()
		id := strings.TrimPrefix(path, "history/")
		out := map[string]any{}
		if s.ended[id] {
			out[id] = map[string]any{"outputs": picture("a.png"), "status": map[string]any{"status_str": "success", "messages": []any{}}}
		}
		reply(w, http.StatusOK, out)
	case path == "view":
		_, _ = w.Write(make([]byte, 100_000))
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (s *instant) run(client, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := s.conns[client]
	say := func(kind, node string) {
		_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"`+kind+`","data":{"node":`+node+`,"prompt_id":"`+id+`"}}`))
	}
	say("execution_start", "null")
	say("execution_success", "null")
	s.ended[id] = true
	_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"status","data":{}}`))
	say("executing", "null")
}

func newInstant(b *testing.B) string {
	b.Helper()
	server := httptest.NewServer(&instant{conns: map[string]*websocket.Conn{}, ended: map[string]bool{}})
	b.Cleanup(server.Close)
	return server.URL
}

// BenchmarkRun is a job of no length from POST to picture. The difference to BenchmarkDirect is what this client adds; the whole
// product may add 3 ms.
func BenchmarkRun(b *testing.B) {
	c, err := comfy.New(comfy.Config{URL: newInstant(b)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	for b.Loop() {
		r, err := c.Submit(b.Context(), comfy.Submission{PromptID: comfy.NewPromptID(), Graph: tiny()})
		if err != nil {
			b.Fatal(err)
		}
		res, err := r.Result(b.Context())
		if err != nil || len(res.Outputs) != 1 {
			b.Fatal(res, err)
		}
		if _, err := c.View(b.Context(), res.Outputs[0], io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDirect is the least that any client must do: POST, wait for the last message, history, view.
func BenchmarkDirect(b *testing.B) {
	url := newInstant(b)
	conn, resp, err := websocket.DefaultDialer.DialContext(b.Context(), "ws"+strings.TrimPrefix(url, "http")+"/api/ws?clientId=me", nil) //nolint:forbidigo // the plainest client there is
	if err != nil {
		b.Fatal(err)
	}
	_ = resp.Body.Close()
	b.Cleanup(func() { _ = conn.Close() })
	get := func(path string, body []byte) {
		method := http.MethodGet
		if body != nil {
			method = http.MethodPost
		}
		req, err := http.NewRequestWithContext(b.Context(), method, url+"/api/"+path, bytes.NewReader(body))
		if err != nil {
			b.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(req) //nolint:forbidigo // the plainest client there is
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	for b.Loop() {
		id := comfy.NewPromptID()
		body, err := json.Marshal(map[string]any{"prompt": tiny(), "client_id": "me", "prompt_id": id})
		if err != nil {
			b.Fatal(err)
		}
		get("prompt", body)
		for data := []byte(nil); !bytes.Contains(data, []byte(`"executing"`)); {
			if _, data, err = conn.ReadMessage(); err != nil {
				b.Fatal(err)
			}
		}
		get("history/"+id, nil)
		get("view", nil)
	}
}
