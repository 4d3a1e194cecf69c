package main

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
	"time"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// never is the time of a sampling step in a job that only a cancel ends.
const never = time.Hour

// A comfyUI is the emulator behind a real port, and a memory of every request that reached it.
type comfyUI struct {
	*emulator.Server

	url string

	mu     sync.Mutex
	seen   []seen
	answer func(http.ResponseWriter, *http.Request) bool
}

// seen is one request.
type seen struct {
	line   string // method and URI
	query  func(string) string
	header http.Header
	body   string
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
	u.mu.Lock()
	u.seen = append(u.seen, seen{r.Method + " " + r.RequestURI, r.URL.Query().Get, r.Header.Clone(), string(body)})
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

// requests are those seen so far.
func (u *comfyUI) requests() []seen {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Clone(u.seen)
}

// left is how many jobs wait or run.
func (u *comfyUI) left(t *testing.T) int {
	t.Helper()
	rec := httptest.NewRecorder()
	u.Handler().ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/queue", nil))
	var q struct {
		Running []any `json:"queue_running"`
		Pending []any `json:"queue_pending"`
	}
	if err := json.Unmarshal(rec.Body.Bytes(), &q); err != nil {
		t.Fatal(err)
	}
	return len(q.Running) + len(q.Pending)
}

// text is everything that one request held.
func (s seen) text() string {
	var b strings.Builder
	b.WriteString(s.line + "\n")
	_ = s.header.Write(&b) // a builder takes everything
	b.WriteString("\n" + s.body)
	return b.String()
}

// on is the environment that leads to u.
func (u *comfyUI) on() string { return "COMFYGATE_COMFYUI__URL=" + u.url }

// embedded is the environment that needs no ComfyUI.
const embedded = "COMFYGATE_COMFYUI__BACKEND=embedded"
