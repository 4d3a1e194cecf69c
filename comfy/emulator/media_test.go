package emulator_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/png"
	"strings"
	"testing"

	"golang.org/x/image/webp"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// media runs a graph that saves something from node "1" by node "2", and returns what it shows and the file.
func media(t *testing.T, s *testServer, g graph, n int, kind string) (shown map[string]any, data []byte) {
	t.Helper()
	s.submit(g, testID(n), "")
	if job := s.wait(testID(n)); job.Status.StatusStr != "success" {
		t.Fatalf("%+v", job.Status)
	}
	var all map[string]struct{ Outputs map[string]map[string]any }
	s.getJSON("/api/history/"+testID(n), &all)
	shown = all[testID(n)].Outputs["2"]
	list, _ := shown[kind].([]any)
	if len(list) != 1 {
		t.Fatalf("shows %v", shown)
	}
	file, _ := list[0].(map[string]any)
	name, _ := file["filename"].(string)
	folder, _ := file["subfolder"].(string)
	kindOf, _ := file["type"].(string)
	a := s.get("/api/view?filename=" + name + "&subfolder=" + folder + "&type=" + kindOf)
	if a.status != 200 {
		t.Fatalf("%v: %d", file, a.status)
	}
	shown["name"] = folder + "/" + name
	return shown, a.body
}

func animated(class string) graph {
	inputs := map[string]any{"images": link("1", 0), "filename_prefix": "anim/x", "fps": 10.0}
	if class == "SaveAnimatedPNG" {
		inputs["compress_level"] = 4
	} else {
		inputs["lossless"], inputs["quality"], inputs["method"] = true, 80, "default"
	}
	return graph{"1": node("EmptyImage", map[string]any{"width": 24, "height": 16, "batch_size": 3, "color": 0x3366cc}), "2": node(class, inputs)}
}

// Animations hold their frames, and the graph where ComfyUI puts it.
func TestNodes_animations(t *testing.T) {
	t.Parallel()
	for _, version := range []string{emulator.V0364, emulator.V0330} {
		s := start(t, emulator.Options{Version: version})
		shown, data := media(t, s, animated("SaveAnimatedPNG"), 1, "images")
		if shown["name"] != "anim/x_00001_.png" || fmt.Sprint(shown["animated"]) != "[true]" {
			t.Errorf("%s shows %v", version, shown)
		}
		m, err := png.Decode(bytes.NewReader(data))
		if err != nil || m.Bounds().Size() != image.Pt(24, 16) || strings.Count(string(data), "fcTL") != 3 || strings.Count(string(data), "fdAT") < 2 ||
			!strings.Contains(string(data), `comfprompt`+"\x00"+`{"1": {`) {
			t.Errorf("%s: %v in %q", version, err, data)
		}
		shown, data = media(t, s, animated("SaveAnimatedWEBP"), 2, "images")
		if shown["name"] != "anim/x_00002_.webp" || binary.LittleEndian.Uint32(data[4:]) != uint32(len(data)-8) || !strings.Contains(string(data), `prompt:{"1": {`) {
			t.Errorf("%s shows %v: %q", version, shown, data)
		}
		frames := strings.Split(string(data), "ANMF")[1:]
		if len(frames) != 3 {
			t.Fatalf("%s: %d frames", version, len(frames))
		}
		for _, f := range frames {
			body := f[4 : 4+binary.LittleEndian.Uint32([]byte(f))]
			if ms := int(body[12]); ms != 100 {
				t.Errorf("%s: a frame lasts %d ms", version, ms)
			}
			still := append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body)-16+4)), "WEBP"+body[16:]...)
			if m, err := webp.Decode(bytes.NewReader(still)); err != nil || m.Bounds().Size() != image.Pt(24, 16) {
				t.Errorf("%s: %v", version, err)
			}
		}
	}
}

// SaveText shows the text and the file that it is in, as a real 0.33.0 does.
func TestNodes_saveText(t *testing.T) {
	t.Parallel()
	s := start(t, emulator.Options{})
	g := graph{
		"1": node("PrimitiveString", map[string]any{"value": "a fox\nin snow"}),
		"2": node("SaveText", map[string]any{"text": link("1", 0), "filename_prefix": "t/x", "format": "md"}),
	}
	shown, data := media(t, s, g, 1, "files")
	if shown["name"] != "t/x_00001.md" || fmt.Sprint(shown["text"]) != "[a fox\nin snow]" || string(data) != "a fox\nin snow" {
		t.Errorf("shows %v, %q", shown, data)
	}
}

// A sound is silent FLAC of the length asked for, the graph in its tags; one that is too long fails the run.
func TestNodes_sound(t *testing.T) {
	t.Parallel()
	s := start(t, emulator.Options{})
	g := func(class string, seconds float64) graph {
		inputs := map[string]any{"audio": link("1", 0)}
		if class == "SaveAudio" {
			inputs["filename_prefix"] = "audio/x"
		}
		return graph{"1": node("EmptyAudio", map[string]any{"duration": seconds, "sample_rate": 8000, "channels": 2}), "2": node(class, inputs)}
	}
	shown, data := media(t, s, g("SaveAudio", 70), 1, "audio")
	samples := binary.BigEndian.Uint64(data[18:])
	if shown["name"] != "audio/x_00001.flac" || string(data[:4]) != "fLaC" || samples>>44 != 8000 || samples>>41&7 != 1 || samples&(1<<36-1) != 560_000 ||
		!strings.Contains(string(data), `prompt={"1": {`) {
		t.Errorf("shows %v, %x", shown, data[:42])
	}
	n := 0
	for b := data[bytes.Index(data, []byte("\xff\xf8")):]; len(b) > 0; n++ { // the sum over a frame with its checksum is 0
		end := bytes.Index(b[2:], []byte("\xff\xf8"))
		frame := b[:end+2]
		if end < 0 {
			frame = b
		}
		if emulator.CRC16(frame) != 0 {
			t.Errorf("frame %d: % x", n, frame)
		}
		b = b[len(frame):]
	}
	if n != 137 { // ⌈560000 / 4096⌉, so that numbers of two bytes come up
		t.Errorf("%d frames", n)
	}
	if shown, _ := media(t, s, g("PreviewAudio", 0.1), 2, "audio"); !strings.HasPrefix(fmt.Sprint(shown["name"]), "/ComfyUI_temp_") {
		t.Errorf("shows %v", shown)
	}
	s.submit(g("SaveAudio", 1e12), testID(3), "")
	job := s.wait(testID(3))
	if text := s.history(testID(3)); job.Status.StatusStr != "error" || !strings.Contains(text, "can't allocate memory") {
		t.Errorf("%s", text)
	}
}
