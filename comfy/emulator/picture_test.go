package emulator_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// generate runs a graph and returns its first picture, and the file.
func (s *testServer) generate(g graph, n int) (image.Image, []byte) {
	s.t.Helper()
	s.submit(g, testID(n), "")
	job := s.wait(testID(n))
	if job.Status.StatusStr != "success" {
		s.t.Fatalf("%s", job.Status.Messages[len(job.Status.Messages)-1][1])
	}
	return s.picture(job)
}

// distance is the mean difference of two pictures' channels, between two parts of
// their width and down to a part of their height.
func distance(a, b image.Image, x0, x1, y1 float64) float64 {
	w, h := float64(a.Bounds().Dx()), float64(a.Bounds().Dy())
	sum, n := 0.0, 0.0
	for y := range int(y1 * h) {
		for x := int(x0 * w); x < int(x1*w); x++ {
			r, g, bl, _ := a.At(x, y).RGBA()
			r2, g2, bl2, _ := b.At(x, y).RGBA()
			for _, d := range []float64{float64(r) - float64(r2), float64(g) - float64(g2), float64(bl) - float64(bl2)} {
				sum += math.Abs(d) / 257
				n++
			}
		}
	}
	return sum / n
}

func all(a, b image.Image) float64 { return distance(a, b, 0, 1, 1) }

func TestPicture_deterministic(t *testing.T) {
	t.Parallel()
	a, b, salted := start(t, emulator.Options{}), start(t, emulator.Options{Version: emulator.V0364}), start(t, emulator.Options{Seed: 7})
	const text = "a lighthouse at night"
	one, file := a.generate(txt2img(text, 1, 128, 4), 1)
	if _, again := b.generate(txt2img(text, 1, 128, 4), 1); !bytes.Equal(file, again) {
		t.Error("the same graph and seed gave other bytes on another server")
	}
	for name, c := range map[string]struct {
		s *testServer
		g graph
		n int
	}{
		"another seed":   {a, txt2img(text, 2, 128, 4), 2},
		"another salt":   {salted, txt2img(text, 1, 128, 4), 1},
		"other words":    {a, txt2img("a lighthouse by day", 1, 128, 4), 3},
		"another model":  {a, txt2img(text, 1, 128, 4).with("4", "ckpt_name", "v1-5-pruned-emaonly-fp16.safetensors"), 4},
		"other steps":    {a, txt2img(text, 1, 128, 1), 5},
		"other guidance": {a, txt2img(text, 1, 128, 4).with("3", "cfg", 2.0), 6},
		"unwanted words": {a, txt2img(text, 1, 128, 4).with("7", "text", "lighthouse"), 7},
		"another size":   {a, txt2img(text, 1, 136, 4), 8},
	} {
		if _, other := c.s.generate(c.g, c.n); bytes.Equal(file, other) {
			t.Errorf("%s changes nothing", name)
		}
	}
	if one.Bounds().Dx() != 128 {
		t.Errorf("size %v", one.Bounds())
	}
}

func TestPicture_batchDiffers(t *testing.T) {
	t.Parallel()
	s := start(t, emulator.Options{})
	s.submit(txt2img("an abstract wave", 1, 64, 2).with("5", "batch_size", 3), testID(1), "")
	images := s.wait(testID(1)).Outputs["9"].Images
	if len(images) != 3 {
		t.Fatalf("%d pictures", len(images))
	}
	seen := map[string]bool{}
	for _, f := range images {
		seen[string(s.get("/api/view?filename="+f.Filename).body)] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d different pictures of 3", len(seen))
	}
}

