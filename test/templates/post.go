package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/comfygate/comfygate/comfy"
)

// maxAnswer bounds what is read of an answer: a refusal quotes every option of a list, for every node.
const maxAnswer = 32 << 20

// An answer is what POST /prompt said.
type answer struct {
	ID    string `json:"prompt_id"`
	Error *struct{ Type, Message, Details string }
	Nodes map[string]struct {
		Class  string `json:"class_type"`
		Errors []struct{ Type, Message, Details string }
	} `json:"node_errors"`
}

// reasons returns what a server found wrong, each kind of fault of a class once, or nothing.
func (a answer) reasons() (list []string) {
	for id, n := range a.Nodes {
		for _, e := range n.Errors {
			details, _, _ := strings.Cut(e.Details, " not in ")
			list = append(list, fmt.Sprintf("%s %s: %s: %.120s", id, n.Class, e.Type, details))
		}
	}
	if len(list) == 0 && a.Error != nil {
		list = append(list, fmt.Sprintf("%s: %.160s", a.Error.Type, a.Error.Details))
	}
	slices.Sort(list)
	return list
}

func (s *server) post(ctx context.Context, g comfy.Graph) (answer, error) {
	var a answer
	err := s.send(ctx, "/api/prompt", map[string]any{"prompt": g}, &a)
	return a, err
}

// withdraw takes a prompt off the queue, or stops it where it runs already.
func (s *server) withdraw(ctx context.Context, id string) error {
	if err := s.send(ctx, "/api/queue", map[string]any{"delete": []string{id}}, nil); err != nil {
		return err
	}
	return s.send(ctx, "/api/interrupt", map[string]any{"prompt_id": id}, nil)
}

func (s *server) send(ctx context.Context, route string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return s.call(ctx, route, "application/json", bytes.NewReader(data), into)
}

func (s *server) call(ctx context.Context, route, kind string, body io.Reader, into any) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+route, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return err
	case resp.StatusCode >= http.StatusInternalServerError:
		return fmt.Errorf("%s: %s: %.200s", route, resp.Status, data)
	case into == nil:
		return nil
	}
	return json.Unmarshal(data, into)
}

// occupy keeps the server busy until release is called, so that what is posted meanwhile waits. It needs the tiny checkpoint.
func (s *server) occupy(ctx context.Context) (release func(), err error) {
	const model = "tiny-sd3.safetensors"
	files, err := s.client.Models(ctx, "checkpoints")
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(files, func(f comfy.ModelFile) bool { return f.Name == model }) {
		return nil, errors.New("the server lacks " + model + "; see make tiny-models")
	}
	link := func(node string, slot int) comfy.Link { return comfy.Link{Node: node, Slot: slot} }
	a, err := s.post(ctx, comfy.Graph{
		"1": {ClassType: "CheckpointLoaderSimple", Inputs: map[string]any{"ckpt_name": model}},
		"2": {ClassType: "CLIPTextEncode", Inputs: map[string]any{"clip": link("1", 1), "text": ""}},
		"3": {ClassType: "EmptySD3LatentImage", Inputs: map[string]any{"width": 512, "height": 512, "batch_size": 1}},
		"4": {ClassType: "KSampler", Inputs: map[string]any{
			"model": link("1", 0), "positive": link("2", 0), "negative": link("2", 0), "latent_image": link("3", 0),
			"seed": uint64(time.Now().UnixNano()), "steps": 10_000, "cfg": 1, "sampler_name": "euler", "scheduler": "simple", "denoise": 1,
		}},
		"5": {ClassType: "VAEDecodeTiled", Inputs: map[string]any{
			"samples": link("4", 0), "vae": link("1", 2), "tile_size": 512, "overlap": 64, "temporal_size": 64, "temporal_overlap": 8,
		}},
		"6": {ClassType: "PreviewImage", Inputs: map[string]any{"images": link("5", 0)}},
	})
	if err != nil {
		return nil, err
	}
	if why := a.reasons(); len(why) > 0 {
		return nil, fmt.Errorf("the job that keeps the server busy is refused: %s", strings.Join(why, "; "))
	}
	return func() { _ = s.withdraw(context.WithoutCancel(ctx), a.ID) }, nil
}

// provide puts a file of that name where a template wants it: "name", "folder/name", with " [output]" behind for another folder than
// input. Files that cannot be uploaded are written below base, where that is known.
func (s *server) provide(ctx context.Context, name string, data []byte) error {
	folder := "input"
	for _, f := range []string{"input", "output", "temp"} {
		if rest, ok := strings.CutSuffix(name, " ["+f+"]"); ok {
			name, folder = rest, f
		}
	}
	name = path.Clean(strings.ReplaceAll(name, `\`, "/"))
	if !filepath.IsLocal(filepath.FromSlash(name)) {
		return nil
	}
	if s.base != "" {
		file := filepath.Join(s.base, folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
			return err
		}
		return os.WriteFile(file, data, 0o600)
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("image", path.Base(name))
	if err != nil {
		return err
	}
	_, _ = part.Write(data)
	_ = form.WriteField("type", folder)
	_ = form.WriteField("overwrite", "true")
	if dir := path.Dir(name); dir != "." {
		_ = form.WriteField("subfolder", dir)
	}
	if err := form.Close(); err != nil {
		return err
	}
	return s.call(ctx, "/api/upload/image", form.FormDataContentType(), &body, nil)
}
