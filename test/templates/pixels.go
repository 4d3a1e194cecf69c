package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	_ "image/png" // what the server sends
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
)

// A picture is what a node's result must be.
type picture struct {
	Width, Height int
	Points        []point
}

// A point is [x, y, "#rrggbb"].
type point struct {
	x, y  int
	color string
}

// UnmarshalJSON reads a point.
func (p *point) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&p.x, &p.y, &p.color})
}

// pixels runs the workflows that need no model and whose pixels are known, and returns how many came out wrong. One whose nodes the server
// lacks is not run.
func (s *server) pixels(ctx context.Context, out io.Writer) (wrong int, err error) {
	files, err := filepath.Glob(filepath.Join(s.cases, "*.pixels.json"))
	if err != nil {
		return 0, err
	}
	if len(files) == 0 {
		return 0, fmt.Errorf("%s holds no workflows whose pixels are known", s.cases)
	}
	if s.info == nil {
		if s.info, err = s.client.ObjectInfo(ctx); err != nil {
			return 0, err
		}
	}
	ran := 0
	for _, file := range files {
		base := strings.TrimSuffix(file, ".pixels.json")
		faults, err := s.compare(ctx, base)
		if unknown, ok := errors.AsType[*workflow.UnknownClassError](err); ok {
			_, _ = fmt.Fprintf(out, "pixels %-28s not run: %s\n", filepath.Base(base), explain(unknown))
			continue
		}
		if err != nil {
			return wrong, fmt.Errorf("%s: %w", base, err)
		}
		ran++
		if len(faults) > 0 {
			wrong++
			_, _ = fmt.Fprintf(out, "pixels %-28s WRONG: %s\n", filepath.Base(base), strings.Join(faults, "; "))
		}
	}
	_, _ = fmt.Fprintf(out, "pixels: %d workflows ran, %d wrong\n", ran, wrong)
	return wrong, nil
}

// compare runs one workflow and says how its pictures differ from those they should be.
func (s *server) compare(ctx context.Context, base string) (faults []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var want map[string]picture
	if err := read(base+".pixels.json", &want); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(base + ".ui.json")
	if err != nil {
		return nil, err
	}
	doc, err := workflow.Read(data)
	if err != nil {
		return nil, err
	}
	converted, err := doc.Convert(s.info)
	if err != nil {
		return nil, err
	}
	run, err := s.client.Submit(ctx, comfy.Submission{PromptID: comfy.NewPromptID(), Graph: temporary(converted.Graph)})
	if err != nil {
		return nil, err
	}
	result, err := run.Result(ctx)
	if err != nil {
		return nil, err
	}
	for node, p := range want {
		i := slices.IndexFunc(result.Outputs, func(o comfy.Output) bool { return o.Node == node })
		if i < 0 {
			faults = append(faults, "node "+node+" gave nothing")
			continue
		}
		var file bytes.Buffer
		if _, err := s.client.View(ctx, result.Outputs[i], &file); err != nil {
			return nil, err
		}
		img, _, err := image.Decode(&file)
		if err != nil {
			return nil, err
		}
		faults = append(faults, p.differs(node, img)...)
	}
	return faults, nil
}

// temporary writes results to the folder that the server empties itself.
func temporary(g comfy.Graph) comfy.Graph {
	for id, n := range g {
		if n.ClassType == "SaveImage" {
			g[id] = comfy.Node{ClassType: "PreviewImage", Inputs: map[string]any{"images": n.Inputs["images"]}}
		}
	}
	return g
}

func (p picture) differs(node string, img image.Image) (faults []string) {
	if b := img.Bounds(); b.Dx() != p.Width || b.Dy() != p.Height {
		return []string{fmt.Sprintf("node %s is %d×%d, not %d×%d", node, b.Dx(), b.Dy(), p.Width, p.Height)}
	}
	for _, at := range p.Points {
		r, g, b, _ := img.At(at.x, at.y).RGBA()
		if got := fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8); got != at.color {
			faults = append(faults, fmt.Sprintf("node %s is %s at %d,%d, not %s", node, got, at.x, at.y, at.color))
		}
	}
	return faults
}

func read(name string, into any) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
