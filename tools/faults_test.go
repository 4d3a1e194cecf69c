package tools_test

import (
	"errors"
	"testing"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/emulator"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
)

// What a job makes of a server that misbehaves: mended where that can be, else a clear end, and the next job runs.
func TestEmbedded_faults(t *testing.T) {
	t.Parallel()
	for fault, tt := range map[string]struct {
		is    error            // nil: the picture is made
		as    func(error) bool // in place of is
		posts int              // of graphs, by the job
		fewer bool             // or one less: what was fetched ahead, and was not there, is asked for once more before that
		other map[string]int   // further requests
	}{
		"oom@1*1":            {posts: 2, other: map[string]int{"POST /free": 1}}, // CLIENT-FAIL-11
		"oom@1":              {is: comfy.ErrOutOfMemory, posts: 2, other: map[string]int{"POST /free": 1}},
		"http-404@/view*1":   {posts: 2, fewer: true}, // CLIENT-FAIL-9
		"http-404@/view":     {is: comfy.ErrNotFound, posts: 2},
		"cut-http@/prompt*1": {posts: 1}, // D15: it was taken all the same
		"drop-ws@1":          {posts: 1},
		"interrupt@1":        {is: jobs.ErrInterrupted, posts: 1},
		"error@KSampler":     {as: isA[*comfy.ExecutionError], posts: 1},
		"broken-view":        {as: isA[*images.TypeError], posts: 1}, // SC-53
		"truncated-view":     {as: func(err error) bool { return err != nil }, posts: 1},
		"http-500@/prompt*1": {as: func(err error) bool { return err != nil }},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			f, err := emulator.ParseFault(fault)
			if err != nil {
				t.Fatal(err)
			}
			h := newHouse(t, emulator.Options{Faults: []emulator.Fault{f}}, nil)
			args := `{"prompt":"x","family":"sd15","width":64,"height":64,"steps":2,"wait_seconds":30}`
			_, err = h.call(t.Context(), t, callerOf("ann"), "generate", args)
			switch {
			case tt.as != nil:
				if !tt.as(err) {
					t.Errorf("the job ended with %v", err)
				}
			case !errors.Is(err, tt.is):
				t.Errorf("the job ended with %v, want %v", err, tt.is)
			}
			if n := h.emulator.Requests("POST /prompt"); n != tt.posts && (!tt.fewer || n != tt.posts-1) {
				t.Errorf("%d graphs were posted, want %d", n, tt.posts)
			}
			for route, want := range tt.other {
				if n := h.emulator.Requests(route); n != want {
					t.Errorf("%s: %d requests, want %d", route, n, want)
				}
			}
			h.emulator.SetFaults()
			if r := h.must(t, "ann", "generate", args); len(r.Pictures) != 1 {
				t.Errorf("the next job: %s", r.Text)
			}
			if got := h.ends.all(); len(got) != 2 {
				t.Errorf("%d records of 2 jobs", len(got))
			}
		})
	}
}

func isA[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
