package emulator_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/emulator"
)

func TestEMU17_EMU18_uploads(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	// What a real server said to each of these.
	for _, c := range []struct {
		file, data string
		fields     map[string]string
		want       string
	}{
		{"a.png", "1", nil, `200 {"name": "a.png", "subfolder": "", "type": "input"}`},
		{"a.png", "2", nil, `200 {"name": "a (1).png", "subfolder": "", "type": "input"}`},
		{"a.png", "3", nil, `200 {"name": "a (2).png", "subfolder": "", "type": "input"}`},
		{"a.png", "2", nil, `200 {"name": "a (1).png", "subfolder": "", "type": "input"}`},
		{"a.png", "4", map[string]string{"overwrite": "1"}, `200 {"name": "a.png", "subfolder": "", "type": "input"}`},
		{"noext", "1", nil, `200 {"name": "noext", "subfolder": "", "type": "input"}`},
		{"noext", "2", nil, `200 {"name": "noext (1)", "subfolder": "", "type": "input"}`},
		{".hid", "1", nil, `200 {"name": ".hid", "subfolder": "", "type": "input"}`},
		{".hid", "2", nil, `200 {"name": ".hid (1)", "subfolder": "", "type": "input"}`},
		{"t.png", "1", map[string]string{"type": "temp", "subfolder": "x/y"}, `200 {"name": "t.png", "subfolder": "x/y", "type": "temp"}`},
		{"../../z.png", "1", nil, "400 "},
		{"..", "1", nil, "400 "},
		{"/abs.png", "1", nil, `200 {"name": "abs.png", "subfolder": "", "type": "input"}`},
		{"no/such/folder.png", "1", nil, "500 500 Internal Server Error\n\nServer got itself in trouble"},
		{"e.png", "1", map[string]string{"subfolder": "/etc"}, "400 "},
		{"e.png", "1", map[string]string{"subfolder": "../.."}, "400 "},
		{"e.png", "1", map[string]string{"subfolder": "a/../b"}, `200 {"name": "e.png", "subfolder": "a/../b", "type": "input"}`},
		{"e.png", "1", map[string]string{"type": "bogus"}, "500 500 Internal Server Error\n\nServer got itself in trouble"},
		{"", "1", nil, "500 500 Internal Server Error\n\nServer got itself in trouble"},
	} {
		var b strings.Builder
		for k, v := range c.fields {
			fmt.Fprintf(&b, "--xyz\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", k, v)
		}
		fmt.Fprintf(&b, "--xyz\r\nContent-Disposition: form-data; name=\"image\"; filename=%q\r\n\r\n%s\r\n--xyz--\r\n", c.file, c.data)
		a := s.do(http.MethodPost, "/api/upload/image", strings.NewReader(b.String()),
			http.Header{"Content-Type": {"multipart/form-data; boundary=xyz"}})
		if got := fmt.Sprintf("%d %s", a.status, a.body); got != c.want {
			t.Errorf("%s %s %v: %s, want %s", c.file, c.data, c.fields, got, c.want)
		}
	}
	if got := s.Files("temp"); !slices.Equal(got, []string{"x/y/t.png"}) {
		t.Errorf("temp %v", got)
	}
	if data, _ := s.ReadFile("input", "a.png"); string(data) != "4" {
		t.Errorf("a.png holds %s", data)
	}
	for path, want := range map[string]int{
		"/view?filename=e.png&type=input&subfolder=b":       200,
		"/view?filename=b/e.png&type=input":                 404, // only the last part of a name counts
		"/view?filename=t.png%20[temp]&subfolder=x/y":       200,
		"/view?filename=":                                   400,
		"/view?filename=..":                                 400,
		"/view?filename=e.png&type=input&subfolder=/etc":    403,
		"/view?filename=passwd&type=input&subfolder=../../": 403,
	} {
		if a := s.get(path); a.status != want {
			t.Errorf("%s: %d, want %d", path, a.status, want)
		}
	}
}

