package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/images"
)

// collect fetches the results, at once: what lies in the server's temp folder goes with its next restart (CLIENT-FAIL-20).
func (w *worker) collect(ctx context.Context, res comfy.Result) error {
	w.change(w.e, func(j *Job) { j.Images, j.Outputs, j.SaveErr = nil, nil, nil }) // of a try that came to nothing
	if w.e.spec.Output == "" {
		return w.collectAll(ctx, res.Outputs)
	}
	outputs := results(res.Outputs, w.e.spec.Output)
	if len(outputs) != w.e.spec.Count || len(outputs) == 0 {
		return &NoOutputError{Want: w.e.spec.Count, Got: len(outputs)}
	}
	for _, o := range outputs {
		im, ok, saveErr := w.use(o)
		if !ok {
			var err error
			if im, saveErr, err = w.fetchPicture(ctx, o, func() error { return nil }); err != nil {
				return err
			}
		}
		w.change(w.e, func(j *Job) {
			j.Images = append(j.Images, im)
			if saveErr != nil {
				j.SaveErr = saveErr
			}
		})
	}
	return nil
}

// collectAll fetches what every node gave. What may not be passed on is told and hinders nothing else.
func (w *worker) collectAll(ctx context.Context, outputs []comfy.Output) error {
	if len(outputs) == 0 {
		return &NoOutputError{}
	}
	left, show := w.cfg.ResultBytes, w.e.spec.Show
	if len(outputs) > 1 {
		show = images.Showing{} // how large each may be is not known
	}
	for _, o := range outputs[:min(len(outputs), MaxOutputs)] {
		out, saveErr, err := w.take(ctx, o, left, show)
		if note := w.refusal(err); note != "" {
			out.Kind, out.Note, err = Refused, note, nil
		}
		if err != nil {
			return err
		}
		w.change(w.e, func(j *Job) {
			if out.Kind == Text && slices.ContainsFunc(j.Outputs, out.repeats) {
				return // SaveText shows the text, and the file that it is in
			}
			j.Outputs = append(j.Outputs, out)
			if out.Image != nil {
				j.Images = append(j.Images, *out.Image)
			}
			if saveErr != nil {
				j.SaveErr = saveErr
			}
		})
		left -= out.bytes()
	}
	if more := len(outputs) - MaxOutputs; more > 0 {
		note := fmt.Sprintf("%d more results, which are not passed on: one job gives %d at most", more, MaxOutputs)
		w.change(w.e, func(j *Job) { j.Outputs = append(j.Outputs, Output{Kind: Refused, Note: note}) })
	}
	return nil
}

// take fetches one result of at most left bytes.
func (w *worker) take(ctx context.Context, o comfy.Output, left int64, show images.Showing) (out Output, saveErr, err error) {
	n := w.graph[o.Node]
	out = Output{Node: o.Node, Class: n.ClassType}
	if n.Meta != nil {
		out.Title = strings.Join(strings.Fields(comfy.CleanText(n.Meta.Title, maxTitle)), " ")
	}
	switch {
	case o.Filename == "":
		out.Kind, out.Text = Text, comfy.CleanText(o.Text, MaxText)
		return out, nil, nil
	case o.Type == "input":
		return out, nil, errInput
	case isTextName(o.Filename):
		out.Kind = Text
		out.Text, err = w.fetchText(ctx, o)
		return out, nil, err
	case left <= 0:
		return out, nil, errFull
	}
	bounds := w.e.spec.Expect
	if bounds.Bytes == 0 || bounds.Bytes > left {
		bounds.Bytes = left
	}
	var kept images.Result
	saveErr, err = w.fetch(ctx, o, func(draft images.Image, src io.Reader) (saveErr, err error) {
		kept, saveErr, err = w.cfg.Pictures.PutResult(ctx, draft, o.Filename, bounds, show, src)
		return saveErr, err
	})
	if err != nil {
		return out, nil, err
	}
	out.Kind, out.Image, out.File = Picture, kept.Image, kept.File
	if kept.File != nil {
		out.Kind = Kind(kept.File.Kind)
	}
	return out, saveErr, nil
}

