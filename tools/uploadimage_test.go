package tools_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comfygate/comfygate/comfy/emulator"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/tools"
)

const pngHead = "iVBORw0KGgo=" // which is enough to be taken for a PNG until it is decoded

func pngOf(t *testing.T, width, height int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewNRGBA(image.Rect(0, 0, width, height))); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// PutUpload takes anything in, as a picture of 64×48.
func (f *fakePictures) PutUpload(_ context.Context, im images.Image, b images.Bounds, src io.Reader) (images.Image, error) {
	data, err := io.ReadAll(src)
	if err != nil || f.err != nil {
		return images.Image{}, errors.Join(err, f.err)
	}
	f.bounds, f.took = b, data
	if im.ID == "" {
		im.ID = imgID
	}
	im.Format, im.Width, im.Height, im.Bytes, im.SHA256, im.Origin = images.PNG, 64, 48, int64(len(data)), "abc", images.Uploaded
	f.known[im.ID] = im
	return im, nil
}

func TestUploadImage_data(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"plain": pngHead, "data: URL": "data:image/png;base64," + pngHead, "capitals": "DATA:Image/PNG;base64," + pngHead, "undeclared": "data:;base64," + pngHead,
	} {
		b := newBench(t, nil)
		r := b.mustRun(t, "upload_image", fmt.Sprintf(`{"data":%q,"name":"my cat"}`, data))
		if b.pictures.bounds != (images.Bounds{Bytes: 20 << 20, Pixels: 4194304}) || string(b.pictures.took) != "\x89PNG\r\n\x1a\n" {
			t.Errorf("%s: %v, %q", name, b.pictures.bounds, b.pictures.took)
		}
		for _, want := range []string{imgID, "64×48 PNG", "my cat", "upscale", "run_workflow"} {
			if !strings.Contains(r.Text, want) {
				t.Errorf("%s: no %q in %s", name, want, r.Text)
			}
		}
		if im := b.pictures.known[imgID]; im.Owner != "ann" || im.CallID != "call1" || len(r.Pictures) != 1 || len(r.Links) != 1 || b.released != 1 || !slices.Equal(r.Outputs, []string{"abc"}) {
			t.Errorf("%s: %+v, %+v", name, im, r)
		}
	}
	b := newBench(t, nil)
	p := b.plan(t, "upload_image", `{"data":"`+pngHead+`","name":"secret name"}`)
	if got := fmt.Sprint(p.Record()); p.Record()["name"] != tools.Digest("secret name") || strings.Contains(got, pngHead) || p.Record()["bytes"] != 8 {
		t.Errorf("record %s", got)
	}
}

