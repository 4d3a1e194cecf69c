package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestSlots: two windows over one data folder do not disturb each other: pictures are shared, jobs are not (decision 5).
func TestSlots(t *testing.T) {
	t.Parallel()
	w := newWorld(t, embedded)
	one, two := w.start(t, "serve"), w.start(t, "serve") // at once: they make the folder and the key together
	a, b := one.overPipes(t), two.overPipes(t)
	made := a.must(t, "generate", small("a cat"))
	id := b.picture(t, "a dog")
	b.must(t, "get_image", args{"image": made.links[0]})
	a.must(t, "upscale", args{"image": id, "factor": 1.5})
	for _, tool := range []string{"status", "cancel"} {
		f := b.refused(t, tool, args{"job_id": made.job(t)}, "JOB_NOT_FOUND")
		if all := f.Message + strings.Join(f.Suggestions, " "); !strings.Contains(all, "comfygate/") || !strings.Contains(all, "process") {
			t.Errorf("%s does not tell where the picture is: %s", tool, all)
		}
	}
	if len(b.report(t).Jobs) != 1 {
		t.Error("one window lists the other's jobs")
	}
	w.whole(t) // while both write
	slots, err := filepath.Glob(filepath.Join(w.data(), "audit", "0*"))
	if err != nil || len(slots) != 2 {
		t.Errorf("slots %v, %v", slots, err)
	}
	if code := a.leave(t); code != exitOK {
		t.Errorf("the first ends with %d", code)
	}
	b.picture(t, "a cow")
	c := w.stdio(t) // it takes the slot that is free again
	c.must(t, "get_image", args{"image": made.links[0]})
	c.refused(t, "status", args{"job_id": made.job(t)}, "JOB_NOT_FOUND")
	if code := b.leave(t); code != exitOK {
		t.Errorf("the second ends with %d", code)
	}
	if code := c.leave(t); code != exitOK {
		t.Errorf("the third ends with %d", code)
	}
	w.whole(t)
	if slots, err = filepath.Glob(filepath.Join(w.data(), "audit", "0*")); err != nil || len(slots) != 2 {
		t.Errorf("slots %v, %v", slots, err)
	}
}
