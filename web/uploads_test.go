package web_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/mcpserver"
)

// A desk is what upload links lead to, faked: it knows one token.
type desk struct {
	got    chan string // bodies
	media  chan string
	answer mcpserver.UploadAnswer
}

func newDesk() *desk {
	return &desk{got: make(chan string, 10), media: make(chan string, 10), answer: mcpserver.UploadAnswer{Body: []byte(`{"image":"x"}`)}}
}

func (d *desk) Upload(_ context.Context, u mcpserver.Upload) (mcpserver.UploadAnswer, error) {
	if u.Token != "good" {
		return mcpserver.UploadAnswer{}, images.ErrLink
	}
	b, err := io.ReadAll(u.Body)
	if err != nil {
		return mcpserver.UploadAnswer{Code: "UPLOAD_INCOMPLETE", Body: []byte(err.Error())}, nil //nolint:nilerr // the answer tells
	}
	d.got <- string(b)
	d.media <- u.Media
	return d.answer, nil
}

// An upload link needs no other credential, takes PUT and POST, and whatever says that it is a picture or says nothing.
func TestUploads(t *testing.T) {
	t.Parallel()
	d := newDesk()
	h := open(t, func(h *house) {
		h.web.Uploads, h.web.RequestBytes, h.auth = d, 1000, auth.Config{Token: config.NewSecret("good")}
	})
	body := strings.Repeat("x", 5000) // larger than a request of MCP may be
	for _, tc := range []struct{ method, kind, media string }{
		{http.MethodPut, "image/png", "image/png"},
		{http.MethodPost, "image/JPEG; q=1", "image/jpeg"},
		{http.MethodPut, "application/octet-stream", ""},
		{http.MethodPost, "application/x-www-form-urlencoded", ""}, // curl --data-binary
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, h.url+"/uploads/good", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", tc.kind)
		res, err := h.clients.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(res.Body)
		if cerr := res.Body.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
		if res.StatusCode != http.StatusCreated || string(text) != `{"image":"x"}` || res.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s %s: %s %s", tc.method, tc.kind, res.Status, text)
		}
		if got, media := <-d.got, <-d.media; got != body || media != tc.media {
			t.Errorf("%s %s: %d bytes of %q", tc.method, tc.kind, len(got), media)
		}
	}
}

func TestUploads_refused(t *testing.T) {
	t.Parallel()
	d := newDesk()
	h := open(t, func(h *house) { h.web.Uploads, h.web.UploadBytes = d, 10_000 })
	large := strings.Repeat("x", 10_001)
	for name, tc := range map[string]struct {
		method, path, body string
		header             []string
		want               int
	}{
		"another token":      {http.MethodPut, "/uploads/bad", "x", nil, http.StatusNotFound},
		"no token":           {http.MethodPut, "/uploads/", "x", nil, http.StatusNotFound},
		"a longer path":      {http.MethodPut, "/uploads/good/x", "x", nil, http.StatusNotFound},
		"looked at":          {http.MethodGet, "/uploads/good", "", nil, http.StatusMethodNotAllowed},
		"deleted":            {http.MethodDelete, "/uploads/good", "", nil, http.StatusMethodNotAllowed},
		"a form":             {http.MethodPost, "/uploads/good", "x", []string{"Content-Type", "multipart/form-data; boundary=x"}, http.StatusUnsupportedMediaType},
		"HTML":               {http.MethodPut, "/uploads/good", "x", []string{"Content-Type", "text/html"}, http.StatusUnsupportedMediaType},
		"no type":            {http.MethodPut, "/uploads/good", "x", []string{"Content-Type", ";;"}, http.StatusUnsupportedMediaType},
		"packed":             {http.MethodPut, "/uploads/good", "x", []string{"Content-Type", "image/png", "Content-Encoding", "gzip"}, http.StatusUnsupportedMediaType},
		"too large":          {http.MethodPut, "/uploads/good", large, []string{"Content-Type", "image/png"}, http.StatusRequestEntityTooLarge},
		"from another page":  {http.MethodPut, "/uploads/good", "x", []string{"Content-Type", "image/png", "Origin", "https://evil.example"}, http.StatusForbidden},
		"to another machine": {http.MethodPut, "/uploads/good", "x", []string{"Content-Type", "image/png", "Host", "evil.example"}, http.StatusForbidden},
	} {
		req, err := http.NewRequestWithContext(t.Context(), tc.method, h.url+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(tc.header); i += 2 {
			req.Header.Set(tc.header[i], tc.header[i+1])
			if tc.header[i] == "Host" {
				req.Host = tc.header[i+1]
			}
		}
		res, err := h.clients.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != tc.want {
			t.Errorf("%s: %s, want %d", name, res.Status, tc.want)
		}
	}
	if len(d.got) > 0 {
		t.Errorf("something was received: %q", <-d.got)
	}
	if r := open(t, nil).do(t, http.MethodPut, "/uploads/good", "x"); r.status != http.StatusNotFound {
		t.Errorf("where there are no links: %d", r.status)
	}
}

// Each fault has the status that programs understand, and says when to come again.
func TestUploads_faults(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]int{
		"RATE_LIMITED": 429, "POLICY_DENIED": 403, "IMAGE_NOT_FOUND": 404, "UPLOAD_PENDING": 409, "IMAGE_OUT_OF_BOUNDS": 413, "UNEXPECTED_OUTPUT_TYPE": 415,
		"IMAGE_DAMAGED": 422, "UPLOAD_INCOMPLETE": 408, "RESOURCE_EXHAUSTED": 503, "AUDIT_UNAVAILABLE": 503, "INTERNAL": 500,
	} {
		d := newDesk()
		d.answer = mcpserver.UploadAnswer{Code: code, RetryAfter: 1100 * time.Millisecond, Body: []byte(`{"code":"` + code + `"}`)}
		h := open(t, func(h *house) { h.web.Uploads = d })
		if r := h.do(t, http.MethodPut, "/uploads/good", "x", "X", "y"); r.status != http.StatusUnsupportedMediaType { // the helper says JSON
			t.Errorf("JSON: %d", r.status)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, h.url+"/uploads/good", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		res, err := h.clients.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != want || res.Header.Get("Retry-After") != "2" {
			t.Errorf("%s: %s, Retry-After %q", code, res.Status, res.Header.Get("Retry-After"))
		}
	}
}

// T12: a body that trickles is cut off, of a bad link none is read, and one that comes at a fair pace may take its time.
func TestUploads_T12_slow(t *testing.T) {
	t.Parallel()
	d := newDesk()
	h := open(t, func(h *house) { h.web.Uploads, h.web.BodyTimeout = d, 300*time.Millisecond })
	head := "PUT /uploads/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
	slow := h.dial(t)
	slow.send(t, head+"x", "good", 100)
	if status := slow.status(t); status != http.StatusRequestTimeout || !slow.ends() {
		t.Errorf("a slow body: %d", status)
	}
	bad := h.dial(t)
	bad.send(t, head, "bad", 100)
	if status := bad.status(t); status != http.StatusNotFound || !bad.ends() {
		t.Errorf("a bad link: %d", status)
	}
	fair := h.dial(t)
	const part = 64 << 10 // earns a second
	fair.send(t, head, "good", 2*part)
	fair.send(t, "%s", strings.Repeat("x", part))
	time.Sleep(600 * time.Millisecond) // twice the grace
	fair.send(t, "%s", strings.Repeat("x", part))
	if status := fair.status(t); status != http.StatusCreated {
		t.Errorf("a fair body: %d", status)
	}
}
