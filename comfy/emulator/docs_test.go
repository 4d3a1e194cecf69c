package emulator_test

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/draw"
	"image/jpeg"
	"os"
	"path/filepath"
	"strings"
	"testing"

	xdraw "golang.org/x/image/draw"

	"github.com/comfygate/comfygate/comfy/emulator"
)

var pictures = flag.Bool("pictures", false, "draw the pictures of docs/embedded anew")

const (
	docsDir       = "../../docs"
	docsPictures  = docsDir + "/embedded"
	maxDocPicture = 150 << 10
	maxDocAll     = 1 << 20
)

// TestDocs_pictures holds docs/embedded.md to its pictures: all are there, small,
// and shown. With -pictures it draws them, through the front door.
func TestDocs_pictures(t *testing.T) {
	t.Parallel()
	if *pictures {
		drawDocs(t)
	}
	text, err := os.ReadFile(filepath.Join(docsDir, "embedded.md"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(docsPictures + "/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no pictures: %v", err)
	}
	total := int64(0)
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > maxDocPicture {
			t.Errorf("%s has %d bytes", f, info.Size())
		}
		total += info.Size()
		if !strings.Contains(string(text), "(embedded/"+filepath.Base(f)+")") {
			t.Errorf("%s is not shown in embedded.md", f)
		}
	}
	if total > maxDocAll {
		t.Errorf("%d bytes of pictures", total)
	}
}

// drawDocs draws a picture of each kind.
func drawDocs(t *testing.T) {
	t.Helper()
	s := start(t, emulator.Options{})
	n := 0
	draw := func(g graph) image.Image {
		n++
		m, _ := s.generate(g, n)
		return m
	}
	const fox = "a red fox"
	plain := draw(txt2img(fox, 5, 1024, 20))
	saveDoc(t, "plain", scaled(plain, 512))
	saveDoc(t, "another-seed", scaled(draw(txt2img(fox, 8, 1024, 20)), 512))

	lake := draw(txt2img("a mountain lake by day", 6, 768, 20))
	s.WriteFile("input", "begin.png", pngBytes(t, lake))
	img2img := func(text string, denoise float64) graph {
		return img2img("begin.png", text, denoise).with("3", "steps", 20)
	}
	saveDoc(t, "img2img", sheet(3, 256,
		lake, draw(img2img("a red sunset", 0.5)), draw(img2img("a red sunset", 0.8))))

	masked := img2img("a castle at night", 1)
	masked["20"] = node("SolidMask", map[string]any{"value": 0.0, "width": 768, "height": 768})
	masked["21"] = node("SolidMask", map[string]any{"value": 1.0, "width": 384, "height": 768})
	masked["22"] = node("FeatherMask", map[string]any{"mask": link("21", 0), "left": 0, "top": 0, "right": 96, "bottom": 0})
	masked["23"] = node("MaskComposite", map[string]any{
		"destination": link("20", 0), "source": link("22", 0), "x": 0, "y": 0, "operation": "add",
	})
	masked["5"] = node("SetLatentNoiseMask", map[string]any{"samples": link("10", 0), "mask": link("23", 0)})
	masked.with("3", "latent_image", link("5", 0))
	saveDoc(t, "masked", sheet(2, 384, lake, draw(masked)))

	var presets []image.Image
	for i, p := range []struct {
		w, h int
		text string
	}{
		{512, 512, "hot air balloons over hills"},   // draft
		{768, 768, "a lighthouse at night"},         // fast
		{1024, 1024, "a sunflower"},                 // quality
		{1024, 1024, "a coral reef with fish"},      // hd
		{768, 1152, "portrait of a queen"},          // portrait
		{1152, 768, "an autumn forest"},             // landscape
		{1536, 640, "a city at night"},              // cinematic
		{1024, 1024, "aurora over snowy mountains"}, // square
	} {
		g := txt2img(p.text, uint64(i+2), p.w, 20).with("5", "height", p.h)
		presets = append(presets, draw(g))
	}
	saveDoc(t, "presets", sheet(4, 240, presets...))

	up := graph{
		"1": node("LoadImage", map[string]any{"image": "small.png"}),
		"2": node("UpscaleModelLoader", map[string]any{"model_name": "4x-UltraSharp.safetensors"}),
		"3": node("ImageUpscaleWithModel", map[string]any{"upscale_model": link("2", 0), "image": link("1", 0)}),
		"9": node("SaveImage", map[string]any{"images": link("3", 0), "filename_prefix": "up"}),
	}
	s.WriteFile("input", "small.png", pngBytes(t, scaled(plain, 128)))
	saveDoc(t, "upscaled", sheet(2, 384, scaled(plain, 128), draw(up)))

	var more []image.Image
	for i, text := range []string{
		"a planet in space", "abstract waves in blue and gold", "a pink rose", "a cup of coffee",
		"a robot", "a mandala pattern", "a sailboat at sunset", "an owl at night",
	} {
		more = append(more, draw(txt2img(text, uint64(i+11), 512, 20)))
	}
	saveDoc(t, "more", sheet(4, 240, more...))
}

// scaled makes a picture's longer side that long.
func scaled(m image.Image, side int) image.Image {
	w, h := m.Bounds().Dx(), m.Bounds().Dy()
	by := float64(side) / float64(max(w, h))
	out := image.NewNRGBA(image.Rect(0, 0, int(float64(w)*by), int(float64(h)*by)))
	xdraw.CatmullRom.Scale(out, out.Rect, m, m.Bounds(), draw.Src, nil)
	return out
}

// sheet puts pictures into cells of a square side, in so many columns.
func sheet(columns, side int, list ...image.Image) image.Image {
	const gap = 8
	rows := (len(list) + columns - 1) / columns
	out := image.NewNRGBA(image.Rect(0, 0, columns*(side+gap)-gap, rows*(side+gap)-gap))
	draw.Draw(out, out.Rect, image.White, image.Point{}, draw.Src)
	for i, m := range list {
		cell := image.Rect(0, 0, side, side).Add(image.Pt(i%columns*(side+gap), i/columns*(side+gap)))
		small := scaled(m, side)
		at := small.Bounds().Add(cell.Min).Add(image.Pt((side-small.Bounds().Dx())/2, (side-small.Bounds().Dy())/2))
		draw.Draw(out, at, small, image.Point{}, draw.Src)
	}
	return out
}

func saveDoc(t *testing.T, name string, m image.Image) {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 84}); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(docsPictures, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(docsPictures, name+".jpg"), b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// faultTable is the table of faults as embedded.md has it.
func faultTable() string {
	var b strings.Builder
	b.WriteString("| fault | argument | what happens |\n|---|---|---|\n")
	for _, f := range emulator.FaultList() {
		arg := ""
		if f.Arg != "" {
			arg = "`" + f.Arg + "`"
		}
		if f.Default != "" {
			arg += ", else `" + f.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.Name, arg, f.Help)
	}
	return b.String()
}

// TestDocs_faults holds the table of faults in embedded.md to the code.
func TestDocs_faults(t *testing.T) {
	t.Parallel()
	path := filepath.Join(docsDir, "embedded.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(text), "-update -->\n")
	_, tail, closed := strings.Cut(rest, "<!-- /faults -->")
	if !ok || !closed {
		t.Fatal("embedded.md has no place for the faults")
	}
	want := head + "-update -->\n" + faultTable() + "<!-- /faults -->" + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Error("embedded.md does not list the faults as they are; run: go test ./comfy/emulator -run Docs_faults -update")
	}
}
