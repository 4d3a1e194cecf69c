package comfy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"
)

// A call is one request. Its body, if any, is sent once.
type call struct {
	method string // default GET
	route  []string
	query  url.Values
	body   io.Reader
	length int64 // of body; 0 = unknown
	mime   string
	plain  bool // ask for the bytes as they are, not compressed
	bare   bool // not below /api
	within time.Duration

	rejects bool // a 400 is a *RejectedError
}

// errorText bounds what is read of an answer that is an error.
const errorText = 64 << 10

// do sends call with credentials and its own deadline, and gives a 2xx answer to read. Every other end is an error of this
// package, or ctx's where the caller left.
func (c *Client) do(ctx context.Context, call call, read func(*http.Response) error) error {
	err := c.exchange(ctx, call, read)
	if err != nil {
		said := ""
		if s := (*StatusError)(nil); errors.As(err, &s) {
			said = s.Text
		}
		c.log.Debug("comfyui call", zap.String("route", strings.Join(call.route, "/")), zap.Error(err), zap.String("said", said))
	}
	return err
}

func (c *Client) exchange(ctx context.Context, call call, read func(*http.Response) error) error {
	bounded, cancel := context.WithTimeout(ctx, call.within)
	defer cancel()
	u := c.base.at(call.query, call.route...)
	if call.bare {
		u = c.base.outside(call.route...)
	}
	req, err := http.NewRequestWithContext(bounded, orDefault(call.method, http.MethodGet), u.String(), call.body)
	if err != nil {
		return fmt.Errorf("%w: no such request", ErrProtocol) // the cause would print the URL
	}
	if call.length > 0 {
		req.ContentLength = call.length
	}
	if call.mime != "" {
		req.Header.Set("Content-Type", call.mime)
	}
	if call.plain {
		req.Header.Set("Accept-Encoding", "identity")
	}
	c.sign(req.Header, req.URL)
	resp, err := c.http.Do(req)
	if err != nil {
		return failure(ctx, err, call.within)
	}
	defer func() { _ = resp.Body.Close() }()
	if call.rejects && resp.StatusCode == http.StatusBadRequest {
		return rejection(resp)
	}
	if err := statusError(resp); err != nil {
		return err
	}
	if read == nil {
		return nil
	}
	return failure(ctx, read(resp), call.within)
}

func (c *Client) sign(h http.Header, u *url.URL) {
	h.Set("User-Agent", c.agent)
	c.creds.fill(h, u, c.creds.query)
}

// An unreachableError is [ErrUnreachable] with its cause. The cause's text is cut, because net/http quotes what it cannot parse.
type unreachableError struct{ cause error }

func (e *unreachableError) Error() string {
	return ErrUnreachable.Error() + ": " + clean(e.cause.Error(), 200)
}
func (e *unreachableError) Unwrap() []error { return []error{ErrUnreachable, e.cause} }

// failure says what a failed exchange means. An error that is this package's already passes through.
func failure(ctx context.Context, err error, within time.Duration) error {
	var tooLarge *TooLargeError
	var sink *sinkError
	switch {
	case err == nil, errors.Is(err, ErrProtocol), errors.Is(err, ErrUnreachable):
		return err
	case errors.As(err, &tooLarge):
		return tooLarge
	case errors.As(err, &sink):
		return sink.error
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		// Not wrapped: the deadline was this call's, and the caller's may still be far.
		return &unreachableError{fmt.Errorf("no whole answer within %v", within)}
	}
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err // its text holds the URL and so the query token
	}
	return &unreachableError{err}
}

// statusError returns nil for a 2xx answer.
func statusError(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code >= 200 && code < 300:
		return nil
	case code >= 300 && code < 400:
		return fmt.Errorf("%w (status %d); configure the address it stands for", ErrRedirect, code)
	case code == http.StatusUnauthorized:
		return fmt.Errorf("%w (status 401)", ErrAuth)
	case code == http.StatusForbidden:
		return forbidden(resp)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, errorText))
	if err != nil {
		data = nil // the status is known all the same
	}
	return &StatusError{Status: resp.StatusCode, Text: errorWords(resp, data), json: isJSON(resp)}
}

