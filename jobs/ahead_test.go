package jobs_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
)

// A picture that the socket names is fetched before the end is known, and is there only when the result names it, too (CLIENT-FAIL-3).
func TestAhead_isAHint(t *testing.T) {
	t.Parallel()
	first := comfy.Output{Node: "out", Kind: "images", Filename: "0.png", Type: "output"}
	for name, c := range map[string]struct {
		named  comfy.Output
		ending func(*run)
		state  jobs.State
		views  []string
	}{
		"confirmed":             {first, func(r *run) { r.succeed(1) }, jobs.Succeeded, []string{"0.png"}},
		"another":               {comfy.Output{Node: "out", Kind: "images", Filename: "old.png", Type: "output"}, func(r *run) { r.succeed(1) }, jobs.Succeeded, []string{"old.png", "0.png"}},
		"of another node":       {comfy.Output{Node: "other", Kind: "images", Filename: "x.png", Type: "temp"}, func(r *run) { r.succeed(1) }, jobs.Succeeded, []string{"0.png"}},
		"of a run that fails":   {first, func(r *run) { r.end(comfy.Result{State: comfy.Failed, Err: &comfy.ExecutionError{}}) }, jobs.Failed, []string{"0.png"}},
		"of a run that is lost": {first, func(r *run) { r.end(comfy.Result{State: comfy.Lost}) }, jobs.Lost, []string{"0.png"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(b *bench) {
				var views []string
				b.server.onView = func(o comfy.Output) error {
					views = append(views, o.Filename)
					return nil
				}
				j := b.start(b.t, b.spec("ann", "c1"))
				r := b.server.run(b.t, 0)
				r.name(c.named)
				synctest.Wait()
				if n := len(b.pictures.put); n != 0 {
					b.t.Fatalf("%d pictures are there before the end is known", n)
				}
				c.ending(r)
				j = b.ended(b.t, j)
				want := 0
				if c.state == jobs.Succeeded {
					want = 1
				}
				if j.State != c.state || len(b.pictures.put) != want || len(j.Images) != want || !slices.Equal(views, c.views) {
					b.t.Errorf("the job is %s with %d pictures, %d are there, after fetching %v; want %s, %d, %v",
						j.State, len(j.Images), len(b.pictures.put), views, c.state, want, c.views)
				}
			})
		})
	}
}

// What fails ahead, because the file is not there yet, is fetched again when it must be.
func TestAhead_failsWithoutHarm(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		views := 0
		b.server.onView = func(comfy.Output) error {
			if views++; views == 1 {
				return comfy.ErrNotFound
			}
			return nil
		}
		j := b.start(b.t, b.spec("ann", "c1"))
		r := b.server.run(b.t, 0)
		r.name(comfy.Output{Node: "out", Kind: "images", Filename: "0.png", Type: "output"})
		synctest.Wait()
		r.succeed(1)
		if j = b.ended(b.t, j); j.State != jobs.Succeeded || len(j.Images) != 1 || views != 2 {
			b.t.Errorf("the job is %s with %d pictures after %d fetches: %v", j.State, len(j.Images), views, j.Err)
		}
	})
}

// What a caller will be shown is drawn of each picture as it comes: of all that the job is for, else of an only one, for how large each of
// several may be is known at the end.
func TestShow(t *testing.T) {
	t.Parallel()
	show := images.Showing{Side: 768, Bytes: 1000}
	for name, c := range map[string]struct {
		pictures int // of the output node; another gives one
		any      bool
		want     []images.Showing
	}{
		"one":                {1, false, []images.Showing{show}},
		"two":                {2, false, []images.Showing{show, show}},
		"one of anything":    {0, true, []images.Showing{show}},
		"two of any results": {1, true, []images.Showing{{}, {}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, nil, func(b *bench) {
				s := b.spec("ann", "c1")
				s.Show, s.Count = show, c.pictures
				if c.any {
					s.Output = ""
				}
				j := b.start(b.t, s)
				b.server.run(b.t, 0).succeed(c.pictures)
				if j = b.ended(b.t, j); j.State != jobs.Succeeded || !slices.Equal(b.pictures.shown, c.want) {
					b.t.Errorf("the job is %s, %v was to be drawn, want %v", j.State, b.pictures.shown, c.want)
				}
			})
		})
	}
}
