package comfy

import (
	"net/http"
	"time"
)

// What the tests of this package, which stand outside of it, need of its inside.

// ParseEvent reads a text message and reports whether it concerns a run.
func ParseEvent(data []byte) bool {
	_, ok := parseEvent(data)
	return ok
}

// ParsePreview reads a binary frame.
func ParsePreview(data []byte) (prompt, mime string, image []byte, ok bool) {
	p, ok := parsePreview(data)
	return p.prompt, p.mime, p.image, ok
}

// Clean is the cleaning of texts.
func Clean(s string, n int) string { return clean(s, n) }

// ReadClasses reads an object_info.
func ReadClasses(data []byte) (*ObjectInfo, error) {
	var raw rawInfo
	if err := decode(data, &raw); err != nil {
		return nil, err
	}
	return readClasses(raw), nil
}

// Runs returns how many runs are registered.
func (c *Client) Runs() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.runs)
}

// DemandDeadlines makes every HTTP call of c without a deadline a fault (SC-56).
func DemandDeadlines(c *Client, fault func(format string, args ...any)) {
	for _, h := range []*http.Client{c.http, c.bare} {
		h.Transport = deadlines{h.Transport, fault}
	}
}

type deadlines struct {
	http.RoundTripper
	fault func(format string, args ...any)
}

func (d deadlines) RoundTrip(r *http.Request) (*http.Response, error) {
	if at, ok := r.Context().Deadline(); !ok || time.Until(at) > 2*time.Minute {
		d.fault("%s %s has no deadline", r.Method, r.URL.Path)
	}
	return d.RoundTripper.RoundTrip(r)
}

func (d deadlines) CloseIdleConnections() {
	if c, ok := d.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// Poke makes the follower look now.
func (r *Run) Poke() { r.poke() }

// CachedMetadata is how many models' metadata c keeps.
func CachedMetadata(c *Client) int {
	c.metas.mu.Lock()
	defer c.metas.mu.Unlock()
	return len(c.metas.cells)
}
