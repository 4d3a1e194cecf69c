package tools

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strings"
	"time"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/policy"
)

// A drawn is a graph as it will run, and what policy judges of it: read from the graph itself, not from who built it (POL-07).
type drawn struct {
	graph  comfy.Graph
	models []policy.Model
	nodes  []policy.Node
}

// resolve reads the server's lists, has build make a graph, and fills in d with what it becomes at that server. Lists are a minute
// old at most; where something in them seems missing they are read anew, once.
func (e *Env) resolve(ctx context.Context, kinds []policy.Kind, build func(workflow.Inventory) (comfy.Graph, error), d *drawn) error {
	err := e.draw(ctx, kinds, build, d)
	if err == nil || !stale(err) {
		return err
	}
	if err := e.lists.forget(ctx); err != nil {
		return err
	}
	return e.draw(ctx, kinds, build, d)
}

func (e *Env) draw(ctx context.Context, kinds []policy.Kind, build func(workflow.Inventory) (comfy.Graph, error), d *drawn) error {
	inv, err := e.lists.read(ctx, kinds...)
	if err != nil {
		return err
	}
	graph, err := build(inv)
	if err != nil {
		return err
	}
	graph = workflow.Fill(graph, inv.Info)
	if faults := workflow.Fit(graph, inv.Info); len(faults) > 0 {
		return unfit(faults)
	}
	*d = drawn{graph: graph, models: workflow.Models(graph, inv.Info), nodes: workflow.Nodes(graph, inv.Info)}
	return nil
}

// stale reports whether err may come from lists that are out of date (CLIENT-FAIL-22).
func stale(err error) bool {
	var (
		model   *workflow.ModelError
		missing *workflow.MissingError
		none    *workflow.NoModelError
		misfit  *misfitError
	)
	return errors.As(err, &model) || errors.As(err, &missing) || errors.As(err, &none) || errors.As(err, &misfit)
}

// A misfitError says that a server cannot run a graph of ours.
type misfitError struct{ faults []workflow.Fault }

func (e *misfitError) Error() string { return fmt.Sprintf("%d faults of the graph", len(e.faults)) }

// unfit words what a server would refuse.
func unfit(faults []workflow.Fault) error {
	var parts []string
	for _, f := range faults[:min(len(faults), 5)] {
		text := fmt.Sprintf("node %s (%s)", clean(f.Node, 40), clean(f.Class, 80))
		if f.Input != "" {
			text += ", " + clean(f.Input, 80)
		}
		text += ": " + clean(f.Problem, 200)
		if f.Fits != "" {
			text += "; fits: " + clean(f.Fits, 200)
		}
		parts = append(parts, text)
	}
	return (&Fault{
		Code:        "UPSTREAM_REJECTED",
		Message:     "This ComfyUI cannot run the graph: " + strings.Join(parts, "; ") + ".",
		Suggestions: []string{"Choose another model or family (list_models), or update ComfyUI."},
	}).WithCause(&misfitError{faults})
}

// A work is what a job takes.
type work struct {
	pixels         int64   // of all pictures together
	megapixelSteps float64 // LIM-03
}

// evaluations is how often a sampler asks the model in a step (LIM-03): the higher orders look twice or thrice.
func evaluations(sampler string) int {
	switch sampler {
	case "heun", "dpm_2", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp", "dpmpp_sde", "dpmpp_sde_gpu", "seeds_2", "exp_heun_2_x0", "exp_heun_2_x0_sde":
		return 2
	case "heunpp2", "seeds_3":
		return 3
	}
	return 1
}

// workOf computes in whole numbers that cannot run over (T32).
func workOf(width, height, count, steps int) (work, error) {
	pixels, ok := product(width, height, count)
	total, ok2 := product(int(pixels), max(steps, 1))
	if !ok || !ok2 {
		return work{}, &Fault{
			Code: "INVALID_PARAMETER", Message: "The job is too large to be counted.", Suggestions: []string{"Ask for smaller or fewer pictures, or fewer steps."},
		}
	}
	return work{pixels: pixels, megapixelSteps: math.Ceil(float64(total) / 1e6)}, nil
}

// product multiplies numbers that are not negative; false when the result is no int64.
func product(factors ...int) (int64, bool) {
	p := uint64(1)
	for _, f := range factors {
		if f < 0 {
			return 0, false
		}
		high, low := bits.Mul64(p, uint64(f))
		if high != 0 || low > math.MaxInt64 {
			return 0, false
		}
		p = low
	}
	return int64(p), true
}

// runJob starts an admitted job and waits for it.
func (e *Env) runJob(ctx context.Context, c Caller, s jobs.Spec, wait time.Duration, format images.Format) (Result, error) {
	s.Settle = c.Settle
	if wait > 0 {
		pictures := 1
		if s.Output != "" {
			pictures = s.Count
		}
		s.Show = images.Showing{Side: previewSide, Bytes: previewBytes(inline(c), pictures), Format: format}
	}
	j, err := e.Jobs.Start(ctx, s)
	if err != nil {
		return Result{}, err
	}
	j, err = e.await(ctx, c, j, wait)
	if err != nil {
		return Result{JobID: j.ID}, err
	}
	if err := e.abandon(ctx, c, j); err != nil {
		return Result{JobID: j.ID}, err
	}
	return e.answer(ctx, c, j, format)
}
