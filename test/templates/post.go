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
	"net/url"
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

// provide puts a file of that name where a template wants it, unless there is one: "name", "folder/name", with " [output]" behind for
// another folder than input. It is written below base, where that is known, until clean; else it is uploaded, which cannot be undone.
func (s *server) provide(ctx context.Context, name string, data []byte) error {
	folder := "input"
	for _, f := range []string{"input", "output", "temp"} {
		if rest, ok := strings.CutSuffix(name, " ["+f+"]"); ok {
			name, folder = rest, f
		}
	}
	name = path.Clean(strings.ReplaceAll(name, `\`, "/"))
	switch {
	case !filepath.IsLocal(filepath.FromSlash(name)):
		return nil
	case s.base != "":
		return s.place(filepath.Join(s.base, folder, filepath.FromSlash(name)), data)
	}
	dir, file := path.Split(name)
	dir = strings.TrimSuffix(dir, "/")
	if there, err := s.holds(ctx, folder, dir, file); there || err != nil {
		return err
	}
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("image", file)
	if err != nil {
		return err
	}
	_, _ = part.Write(data)
	_ = form.WriteField("type", folder)
	_ = form.WriteField("subfolder", dir)
	if err := form.Close(); err != nil {
		return err
	}
	return s.call(ctx, "/api/upload/image", form.FormDataContentType(), &body, nil)
}

// place writes a file for as long as the program runs. One that is there stays as it is: it is somebody's.
func (s *server) place(name string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	s.placed = append(s.placed, name)
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// clean takes away what place has written.
func (s *server) clean() error {
	var faults []error
	for _, name := range s.placed {
		faults = append(faults, os.Remove(name))
	}
	s.placed = nil
	return errors.Join(faults...)
}

// holds reports whether the server has a file.
func (s *server) holds(ctx context.Context, folder, dir, file string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	query := url.Values{"type": {folder}, "subfolder": {dir}, "filename": {file}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/view?"+query.Encode(), nil)
	if err != nil {
		return false, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false, err
	}
	return resp.StatusCode == http.StatusOK, resp.Body.Close()
}
