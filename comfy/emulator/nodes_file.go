package emulator

import (
	"bytes"
	"fmt"
	"image/png"
	"path"
	"strconv"
	"strings"
	"time"
)

func fileNodes() []nodeRow {
	pictureFile := node{changed: fileChanged, validate: fileThere}
	load, loadMask := pictureFile, pictureFile
	load.run, loadMask.run = loadImage, loadImageMask
	return []nodeRow{
		{"LoadImage", load},
		{"LoadImageMask", loadMask},
		row("SaveImage", func(c *call) ([]any, error) {
			return c.save("images", c.text("filename_prefix"), "output", outputDir)
		}),
		row("PreviewImage", func(c *call) ([]any, error) {
			return c.save("images", "ComfyUI_temp_"+c.run.letters(c.id), "temp", tempDir)
		}),
		row("MaskPreview", func(c *call) ([]any, error) {
			masks := take[[]*mask](c, "mask")
			pictures := make([]*raster, len(masks))
			for i, m := range masks {
				pictures[i] = grey(m)
			}
			c.inputs["images"] = pictures
			_, err := c.save("images", "ComfyUI_temp_"+c.run.letters(c.id), "temp", tempDir)
			return []any{masks}, err
		}),
		{"SaveImageWebsocket", node{
			run:     sendImages,
			changed: func(*Server, *object) (string, bool) { return "", false },
		}},
	}
}

// letters are five letters that tell the temporary files of a node apart.
func (r *run) letters(id string) string {
	h := hash64(id) ^ r.server.opts.Seed
	b := make([]byte, 5)
	for i := range b {
		b[i] = 'a' + byte(h%26)
		h /= 26
	}
	return string(b)
}

// inputFile is where the file of an input lies, and whether it may be opened:
// newer servers keep to the folder, v0.3.64 goes wherever the name leads.
func (s *Server) inputFile(name string) (string, bool) {
	plain, dir := annotated(name)
	if dir == "" {
		dir = inputDir
	}
	p := joinPath(dir, plain)
	return p, !s.kind.contained || inside(dir, p)
}

// fileThere is VALIDATE_INPUTS of the classes that open a picture.
func fileThere(s *Server, inputs *object) (*object, *pyError) {
	v, given := inputs.get("image")
	if !given {
		return nil, &pyError{"TypeError", "LoadImage.VALIDATE_INPUTS() missing 1 required positional argument: 'image'"}
	}
	name, isText := v.(string)
	if !isText {
		kind := pyTypeName(v)
		if kind == "list" {
			kind = "NoneType" // a link has no value yet
		}
		return nil, &pyError{"AttributeError", "'" + kind + "' object has no attribute 'endswith'"}
	}
	p, allowed := s.inputFile(name)
	if _, there := s.disk.read(p); allowed && (there || s.disk.isDir(p)) {
		return nil, nil //nolint:nilnil // no fault and no exception
	}
	return reason("custom_validation_failed", "Custom validation failed for node", "image - Invalid image file: "+name,
		obj(pair{"input_name", "image"})), nil
}

// fileChanged makes a picture's bytes part of the signature.
func fileChanged(s *Server, inputs *object) (string, bool) {
	v, _ := inputs.get("image")
	name, _ := v.(string)
	p, _ := s.inputFile(name)
	f, ok := s.disk.read(p)
	if !ok {
		return "", false
	}
	return f.digest(), true
}

// open reads the picture of the input "image".
func (c *call) open() (*raster, error) {
	name := c.text("image")
	p, _ := c.server.inputFile(name)
	plain, dir := annotated(name)
	if dir == "" {
		dir = inputDir
	}
	shown := dir + "/" + plain // as Python joins it, dots and all
	if strings.HasPrefix(plain, "/") {
		shown = plain
	}
	av := c.server.kind.avDecoder
	if av {
		shown = p
	}
	f, ok := c.server.disk.read(p)
	switch {
	case !ok && c.server.disk.isDir(p):
		kind := "IsADirectoryError"
		if av {
			kind = "av.error.IsADirectoryError"
		}
		return nil, &pyError{kind, "[Errno 21] Is a directory: '" + shown + "'"}
	case !ok:
		kind := "FileNotFoundError"
		if av {
			kind = "av.error.FileNotFoundError"
		}
		return nil, &pyError{kind, "[Errno 2] No such file or directory: '" + shown + "'"}
	}
	m, err := decodePicture(f.data)
	if err != nil {
		if av {
			return nil, &pyError{
				"av.error.InvalidDataError",
				"[Errno 1094995529] Invalid data found when processing input: '" + shown + "'",
			}
		}
		return nil, &pyError{"PIL.UnidentifiedImageError", "cannot identify image file '" + shown + "'"}
	}
	size := m.Bounds().Size()
	if err := c.reserve(size.X, size.Y, 1); err != nil {
		return nil, err
	}
	return toRaster(m), nil
}

// noMaskSide is the side of the black mask of a picture without alpha.
const noMaskSide = 64

func loadImage(c *call) ([]any, error) {
	p, err := c.open()
	if err != nil {
		return nil, err
	}
	m := newMask(noMaskSide, noMaskSide)
	if !p.Opaque() {
		m = alphaMask(p)
	}
	return []any{[]*raster{opaque(p)}, []*mask{m}}, nil
}

