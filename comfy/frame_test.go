package comfy_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy"
)

const someID = "9f1b1a34-0000-4000-8000-000000000000"

// CLIENT-WS-5, CLIENT-WS-6: only a whole frame of event 4, about a run, with the picture it announces.
func TestPreviewFrame(t *testing.T) {
	t.Parallel()
	jpeg := []byte("\xff\xd8\xff\xe0rest")
	good := previewFrame(someID, "image/jpeg", jpeg)
	prompt, mime, image, ok := comfy.ParsePreview(good)
	if !ok || prompt != someID || mime != "image/jpeg" || !bytes.Equal(image, jpeg) {
		t.Fatalf("%q %q %q %v", prompt, mime, image, ok)
	}
	long := slices.Clone(good)
	binary.BigEndian.PutUint32(long[4:], 1<<31)
	event1 := append([]byte{0, 0, 0, 1, 0, 0, 0, 1}, jpeg...)
	for name, frame := range map[string][]byte{
		"nothing":            nil,
		"half a head":        good[:6],
		"no metadata":        good[:8],
		"cut metadata":       good[:20],
		"a length past all":  long,
		"event 1":            event1, // it names no prompt
		"event 2":            append([]byte{0, 0, 0, 2}, good[4:]...),
		"event 3, a text":    {0, 0, 0, 3, 0, 0, 0, 1, '9', 'h', 'i'},
		"an unknown event":   append([]byte{9, 9, 9, 9}, good[4:]...),
		"not that picture":   previewFrame(someID, "image/png", jpeg),
		"no picture":         previewFrame(someID, "image/jpeg", nil),
		"another type":       previewFrame(someID, "image/svg+xml", []byte("<svg/>")),
		"no prompt":          previewFrame("", "image/jpeg", jpeg),
		"metadata no object": {0, 0, 0, 4, 0, 0, 0, 2, '[', ']', 0xff, 0xd8, 0xff},
	} {
		if _, _, _, ok := comfy.ParsePreview(frame); ok {
			t.Errorf("%s passes", name)
		}
	}
}

// CLIENT-WS-3: what is unknown, broken, too deep or about nothing is dropped.
func TestEvent(t *testing.T) {
	t.Parallel()
	nodes := map[string]any{}
	for i := range 5000 {
		nodes[strconv.Itoa(i)] = map[string]any{}
	}
	many, err := json.Marshal(map[string]any{"type": "progress_state", "data": map[string]any{"prompt_id": someID, "nodes": nodes}})
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{
		`{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}}}}`: true,
		`{"type":"status","data":[]}`:                                                    true, // what it says does not matter
		`{"data":{"value":"x"},"type":"status"}`:                                         true,
		`{"type":"executing","data":{"node":null,"prompt_id":"` + someID + `"}}`:         true,
		`{"type":"progress","data":{"value":NaN,"max":20,"prompt_id":"` + someID + `"}}`: true,
		`{"type":"executing","data":{"node":"3"}}`:                                       false, // on connecting: of nobody
		`{"type":"crystools.monitor","data":{"prompt_id":"` + someID + `"}}`:             false,
		`{"type":"notification","data":{"value":"x"}}`:                                   false,
		`{"type":"executing","data":[]}`:                                                 false,
		`{"type":"execution_cached","data":{"prompt_id":"` + someID + `","nodes":{}}}`:   false,
		`{"type":"execution_start","data":{"prompt_id":3}}`:                              false,
		`{"type":3}`: false,
		`{`:          false,
		``:           false,
		`{"type":"status","data":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`: false,
		string(many): false,
	} {
		if got := comfy.ParseEvent([]byte(text)); got != want {
			t.Errorf("%.100s: %v", text, got)
		}
	}
}

// CLIENT-SEC-14: what a node throws cannot write to a terminal or turn the text around.
func TestClean_CLIENT_SEC_14(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a\x1b[2J\x1b]0;x\x07b": "a[2J]0;xb",
		"a\r\nb\tc\n":           "a b c",
		"\u202egnp.exe\u2066":   "gnp.exe",
		"caf\xe9 \u0085x":       "caf x",
		"Bäume 木":               "Bäume 木",
		strings.Repeat("ä", 99): strings.Repeat("ä", 20) + "…",
	} {
		if got := comfy.Clean(in, 20); got != want {
			t.Errorf("%q became %q", in, got)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add(previewFrame(someID, "image/png", []byte("\x89PNG\r\n\x1a\nx")))
	f.Add([]byte{0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff, '{', '}'})
	f.Add([]byte{0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xd8})
	for _, version := range []string{"v0.3.64", "v0.33.0"} {
		for _, s := range recording(f, version, "txt2img") {
			if s.Recv == "ws" {
				f.Add([]byte(s.JSON))
			}
			if s.Recv == "ws-binary" {
				f.Add(frame4(s.Metadata, 20))
			}
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		kept := bytes.Clone(data)
		_, _, image, ok := comfy.ParsePreview(data)
		if ok && (len(image) < 3 || len(image) > len(data)) {
			t.Errorf("a picture of %d bytes", len(image))
		}
		comfy.ParseEvent(data)
		if !bytes.Equal(data, kept) {
			t.Error("the frame was changed")
		}
	})
}

// FuzzClasses holds the walkers of object_info against encoding/json.
func FuzzClasses(f *testing.F) {
	f.Add([]byte(`{"A": {"input": {"required": {"x": ["INT", {"default": 3, "min": -1e3}], "y": [["a", "b\u0020"]]}}, "output": ["X"]}}`))
	f.Add([]byte(`{"A":{"input":{"optional":{"x":["COMBO",{"options":["a",1,{"key":"k"}]}]}},"input_order":{"optional":["x","x"]}}, "B":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := comfy.ReadClasses(data)
		var want map[string]struct {
			Input map[string]map[string]any
		}
		if err != nil || json.Unmarshal(data, &want) != nil || bytes.Contains(data, []byte(`"`+"input"+`"`)) && bytes.Count(data, []byte(`"input"`)) > 1 {
			return
		}
		for name := range info.Classes {
			if _, ok := want[name]; !ok {
				t.Errorf("class %q out of nowhere", name)
			}
		}
	})
}
