package main

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/png"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/config"
)

// photo is a PNG of a person, with a text in it that is nobody's business.
func photo(t *testing.T, width, height int) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetNRGBA(x, y, color.NRGBA{uint8(x), uint8(y), uint8(x ^ y), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	const head = 8 + 25 // signature and IHDR
	return slices.Concat(b.Bytes()[:head], chunk("tEXt", []byte("Comment\x00"+whereabouts)), b.Bytes()[head:])
}

const whereabouts = "Taken at 52.5163 N 13.3777 E by the-canary"

func chunk(kind string, data []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(data)))
	b = append(append(b, kind...), data...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
}

// bomb is a PNG of 12,000 × 12,000 pixels in about half a megabyte: 576 MB once decoded.
func bomb(t *testing.T) []byte {
	t.Helper()
	header := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, 12_000), 12_000)
	header = append(header, 8, 6, 0, 0, 0)
	var zeros bytes.Buffer
	w, err := flate.NewWriter(&zeros, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	mib := make([]byte, 1<<20)
	ends := []int{}
	for range 2 { // a block after the first may be repeated: it looks back on nothing but zeros
		if _, err := w.Write(mib); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		ends = append(ends, zeros.Len())
	}
	pixels := slices.Concat([]byte{0x78, 0xDA}, zeros.Bytes()[:ends[0]], bytes.Repeat(zeros.Bytes()[ends[0]:ends[1]], 549))
	b := slices.Concat([]byte("\x89PNG\r\n\x1a\n"), chunk("IHDR", header), chunk("IDAT", pixels), chunk("IEND", nil))
	if len(b) > 700<<10 {
		t.Fatalf("the bomb has %d bytes", len(b))
	}
	return b
}

func b64(data []byte) string { return base64.StdEncoding.EncodeToString(data) }

// A person's own picture comes in over stdio, by its bytes and by its path, without what else is in the file; it is made larger.
func TestUpload_stdio(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded)
	input := filepath.Join(w.home, "input")
	if err := os.MkdirAll(input, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(input, "me.png"), photo(t, 96, 64), 0o600); err != nil {
		t.Fatal(err)
	}
	a := w.with("COMFYGATE_UPLOAD__INPUT_ROOT=~/input").stdio(t)
	for name, in := range map[string]args{
		"bytes": {"data": b64(photo(t, 96, 64)), "name": "me"}, "data: URL": {"data": "data:image/png;base64," + b64(photo(t, 96, 64))},
		"path": {"path": "me.png"}, "whole path": {"path": filepath.Join(input, "me.png")},
	} {
		out := a.must(t, "upload_image", in)
		if len(out.links) != 1 || len(out.pictures) != 1 {
			t.Fatalf("%s: %s", name, out.raw)
		}
		full := a.resource(t, out.links[0])
		decodes(t, name, full, 96, 64)
		if contains(full, "canary") || contains(full, "tEXt") {
			t.Errorf("%s: the picture still tells where it was taken", name)
		}
		larger := a.must(t, "upscale", args{"image": out.links[0], "factor": 2})
		decodes(t, name+", larger", a.resource(t, larger.links[0]), 192, 128)
	}
	a.refused(t, "upload_image", args{"link": true}, "INVALID_PARAMETER")
	a.end(t)
	w.whole(t)
	for path, data := range files(t, w.data()) {
		if contains(data, "canary") {
			t.Errorf("%s keeps what was in the picture's metadata", path)
		}
	}
	got := 0
	for _, r := range w.records(t) {
		if r.Tool == "upload_image" && r.Kind == audit.Outcome && r.Status == "ok" && len(r.Outputs) == 1 {
			got++
		}
	}
	if got != 4 {
		t.Errorf("%d uploads on the record", got)
	}
}