// TestPicture_sameAtEverySize: a scene belongs to words and seed, not to pixels.
func TestPicture_sameAtEverySize(t *testing.T) {
	t.Parallel()
	small, err := emulator.Draw("a castle at sunset", "", 5, 96, 96)
	if err != nil {
		t.Fatal(err)
	}
	big, err := emulator.Draw("a castle at sunset", "", 5, 192, 192)
	if err != nil {
		t.Fatal(err)
	}
	half := image.NewNRGBA(small.Rect)
	for y := range 96 {
		for x := range 96 {
			half.Set(x, y, big.At(2*x, 2*y))
		}
	}
	other, err := emulator.Draw("a castle at sunset", "", 6, 96, 96)
	if err != nil {
		t.Fatal(err)
	}
	if same, far := all(small, half), all(small, other); same > 12 || same > far/2 {
		t.Errorf("another size differs by %.1f, another seed by %.1f", same, far)
	}
}

// TestPicture_refined: the previews of a sampling come ever nearer to its end.
func TestPicture_refined(t *testing.T) {
	t.Parallel()
	s := start(t, emulator.Options{})
	ws := s.dialWS("me", true)
	ws.until("feature_flags")
	s.submit(txt2img("mountains by day", 1, 512, 6), testID(1), "me")
	var previews []image.Image
	for len(previews) < 6 {
		m, ok := ws.next(waitLong)
		if !ok || m.err != nil {
			t.Fatal("no preview")
		}
		if m.binary == nil {
			continue
		}
		n := binary.BigEndian.Uint32(m.binary[4:])
		p, _, err := image.Decode(bytes.NewReader(m.binary[8+n:]))
		if err != nil {
			t.Fatal(err)
		}
		previews = append(previews, p)
	}
	final, _ := s.picture(s.wait(testID(1)))
	last := math.Inf(1)
	for i, p := range previews {
		d := all(p, final)
		if d >= last {
			t.Errorf("preview %d is no nearer: %.1f after %.1f", i+1, d, last)
		}
		last = d
	}
	if first := all(previews[0], final); first < 2*last {
		t.Errorf("the first preview differs by %.1f, the last by %.1f", first, last)
	}
}

// img2img starts from an uploaded picture.
func img2img(file, text string, denoise float64) graph {
	g := txt2img(text, 1, 64, 4).with("3", "denoise", denoise).with("3", "latent_image", link("10", 0))
	delete(g, "5")
	g["1"] = node("LoadImage", map[string]any{"image": file})
	g["10"] = node("VAEEncode", map[string]any{"pixels": link("1", 0), "vae": link("4", 2)})
	return g
}