// SC-49, IMG-04: the type is what the magic says, and agrees with what was declared; before anything is decoded or stored.
func TestUploadImage_SC49_types(t *testing.T) {
	t.Parallel()
	b64 := base64.StdEncoding.EncodeToString
	for name, data := range map[string]string{
		"SVG":  b64([]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`)),
		"GIF":  b64([]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;")),
		"TIFF": b64([]byte("II*\x00\x08\x00\x00\x00")),
		"HTML": b64([]byte("<!DOCTYPE html><html></html>")),
		"PDF":  b64([]byte("%PDF-1.7\n")),
		"ZIP":  b64([]byte("PK\x03\x04aaaa")),
	} {
		b := newBench(t, nil)
		_, err := b.resolve(t, "upload_image", fmt.Sprintf(`{"data":%q}`, data))
		if _, ok := errors.AsType[*images.TypeError](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	b := newBench(t, nil)
	_, err := b.resolve(t, "upload_image", `{"data":"data:image/jpeg;base64,`+pngHead+`"}`)
	if _, ok := errors.AsType[*images.MismatchError](err); !ok || b.pictures.took != nil {
		t.Errorf("a PNG that is declared as JPEG: %v", err)
	}
}

func TestUploadImage_oneSource(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		`{}`: "data", `{"link":false}`: "data", `{"name":"x"}`: "data",
		`{"data":"` + pngHead + `","path":"a.png"}`: "path",
		`{"path":"a.png"}`:                          "path", // no folder is set
		`{"link":true}`:                             "link", // not over stdio
	} {
		b := newBench(t, nil)
		if _, err := b.resolve(t, "upload_image", args); !slices.Equal(fieldsOf(err), []string{want}) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// inputs is a folder that the operator named, inside of another.
func inputs(t *testing.T) (root string, in *images.Inputs) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "in")
	for name, data := range map[string][]byte{"cat.png": pngOf(t, 8, 8), "sub/cat.png": pngOf(t, 9, 9), "../secret.png": pngOf(t, 10, 10)} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	in, err := images.OpenInputs(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() }) //nolint:errcheck // only read
	return root, in
}

// SC-49, T33, T35: what lies in the folder is taken, nothing else, and a refusal does not tell what is there.
func TestUploadImage_T33_paths(t *testing.T) {
	t.Parallel()
	root, in := inputs(t)
	if err := os.Symlink(filepath.Join(root, "..", "secret.png"), filepath.Join(root, "out.png")); err != nil {
		t.Skip("no symbolic links here")
	}
	with := func(e *tools.Env) { e.Inputs = in }
	for _, path := range []string{"cat.png", "sub/cat.png", "./cat.png", filepath.Join(root, "cat.png"), filepath.Join(root, "sub", "cat.png")} {
		b := newBench(t, with)
		if _, err := b.run(t, "upload_image", fmt.Sprintf(`{"path":%q}`, path)); err != nil || len(b.pictures.took) == 0 {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, code := range map[string]string{
		"../secret.png": "SECURITY_ERROR", "sub/../../secret.png": "SECURITY_ERROR", "sub/../cat.png": "SECURITY_ERROR",
		filepath.Join(root, "..", "secret.png"): "SECURITY_ERROR", root + "/../secret.png": "SECURITY_ERROR", root + "x/secret.png": "SECURITY_ERROR",
		"/etc/passwd": "SECURITY_ERROR", "/dev/zero": "SECURITY_ERROR", "%2e%2e/secret.png": "SECURITY_ERROR", "..%2fsecret.png": "SECURITY_ERROR",
		"%252e%252e/secret.png": "SECURITY_ERROR", `..\secret.png`: "SECURITY_ERROR", `\\host\share\x.png`: "SECURITY_ERROR", "//host/share/x.png": "SECURITY_ERROR",
		`C:\x.png`: "SECURITY_ERROR", "file:///etc/passwd": "SECURITY_ERROR", "http://169.254.169.254/x.png": "SECURITY_ERROR", "cat.png\x00.sh": "SECURITY_ERROR",
		"out.png": "SECURITY_ERROR", "sub": "path", "none.png": "path", "cat.png%00.sh": "SECURITY_ERROR", ".": "path",
	} {
		b := newBench(t, with)
		_, err := b.run(t, "upload_image", `{"path":`+jsonOf(t, path)+`}`)
		fault, ok := errors.AsType[*tools.Fault](err)
		switch {
		case b.pictures.took != nil:
			t.Errorf("%q is read", path)
		case code == "path":
			if !slices.Equal(fieldsOf(err), []string{"path"}) {
				t.Errorf("%q: %v", path, err)
			}
		case !ok || fault.Code != code || strings.Contains(fault.Message, path):
			t.Errorf("%q: %v", path, err)
		}
	}
	c := newBench(t, with).caller()
	c.Transport = "http"
	a, err := newBench(t, with).tool(t, "upload_image").Decode([]byte(`{"path":"cat.png"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Resolve(t.Context(), c); !slices.Equal(fieldsOf(err), []string{"path"}) {
		t.Errorf("over HTTP: %v", err)
	}
}

// A post office is an inbox over a real store.
type postOffice struct {
	store *images.Store
	inbox *tools.Inbox
	url   string // of the last link
}

func newPostOffice(t *testing.T) *postOffice {
	t.Helper()
	o := &postOffice{}
	var err error
	if o.store, err = images.OpenStore(images.StoreConfig{Dir: filepath.Join(t.TempDir(), "store")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.store.Close() }) //nolint:errcheck // a test's
	links, err := images.NewLinks(images.LinksConfig{Store: o.store})
	if err != nil {
		t.Fatal(err)
	}
	o.inbox, err = tools.NewInbox(tools.InboxConfig{
		Links: links, Pictures: o.store, URL: func(token string) string { o.url = token; return "https://example.org/uploads/" + token },
		Bounds: images.Bounds{Bytes: 1 << 20, Pixels: 100 * 100},
	})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// link asks for a link as owner over HTTP, and returns the picture's id and the link's token.
func (o *postOffice) link(t *testing.T, owner string) (id, token string) {
	t.Helper()
	b := newBench(t, func(e *tools.Env) { e.Inbox = o.inbox })
	c := callerOf(owner)
	c.Transport = "http"
	a, err := b.tool(t, "upload_image").Decode([]byte(`{"link":true,"name":"dog"}`))
	if err != nil {
		t.Fatal(err)
	}
	p, err := a.Resolve(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	r, err := p.Run(t.Context(), c, func() {})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		ID  string `json:"image"`
		URL string `json:"upload_url"`
	}
	reread(t, r.Structured, &got)
	if !strings.Contains(r.Text, got.URL) || !strings.Contains(r.Text, got.ID) || got.URL != "https://example.org/uploads/"+o.url {
		t.Fatalf("the link is not told: %s", r.Text)
	}
	return got.ID, o.url
}

// send uses a link.
func (o *postOffice) send(ctx context.Context, token, media string, body io.Reader) (tools.Result, error) {
	d, err := o.inbox.Claim(token)
	if err != nil {
		return tools.Result{}, err
	}
	c := tools.Caller{Principal: d.Owner, CallID: "call2", Arrived: time.Now(), Transport: "http"}
	p, err := d.Args(media, body).Resolve(ctx, c)
	if err != nil {
		return tools.Result{}, err
	}
	return p.Run(ctx, c, func() {})
}

// A link gives the id beforehand, works once and for its owner, and survives what was no picture.
func TestUploadImage_link(t *testing.T) {
	t.Parallel()
	o := newPostOffice(t)
	id, token := o.link(t, "ann")
	if _, err := o.store.Get("ann", id); !errors.Is(err, images.ErrPending) {
		t.Errorf("before it came: %v", err)
	}
	if _, err := o.store.Get("bob", id); !errors.Is(err, images.ErrNotFound) {
		t.Errorf("bob, before it came: %v", err)
	}
	for name, bad := range map[string]struct {
		media string
		data  []byte
		want  any
	}{
		"text":            {"", []byte("hello"), new(*images.TypeError)},
		"nothing":         {"", nil, new(*images.TypeError)},
		"another type":    {"image/webp", pngOf(t, 4, 4), new(*images.MismatchError)},
		"too many pixels": {"", pngOf(t, 101, 100), new(*images.BoundsError)},
		"cut off":         {"image/png", pngOf(t, 50, 50)[:60], new(*images.CorruptError)},
	} {
		if _, err := o.send(t.Context(), token, bad.media, bytes.NewReader(bad.data)); !errors.As(err, bad.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := io.MultiReader(bytes.NewReader(pngOf(t, 50, 50)[:60]), iotest{})
	_, err := o.send(t.Context(), token, "", broken)
	if fault, ok := errors.AsType[*tools.Fault](err); !ok || fault.Code != "UPLOAD_INCOMPLETE" || !fault.Retryable {
		t.Errorf("a connection that breaks: %v", err)
	}
	r, err := o.send(t.Context(), token, "image/png", bytes.NewReader(pngOf(t, 100, 100)))
	if err != nil {
		t.Fatal(err)
	}
	im, err := o.store.Get("ann", id)
	if err != nil || im.Width != 100 || im.Name != "dog" || im.CallID != "call2" || !slices.Equal(r.Outputs, []string{im.SHA256}) {
		t.Errorf("%+v, %v", im, err)
	}
	if _, err := o.store.Get("bob", id); !errors.Is(err, images.ErrNotFound) {
		t.Errorf("bob: %v", err)
	}
	for name, token := range map[string]string{"again": token, "changed": token[:len(token)-2] + "AA", "made up": "x", "empty": ""} {
		if _, err := o.send(t.Context(), token, "", bytes.NewReader(pngOf(t, 4, 4))); !errors.Is(err, images.ErrLink) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUploadImage_linkExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newPostOffice(t)
		_, token := o.link(t, "ann")
		time.Sleep(599 * time.Second)
		if _, err := o.inbox.Claim(token); err != nil {
			t.Errorf("after 599 s: %v", err)
		}
		time.Sleep(2 * time.Second)
		if _, err := o.inbox.Claim(token); !errors.Is(err, images.ErrLink) {
			t.Errorf("after 601 s: %v", err)
		}
	})
}

// Links that wait and uploads that run are bounded for each owner; another is not held up.
func TestUploadImage_bounds(t *testing.T) {
	t.Parallel()
	o := newPostOffice(t)
	const own = 16
	gate := make(chan struct{})
	ended := make(chan error, own)
	entered := make(chan struct{}, own)
	for range own {
		_, token := o.link(t, "ann")
		go func() {
			_, err := o.send(t.Context(), token, "", &gated{entered: entered, gate: gate})
			ended <- err
		}()
	}
	for range own {
		<-entered
	}
	_, token := o.link(t, "ann")
	_, err := o.send(t.Context(), token, "", bytes.NewReader(pngOf(t, 4, 4)))
	if fault, ok := errors.AsType[*tools.Fault](err); !ok || fault.Code != "RESOURCE_EXHAUSTED" || fault.RetryAfter == 0 {
		t.Errorf("one more: %v", err)
	}
	_, other := o.link(t, "bob")
	if _, err := o.send(t.Context(), other, "", bytes.NewReader(pngOf(t, 4, 4))); err != nil {
		t.Errorf("another's: %v", err)
	}
	close(gate)
	for range own {
		if err := <-ended; err == nil {
			t.Error("nothing was taken for a picture")
		}
	}
	if _, err := o.send(t.Context(), token, "", bytes.NewReader(pngOf(t, 4, 4))); err != nil {
		t.Errorf("when there is room again: %v", err)
	}
	b := newBench(t, func(e *tools.Env) { e.Inbox = o.inbox })
	c := callerOf("ann")
	c.Transport = "http"
	for range 64 {
		if _, err = b.runAs(t.Context(), t, c, "upload_image", `{"data":"`+pngHead+`"}`); err != nil {
			break
		}
		a, _ := b.tool(t, "upload_image").Decode([]byte(`{"link":true}`))
		p, rerr := a.Resolve(t.Context(), c)
		if rerr != nil {
			t.Fatal(rerr)
		}
		if _, err = p.Run(t.Context(), c, func() {}); err != nil {
			break
		}
	}
	if fault, ok := errors.AsType[*tools.Fault](err); !ok || fault.Code != "RESOURCE_EXHAUSTED" {
		t.Errorf("links without end: %v", err)
	}
}

// gated is a body that says when it is read, and ends when it may.
type gated struct {
	entered chan<- struct{}
	gate    <-chan struct{}
}

func (g *gated) Read([]byte) (int, error) {
	g.entered <- struct{}{}
	<-g.gate
	return 0, io.EOF
}

// iotest breaks off.
type iotest struct{}

func (iotest) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// A person's own picture is upscaled by the embedded ComfyUI, and nobody else may.
func TestEmbedded_upload(t *testing.T) {
	t.Parallel()
	_, in := inputs(t)
	h := newHouse(t, emulator.Options{}, func(_ *jobs.Config, e *tools.Env) { e.Inputs = in })
	for name, args := range map[string]string{
		"data": `{"data":"` + base64.StdEncoding.EncodeToString(pngOf(t, 64, 48)) + `"}`,
		"path": `{"path":"cat.png"}`,
	} {
		id := pictureOf(t, h.must(t, "eve", "upload_image", args))
		before := h.pixels(t, "eve", id).Bounds()
		after := h.pixels(t, "eve", pictureOf(t, h.must(t, "eve", "upscale", fmt.Sprintf(`{"image":%q,"factor":2,"wait_seconds":60}`, id)))).Bounds()
		if after.Dx() != 2*before.Dx() {
			t.Errorf("%s: %v became %v", name, before, after)
		}
		if _, err := h.call(t.Context(), t, callerOf("bob"), "upscale", fmt.Sprintf(`{"image":%q}`, id)); !errors.Is(err, images.ErrNotFound) {
			t.Errorf("%s: bob upscales eve's upload: %v", name, err)
		}
	}
}

func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func reread(t *testing.T, v, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(jsonOf(t, v)), into); err != nil {
		t.Fatal(err)
	}
}
