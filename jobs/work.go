package jobs

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/comfy"
)

// Why a job's work ends other than by itself.
var (
	errCancelled = errors.New("cancelled")             // by Cancel
	errClosing   = errors.New("the program is ending") // by Close
	errDetached  = errors.New("left to its server")    // by Close, when it had been submitted
)

// closeGrace is what Close leaves for a server to confirm a cancel; design.md allows 5 s for the whole end.
const closeGrace = 4 * time.Second

// life is one job from its place in line to its record. alive ends with Close, ctx also with Cancel.
func (m *Manager) life(alive, ctx context.Context, e *entry) {
	defer m.running.Done()
	defer e.close(nil)
	t, err := m.await(ctx, e)
	if err == nil {
		defer m.giveBack(e, t)
		err = m.work(alive, ctx, e, t.server)
	}
	m.finish(context.WithoutCancel(alive), e, err)
}

// A worker brings one job through its server.
type worker struct {
	*Manager
	e      *entry
	server Server
	graph  comfy.Graph // the job's own copy

	ahead *ahead // nil: nothing is fetched ahead

	freed, renamed bool // what was tried already
}

// work runs e at s. A panic is an end like any other: the program serves others.
func (m *Manager) work(alive, ctx context.Context, e *entry, s Server) (err error) {
	defer func() {
		if p := recover(); p != nil {
			m.cfg.Log.Error("panic in a job", zap.String("job", e.item.ID), zap.ByteString("stack", debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	w := &worker{Manager: m, e: e, server: s, graph: copyGraph(e.spec.Graph)}
	for {
		err := w.once(alive, ctx)
		if err == nil || ctx.Err() != nil || !w.mend(alive, err) {
			return err
		}
		m.cfg.Log.Warn("job is submitted once more", zap.String("job", e.item.ID), zap.Error(err))
	}
}

// copyGraph copies as much as a worker changes: nodes and their inputs, not the values.
func copyGraph(g comfy.Graph) comfy.Graph {
	c := make(comfy.Graph, len(g))
	for id, n := range g {
		n.Inputs = maps.Clone(n.Inputs)
		c[id] = n
	}
	return c
}

// mend changes what may make another try succeed, each remedy once, and reports whether it did.
func (w *worker) mend(ctx context.Context, err error) bool {
	switch {
	case errors.Is(err, comfy.ErrOutOfMemory) && !w.freed: // CLIENT-FAIL-11
		w.freed = true
		if err := w.server.Free(ctx); err != nil {
			w.cfg.Log.Warn("freeing comfyui's memory", zap.Error(err))
		}
		return true
	case errors.Is(err, comfy.ErrNotFound) && !w.renamed: // CLIENT-FAIL-9
		w.renamed = true
		return w.rename()
	}
	return false
}

// rename gives the nodes whose results are wanted another prefix: the server answers a graph that it has run before from its cache, even if
// the files are gone by now; with another prefix it saves anew, and the samplers' work stays cached.
func (w *worker) rename() bool {
	suffix, renamed := "_"+strings.ToLower(rand.Text()[:6]), false
	for id, n := range w.graph {
		prefix, ok := n.Inputs["filename_prefix"].(string)
		if ok && (w.e.spec.Output == "" || w.e.spec.Output == id) {
			n.Inputs["filename_prefix"] = prefix + suffix
			renamed = true
		}
	}
	return renamed
}

// once uploads, submits, follows and fetches.
func (w *worker) once(alive, ctx context.Context) error {
	run, id, err := w.submit(alive, ctx)
	if err != nil {
		return err
	}
	defer w.forgo()
	res, err := w.follow(alive, ctx, run)
	if err == nil {
		if err = w.collect(alive, res); err != nil && alive.Err() != nil {
			err = errDetached // the pictures lie at the server
		}
	}
	if errors.Is(err, errDetached) {
		return err
	}
	if w.cfg.PurgeHistory {
		if err := w.server.DeleteHistory(alive, id); err != nil {
			w.cfg.Log.Warn("removing a run from comfyui's history", zap.String("job", w.e.item.ID), zap.Error(err))
		}
	}
	return err
}

// submit uploads the inputs and posts the graph. A graph that is refused because an upload is gone (the server restarted
// meanwhile) is uploaded and posted once more (CLIENT-FILE-3).
func (w *worker) submit(alive, ctx context.Context) (Run, string, error) {
	run, id, err := w.post(alive, ctx)
	var rejected *comfy.RejectedError
	if errors.As(err, &rejected) && w.missesInput(rejected) {
		return w.post(alive, ctx)
	}
	return run, id, err
}

func (w *worker) missesInput(r *comfy.RejectedError) bool {
	for _, fault := range r.Nodes {
		if _, ok := w.e.spec.Inputs[fault.Node]; ok {
			return true
		}
	}
	return false
}

func (w *worker) post(alive, ctx context.Context) (Run, string, error) {
	for node, picture := range w.e.spec.Inputs {
		if err := w.upload(ctx, node, picture); err != nil {
			return nil, "", err
		}
	}
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	// Cancel does not reach into the POST: a prompt of which one does not know whether it was taken could not be stopped.
	id := comfy.NewPromptID()
	w.change(w.e, func(j *Job) { j.PromptID = id })
	run, err := w.server.Submit(alive, comfy.Submission{PromptID: id, Graph: w.graph})
	if alive.Err() != nil && err != nil {
		return nil, "", errDetached
	}
	if err != nil {
		return nil, "", err
	}
	w.e.release()
	w.save(alive, w.e)
	return run, id, nil
}

// upload stores one of our pictures at the server, under a name made of its content (CLIENT-FILE-2).
func (w *worker) upload(ctx context.Context, node, picture string) error {
	src, im, err := w.cfg.Pictures.Open(w.e.spec.Owner, picture)
	if err != nil {
		return fmt.Errorf("opening an input picture: %w", err)
	}
	defer src.Close() //nolint:errcheck // it was only read
	name, err := w.server.Upload(ctx, "comfygate_"+im.SHA256+"."+string(im.Format), src)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("uploading an input picture: %w", err)
	}
	w.graph[node].Inputs[cmp.Or(w.e.spec.InputOf[node], "image")] = name
	return nil
}

// follow watches run to its end and returns its result when it succeeded.
func (w *worker) follow(alive, ctx context.Context, run Run) (comfy.Result, error) {
	late := time.NewTimer(w.cfg.StartTimeout)
	defer late.Stop()
	for {
		changed := run.Changed()
		started := w.observe(alive, run.Progress())
		w.foresee(alive, run)
		late.Reset(w.left(started))
		select {
		case <-run.Done():
			w.observe(alive, run.Progress())
			return result(alive, run, nil)
		case <-changed:
		case <-late.C:
			why := ErrQueueTimeout
			if !started.IsZero() {
				why = ErrTimeout
			}
			return w.stop(alive, run, why)
		case <-ctx.Done():
			if alive.Err() != nil && !w.cfg.CancelOnClose {
				return comfy.Result{}, errDetached
			}
			return w.stop(alive, run, context.Cause(ctx))
		}
	}
}

// left is the time that remains for a job to start, or to end once it has started.
func (w *worker) left(started time.Time) time.Duration {
	if started.IsZero() {
		return w.cfg.StartTimeout - time.Since(w.e.job.Created)
	}
	return w.cfg.Timeout - time.Since(started)
}

// observe takes over what is known of the run and returns when execution started.
func (w *worker) observe(ctx context.Context, p comfy.Progress) (started time.Time) {
	var began bool
	w.change(w.e, func(j *Job) {
		if j.State == Queued && hasBegun(p) {
			began = true
			j.State, j.Started = Running, p.StartedAt
			if j.Started.IsZero() {
				j.Started = time.Now()
			}
		}
		started = j.Started
		j.Progress = Progress{
			Position: p.Position, Step: p.Step, Steps: p.Steps, Node: p.Class, Fraction: p.Fraction,
			Preview: p.Preview, PreviewMIME: p.PreviewMIME, Unreachable: p.Unreachable,
		}
	})
	if began {
		w.save(ctx, w.e)
	}
	return started
}

// hasBegun reports whether the server has worked on a run; one that ended at once may never have been seen running.
func hasBegun(p comfy.Progress) bool {
	return p.State == comfy.Running || p.State == comfy.Succeeded || p.State == comfy.Failed || !p.StartedAt.IsZero()
}

// stop cancels run at the server and returns why, or how the run ended before that. A server that is away is asked again when it is
// back, for as long as a job may take; a server that does not confirm leaves [ErrUnverified].
func (w *worker) stop(alive context.Context, run Run, why error) (comfy.Result, error) {
	last := time.NewTimer(w.cfg.Timeout)
	defer last.Stop()
	for {
		base, grace, closing := alive, w.cfg.CancelGrace, alive.Err() != nil
		if closing {
			base, grace = context.WithoutCancel(alive), closeGrace
		}
		ctx, cancel := context.WithTimeout(base, grace)
		err := run.Cancel(ctx)
		cancel()
		changed := run.Changed()
		p := run.Progress()
		w.observe(base, p)
		select {
		case <-run.Done():
			return result(base, run, why)
		default:
		}
		if !closing && alive.Err() != nil {
			continue // Close came meanwhile: once more, briefly
		}
		if closing || !p.Unreachable {
			w.cfg.Log.Warn("comfyui did not confirm a cancel", zap.String("job", w.e.item.ID), zap.Error(err))
			return comfy.Result{}, fmt.Errorf("%w: %w", why, ErrUnverified)
		}
		select {
		case <-changed:
		case <-run.Done():
		case <-alive.Done():
		case <-last.C:
			return comfy.Result{}, fmt.Errorf("%w: %w", why, ErrUnverified)
		}
	}
}

// result is the end of a run that is done. asked is why it was to be stopped; nil if it was not.
func result(ctx context.Context, run Run, asked error) (comfy.Result, error) {
	res, err := run.Result(context.WithoutCancel(ctx)) // it is there
	switch {
	case err != nil:
		return res, err
	case res.State == comfy.Succeeded:
		return res, nil
	case res.State == comfy.Cancelled && asked != nil:
		return res, asked
	case res.State == comfy.Cancelled:
		return res, ErrInterrupted
	case res.State == comfy.Lost:
		return res, ErrLost
	case res.Err == nil:
		return res, errors.New("comfyui gave no reason")
	}
	return res, res.Err
}
