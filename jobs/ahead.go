package jobs

import (
	"context"
	"errors"
	"io"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/images"
)

// An ahead is a picture that is fetched while the server is still asked whether the run has ended: the socket named it. What it says is a
// hint (CLIENT-FAIL-3), so the picture comes to be only when the run's result names the same one.
type ahead struct {
	output comfy.Output
	sure   chan struct{} // closed by use
	drop   context.CancelCauseFunc
	done   chan struct{} // closed when the rest holds

	image   images.Image
	saveErr error
	err     error
}

var errNotWanted = errors.New("the run did not end with this picture")

// foresee begins to fetch the first picture of the output node, once the socket has named all of them.
func (w *worker) foresee(ctx context.Context, run Run) {
	if w.ahead != nil || w.e.spec.Output == "" {
		return
	}
	named := results(run.Made(), w.e.spec.Output)
	if len(named) == 0 || len(named) != w.e.spec.Count {
		return
	}
	ctx, drop := context.WithCancelCause(ctx)
	a := &ahead{output: named[0], sure: make(chan struct{}), drop: drop, done: make(chan struct{})}
	w.ahead = a
	go func() {
		defer close(a.done)
		a.image, a.saveErr, a.err = w.fetchPicture(ctx, a.output, func() error {
			select {
			case <-a.sure:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
	}()
}

// use returns the picture that was fetched ahead, if it is o.
func (w *worker) use(o comfy.Output) (im images.Image, ok bool, saveErr error) {
	a := w.ahead
	if a == nil || a.output != o {
		return im, false, nil
	}
	close(a.sure)
	<-a.done
	w.forgo()
	return a.image, a.err == nil, a.saveErr // what failed is tried in the usual way
}

// forgo ends what was begun ahead and is not wanted, and waits for that.
func (w *worker) forgo() {
	if w.ahead != nil {
		w.ahead.drop(errNotWanted)
		<-w.ahead.done
		w.ahead = nil
	}
}

// results are the pictures among outputs that node gave.
func results(outputs []comfy.Output, node string) (list []comfy.Output) {
	for _, o := range outputs {
		if o.Node == node && o.Kind == "images" {
			list = append(list, o)
		}
	}
	return list
}

// fetchPicture brings one picture into the store; sure is asked before it comes to be there.
func (w *worker) fetchPicture(ctx context.Context, o comfy.Output, sure func() error) (im images.Image, saveErr, err error) {
	saveErr, err = w.fetch(ctx, o, func(draft images.Image, src io.Reader) (saveErr, err error) {
		im, saveErr, err = w.cfg.Pictures.PutIf(ctx, draft, w.e.spec.Expect, w.e.spec.Show, src, sure)
		return saveErr, err
	})
	return im, saveErr, err
}
