package comfy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// uploadFolder holds what this program uploads, inside the server's temp folder.
const uploadFolder = "comfygate"

// ErrFileName is the error for a name that is not a plain file name.
var ErrFileName = errors.New("a file name has letters, digits, '.', '_' and '-' only, at most 128")

// Upload stores a picture in the server's temp folder under name, a content-hash name, and returns the
// value to give to LoadImage (CLIENT-FILE-1…3). The server keeps it until it starts or ends.
func (c *Client) Upload(ctx context.Context, name string, data io.Reader) (string, error) {
	if !isFileName(name) {
		return "", ErrFileName
	}
	body, length, kind, err := uploadForm(name, data, c.limits.ViewBytes)
	if err != nil {
		return "", err
	}
	var stored struct{ Name, Subfolder, Type string }
	err = c.do(ctx, call{
		method: http.MethodPost, route: []string{"upload", "image"}, body: body, length: length, mime: kind, within: c.timeouts.Image,
	}, func(resp *http.Response) error { return c.readJSON(resp, &stored) })
	if err != nil {
		return "", err
	}
	// The server chose this name; only one that can be nothing but a file of its own is believed (CLIENT-FILE-5).
	if !isServerName(stored.Name) || strings.ContainsAny(stored.Name, `/\`) || stored.Subfolder != "" && !isServerName(stored.Subfolder) {
		return "", fmt.Errorf("%w: it stored the upload under a name that is none", ErrProtocol)
	}
	value := stored.Name
	if stored.Subfolder != "" {
		value = stored.Subfolder + "/" + stored.Name
	}
	switch stored.Type {
	case "temp", "output":
		return value + " [" + stored.Type + "]", nil
	case "input":
		return value, nil
	}
	return "", fmt.Errorf("%w: it stored the upload in a folder that is none", ErrProtocol)
}

// uploadForm wraps data in a form without reading it; length is 0 where data does not tell its own.
func uploadForm(name string, data io.Reader, limit int64) (body io.Reader, length int64, kind string, err error) {
	var head, tail bytes.Buffer
	form := multipart.NewWriter(&head)
	fields := [][2]string{{"type", "temp"}, {"subfolder", uploadFolder}}
	for _, f := range fields {
		if err := form.WriteField(f[0], f[1]); err != nil {
			return nil, 0, "", err
		}
	}
	if _, err := form.CreateFormFile("image", name); err != nil {
		return nil, 0, "", err
	}
	fmt.Fprintf(&tail, "\r\n--%s--\r\n", form.Boundary())
	if sized, ok := data.(interface{ Len() int }); ok {
		if int64(sized.Len()) > limit {
			return nil, 0, "", &TooLargeError{What: "the upload", Limit: limit}
		}
		length = int64(head.Len() + sized.Len() + tail.Len())
	}
	return io.MultiReader(&head, &boundedReader{data, limit}, &tail), length, form.FormDataContentType(), nil
}

// A boundedReader fails with *TooLargeError where a LimitReader would cut silently.
type boundedReader struct {
	r    io.Reader
	left int64
}

func (b *boundedReader) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, &TooLargeError{What: "the upload"}
	}
	return n, err //nolint:wrapcheck // io.EOF must stay itself
}

func isFileName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	return s != "" && len(s) <= 128 && s[0] != '.' && strings.Trim(s, letters) == ""
}

// isServerName reports whether a name chosen by the server is one that can be sent back: relative, printable, of bounded length,
// without the annotation that would change its folder.
func isServerName(s string) bool {
	if s == "" || len(s) > 512 || s[0] == '/' || s[0] == '\\' || strings.ContainsAny(s, "[]:") {
		return false
	}
	if slices.Contains(strings.FieldsFunc(s, func(r rune) bool { return r == '/' || r == '\\' }), "..") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) })
}

// A sinkError is the writer's error, told apart from the server's.
type sinkError struct{ error }

type sink struct{ w io.Writer }

func (s sink) Write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	if err != nil {
		return n, &sinkError{err}
	}
	return n, nil
}

// View streams a file of the server into w and returns its size. A body over Limits.ViewBytes is
// *TooLargeError; on Comfy Cloud the redirect is followed without credentials (CLIENT-AUTH-6). An absent file is [ErrNotFound].
// After an error w may hold a part. The bytes are the server's: look before use (CLIENT-SEC-12).
func (c *Client) View(ctx context.Context, o Output, w io.Writer) (int64, error) {
	var size int64
	query := url.Values{"filename": {o.Filename}, "type": {orDefault(o.Type, "output")}, "subfolder": {o.Subfolder}}
	read := func(resp *http.Response) (err error) {
		size, err = c.copyFile(resp, w)
		return err
	}
	var err error
	if c.base.cloud {
		err = c.viewCloud(ctx, query, read)
	} else {
		err = c.do(ctx, call{route: []string{"view"}, query: query, plain: true, within: c.timeouts.Image}, read)
	}
	if status(err) == http.StatusNotFound {
		err = ErrNotFound
	}
	return size, err
}

func (c *Client) copyFile(resp *http.Response, w io.Writer) (int64, error) {
	limit := c.limits.ViewBytes
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("%w: status %d in place of a whole file", ErrProtocol, resp.StatusCode)
	}
	if resp.ContentLength > limit {
		return 0, &TooLargeError{What: "comfyui's file", Limit: limit}
	}
	// A proxy's sign-in page answers 200 as well. ComfyUI serves what a browser would run as plain bytes.
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err == nil && kind == "text/html" {
		return 0, fmt.Errorf("%w: a web page in place of a file", ErrProtocol)
	}
	n, err := io.Copy(sink{w}, io.LimitReader(resp.Body, limit))
	if err != nil {
		return n, err
	}
	if extra, _ := io.ReadFull(resp.Body, make([]byte, 1)); extra > 0 {
		return n, &TooLargeError{What: "comfyui's file", Limit: limit}
	}
	return n, nil
}

// viewCloud asks Comfy Cloud for a file: it answers with a redirect to its storage, which gets no credential of ours
// (CLIENT-AUTH-4, CLIENT-AUTH-6, CLIENT-SEC-13). One step, https only.
func (c *Client) viewCloud(ctx context.Context, query url.Values, read func(*http.Response) error) error {
	bounded, cancel := context.WithTimeout(ctx, c.timeouts.Image)
	defer cancel()
	req, err := http.NewRequestWithContext(bounded, http.MethodGet, c.base.at(query, "view").String(), nil)
	if err != nil {
		return fmt.Errorf("%w: no such request", ErrProtocol)
	}
	c.sign(req.Header, req.URL)
	resp, err := c.http.Do(req)
	if err != nil {
		return failure(ctx, err, c.timeouts.Image)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 300 || resp.StatusCode > 399 {
		if err := statusError(resp); err != nil {
			return err
		}
		return failure(ctx, read(resp), c.timeouts.Image)
	}
	to, err := resp.Location()
	if err != nil || to.Scheme != "https" || to.User != nil {
		return fmt.Errorf("%w: and not to one over https", ErrRedirect)
	}
	return c.fetchBare(ctx, bounded, to, read)
}

func (c *Client) fetchBare(ctx, bounded context.Context, to *url.URL, read func(*http.Response) error) error {
	req, err := http.NewRequestWithContext(bounded, http.MethodGet, to.String(), nil)
	if err != nil {
		return fmt.Errorf("%w: and not to a usable one", ErrRedirect)
	}
	resp, err := c.bare.Do(req)
	if err != nil {
		return failure(ctx, err, c.timeouts.Image)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := statusError(resp); err != nil {
		return err
	}
	return failure(ctx, read(resp), c.timeouts.Image)
}