// SC-49, T33, T35, T42: what may not come in does not, over the front door.
func TestUpload_refused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, append(unlimited(), embedded)...)
	input := filepath.Join(w.home, "input")
	if err := os.MkdirAll(filepath.Join(input, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(w.home, "secret.png")
	if err := os.WriteFile(secret, photo(t, 8, 8), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(input, "large.png"), append(photo(t, 8, 8)[:40], make([]byte, 21<<20)...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(secret, filepath.Join(input, "link.png")); err != nil {
		t.Fatal(err)
	}
	if err := exec.Command("mkfifo", filepath.Join(input, "pipe.png")).Run(); err != nil { // a call of its name is not there on every system that this compiles for
		t.Fatal(err)
	}
	a := w.with("COMFYGATE_UPLOAD__INPUT_ROOT=" + input).stdio(t)
	for name, tc := range map[string]struct {
		in   args
		code string
	}{
		"SVG":                {args{"data": b64([]byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`))}, "UNEXPECTED_OUTPUT_TYPE"},
		"GIF":                {args{"data": b64([]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"))}, "UNEXPECTED_OUTPUT_TYPE"},
		"HTML with magic":    {args{"data": b64([]byte("\x89PNG\r\n\x1a\n<html><script>"))}, "IMAGE_DAMAGED"},
		"a type that lies":   {args{"data": "data:image/webp;base64," + b64(photo(t, 8, 8))}, "UNEXPECTED_OUTPUT_TYPE"},
		"cut off":            {args{"data": b64(photo(t, 64, 64)[:200])}, "IMAGE_DAMAGED"},
		"bomb":               {args{"data": b64(bomb(t))}, "IMAGE_OUT_OF_BOUNDS"},
		"one pixel too many": {args{"data": b64(photo(t, 2049, 2048))}, "IMAGE_OUT_OF_BOUNDS"},
		"too many bytes":     {args{"path": "large.png"}, "IMAGE_DAMAGED"}, // its first piece is not even one
		"a URL":              {args{"path": "https://example.org/x.png"}, "SECURITY_ERROR"},
		"a URL as data":      {args{"data": "https://example.org/x.png"}, "INVALID_PARAMETER"},
		"traversal":          {args{"path": "../secret.png"}, "SECURITY_ERROR"},
		"encoded":            {args{"path": "%2e%2e/secret.png"}, "SECURITY_ERROR"},
		"backslash":          {args{"path": `..\secret.png`}, "SECURITY_ERROR"},
		"share":              {args{"path": `\\host\share\secret.png`}, "SECURITY_ERROR"},
		"elsewhere":          {args{"path": secret}, "SECURITY_ERROR"},
		"symbolic link":      {args{"path": "link.png"}, "SECURITY_ERROR"},
		"pipe":               {args{"path": "pipe.png"}, "INVALID_PARAMETER"},
		"folder":             {args{"path": "sub"}, "INVALID_PARAMETER"},
		"nothing":            {args{"path": "none.png"}, "INVALID_PARAMETER"},
		"two at once":        {args{"path": "none.png", "data": b64(photo(t, 8, 8))}, "INVALID_PARAMETER"},
		"none":               {args{}, "INVALID_PARAMETER"},
	} {
		if f := a.refused(t, "upload_image", tc.in, tc.code); strings.Contains(f.Message, w.home) || len(f.Suggestions) == 0 {
			t.Errorf("%s: %+v", name, f)
		}
	}
	// A picture that is an archive too comes in as a picture only.
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	f, err := z.Create("evil.sh")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(f, "the-canary"); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	full := a.resource(t, a.must(t, "upload_image", args{"data": b64(append(photo(t, 8, 8), archive.Bytes()...))}).links[0])
	if decodes(t, "a polyglot", full, 8, 8); bytes.Contains(full, []byte("PK\x03\x04")) || bytes.Contains(full, []byte("evil")) {
		t.Error("the archive came in with the picture")
	}
	a.end(t)
	w.whole(t)
}

var uploadLink = regexp.MustCompile(`http://127\.0\.0\.1:\d+/uploads/[\w-]+`)

// send sends a file to a link, as any program does, and returns status and answer.
func send(t *testing.T, method, url string, data []byte, kind string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(soon(t), method, url, bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	res, err := new(http.Client).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if cerr := res.Body.Close(); err != nil || cerr != nil {
		t.Fatal(err, cerr)
	}
	return res.StatusCode, string(body)
}

// Over HTTP a link takes the file, once, from whoever has it, for the one who asked for it.
func TestUpload_link(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded, "COMFYGATE_AUTH__TOKENS="+tokenOf("ada")+","+tokenOf("bob"), "COMFYGATE_UPLOAD__MAX_BYTES=65536")
	s := w.http(t)
	ada, bob := s.streamable(t, "Authorization", "Bearer token-of-ada"), s.sse(t, "Authorization", "Bearer token-of-bob")
	ada.refused(t, "upload_image", args{"path": "/etc/passwd"}, "INVALID_PARAMETER")
	for _, method := range []string{http.MethodPut, http.MethodPost} {
		out := ada.must(t, "upload_image", args{"link": true, "name": "me"})
		url := uploadLink.FindString(out.text)
		id := regexp.MustCompile(`[a-z2-7]{26}`).FindString(strings.ReplaceAll(out.text, url, ""))
		if url == "" || id == "" {
			t.Fatalf("no link in: %s", out.text)
		}
		ada.refused(t, "upscale", args{"image": id}, "UPLOAD_PENDING")
		bob.refused(t, "upscale", args{"image": id}, "IMAGE_NOT_FOUND")
		for name, tc := range map[string]struct {
			method, url, kind string
			data              []byte
			want              int
		}{
			"looked at":      {http.MethodGet, url, "", nil, http.StatusMethodNotAllowed},
			"another link":   {method, url[:len(url)-3] + "AAA", "image/png", photo(t, 8, 8), http.StatusNotFound},
			"a form":         {method, url, "multipart/form-data; boundary=x", photo(t, 8, 8), http.StatusUnsupportedMediaType},
			"another type":   {method, url, "image/jpeg", photo(t, 8, 8), http.StatusUnsupportedMediaType},
			"SVG":            {method, url, "", []byte(`<svg xmlns="http://www.w3.org/2000/svg"/>`), http.StatusUnsupportedMediaType},
			"bomb":           {method, url, "image/png", bomb(t)[:60_000], http.StatusRequestEntityTooLarge},
			"too many bytes": {method, url, "image/png", make([]byte, 65_537), http.StatusRequestEntityTooLarge},
			"cut off":        {method, url, "image/png", photo(t, 64, 64)[:200], http.StatusUnprocessableEntity},
		} {
			if status, text := send(t, tc.method, tc.url, tc.data, tc.kind); status != tc.want || strings.Contains(text, w.home) {
				t.Errorf("%s: %d %s, want %d", name, status, text, tc.want)
			}
		}
		status, text := send(t, method, url, photo(t, 64, 48), "image/png")
		if status != http.StatusCreated || !strings.Contains(text, `"image":"`+id+`"`) {
			t.Fatalf("%s: %d %s", method, status, text)
		}
		if status, text := send(t, method, url, photo(t, 64, 48), "image/png"); status != http.StatusNotFound {
			t.Errorf("a second use: %d %s", status, text)
		}
		decodes(t, "larger", ada.resource(t, ada.must(t, "upscale", args{"image": id, "factor": 2}).links[0]), 128, 96)
		bob.refused(t, "get_image", args{"image": id}, "IMAGE_NOT_FOUND")
	}
	ada.end(t)
	w.whole(t)
	used := slices.DeleteFunc(w.records(t), func(r audit.Record) bool {
		return r.Kind != audit.Outcome || r.Tool != "upload_image" || r.Detail["via"] != "upload link" || r.Status != "ok" || r.Principal != "ada"
	})
	if len(used) != 2 || len(used[0].Outputs) != 1 {
		t.Errorf("uploads on the record: %+v", used)
	}
}

// A folder that is not there is found at the start, with the setting's name.
func TestUpload_inputRoot(t *testing.T) {
	t.Parallel()
	out := newWorld(t, embedded, "COMFYGATE_UPLOAD__INPUT_ROOT=~/none").run(t, "serve")
	if out.code == exitOK || !strings.Contains(out.err, "COMFYGATE_UPLOAD__INPUT_ROOT") {
		t.Errorf("exit code %d: %s", out.code, out.err)
	}
}

// SC-21: what the shipped proxy lets through is what comfygate takes.
func TestSec_SC21_proxy(t *testing.T) {
	t.Parallel()
	conf, err := os.ReadFile(filepath.Join(root, "deploy", "comfygate-nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	cfg, _, err := config.Load([]string{"HOME=" + t.TempDir()}, os.ReadFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		fmt.Sprintf("client_max_body_size %dm;       # COMFYGATE_LIMITS__REQUEST_BYTES", cfg.Limits.RequestBytes>>20),
		fmt.Sprintf("client_max_body_size %dm;  # COMFYGATE_UPLOAD__MAX_BYTES", cfg.Upload.MaxBytes>>20),
	} {
		if !contains(conf, want) {
			t.Errorf("the proxy's configuration lacks %q", want)
		}
	}
}

// Links begin with the public address; without one there are links only on a listener of this machine.
func TestLinkURL(t *testing.T) {
	t.Parallel()
	addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7861}
	for name, tc := range map[string]struct {
		public   string
		loopback bool
		want     string
	}{
		"public": {"https://gate.example", false, "https://gate.example/uploads/x"}, "both": {"https://gate.example", true, "https://gate.example/uploads/x"},
		"loopback": {"", true, "http://127.0.0.1:7861/uploads/x"}, "neither": {"", false, ""},
	} {
		url := linkURL(config.Config{HTTP: config.HTTP{PublicURL: tc.public}}, addr, tc.loopback)
		if (url == nil) != (tc.want == "") || url != nil && url("/uploads/x") != tc.want {
			t.Errorf("%s: %v", name, url != nil)
		}
	}
}
