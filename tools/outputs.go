package tools

import (
	"context"
	"fmt"
	"strings"

	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
)

// outputs shows the results of a finished job that gave several kinds of them, named by node: previews of pictures, links to files, texts.
func (e *Env) outputs(ctx context.Context, c Caller, j jobs.Job, format images.Format) Result {
	r := Result{JobID: j.ID, Structured: e.jobView(c, j)}
	var b strings.Builder
	for _, o := range j.Outputs {
		fmt.Fprintf(&b, "%s:\n", outputName(o))
		if o.Image != nil {
			b.WriteString(e.describePicture(c, *o.Image))
			r.Links = append(r.Links, link(*o.Image))
			r.Outputs = append(r.Outputs, o.Image.SHA256)
		}
	}
	pictures, note := e.previews(ctx, c, j.Images, format)
	r.Pictures, r.Text = pictures, b.String()+note
	return r
}

// outputName names the node that gave o.
func outputName(o jobs.Output) string {
	if o.Title == "" {
		return fmt.Sprintf("node %s (%s)", clean(o.Node, 40), clean(o.Class, 80))
	}
	return fmt.Sprintf("node %s (%s, '%s')", clean(o.Node, 40), clean(o.Class, 80), clean(o.Title, 100))
}
