package jobs_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
)

// anything is a job whose every result is wanted.
func (b *bench) anything() jobs.Spec {
	s := b.spec("ann", "c1")
	s.Output, s.Count = "", 0
	s.Graph = comfy.Graph{
		"2": {ClassType: "PreviewAny", Meta: &comfy.NodeMeta{Title: "What\x1b[31m was\nsaid"}},
		"9": {ClassType: "SaveImage", Inputs: map[string]any{"filename_prefix": "comfygate/p"}, Meta: &comfy.NodeMeta{Title: strings.Repeat("long ", 50)}},
	}
	return s
}

func file(node, kind, name string) comfy.Output {
	return comfy.Output{Node: node, Kind: kind, Filename: name, Type: "output"}
}

// told is an output on one line.
func told(o jobs.Output) string {
	s := fmt.Sprintf("%s %s", o.Node, o.Kind)
	switch {
	case o.Image != nil:
		s += " " + o.Image.ID
	case o.File != nil:
		s += " " + o.File.ID
	}
	return s + cmp.Or(": "+o.Text+o.Note, "")
}

func toldAll(j jobs.Job) (list []string) {
	for _, o := range j.Outputs {
		list = append(list, told(o))
	}
	return list
}

// Issue 6: results of every kind come named by node, what is refused hinders nothing else; SC-53. AUD-17: the record has the hash of
// everything that was stored.
func TestOutputs_everyKind(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		j := b.start(t, b.anything())
		input := file("9", "images", "old.png")
		input.Type = "input"
		b.server.run(t, 0).end(comfy.Result{State: comfy.Succeeded, Outputs: []comfy.Output{
			{Node: "2", Kind: "text", Text: "a\nb\x1b[0m"},
			file("9", "images", "a.png"), file("9", "images", "b.mp4"), file("9", "audio", "c.flac"),
			file("9", "3d", "d.glb"), file("9", "images", "e.svg"), input, file("9", "text", "f.TXT"),
			{Node: "9", Kind: "text", Text: "picture f.TXT"},
			file("77:3", "images", "g.png"),
		}})
		j = b.ended(t, j)
		want := []string{
			"2 text: a\nb", "9 picture picture0: ", "9 video picture1: ", "9 audio picture2: ", "9 file picture3: ",
			"9 refused: a file of type image/svg+xml, which is not passed on", "9 refused: a file that was there before the job, which is no result",
			"9 text: picture f.TXT", "77:3 picture picture4: ",
		}
		if got := toldAll(j); j.State != jobs.Succeeded || !slices.Equal(got, want) {
			t.Errorf("%s, %v: %q", j.State, j.Err, got)
		}
		if o := j.Outputs[0]; o.Title != "What was said" || o.Class != "PreviewAny" || j.Outputs[8].Class != "" {
			t.Errorf("titles: %+v", o)
		}
		if n := len(j.Outputs[1].Title); n == 0 || n > 100 {
			t.Errorf("a title of %d bytes", n)
		}
		if len(j.Images) != 2 || j.Images[1].ID != "picture4" {
			t.Errorf("pictures %+v", j.Images)
		}
		var hashes []string
		for _, im := range b.pictures.put {
			hashes = append(hashes, im.SHA256)
		}
		if got := b.record(t, j).Outputs; len(hashes) != 5 || !slices.Equal(got, hashes) {
			t.Errorf("recorded %v, want %v", got, hashes)
		}
	})
}

// SC-50, SC-53: number, bytes and texts of a job's results are bounded, and it is said what was left out.
func TestOutputs_bounds(t *testing.T) {
	t.Parallel()
	t.Run("number", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			j := b.start(t, b.anything())
			b.server.run(t, 0).end(comfy.Result{State: comfy.Succeeded, Outputs: slices.Repeat([]comfy.Output{file("9", "images", "a.png")}, 70)})
			j = b.ended(t, j)
			if n := len(j.Outputs); n != jobs.MaxOutputs+1 || len(j.Images) != jobs.MaxOutputs || j.Outputs[n-1].Note != "6 more results, which are not passed on: one job gives 64 at most" {
				t.Errorf("%d outputs, %d pictures, %+v", n, len(j.Images), j.Outputs[n-1])
			}
		})
	})
	t.Run("bytes", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(c *jobs.Config, _ *server) { c.ResultBytes = 26 }, func(b *bench) { // one is "picture a.png", 13 bytes
			t := b.t
			j := b.start(t, b.anything())
			b.server.run(t, 0).end(comfy.Result{State: comfy.Succeeded, Outputs: []comfy.Output{
				file("9", "images", "a.png"), file("9", "images", "long name.png"), file("9", "images", "b.png"), file("9", "images", "c.png"),
			}})
			want := []string{
				"9 picture picture0: ", "9 refused: a file that is not passed on: picture's bytes out of bounds: 21, bound 13", "9 picture picture2: ",
				"9 refused: a file that is not passed on: what the job gave before it is as much as one job may give",
			}
			if got := toldAll(b.ended(t, j)); !slices.Equal(got, want) {
				t.Errorf("%q", got)
			}
		})
	})
	t.Run("text", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			b.server.content = func(o comfy.Output) string {
				return map[string]string{"long.txt": strings.Repeat("é", 20_000), "binary.txt": "a\x00b", "latin.csv": "\xe9"}[o.Filename]
			}
			j := b.start(t, b.anything())
			b.server.run(t, 0).end(comfy.Result{State: comfy.Succeeded, Outputs: []comfy.Output{
				file("2", "text", "long.txt"), file("2", "text", "binary.txt"), file("2", "text", "latin.csv"),
			}})
			j = b.ended(t, j)
			if text := j.Outputs[0].Text; len(text) > jobs.MaxText || len(text) < jobs.MaxText-8 || !strings.HasPrefix(text, "éé") || strings.Trim(text, "é…") != "" {
				t.Errorf("%d bytes: …%q", len(text), text[len(text)-9:])
			}
			for _, o := range j.Outputs[1:] {
				if o.Kind != jobs.Refused || o.Note != "a file that is said to be text and is none, which is not passed on" {
					t.Errorf("%+v", o)
				}
			}
		})
	})
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			j := b.start(t, b.anything())
			b.server.run(t, 0).end(comfy.Result{State: comfy.Succeeded})
			j = b.ended(t, j)
			if none, ok := errors.AsType[*jobs.NoOutputError](j.Err); !ok || none.Error() != "the run gave no results" {
				t.Errorf("%s, %v", j.State, j.Err)
			}
		})
	})
}

