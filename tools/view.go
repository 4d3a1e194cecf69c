package tools

import (
	"time"

	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
)

// A jobView is a job as status tells it, and as structured content.
type jobView struct {
	ID          string            `json:"job_id"`
	Tool        string            `json:"tool"`
	State       jobs.State        `json:"state"`
	Stage       string            `json:"stage,omitempty"` // in words, while it is not over
	Position    int               `json:"position,omitempty"`
	Step        int               `json:"step,omitempty"`
	Steps       int               `json:"steps,omitempty"`
	Percent     int               `json:"percent"`
	Unreachable bool              `json:"server_unreachable,omitempty"`
	Created     time.Time         `json:"created"`
	Seconds     float64           `json:"seconds,omitempty"` // of execution so far, or in all
	Seed        any               `json:"seed,omitempty"`
	Settings    map[string]string `json:"settings,omitempty"`
	Pictures    []pictureView     `json:"pictures,omitempty"`
	Outputs     []outputView      `json:"outputs,omitempty"`   // of a workflow, by node
	NotSaved    bool              `json:"not_saved,omitempty"` // into the output folder, though one is set
	Error       *Fault            `json:"error,omitempty"`
	Backend     string            `json:"backend"`
}

// A pictureView is a picture as status tells it.
type pictureView struct {
	ID     string        `json:"image"`
	Width  int           `json:"width"`
	Height int           `json:"height"`
	Format images.Format `json:"format"`
	Bytes  int64         `json:"bytes"`
	URI    string        `json:"uri"`
	URL    string        `json:"url,omitempty"` // signed, short-lived
	Saved  string        `json:"saved,omitempty"`
}

func (e *Env) jobView(c Caller, j jobs.Job) jobView {
	v := jobView{
		ID: j.ID, Tool: j.Tool, State: j.State, Position: j.Progress.Position,
		Percent: int(j.Progress.Fraction * 100), Unreachable: j.Progress.Unreachable, Created: j.Created.UTC().Truncate(time.Second),
		Seed: seedNumber(j.Seed), Settings: j.Summary, Backend: e.Settings.Backend,
	}
	if j.Progress.Steps > 1 { // nodes that take no steps count one
		v.Step, v.Steps = j.Progress.Step, j.Progress.Steps
	}
	end := j.Ended
	if !j.Over() {
		v.Stage = stage(j)
		end = time.Now()
	}
	if !j.Started.IsZero() {
		v.Seconds = float64(end.Sub(j.Started).Round(100*time.Millisecond)) / float64(time.Second)
	}
	if j.Err != nil {
		v.Error = e.Explain(failure(j))
	}
	v.NotSaved = j.SaveErr != nil
	for _, im := range j.Images {
		v.Pictures = append(v.Pictures, e.pictureView(c, im))
	}
	return v
}

func (e *Env) pictureView(c Caller, im images.Image) pictureView {
	v := pictureView{
		ID: im.ID, Width: im.Width, Height: im.Height, Format: im.Format, Bytes: im.Bytes, URI: link(im).URI,
	}
	v.URL, _ = e.url(im.Owner, im.ID)
	if c.Transport == "stdio" {
		v.Saved = im.Saved
	}
	return v
}
