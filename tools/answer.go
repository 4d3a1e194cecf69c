package tools

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
)

// Bounds of what one answer carries inline (mcp.md 16.1, 16.4). An answer's characters are counted with its pictures in base64.
const (
	inlineStdio  = 1 << 20 // below it Claude Desktop takes a result over stdio
	inlineHTTP   = 150_000 // below it claude.ai's connectors take one
	textReserve  = 12_000  // of these, for texts and links
	previewSide  = 768     // pixels
	previewChars = 100_000 // of base64, one preview
)

// inline is how many bytes of pictures an answer to c may carry.
func inline(c Caller) int { return inlineBeside(c, textReserve) }

// inlineBeside is inline for an answer of which texts and links take so many characters.
func inlineBeside(c Caller, chars int) int {
	limit := inlineHTTP
	if c.Transport == "stdio" {
		limit = inlineStdio
	}
	return bytesIn(limit - max(chars, textReserve))
}

// bytesIn is how many bytes fit into so many characters of base64.
func bytesIn(chars int) int { return chars / 4 * 3 }

// answer is what a call that made job j returns.
func (e *Env) answer(ctx context.Context, c Caller, j jobs.Job, format images.Format) (Result, error) {
	switch {
	case !j.Over():
		return e.accepted(c, j), nil
	case j.State == jobs.Succeeded && len(j.Outputs) > 0:
		return e.outputs(ctx, c, j, format), nil
	case j.State == jobs.Succeeded:
		return e.finished(ctx, c, j, format), nil
	}
	return Result{}, failure(j)
}

// failure is a job's bad end as an error for the caller.
func failure(j jobs.Job) error {
	if j.Err == nil {
		return (&Fault{
			Code: "CANCELLED", Message: "The job was cancelled.",
			Suggestions: []string{"Call again if the picture is still wanted."},
		}).WithCause(context.Canceled)
	}
	return j.Err
}

// accepted tells that a job runs on.
func (e *Env) accepted(c Caller, j jobs.Job) Result {
	var b strings.Builder
	fmt.Fprintf(&b, "The job is not ready yet and goes on: %s.\n", stage(j))
	fmt.Fprintf(&b, "Job: %s\n", j.ID)
	describe(&b, j)
	fmt.Fprintf(&b, "Next: call status with this job_id; it waits and gives the picture. cancel stops the job.")
	return Result{Text: b.String(), JobID: j.ID, Accepted: true, Structured: e.jobView(c, j)}
}

// finished shows the pictures of a job.
func (e *Env) finished(ctx context.Context, c Caller, j jobs.Job, format images.Format) Result {
	r := Result{JobID: j.ID, Structured: e.jobView(c, j)}
	var b strings.Builder
	fmt.Fprintf(&b, "Made %s on %s in %s.\n", count(len(j.Images), "picture"), e.backend(), seconds(j.Ended.Sub(j.Started)))
	for _, im := range j.Images {
		b.WriteString(e.describePicture(c, im))
		r.Links = append(r.Links, link(im))
		r.Outputs = append(r.Outputs, im.SHA256)
	}
	if j.SaveErr != nil {
		b.WriteString("The pictures could not be saved into the output folder; they are kept here for a while only.\n")
	}
	describe(&b, j)
	fmt.Fprintf(&b, "Job: %s\n", j.ID)
	pictures, note := e.previews(ctx, c, j.Images, format)
	r.Pictures = pictures
	b.WriteString(note)
	b.WriteString(e.demoNote())
	b.WriteString("Next: get_image gives other sizes and formats, upscale makes it larger; the same seed with other words varies the same picture.")
	r.Text = b.String()
	return r
}

// demoNote tells that pictures come from no model, where it is so.
func (e *Env) demoNote() string {
	if e.Settings.Backend != embedded {
		return ""
	}
	return "This is the built-in demo backend: pictures are drawn by rule, not by a model. Set COMFYGATE_COMFYUI__URL for a real ComfyUI.\n"
}

// Backends.
const embedded = "embedded"

func (e *Env) backend() string {
	if e.Settings.Backend == embedded {
		return "the embedded demo backend"
	}
	if v := e.Server.Health().Info.Version; v != "" {
		return "ComfyUI " + clean(v, 40)
	}
	return "ComfyUI"
}