// CLIENT-FAIL-9: a result that is gone at the server is made again once; what is gone again is told. Nothing of the first try stays.
func TestOutputs_gone(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		b.server.onView = func(o comfy.Output) error {
			if o.Filename == "b.png" {
				return comfy.ErrNotFound
			}
			return nil
		}
		j := b.start(t, b.anything())
		outputs := []comfy.Output{file("9", "images", "a.png"), file("9", "images", "b.png"), file("9", "images", "c.png")}
		b.server.run(t, 0).end(comfy.Result{State: comfy.Succeeded, Outputs: outputs})
		again := b.server.run(t, 1)
		if prefix := again.graph["9"].Inputs["filename_prefix"]; prefix == "comfygate/p" {
			t.Error("it is run again as it was")
		}
		again.end(comfy.Result{State: comfy.Succeeded, Outputs: outputs})
		j = b.ended(t, j)
		want := []string{"9 picture picture1: ", "9 refused: a file that comfyui does not have any more", "9 picture picture2: "}
		if got := toldAll(j); j.State != jobs.Succeeded || len(j.Images) != 2 || !slices.Equal(got, want) {
			t.Errorf("%s, %v, %q", j.State, j.Err, got)
		}
	})
}

// A server that goes away while results are fetched ends the job as it did before: that is no fault of one result.
func TestOutputs_serverGone(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		b.server.onView = func(comfy.Output) error { return comfy.ErrUnreachable }
		j := b.start(t, b.anything())
		b.server.run(t, 0).end(comfy.Result{State: comfy.Succeeded, Outputs: []comfy.Output{file("9", "images", "a.png")}})
		if j = b.ended(t, j); j.State != jobs.Failed || !errors.Is(j.Err, comfy.ErrUnreachable) {
			t.Errorf("%s, %v", j.State, j.Err)
		}
	})
}

// The whole way of files that a real ComfyUI wrote: from the server into the store, stripped, and what is no result of any known kind refused.
func TestOutputs_realStore(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join("..", "images", "testdata", "comfyui", name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	contents := map[string]string{
		"v.mp4": read("h264.mp4"), "s.opus": read("sound.opus"), "m.webp": read("lossy.webp"), "fake.mp4": read("sound.flac"),
		"page.png": "<!DOCTYPE html><script>alert(1)</script>", "cut.flac": read("sound.flac")[:50],
	}
	store, err := images.OpenStore(images.StoreConfig{Dir: filepath.Join(t.TempDir(), "store"), OutputDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s := newServer(1)
	s.content = func(o comfy.Output) string { return contents[o.Filename] }
	ends := &recorder{}
	m, err := jobs.New(jobs.Config{Servers: s, Pictures: store, Record: ends})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close(context.WithoutCancel(t.Context())) })
	j, err := m.Start(t.Context(), jobs.Spec{Owner: "ann", CallID: "c", Graph: comfy.Graph{"9": {ClassType: "SaveVideo"}}})
	if err != nil {
		t.Fatal(err)
	}
	s.run(t, 0).end(comfy.Result{State: comfy.Succeeded, Outputs: []comfy.Output{
		file("9", "images", "v.mp4"), file("9", "audio", "s.opus"), file("9", "images", "m.webp"), file("9", "images", "fake.mp4"),
		file("9", "images", "page.png"), file("9", "audio", "cut.flac"),
	}})
	if j, err = m.Watch(t.Context(), "ann", j.ID, func(jobs.Job) {}); err != nil || j.State != jobs.Succeeded {
		t.Fatalf("%s, %v, %v", j.State, j.Err, err)
	}
	var got []string
	for _, o := range j.Outputs {
		line := string(o.Kind) + " " + o.Note
		if o.File != nil {
			line = string(o.Kind) + " " + o.File.Type
			f, kept, err := store.OpenFile("ann", o.File.ID)
			if err != nil || kept.SHA256 != o.File.SHA256 || kept.Saved == "" {
				t.Errorf("%+v: %+v, %v", o.File, kept, err)
				continue
			}
			b, err := io.ReadAll(f)
			if _ = f.Close(); err != nil || bytes.Contains(b, []byte("class_type")) {
				t.Errorf("%s: %d bytes, %v", o.File.Type, len(b), err)
			}
		}
		got = append(got, line)
	}
	want := []string{
		"video video/mp4", "audio audio/ogg", "animation image/webp", "refused a file of type audio/flac whose name says video, which is not passed on",
		"refused a file of type text/html, which is not passed on", "refused a file that is not passed on: damaged flac file: it ends too early",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if len(ends.all()) != 1 || len(ends.all()[0].Outputs) != 3 {
		t.Errorf("%+v", ends.all())
	}
}