// forbidden explains ComfyUI's own 403, which has no body: its check that Host and Origin agree (CLIENT-FAIL-14).
func forbidden(resp *http.Response) error {
	if n, err := io.ReadFull(resp.Body, make([]byte, 1)); n == 0 && err != nil {
		return fmt.Errorf("%w (status 403 without a text: ComfyUI's own check of Host and Origin, or a proxy that lets nobody in)", ErrAuth)
	}
	return fmt.Errorf("%w (status 403)", ErrAuth)
}

// errorWords is an error's text, read by its content type (CLIENT-HTTP-3).
func errorWords(resp *http.Response, data []byte) string {
	var said struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
	}
	if isJSON(resp) && decode(data, &said) == nil {
		return clean(strings.TrimSpace(said.Message+" "+string(said.Error)), 300)
	}
	return clean(string(data), 300)
}

func isJSON(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// readJSON reads an answer's body into v within the bound of JSON bodies.
func (c *Client) readJSON(resp *http.Response, v any) error {
	if !isJSON(resp) {
		return fmt.Errorf("%w: it is not JSON; is this ComfyUI?", ErrProtocol)
	}
	data, err := readBounded(resp.Body, resp.ContentLength, c.limits.JSONBytes)
	if err != nil {
		return err
	}
	return decode(data, v)
}

// readBounded reads all of r, at most limit bytes; hint is the length, if known. It reads into pieces that are joined only at the
// end, so that an answer that never ends costs no more than the limit.
func readBounded(r io.Reader, hint, limit int64) ([]byte, error) {
	const least, most = 32 << 10, 1 << 20
	if hint > limit {
		return nil, &TooLargeError{What: "comfyui's answer", Limit: limit}
	}
	r = io.LimitReader(r, limit+1)
	var pieces [][]byte
	size, room := int64(0), int64(least)
	if hint >= 0 {
		room = hint + 1 // one more to see the end
	}
	for {
		piece := make([]byte, room)
		n, err := fill(r, piece)
		size += int64(n)
		pieces = append(pieces, piece[:n])
		switch {
		case size > limit:
			return nil, &TooLargeError{What: "comfyui's answer", Limit: limit}
		case errors.Is(err, io.EOF):
			if len(pieces) == 1 {
				return pieces[0], nil
			}
			return bytes.Join(pieces, nil), nil
		case err != nil:
			return nil, err
		}
		room = min(max(2*room, least), most)
	}
}

// fill reads until p is full or r ends, and unlike io.ReadFull keeps the end of an answer, io.EOF, apart from its being cut, which
// is io.ErrUnexpectedEOF.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var got int
		got, err = r.Read(p[n:])
		n += got
	}
	return n, err
}

// getJSON reads a route once.
func getJSON[T any](ctx context.Context, c *Client, within time.Duration, query url.Values, route ...string) (T, error) {
	var v T
	err := c.do(ctx, call{route: route, query: query, within: within}, func(resp *http.Response) error {
		return c.readJSON(resp, &v)
	})
	return v, err
}

// askJSON is getJSON with Retry's repetitions.
func askJSON[T any](ctx context.Context, c *Client, query url.Values, route ...string) (T, error) {
	bounded, cancel := context.WithTimeout(ctx, c.timeouts.Read)
	defer cancel()
	for n := 0; ; n++ {
		v, err := getJSON[T](ctx, c, c.timeouts.Read, query, route...)
		if n >= c.retry.Max || !passing(err) || !sleep(bounded, c.retry.delay(n)) {
			return v, err
		}
	}
}

func (r Retry) delay(n int) time.Duration {
	d := r.Cap
	if n < 30 && r.Base<<n < r.Cap {
		d = r.Base << n
	}
	return rand.N(d + 1) //nolint:gosec // spreads callers; nothing is secret about it
}

// passing reports whether err is an answer that says: later, perhaps.
func passing(err error) bool {
	var s *StatusError
	if !errors.As(err, &s) {
		return false
	}
	switch s.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// status returns the status that err is, or 0.
func status(err error) int {
	if s := (*StatusError)(nil); errors.As(err, &s) {
		return s.Status
	}
	return 0
}

// postJSON sends v to a route that answers with nothing of use.
func (c *Client) postJSON(ctx context.Context, within time.Duration, v any, route ...string) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("comfyui: request: %w", err)
	}
	return c.do(ctx, call{
		method: http.MethodPost, route: route, body: bytes.NewReader(body), length: int64(len(body)),
		mime: "application/json", within: within,
	}, nil)
}