// describe tells how a job's pictures are made.
func describe(b *strings.Builder, j jobs.Job) {
	var parts []string
	if j.Seed != nil {
		parts = append(parts, fmt.Sprintf("seed %d", *j.Seed))
	}
	for _, key := range summaryKeys() {
		if v := j.Summary[key]; v != "" && key != noteKey {
			parts = append(parts, key+" "+clean(v, 200))
		}
	}
	if len(parts) > 0 {
		fmt.Fprintf(b, "Made with: %s.\n", strings.Join(parts, ", "))
	}
	if note := j.Summary[noteKey]; note != "" {
		fmt.Fprintf(b, "Note: %s\n", clean(note, 1500))
	}
}

// noteKey is where a job's summary keeps what the caller should know.
const noteKey = "note"

// summaryKeys are the keys of a job's summary in the order in which they are told.
func summaryKeys() []string {
	return []string{"workflow", "family", "model", "size", "steps", "cfg", "guidance", "sampler", "scheduler", "loras", "method", "from", noteKey}
}

func (e *Env) describePicture(c Caller, im images.Image) string {
	return fmt.Sprintf("Picture: %s, %d×%d %s, %s\n", im.ID, im.Width, im.Height, strings.ToUpper(string(im.Format)), size(im.Bytes)) +
		e.where(c, im.Owner, im.ID, im.Saved)
}

// where tells the ways to what is stored: its link, and for who sits at this machine the saved copy.
func (e *Env) where(c Caller, owner, id, saved string) string {
	var b strings.Builder
	if url, lasts := e.url(owner, id); url != "" {
		fmt.Fprintf(&b, "  Link for %d minutes: %s\n", int(lasts.Round(time.Minute)/time.Minute), url)
	}
	if saved != "" && c.Transport == "stdio" {
		fmt.Fprintf(&b, "  Saved: %s\n", saved)
	}
	return b.String()
}

func (e *Env) url(owner, id string) (string, time.Duration) {
	if e.Links == nil {
		return "", 0
	}
	return e.Links.Picture(owner, id)
}

// link is the way to the full picture.
func link(im images.Image) Link {
	return Link{
		URI:   "comfygate://images/" + im.ID,
		Name:  im.ID + "." + string(im.Format),
		Title: fmt.Sprintf("Full picture, %d×%d %s", im.Width, im.Height, strings.ToUpper(string(im.Format))),
		MIME:  im.Format.MIME(),
		Size:  im.Bytes,
	}
}

// previews are small renditions that together fit into an answer to c. One that cannot be made is no reason to withhold the others: the
// note says so.
func (e *Env) previews(ctx context.Context, c Caller, pictures []images.Image, format images.Format) (list []Picture, note string) {
	return e.previewsWithin(ctx, pictures, format, inline(c))
}

// previewsWithin is previews that take at most room bytes together.
func (e *Env) previewsWithin(ctx context.Context, pictures []images.Image, format images.Format, room int) (list []Picture, note string) {
	if len(pictures) == 0 {
		return nil, ""
	}
	room = previewBytes(room, len(pictures))
	failed := 0
	for _, im := range pictures {
		r, err := e.preview(ctx, im, format, room)
		if err != nil {
			failed++
			continue
		}
		list = append(list, Picture{Data: r.Data, MIME: r.Format.MIME()})
	}
	if failed > 0 {
		note = fmt.Sprintf("%s could not be shown; get_image may give one in another size or format.\n", count(failed, "preview"))
	}
	return list, note
}

// previewBytes is how large the preview of each of n pictures may be that share room.
func previewBytes(room, n int) int { return min(room/max(n, 1), bytesIn(previewChars)) }

// preview is a rendition in the format that was asked for, as large as fits, or in the one that suits the picture best.
func (e *Env) preview(ctx context.Context, im images.Image, format images.Format, room int) (images.Rendition, error) {
	if format == "" {
		return e.Pictures.Preview(ctx, im.Owner, im.ID, previewSide, room)
	}
	var err error
	for _, side := range []int{previewSide, 512, 384, 256, 128} {
		var r images.Rendition
		if r, err = e.Pictures.Render(ctx, im.Owner, im.ID, side, format, room); err == nil {
			return r, nil
		}
		if _, large := errors.AsType[*images.BoundsError](err); !large {
			return images.Rendition{}, err
		}
	}
	return images.Rendition{}, err
}
