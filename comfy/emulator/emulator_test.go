package emulator_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"net/http"
	"testing"
	"time"

	"github.com/comfygate/comfygate/comfy/emulator"
)

// graph is a prompt in the API format.
type graph map[string]any

func node(class string, inputs map[string]any) map[string]any {
	return map[string]any{"class_type": class, "inputs": inputs}
}

func link(id string, slot int) []any { return []any{id, slot} }

// txt2img is ComfyUI's default graph.
func txt2img(text string, seed uint64, side, steps int) graph {
	return graph{
		"4": node("CheckpointLoaderSimple", map[string]any{"ckpt_name": "sd_xl_base_1.0.safetensors"}),
		"5": node("EmptyLatentImage", map[string]any{"width": side, "height": side, "batch_size": 1}),
		"6": node("CLIPTextEncode", map[string]any{"text": text, "clip": link("4", 1)}),
		"7": node("CLIPTextEncode", map[string]any{"text": "", "clip": link("4", 1)}),
		"3": node("KSampler", map[string]any{
			"seed": seed, "steps": steps, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
			"model": link("4", 0), "positive": link("6", 0), "negative": link("7", 0), "latent_image": link("5", 0),
		}),
		"8": node("VAEDecode", map[string]any{"samples": link("3", 0), "vae": link("4", 2)}),
		"9": node("SaveImage", map[string]any{"filename_prefix": "test", "images": link("8", 0)}),
	}
}

func (g graph) with(id, input string, value any) graph {
	n, _ := g[id].(map[string]any)
	in, _ := n["inputs"].(map[string]any)
	in[input] = value
	return g
}

// testID makes a prompt_id for a number.
func testID(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// submit posts a graph, which must be accepted.
func (s *testServer) submit(g graph, id, clientID string) {
	s.t.Helper()
	body := map[string]any{"prompt": g, "prompt_id": id}
	if clientID != "" {
		body["client_id"] = clientID
	}
	if a := s.post("/api/prompt", body); a.err != nil || a.status != http.StatusOK {
		s.t.Fatalf("POST /prompt: %d %v %s", a.status, a.err, a.body)
	}
}

// pastJob is a history entry.
type pastJob struct {
	Outputs map[string]struct {
		Images []struct{ Filename, Subfolder, Type string }
	}
	Status struct {
		StatusStr string `json:"status_str"`
		Completed bool
		Messages  [][]json.RawMessage
	}
}

// wait polls the history until a job has ended.
func (s *testServer) wait(id string) pastJob {
	s.t.Helper()
	for deadline := time.Now().Add(waitLong); time.Now().Before(deadline); {
		var h map[string]pastJob
		s.getJSON("/api/history/"+id, &h)
		if job, ok := h[id]; ok {
			return job
		}
		time.Sleep(2 * time.Millisecond)
	}
	s.t.Fatalf("job %s did not end", id)
	return pastJob{}
}

// picture fetches the first picture of a job.
func (s *testServer) picture(job pastJob) (image.Image, []byte) {
	s.t.Helper()
	for _, out := range job.Outputs {
		if len(out.Images) > 0 {
			f := out.Images[0]
			a := s.get(fmt.Sprintf("/api/view?filename=%s&subfolder=%s&type=%s", f.Filename, f.Subfolder, f.Type))
			m, _, err := image.Decode(bytes.NewReader(a.body))
			if err != nil {
				s.t.Fatalf("%v: %d %.100s", err, a.status, a.body)
			}
			return m, a.body
		}
	}
	s.t.Fatalf("no picture in %+v", job)
	return nil, nil
}

func TestTxt2img(t *testing.T) {
	t.Parallel()
	s := start(t, emulator.Options{})
	ws := s.dialWS("me", true)
	s.submit(txt2img("a red fox", 1, 512, 4), testID(1), "me")
	ws.until("execution_success")
	job := s.wait(testID(1))
	m, _ := s.picture(job)
	if m.Bounds().Dx() != 512 {
		t.Errorf("size %v", m.Bounds())
	}
}