func TestMaskUpload(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	s.WriteFile("input", "original.png", pngBytes(t, testPicture(8, 8)))
	alpha := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	alpha.SetNRGBA(3, 3, color.NRGBA{0, 0, 0, 255})
	upload := func(ref string) answer {
		body := "--xyz\r\nContent-Disposition: form-data; name=\"original_ref\"\r\n\r\n" + ref +
			"\r\n--xyz\r\nContent-Disposition: form-data; name=\"image\"; filename=\"masked.png\"\r\n\r\n" +
			string(pngBytes(t, alpha)) + "\r\n--xyz--\r\n"
		return s.do(http.MethodPost, "/api/upload/mask", strings.NewReader(body),
			http.Header{"Content-Type": {"multipart/form-data; boundary=xyz"}})
	}
	for ref, want := range map[string]int{
		`{"filename":"../x.png","type":"input"}`:                          400,
		`{"filename":"original.png","type":"nope"}`:                       400,
		`{"filename":"original.png","type":"input","subfolder":"../../"}`: 403,
		`{`: 500,
		`{"filename":"original.png","type":"input"}`: 200,
	} {
		if a := upload(ref); a.status != want {
			t.Errorf("%s: %d %s, want %d", ref, a.status, a.body, want)
		}
	}
	data, _ := s.ReadFile("input", "masked.png")
	m, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	_, _, _, inside := m.At(3, 3).RGBA()
	r, _, _, outside := m.At(5, 4).RGBA()
	if inside == 0 || outside != 0 || r != 0 {
		t.Errorf("alpha %d inside, %d outside", inside, outside)
	}
	g := graph{
		"1": node("LoadImage", map[string]any{"image": "masked.png"}),
		"2": node("MaskToImage", map[string]any{"mask": link("1", 1)}),
		"9": node("SaveImage", map[string]any{"images": link("2", 0), "filename_prefix": "mask"}),
	}
	mask, _ := s.generate(g, 1)
	if v, _, _, _ := mask.At(3, 3).RGBA(); v != 0 {
		t.Error("what is opaque is in the mask")
	}
	if v, _, _, _ := mask.At(0, 0).RGBA(); v != 0xffff {
		t.Error("what is transparent is not in the mask")
	}
}

func TestVirtualFiles(t *testing.T) {
	t.Parallel()
	load := func(name string) graph {
		return graph{
			"1": node("LoadImage", map[string]any{"image": name}),
			"2": node("PreviewImage", map[string]any{"images": link("1", 0)}),
		}
	}
	for name, c := range map[string]struct {
		version, file string
		status        int
		err           string
	}{
		"older, climbs to a virtual file": {emulator.V0364, "../../../../../../etc/passwd", 200, "PIL.UnidentifiedImageError"},
		"older, absolute virtual file":    {emulator.V0364, "/etc/passwd", 200, "PIL.UnidentifiedImageError"},
		"older, the machine's own file":   {emulator.V0364, "/proc/self/status", 400, ""},
		"older, a folder":                 {emulator.V0364, "", 200, "IsADirectoryError"},
		"newer, climbs":                   {emulator.V0330, "../../../../../../etc/passwd", 400, ""},
		"newer, absolute":                 {emulator.V0330, "/etc/passwd", 400, ""},
		"newer, a folder":                 {emulator.V0330, "", 200, "av.error.IsADirectoryError"},
		"newer, climbs within":            {emulator.V0330, "../output/x.png", 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := sketchy(t, emulator.Options{Version: c.version})
			a := s.post("/api/prompt", map[string]any{"prompt": load(c.file), "prompt_id": testID(1)})
			if a.status != c.status {
				t.Fatalf("%d %s", a.status, a.body)
			}
			if c.err == "" {
				return
			}
			job := s.wait(testID(1))
			last := job.Status.Messages[len(job.Status.Messages)-1]
			if !strings.Contains(string(last[1]), c.err) {
				t.Errorf("%s, want %s", last[1], c.err)
			}
		})
	}
}

func TestFileBytes(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{FileBytes: 10_000})
	for i := range 4 {
		s.WriteFile("temp", fmt.Sprintf("t%d", i), make([]byte, 1000))
		s.WriteFile("output", fmt.Sprintf("o%d", i), make([]byte, 1000))
	}
	s.WriteFile("input", "i", make([]byte, 7000))
	if got := s.Files("temp"); len(got) != 0 {
		t.Errorf("temp %v", got)
	}
	if got := s.Files("output"); !slices.Equal(got, []string{"o1", "o2", "o3"}) {
		t.Errorf("output %v", got)
	}
	s.WriteFile("input", "big", make([]byte, 20_000))
	if got := s.Files("input"); !slices.Equal(got, []string{"big"}) {
		t.Errorf("input %v: the newest file is always kept", got)
	}
	if _, ok := s.ReadFile("input", "big"); !ok {
		t.Error("the newest file is gone")
	}
}

func TestTooManyPixels(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	g := small(1).with("1", "width", 16384).with("1", "height", 16384).with("1", "batch_size", 4096)
	s.submit(g, testID(1), "")
	job := s.wait(testID(1))
	last := job.Status.Messages[len(job.Status.Messages)-1]
	if job.Status.StatusStr != "error" || !strings.Contains(string(last[1]), "can't allocate memory") {
		t.Errorf("%s", last[1])
	}
}