func pngBytes(t *testing.T, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestPicture_img2imgByDenoise(t *testing.T) {
	t.Parallel()
	s := start(t, emulator.Options{})
	begin, err := emulator.Draw("a forest in autumn", "", 3, 128, 128)
	if err != nil {
		t.Fatal(err)
	}
	s.WriteFile("input", "begin.png", pngBytes(t, begin))
	last := -1.0
	for i, denoise := range []float64{0, 0.25, 0.5, 0.75, 1} {
		m, _ := s.generate(img2img("begin.png", "a blue sea at night", denoise), i+1)
		d := distance(m, begin, 0, 1, 0.85) // without the mark
		if d <= last {
			t.Errorf("denoise %.2f is no farther from its beginning: %.1f after %.1f", denoise, d, last)
		}
		if denoise == 0 && d > 0.5 {
			t.Errorf("without denoise it differs by %.1f", d)
		}
		last = d
	}
}

// TestPicture_maskRespected: what the mask leaves out stays.
func TestPicture_maskRespected(t *testing.T) {
	t.Parallel()
	s := start(t, emulator.Options{})
	begin, err := emulator.Draw("a meadow in spring", "", 3, 128, 128)
	if err != nil {
		t.Fatal(err)
	}
	s.WriteFile("input", "begin.png", pngBytes(t, begin))
	for name, chain := range map[string]func(g graph){
		"SetLatentNoiseMask": func(g graph) {
			g["5"] = node("SetLatentNoiseMask", map[string]any{"samples": link("10", 0), "mask": link("22", 0)})
			g.with("3", "latent_image", link("5", 0))
		},
		"VAEEncodeForInpaint": func(g graph) {
			g["10"] = node("VAEEncodeForInpaint", map[string]any{
				"pixels": link("1", 0), "vae": link("4", 2), "mask": link("22", 0), "grow_mask_by": 0,
			})
		},
		"InpaintModelConditioning": func(g graph) {
			g["10"] = node("InpaintModelConditioning", map[string]any{
				"positive": link("6", 0), "negative": link("7", 0), "vae": link("4", 2), "pixels": link("1", 0),
				"mask": link("22", 0), "noise_mask": true,
			})
			g.with("3", "positive", link("10", 0)).with("3", "negative", link("10", 1)).with("3", "latent_image", link("10", 2))
		},
	} {
		g := img2img("begin.png", "fire", 1)
		// The left half: a black mask with a white one laid into it.
		g["20"] = node("SolidMask", map[string]any{"value": 0.0, "width": 128, "height": 128})
		g["21"] = node("SolidMask", map[string]any{"value": 1.0, "width": 64, "height": 128})
		g["22"] = node("MaskComposite", map[string]any{
			"destination": link("20", 0), "source": link("21", 0), "x": 0, "y": 0, "operation": "add",
		})
		chain(g)
		m, _ := s.generate(g, len(name))
		if inside := distance(m, begin, 0, 0.5, 1); inside < 20 {
			t.Errorf("%s: inside the mask it differs by %.1f only", name, inside)
		}
		if outside := distance(m, begin, 0.5, 1, 0.85); outside > 0.5 {
			t.Errorf("%s: outside the mask it differs by %.1f", name, outside)
		}
	}
}

// TestPicture_refinerChain: leftover noise is seen, and a second sampler ends it.
func TestPicture_refinerChain(t *testing.T) {
	t.Parallel()
	s := start(t, emulator.Options{})
	advanced := func(model, latent string, begin, end int, addNoise, leftover string) map[string]any {
		return node("KSamplerAdvanced", map[string]any{
			"model": link(model, 0), "add_noise": addNoise, "noise_seed": 1, "steps": 10, "cfg": 7.0, "sampler_name": "euler",
			"scheduler": "normal", "positive": link("6", 0), "negative": link("7", 0), "latent_image": link(latent, 0),
			"start_at_step": begin, "end_at_step": end, "return_with_leftover_noise": leftover,
		})
	}
	g := txt2img("a castle", 1, 128, 4)
	g["3"] = advanced("4", "5", 0, 6, "enable", "enable")
	noisy, _ := s.generate(g, 1)
	g["30"] = advanced("4", "3", 6, 10_000, "disable", "disable")
	g.with("8", "samples", link("30", 0))
	clean, _ := s.generate(g, 2)
	if rough(noisy) < 1.5*rough(clean) {
		t.Errorf("roughness %.1f with leftover noise, %.1f without", rough(noisy), rough(clean))
	}
}

// rough is the mean difference of neighbours.
func rough(m image.Image) float64 {
	sum, n := 0.0, 0.0
	for y := range m.Bounds().Dy() {
		for x := 1; x < m.Bounds().Dx(); x++ {
			a, _, _, _ := m.At(x-1, y).RGBA()
			b, _, _, _ := m.At(x, y).RGBA()
			sum += math.Abs(float64(a)-float64(b)) / 257
			n++
		}
	}
	return sum / n
}

func TestPicture_upscaled(t *testing.T) {
	t.Parallel()
	s := start(t, emulator.Options{})
	s.WriteFile("input", "in.png", pngBytes(t, testPicture(60, 40)))
	for name, want := range map[string]image.Point{
		"RealESRGAN_x2plus.safetensors": {X: 120, Y: 80},
		"4x-UltraSharp.safetensors":     {X: 240, Y: 160},
	} {
		g := graph{
			"1": node("LoadImage", map[string]any{"image": "in.png"}),
			"2": node("UpscaleModelLoader", map[string]any{"model_name": name}),
			"3": node("ImageUpscaleWithModel", map[string]any{"upscale_model": link("2", 0), "image": link("1", 0)}),
			"9": node("SaveImage", map[string]any{"images": link("3", 0), "filename_prefix": "up"}),
		}
		if m, _ := s.generate(g, len(name)); m.Bounds().Size() != want {
			t.Errorf("%s: %v, want %v", name, m.Bounds().Size(), want)
		}
	}
}

// TestPicture_metadata: the graph and what the caller added are in the file.
func TestPicture_metadata(t *testing.T) {
	t.Parallel()
	s := sketchy(t, emulator.Options{})
	a := s.post("/api/prompt", map[string]any{
		"prompt": small(5), "prompt_id": testID(1),
		"extra_data": map[string]any{"extra_pnginfo": map[string]any{"workflow": map[string]any{"id": "é"}}},
	})
	if a.status != 200 {
		t.Fatalf("%s", a.body)
	}
	_, file := s.picture(s.wait(testID(1)))
	texts := map[string]string{}
	for rest := file[8:]; len(rest) > 12; {
		n := binary.BigEndian.Uint32(rest)
		if string(rest[4:8]) == "tEXt" {
			key, text, _ := bytes.Cut(rest[8:8+n], []byte{0})
			texts[string(key)] = string(text)
		}
		rest = rest[12+n:]
	}
	if texts["workflow"] != `{"id": "\u00e9"}` || !strings.Contains(texts["prompt"], `"class_type": "SaveImage"`) {
		t.Errorf("%v", texts)
	}
	var g map[string]json.RawMessage
	decode(t, []byte(texts["prompt"]), &g)
	if len(g) != 2 {
		t.Errorf("prompt %s", texts["prompt"])
	}
	preview := small(6)
	preview["2"] = node("PreviewImage", map[string]any{"images": link("1", 0)})
	if _, file := s.generate(preview, 2); !bytes.Contains(file, []byte("tEXtprompt\x00")) {
		t.Error("PreviewImage leaves the metadata out")
	}
}

// TestPicture_marked: every picture that is drawn says so in its corner.
func TestPicture_marked(t *testing.T) {
	t.Parallel()
	for _, side := range []int{128, 512, 1024} {
		m := image.NewNRGBA(image.Rect(0, 0, side, side))
		emulator.Mark(m)
		lit := 0
		for i, v := range m.Pix {
			if v > 0 {
				lit++
				if y, x := i/m.Stride, i%m.Stride/4; x < side/2 || y < side*3/4 {
					t.Fatalf("%d: a mark at %d, %d", side, x, y)
				}
			}
		}
		if lit < 200 {
			t.Errorf("%d: no mark to be seen", side)
		}
	}
}

// TestMemory_200jobs: what jobs leave behind is bounded.
func TestMemory_200jobs(t *testing.T) { //nolint:paralleltest // it measures the memory of the whole process
	if testing.Short() {
		t.Skip("200 jobs")
	}
	s := sketchy(t, emulator.Options{FileBytes: 1 << 20, HistoryEntries: 50})
	used := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var before uint64
	for i := range 200 {
		s.submit(txt2img(fmt.Sprintf("job %d", i), uint64(i), 128, 2), testID(i), "")
		s.wait(testID(i))
		if i == 60 {
			before = used()
		}
	}
	t.Logf("%d kB after 60 jobs", before>>10)
	// If the pictures were kept it would be over 20 MiB.
	if after := used(); after > before+4<<20 {
		t.Errorf("%d kB after 60 jobs, %d kB after 200", before>>10, after>>10)
	}
	total := 0
	for _, name := range s.Files("output") {
		data, _ := s.ReadFile("output", name)
		total += len(data)
	}
	if total > 1<<20 {
		t.Errorf("%d bytes of files", total)
	}
}
