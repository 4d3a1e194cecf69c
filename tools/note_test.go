package tools_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
)

// TestStatus_pureJSON: what status answers is JSON and nothing else; that a preview could not be shown is told beside it.
func TestStatus_pureJSON(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	b.jobs.known[jobID] = jobs.Job{ID: jobID, Owner: "ann", Tool: "generate", State: jobs.Succeeded, Images: []images.Image{picture(1024, 1024)}}
	b.pictures.err = errors.New("disk broken")
	r := b.mustRun(t, "status", `{"job_id":"`+jobID+`","wait_seconds":0}`)
	if !json.Valid([]byte(r.Text)) || !strings.Contains(r.Note, "1 preview could not be shown") {
		t.Errorf("note %q beside %s", r.Note, r.Text)
	}
}
