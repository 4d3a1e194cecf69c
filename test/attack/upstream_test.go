package attack_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// A comfyUI is the emulator behind a port, and a memory of every request that reached it.
type comfyUI struct {
	*emulator.Server

	url string

	mu     sync.Mutex
	seen   []string // whole requests, as text
	graphs []json.RawMessage
	answer func(http.ResponseWriter, *http.Request) bool // true: it has answered
}

func newComfyUI(t *testing.T, opts emulator.Options) *comfyUI {
	t.Helper()
	srv, err := emulator.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	u := &comfyUI{Server: srv}
	front := httptest.NewServer(u)
	u.url = front.URL
	t.Cleanup(func() {
		if err := srv.Close(); err != nil {
			t.Error(err)
		}
		front.Close()
	})
	return u
}

func (u *comfyUI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the caller has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var text strings.Builder
	text.WriteString(r.Method + " " + r.RequestURI + "\n")
	_ = r.Header.Write(&text) // a builder takes everything
	text.Write(body[:min(len(body), 64<<10)])
	var posted struct{ Prompt json.RawMessage }
	if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/prompt") {
		_ = json.Unmarshal(body, &posted) // the emulator tells what is wrong with it
	}
	u.mu.Lock()
	u.seen = append(u.seen, text.String())
	if posted.Prompt != nil {
		u.graphs = append(u.graphs, posted.Prompt)
	}
	answer := u.answer
	u.mu.Unlock()
	if answer == nil || !answer(w, r) {
		u.Handler().ServeHTTP(w, r)
	}
}

// instead answers requests from here on. Where f returns false the emulator answers.
func (u *comfyUI) instead(f func(http.ResponseWriter, *http.Request) bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = f
}

// requests are those seen so far, each as text.
func (u *comfyUI) requests() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen)
}

// A node is one of a graph that was posted.
type node struct {
	Class  string         `json:"class_type"`
	Inputs map[string]any `json:"inputs"`
}

// posted returns the graphs that hold a text, and all of them for "".
func (u *comfyUI) posted(t *testing.T, text string) (found []map[string]node) {
	t.Helper()
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, raw := range u.graphs {
		var g map[string]node
		if err := json.Unmarshal(raw, &g); err != nil {
			t.Fatal(err)
		}
		for _, n := range g {
			if text == "" || n.Inputs["text"] == text {
				found = append(found, g)
				break
			}
		}
	}
	return found
}
