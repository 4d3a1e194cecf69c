package jobs_test

import (
	"errors"
	"regexp"
	"slices"
	"testing"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
)

// CLIENT-FILE-2, CLIENT-FILE-3.
func TestStart_uploadsInputs(t *testing.T) {
	t.Parallel()
	withInput := func(b *bench) jobs.Spec {
		s := b.spec("ann", "c1")
		s.Inputs = map[string]string{"in": "mine"}
		return s
	}
	gone := &comfy.RejectedError{Nodes: []comfy.NodeFault{{Node: "in", Input: "image", Type: "custom_validation_failed"}}}
	t.Run("before the submission", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			s := withInput(b)
			j := b.start(t, s)
			r := b.server.run(t, 0)
			if want := []string{"comfygate_abc123.png"}; !slices.Equal(b.server.uploads, want) {
				t.Errorf("uploaded %v, want %v", b.server.uploads, want)
			}
			if got := r.graph["in"].Inputs["image"]; got != "comfygate/comfygate_abc123.png [temp]" {
				t.Errorf("the graph loads %v", got)
			}
			if got := s.Graph["in"].Inputs["image"]; got != "" {
				t.Errorf("the caller's graph was changed: %v", got)
			}
			r.succeed(1)
			b.ended(t, j)
		})
	})
	t.Run("into the input that takes it", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			s := withInput(b)
			s.InputOf = map[string]string{"in": "mask"}
			j := b.start(t, s)
			r := b.server.run(t, 0)
			if got := r.graph["in"].Inputs; got["mask"] != "comfygate/comfygate_abc123.png [temp]" || got["image"] != "" {
				t.Errorf("the graph loads %v", got)
			}
			r.succeed(1)
			b.ended(t, j)
		})
	})
	t.Run("once more when the server has lost it", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			tries := 0
			b.server.onSubmit = func(*run) error {
				if tries++; tries == 1 {
					return gone
				}
				return nil
			}
			j := b.start(t, withInput(b))
			b.server.run(t, 0).succeed(1)
			if j = b.ended(t, j); j.State != jobs.Succeeded || len(b.server.uploads) != 2 {
				t.Errorf("job is %s after %d uploads", j.State, len(b.server.uploads))
			}
		})
	})
	t.Run("but not for ever", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			b.server.onSubmit = func(*run) error { return gone }
			j := b.ended(t, b.start(t, withInput(b)))
			var rejected *comfy.RejectedError
			if j.State != jobs.Failed || !errors.As(j.Err, &rejected) || len(b.server.uploads) != 2 {
				t.Errorf("job is %s with %v after %d uploads", j.State, j.Err, len(b.server.uploads))
			}
		})
	})
	t.Run("of the owner only", func(t *testing.T) {
		t.Parallel()
		inBubble(t, nil, func(b *bench) {
			t := b.t
			s := withInput(b)
			s.Owner = "bob"
			j := b.ended(t, b.start(t, s))
			if !errors.Is(j.Err, images.ErrNotFound) || b.server.submitted() != 0 {
				t.Errorf("job ended with %v, %d submissions", j.Err, b.server.submitted())
			}
		})
	})
}

// CLIENT-FAIL-11: memory is freed once and the job tried once more.
func TestStart_outOfMemory(t *testing.T) {
	t.Parallel()
	oom := comfy.Result{State: comfy.Failed, Err: comfy.ErrOutOfMemory}
	inBubble(t, nil, func(b *bench) {
		t := b.t
		j := b.start(t, b.spec("ann", "c1"))
		b.server.run(t, 0).end(oom)
		b.server.run(t, 1).succeed(1)
		if j = b.ended(t, j); j.State != jobs.Succeeded || b.server.freed != 1 {
			t.Errorf("job is %s, memory was freed %d times", j.State, b.server.freed)
		}
		if b.server.runs[0].id == b.server.runs[1].id {
			t.Error("both tries have the same prompt id")
		}
		j = b.start(t, b.spec("ann", "c2"))
		b.server.run(t, 2).end(oom)
		b.server.run(t, 3).end(oom)
		if j = b.ended(t, j); !errors.Is(j.Err, comfy.ErrOutOfMemory) || b.server.submitted() != 4 {
			t.Errorf("job ended with %v after %d submissions", j.Err, b.server.submitted())
		}
	})
}

// CLIENT-FAIL-9: a result from the server's cache whose file is gone is made anew under another name, once.
func TestStart_cachedResultIsGone(t *testing.T) {
	t.Parallel()
	inBubble(t, nil, func(b *bench) {
		t := b.t
		views := 0
		b.server.onView = func(comfy.Output) error {
			if views++; views == 1 || views > 2 {
				return comfy.ErrNotFound
			}
			return nil
		}
		j := b.start(t, b.spec("ann", "c1"))
		b.server.run(t, 0).succeed(1)
		again := b.server.run(t, 1)
		prefix, _ := again.graph["out"].Inputs["filename_prefix"].(string)
		if !regexp.MustCompile(`^comfygate/p_[a-z2-7]{6}$`).MatchString(prefix) {
			t.Errorf("the second try saves under %q", prefix)
		}
		again.succeed(1)
		if j = b.ended(t, j); j.State != jobs.Succeeded {
			t.Errorf("job is %s with %v", j.State, j.Err)
		}
		j = b.start(t, b.spec("ann", "c2"))
		b.server.run(t, 2).succeed(1)
		b.server.run(t, 3).succeed(1)
		if j = b.ended(t, j); !errors.Is(j.Err, comfy.ErrNotFound) || b.server.submitted() != 4 {
			t.Errorf("job ended with %v after %d submissions", j.Err, b.server.submitted())
		}
	})
}