// Why a result is not fetched at all.
var (
	errInput = errors.New("a file that was there before the job, which is no result")
	errFull  = errors.New("a file that is not passed on: what the job gave before it is as much as one job may give")
	errText  = errors.New("a file that is said to be text and is none, which is not passed on")
)

// refusal words why a result is not passed on; empty for an error that ends the job, and for none.
func (w *worker) refusal(err error) string {
	var (
		kind    *images.TypeError
		damaged *images.CorruptError
		bounds  *images.BoundsError
		large   *comfy.TooLargeError
	)
	switch {
	case errors.As(err, &kind):
		what, _, _ := strings.Cut(kind.Got, ";")
		if kind.Said != "" && kind.Said != "unknown" {
			return fmt.Sprintf("a file of type %s whose name says %s, which is not passed on", what, kind.Said)
		}
		return fmt.Sprintf("a file of type %s, which is not passed on", what)
	case errors.As(err, &damaged):
		return "a file that is not passed on: " + damaged.Error()
	case errors.As(err, &bounds):
		return "a file that is not passed on: " + bounds.Error()
	case errors.As(err, &large):
		return "a file that is too large to be passed on"
	case errors.Is(err, errInput), errors.Is(err, errFull), errors.Is(err, errText):
		return err.Error()
	case errors.Is(err, comfy.ErrProtocol):
		return "a file that comfyui did not hand out"
	case errors.Is(err, comfy.ErrNotFound) && w.renamed: // else it is made again
		return "a file that comfyui does not have any more"
	}
	return ""
}

// repeats reports whether o is the text that other is, of the same node.
func (o Output) repeats(other Output) bool {
	return o.Kind == other.Kind && o.Node == other.Node && o.Text == other.Text
}

// bytes is how much of the store o takes.
func (o Output) bytes() int64 {
	switch {
	case o.Image != nil:
		return o.Image.Bytes
	case o.File != nil:
		return o.File.Bytes
	}
	return 0
}

// fetch streams one file from the server into keep, which stores it as what draft says.
func (w *worker) fetch(ctx context.Context, o comfy.Output, keep func(draft images.Image, src io.Reader) (saveErr, err error)) (saveErr, err error) {
	pr, pw := io.Pipe()
	viewed := make(chan error, 1)
	go func() {
		_, err := w.server.View(ctx, o, pw)
		pw.CloseWithError(err)
		viewed <- err
	}()
	saveErr, err = keep(images.Image{
		Owner: w.e.spec.Owner, CallID: w.e.spec.CallID, JobID: w.e.item.ID, Origin: images.Made,
		Seed: w.e.spec.Seed, Model: w.e.spec.Model, Backend: w.cfg.Backend,
	}, pr)
	_ = pr.CloseWithError(errStopped) // ends View when no more is needed
	if viewErr := <-viewed; err != nil && viewErr != nil && !errors.Is(viewErr, errStopped) {
		err = viewErr // keep failed because View did
	}
	if err != nil {
		return nil, fmt.Errorf("fetching a result: %w", err)
	}
	return saveErr, nil
}

var errStopped = errors.New("read enough")

// isTextName reports whether a result's name says that it is plain text, as SaveText's do.
func isTextName(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".txt", ".md", ".csv", ".json":
		return true
	}
	return false
}

// fetchText reads a text file, as much as is told of one. It is cleaned and shown, never served as a file.
func (w *worker) fetchText(ctx context.Context, o comfy.Output) (string, error) {
	var b bytes.Buffer
	_, err := w.fetch(ctx, o, func(_ images.Image, src io.Reader) (_, err error) {
		_, err = io.Copy(&b, io.LimitReader(src, MaxText+1))
		return nil, err
	})
	if err != nil {
		return "", err
	}
	text := b.Bytes()
	if cut := len(text) > MaxText; cut {
		text = trimRune(text)
	}
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return "", errText
	}
	return comfy.CleanText(string(text), MaxText), nil
}

// trimRune removes a character that was cut in two from the end of b.
func trimRune(b []byte) []byte {
	for i := range min(utf8.UTFMax, len(b)) {
		if at := len(b) - 1 - i; utf8.RuneStart(b[at]) {
			if !utf8.FullRune(b[at:]) {
				return b[:at]
			}
			break
		}
	}
	return b
}