func loadImageMask(c *call) ([]any, error) {
	p, err := c.open()
	if err != nil {
		return nil, err
	}
	channel := c.text("channel")
	if channel == "alpha" {
		if p.Opaque() {
			return []any{[]*mask{newMask(noMaskSide, noMaskSide)}}, nil
		}
		return []any{[]*mask{alphaMask(p)}}, nil
	}
	i := channelOf(channel)
	m := newMask(p.Rect.Dx(), p.Rect.Dy())
	for k := range m.Pix {
		m.Pix[k] = p.Pix[k*4+i]
	}
	return []any{[]*mask{m}}, nil
}

// fillPrefix puts sizes and the time in place of their tokens.
func fillPrefix(prefix string, w, h int) string {
	if !strings.Contains(prefix, "%") {
		return prefix
	}
	now := time.Now()
	return strings.NewReplacer(
		"%width%", strconv.Itoa(w), "%height%", strconv.Itoa(h), "%year%", now.Format("2006"), "%month%", now.Format("01"),
		"%day%", now.Format("02"), "%hour%", now.Format("15"), "%minute%", now.Format("04"), "%second%", now.Format("05"),
	).Replace(prefix)
}

// saveName is where pictures of a prefix go: folder below dir, name, and number.
func (c *call) saveName(prefix, dir string, w, h int) (sub, name string, number int, err error) {
	clean := path.Clean(fillPrefix(prefix, w, h))
	sub, name = path.Dir(clean), path.Base(clean)
	if sub == "." {
		sub = ""
	}
	folder := joinPath(dir, sub)
	if !inside(dir, folder) {
		text := "**** ERROR: Saving image outside the output folder is not allowed.\n full_output_folder: " + folder +
			"\n         output_dir: " + dir
		if !c.server.kind.contained {
			text += "\n         commonpath: " + commonPath(dir, folder)
		}
		return "", "", 0, &pyError{"Exception", text}
	}
	number = 1
	for _, other := range c.server.disk.list(folder, false) {
		rest, ok := strings.CutPrefix(other, name+"_")
		if !ok {
			continue
		}
		digits, _, _ := strings.Cut(strings.SplitN(rest, ".", 2)[0], "_")
		if n, err := strconv.Atoi(digits); err == nil {
			number = max(number, n+1)
		}
	}
	return sub, name, number, nil
}

func commonPath(a, b string) string {
	for !inside(a, b) {
		a = path.Dir(a)
		if a == "/" {
			break
		}
	}
	return a
}

// metadata is what goes into a picture: the graph, and what the caller added.
func (c *call) metadata() ([]textChunk, error) {
	prompt, err := encodePython(c.run.job.graph)
	if err != nil {
		return nil, err
	}
	chunks := []textChunk{{"prompt", string(prompt)}}
	extra, _ := c.run.job.extra.get("extra_pnginfo")
	if info, ok := extra.(*object); ok {
		for _, key := range info.keys {
			text, err := encodePython(info.vals[key])
			if err != nil {
				return nil, err
			}
			chunks = append(chunks, textChunk{key, string(text)})
		}
	}
	return chunks, nil
}

// save writes the pictures of an input into a folder and shows their names.
func (c *call) save(input, prefix, kind, dir string) ([]any, error) {
	pictures := take[[]*raster](c, input)
	if c.err != nil {
		return nil, c.err
	}
	if len(pictures) == 0 {
		return nil, &pyError{"IndexError", "index 0 is out of bounds for dimension 0 with size 0"}
	}
	sub, name, number, err := c.saveName(prefix, dir, pictures[0].Rect.Dx(), pictures[0].Rect.Dy())
	if err != nil {
		return nil, err
	}
	chunks, err := c.metadata()
	if err != nil {
		return nil, err
	}
	shown := []any{}
	for i, p := range pictures {
		if err := c.alive(); err != nil {
			return nil, err
		}
		data, err := encodePNG(p, chunks)
		if err != nil {
			return nil, err
		}
		file := fmt.Sprintf("%s_%05d_.png", strings.ReplaceAll(name, "%batch_num%", strconv.Itoa(i)), number+i)
		c.server.disk.write(joinPath(joinPath(dir, sub), file), data)
		entry := obj(pair{"filename", file}, pair{"subfolder", sub}, pair{"type", kind})
		if c.server.faults.on(faultEvilName) {
			entry.set("filename", "../../../../"+file)
			entry.set("subfolder", "../../../etc")
		}
		shown = append(shown, entry)
	}
	c.ui = obj(pair{"images", shown})
	return []any{pictures}, nil
}

// sendImages sends pictures over the WebSocket, in the place of previews.
func sendImages(c *call) ([]any, error) {
	pictures := take[[]*raster](c, "images")
	for i, p := range pictures {
		err := c.report(report{value: i, highest: len(pictures), picture: func() (string, []byte) {
			var b bytes.Buffer
			enc := png.Encoder{CompressionLevel: png.BestSpeed}
			if enc.Encode(&b, p) != nil {
				return "image/png", nil
			}
			return "image/png", b.Bytes()
		}})
		if err != nil {
			return nil, err
		}
	}
	return nil, c.err
}
