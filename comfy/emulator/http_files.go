package emulator

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/HugoSmits86/nativewebp"
)

// upload is what a form of /upload brings.
type upload struct {
	name    string // as sent, cleaned as Python's form parser does
	data    []byte
	fields  map[string]string
	unnamed bool // the part "image" is there, but is no file
}

// maxFormParts bounds the parts of a form.
const maxFormParts = 100

// readForm reads a multipart body; it has answered if it cannot.
func (x *exchange) readForm() (*upload, bool) {
	body, err := x.body()
	if err != nil {
		if !errors.Is(err, errBodyTooLarge) {
			x.fail()
		}
		return nil, false
	}
	_, params, err := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	if err != nil || params["boundary"] == "" {
		return &upload{fields: map[string]string{}}, true
	}
	up := &upload{fields: map[string]string{}}
	reader := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	for range maxFormParts {
		part, err := reader.NextRawPart()
		if err != nil {
			break
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(part); err != nil {
			x.fail()
			return nil, false
		}
		if name, isFile := partFile(part); isFile && part.FormName() == "image" {
			up.name, up.data = name, b.Bytes()
			continue
		}
		up.unnamed = up.unnamed || part.FormName() == "image"
		up.fields[part.FormName()] = b.String()
	}
	return up, true
}

// partFile is the file name of a part as aiohttp reads it: without backslashes
// and without slashes at its beginning, but with folders, which Go's own FileName
// cuts off. It is the server's task to refuse them.
func partFile(p *multipart.Part) (string, bool) {
	_, params, err := mime.ParseMediaType(p.Header.Get("Content-Disposition"))
	if err != nil {
		return "", false
	}
	name, ok := params["filename"]
	return strings.TrimLeft(strings.ReplaceAll(name, `\`, ""), "/"), ok && name != ""
}

// splitExt is Python's os.path.splitext: a name that only begins with a dot has
// no extension.
func splitExt(name string) (stem, ext string) {
	ext = path.Ext(name)
	if strings.Trim(strings.TrimSuffix(path.Base(name), ext), ".") == "" {
		ext = ""
	}
	return strings.TrimSuffix(name, ext), ext
}

func (x *exchange) uploadImage() {
	if up, ok := x.readForm(); ok {
		x.store(up, func(data []byte) ([]byte, int) { return data, 0 })
	}
}

// uploadMask puts the alpha of the upload on an earlier picture.
func (x *exchange) uploadMask() {
	up, ok := x.readForm()
	if !ok {
		return
	}
	v, err := decodePython([]byte(up.fields["original_ref"]))
	ref, isObject := v.(*object)
	if err != nil || !isObject {
		x.fail()
		return
	}
	x.store(up, func(data []byte) ([]byte, int) {
		name, _ := ref.get("filename")
		kind, given := ref.get("type")
		if !given {
			kind = "output"
		}
		sub, _ := ref.get("subfolder")
		p, status := place(pyStr(name), pyStr(kind), textOr(sub, ""))
		if status != 0 {
			return nil, status
		}
		f, there := x.server.disk.read(p)
		if !there {
			return nil, 0 // nothing is written, and nobody says so
		}
		return putAlpha(f.data, data), 0
	})
}

func textOr(v any, def string) string {
	if s, ok := v.(string); ok {
		return s
	}
	return def
}

// putAlpha joins the colours of one picture with the alpha of another; nil if
// either is none.
func putAlpha(original, alpha []byte) []byte {
	a, errA := decodePicture(original)
	b, errB := decodePicture(alpha)
	if errA != nil || errB != nil || a.Bounds().Size() != b.Bounds().Size() {
		return nil
	}
	m, over := toRaster(a), toRaster(b)
	for i := 3; i < len(m.Pix); i += 4 {
		m.Pix[i] = over.Pix[i]
	}
	data, err := encodePNG(m, nil)
	if err != nil {
		return nil
	}
	return data
}

// store keeps an upload under its name, or under the next free one if the name
// is taken by other bytes.
func (x *exchange) store(up *upload, made func([]byte) ([]byte, int)) {
	kind, given := up.fields["type"]
	if !given {
		kind = "input"
	}
	dir, ok := folderDir(kind)
	if !ok {
		x.fail()
		return
	}
	if up.name == "" {
		if up.unnamed {
			x.fail() // a text where a file was to be
			return
		}
		x.empty(http.StatusBadRequest)
		return
	}
	sub := up.fields["subfolder"]
	folder := joinPath(dir, sub)
	p := joinPath(folder, up.name)
	if !inside(dir, p) || p == dir {
		x.empty(http.StatusBadRequest)
		return
	}
	if into := path.Dir(p); into != folder && !x.server.disk.isDir(into) {
		x.fail() // only the subfolder is made, not what the name holds
		return
	}
	name, same := up.name, false
	overwrite := up.fields["overwrite"] == "true" || up.fields["overwrite"] == "1"
	stem, ext := splitExt(up.name)
	for i := 1; !overwrite; i++ {
		f, taken := x.server.disk.read(p)
		if !taken {
			break
		}
		if same = bytes.Equal(f.data, up.data); same {
			break
		}
		name = stem + " (" + strconv.Itoa(i) + ")" + ext
		p = joinPath(folder, name)
	}
	if !same {
		data, status := made(up.data)
		if status != 0 {
			x.empty(status)
			return
		}
		if data != nil {
			x.server.disk.write(p, data)
		}
	}
	x.json(http.StatusOK, obj(pair{"name", name}, pair{"subfolder", sub}, pair{"type", kind}))
}

// place is where a file of /view lies, or the status that refuses it.
func place(filename, kind, subfolder string) (string, int) {
	name, dir := annotated(filename)
	if name == "" || name[0] == '/' || strings.Contains(name, "..") {
		return "", http.StatusBadRequest
	}
	if dir == "" {
		var ok bool
		if dir, ok = folderDir(kind); !ok {
			return "", http.StatusBadRequest
		}
	}
	folder := dir
	if subfolder != "" {
		if folder = joinPath(dir, subfolder); !inside(dir, folder) {
			return "", http.StatusForbidden
		}
	}
	return joinPath(folder, path.Base(name)), 0
}

func (x *exchange) getView() {
	query := x.r.URL.Query()
	if !query.Has("filename") {
		x.empty(http.StatusNotFound)
		return
	}
	kind := "output"
	if query.Has("type") {
		kind = query.Get("type")
	}
	p, status := place(query.Get("filename"), kind, query.Get("subfolder"))
	if status != 0 {
		x.empty(status)
		return
	}
	f, ok := x.server.disk.read(p)
	if !ok {
		x.empty(http.StatusNotFound)
		return
	}
	if x.server.faults.on(faultBrokenView) {
		f = &diskFile{data: bytes.Repeat([]byte("no picture "), 1000), changed: f.changed}
	}
	name := path.Base(p)
	switch channel := query.Get("channel"); {
	case query.Has("preview"):
		x.viewPreview(f, name, query)
	case channel == "rgb" || channel == "a":
		x.viewChannel(f, name, channel)
	default:
		x.viewFile(f, name)
	}
}

// viewPreview answers with the picture packed anew, without its metadata.
func (x *exchange) viewPreview(f *diskFile, name string, query url.Values) {
	m, err := decodePicture(f.data)
	if err != nil {
		x.fail()
		return
	}
	kind, rest, _ := strings.Cut(query.Get("preview"), ";")
	quality := 90
	if n, err := strconv.Atoi(rest); err == nil {
		quality = min(100, max(1, n))
	}
	var b bytes.Buffer
	mimeType := "image/webp"
	if kind == "jpeg" && !strings.Contains(query.Get("channel"), "a") {
		mimeType = "image/jpeg"
		err = jpeg.Encode(&b, flat(m), &jpeg.Options{Quality: quality})
	} else {
		err = nativewebp.Encode(&b, toRaster(m), nil)
	}
	if err != nil {
		x.fail()
		return
	}
	x.sendPicture(mimeType, name, b.Bytes())
}

// flat drops the alpha of a picture.
func flat(m image.Image) image.Image {
	r := toRaster(m)
	for i := 3; i < len(r.Pix); i += 4 {
		r.Pix[i] = 255
	}
	return r
}

// viewChannel answers with the colours alone, or the alpha alone.
func (x *exchange) viewChannel(f *diskFile, name, channel string) {
	m, err := decodePicture(f.data)
	if err != nil {
		x.fail()
		return
	}
	out := flat(m)
	if channel == "a" {
		r := toRaster(m)
		alpha := newRaster(r.Rect.Dx(), r.Rect.Dy())
		for i := 3; i < len(r.Pix); i += 4 {
			alpha.Pix[i] = r.Pix[i]
		}
		out = alpha
	}
	var b bytes.Buffer
	enc := png.Encoder{CompressionLevel: png.BestSpeed}
	if err := enc.Encode(&b, out); err != nil {
		x.fail()
		return
	}
	x.sendPicture("image/png", name, b.Bytes())
}

func (x *exchange) sendPicture(mimeType, name string, data []byte) {
	x.w.Header().Set("Content-Type", mimeType)
	x.w.Header().Set("Content-Disposition", `filename="`+name+`"`)
	_, _ = x.w.Write(data) // the client may be gone
}

// viewFile answers with the file itself: ranges, ETag and HEAD included.
func (x *exchange) viewFile(f *diskFile, name string) {
	kind := fileType(name)
	disposition := `filename="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
	if activeType(kind, x.server.kind.nosniff) {
		kind = "application/octet-stream"
		if x.server.kind.nosniff {
			disposition = "attachment; " + disposition
		}
	}
	head := x.w.Header()
	head.Set("Content-Type", kind)
	head.Set("Content-Disposition", disposition)
	head.Set("Etag", `"`+f.digest()[:24]+`"`)
	if x.server.kind.nosniff {
		head.Set("X-Content-Type-Options", "nosniff")
	}
	if x.server.faults.on(faultTruncateView) {
		head.Set("Content-Length", strconv.Itoa(len(f.data)))
		_, _ = x.w.Write(f.data[:len(f.data)/2]) // the rest never comes
		panic(http.ErrAbortHandler)
	}
	http.ServeContent(x.w, x.r, "", f.changed.Truncate(time.Second), bytes.NewReader(f.data))
}

// fileType guesses a file's type from its name, always alike on every machine.
func fileType(name string) string {
	types := map[string]string{
		".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif",
		".bmp": "image/bmp", ".tif": "image/tiff", ".tiff": "image/tiff", ".svg": "image/svg+xml", ".txt": "text/plain",
		".json": "application/json", ".html": "text/html", ".htm": "text/html", ".xhtml": "application/xhtml+xml",
		".js": "text/javascript", ".css": "text/css", ".xml": "application/xml", ".mp4": "video/mp4",
	}
	if t, ok := types[strings.ToLower(path.Ext(name))]; ok {
		return t
	}
	return "application/octet-stream"
}

// activeType says whether ComfyUI thinks that a browser might run what a file
// holds; older servers forgot pictures and documents of XML.
func activeType(kind string, xml bool) bool {
	switch kind {
	case "text/html", "application/xhtml+xml", "text/javascript", "text/css":
		return true
	case "image/svg+xml", "application/xml":
		return xml
	default:
		return false
	}
}
