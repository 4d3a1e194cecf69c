package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"

	"github.com/comfygate/comfygate/images"
)

// measureGenerate compares generate with what it stands in front of: POST, WebSocket and /view against the same embedded server,
// for a job that takes no time. The picture is the smallest there is; its own work is taken off and printed apart.
func measureGenerate(ctx context.Context, binary string) (rows []row, err error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	addr, err := freeAddr(ctx)
	if err != nil {
		return nil, err
	}
	emulator := exec.CommandContext(ctx, binary, "emulator", "--listen", addr)
	emulator.Stderr = os.Stderr
	if err := emulator.Start(); err != nil {
		return nil, err
	}
	defer func() {
		_ = emulator.Process.Signal(os.Interrupt)
		_ = emulator.Wait() // ended by a signal: its error is of no interest
	}()
	if err := listening(ctx, addr); err != nil {
		return nil, err
	}
	env := environment(dir, "COMFYGATE_COMFYUI__BACKEND=comfyui", "COMFYGATE_COMFYUI__URL=http://"+addr)
	c, err := startLines(ctx, env, binary, "serve")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.hello(); err != nil {
		return nil, err
	}
	d, err := dialDirect(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer d.ws.Close()
	var seed atomic.Int64
	ours, base, err := versus(500, 1, func() error {
		return answered(c.call("tools/call", map[string]any{"name": "generate", "arguments": map[string]any{
			"prompt": "a lighthouse", "family": "sd15", "width": 64, "height": 64, "steps": 1, "seed": seed.Add(1),
		}}))
	}, func() error { return d.generate(ctx, seed.Add(1)) })
	if err != nil {
		return nil, err
	}
	work, err := ownWork(ctx, dir, d.picture)
	if err != nil {
		return nil, err
	}
	return []row{
		added("generate, a job of 0 s, against POST + WebSocket + /view", ours.p50()-work, base.p50(), 3*time.Millisecond),
		{what: "  picture's own work, 64 × 64: not in the figure above", ours: ms(work), met: true},
	}, nil
}

// ownWork is the median of what a picture costs by itself: decode, scale, encode. What Glimpse does besides, to strip, is not of it.
func ownWork(ctx context.Context, dir string, picture []byte) (time.Duration, error) {
	store, err := images.OpenStore(images.StoreConfig{Dir: filepath.Join(dir, "none"), Generator: "bench"})
	if err != nil {
		return 0, err
	}
	defer store.Close()
	whole, strip, err := versus(200, 1, func() error {
		_, err := store.Glimpse(ctx, picture, previewSide, previewBytes)
		return err
	}, func() error {
		_, err := images.Strip(io.Discard, bytes.NewReader(picture), images.PNG, images.StripOptions{})
		return err
	})
	if err != nil {
		return 0, err
	}
	return whole.p50() - strip.p50(), nil
}

// A direct speaks ComfyUI's interface with nothing in between.
type direct struct {
	addr, client string
	ws           *websocket.Conn
	picture      []byte // the last one
}

func dialDirect(ctx context.Context, addr string) (*direct, error) {
	d := &direct{addr: addr, client: uuid.NewString()}
	dialer := websocket.Dialer{HandshakeTimeout: 5 * time.Second}
	ws, res, err := dialer.DialContext(ctx, "ws://"+addr+"/api/ws?clientId="+d.client, nil)
	if err != nil {
		return nil, err
	}
	d.ws = ws
	return d, res.Body.Close()
}

type output struct {
	Filename, Subfolder, Type string
}

func (d *direct) generate(ctx context.Context, seed int64) error {
	id := uuid.NewString()
	body, err := json.Marshal(map[string]any{"prompt_id": id, "client_id": d.client, "prompt": smallest(seed)})
	if err != nil {
		return err
	}
	if _, err := d.do(ctx, http.MethodPost, "/api/prompt", body); err != nil {
		return err
	}
	var made []output
	for {
		if err := d.ws.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		kind, data, err := d.ws.ReadMessage()
		if err != nil {
			return err
		}
		if kind != websocket.TextMessage {
			continue
		}
		var msg struct {
			Type string
			Data struct {
				Node     *string
				PromptID string `json:"prompt_id"`
				Output   struct{ Images []output }
			}
		}
		if err := json.Unmarshal(data, &msg); err != nil {
			return err
		}
		if msg.Data.PromptID != id {
			continue
		}
		switch {
		case msg.Type == "executed":
			made = append(made, msg.Data.Output.Images...)
		case msg.Type == "execution_error":
			return fmt.Errorf("the direct job failed: %s", data)
		case msg.Type == "executing" && msg.Data.Node == nil:
			return d.view(ctx, made)
		}
	}
}

func (d *direct) view(ctx context.Context, made []output) error {
	if len(made) == 0 {
		return errors.New("the direct job made no picture")
	}
	q := url.Values{"filename": {made[0].Filename}, "subfolder": {made[0].Subfolder}, "type": {made[0].Type}}
	var err error
	d.picture, err = d.do(ctx, http.MethodGet, "/api/view?"+q.Encode(), nil)
	return err
}

func (d *direct) do(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+d.addr+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	res, err := (&http.Client{}).Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s: %.200s", method, path, res.Status, data)
	}
	return data, err
}

// smallest is the graph that generate builds for SD 1.5, at 64 × 64 in one step.
func smallest(seed int64) map[string]any {
	node := func(class string, inputs map[string]any) map[string]any {
		return map[string]any{"class_type": class, "inputs": inputs}
	}
	link := func(id string, slot int) []any { return []any{id, slot} }
	return map[string]any{
		"4": node("CheckpointLoaderSimple", map[string]any{"ckpt_name": "v1-5-pruned-emaonly-fp16.safetensors"}),
		"5": node("EmptyLatentImage", map[string]any{"width": 64, "height": 64, "batch_size": 1}),
		"6": node("CLIPTextEncode", map[string]any{"text": "a lighthouse", "clip": link("4", 1)}),
		"7": node("CLIPTextEncode", map[string]any{"text": "", "clip": link("4", 1)}),
		"3": node("KSampler", map[string]any{
			"seed": seed, "steps": 1, "cfg": 7, "sampler_name": "euler", "scheduler": "normal", "denoise": 1,
			"model": link("4", 0), "positive": link("6", 0), "negative": link("7", 0), "latent_image": link("5", 0),
		}),
		"8": node("VAEDecode", map[string]any{"samples": link("3", 0), "vae": link("4", 2)}),
		"9": node("SaveImage", map[string]any{"filename_prefix": "bench", "images": link("8", 0)}),
	}
}
