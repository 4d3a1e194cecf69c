package tools

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

func getImageTool(e *Env) Tool {
	return Tool{
		Name:    "get_image",
		Title:   "Show a picture",
		Toolset: "images",
		Scope:   policy.ImageRead,
		Class:   limits.Status,
		Hints:   Hints{ReadOnly: true, Idempotent: true},
		Description: "Shows one of your pictures, whole or scaled down, as PNG, JPEG or WebP. Without max_side and format it comes as large and as true as an answer can hold. " +
			"The full picture is behind the link.",
		Schema: object(fields{
			idField("image", "Id of the picture."),
			{"max_side", schema{
				Type: "integer", Description: "Longer side in pixels at most; never enlarged.", Minimum: 64, Maximum: 4096, Examples: []any{1024},
			}},
			{"format", schema{Type: "string", Description: "Default: what fits best.", Enum: []string{"png", "jpeg", "webp"}, Examples: []any{"jpeg"}}},
		}, "image").raw(),
		Decode: func(raw json.RawMessage) (Args, error) {
			a := getImageArgs{env: e}
			if err := decode(raw, &a.in); err != nil {
				return nil, err
			}
			return a, nil
		},
	}
}

type getImageArgs struct {
	env *Env
	in  struct {
		Image   string        `json:"image"`
		MaxSide int           `json:"max_side"`
		Format  images.Format `json:"format"`
	}
}

// Resolve implements [Args].
func (a getImageArgs) Resolve(_ context.Context, c Caller) (Plan, error) {
	im, err := a.env.Pictures.Get(c.Principal.Name, a.in.Image)
	if err != nil {
		return nil, err
	}
	return getImagePlan{args: a, im: im}, nil
}

type getImagePlan struct {
	args getImageArgs
	im   images.Image
}

// Policy implements [Plan].
func (getImagePlan) Policy() policy.Request { return policy.Request{} }

// Cost implements [Plan].
func (getImagePlan) Cost() Cost { return Cost{Tokens: 1} }

// Record implements [Plan].
func (p getImagePlan) Record() map[string]any {
	return map[string]any{"image": p.im.ID, "image_sha256": p.im.SHA256, "max_side": p.args.in.MaxSide, "format": string(p.args.in.Format)}
}

// A showing is one way to show a picture.
type showing struct {
	side   int // 0: whole
	format images.Format
}

// showings are the ways to try, the best first: what the caller left open gives way, what it said does not.
func (p getImagePlan) showings() (list []showing) {
	formats := []images.Format{p.args.in.Format}
	if p.args.in.Format == "" {
		formats = []images.Format{"", images.JPEG} // as it is stored, or at least whole
	}
	sides := []int{p.args.in.MaxSide}
	if p.args.in.MaxSide == 0 {
		sides = []int{0, 2048, 1536, 1024, 768, 512, 256}
	}
	longer := max(p.im.Width, p.im.Height)
	for _, side := range sides {
		if side >= longer && len(sides) > 1 {
			continue // the whole picture was tried
		}
		for _, f := range formats {
			list = append(list, showing{side, f})
		}
	}
	return list
}

// Run implements [Plan].
func (p getImagePlan) Run(ctx context.Context, c Caller, release func()) (Result, error) {
	release()
	e := p.args.env
	room := inline(c)
	for _, s := range p.showings() {
		r, err := e.Pictures.Render(ctx, p.im.Owner, p.im.ID, s.side, s.format, room)
		if _, large := errors.AsType[*images.BoundsError](err); large {
			continue
		}
		if err != nil {
			return Result{}, err
		}
		return p.show(c, r), nil
	}
	return Result{}, &Fault{
		Code:        "IMAGE_OUT_OF_BOUNDS",
		Message:     fmt.Sprintf("The picture (%d×%d) does not fit into an answer as asked: %s is the limit.", p.im.Width, p.im.Height, size(int64(room))),
		Suggestions: []string{"Leave out max_side and format: it comes as large as fits.", "Use format jpeg, or max_side 768.", "Read the resource " + link(p.im).URI + " for the full picture."},
	}
}

// show is the answer with rendition r.
func (p getImagePlan) show(c Caller, r images.Rendition) Result {
	e, im := p.args.env, p.im
	var b strings.Builder
	b.WriteString(e.describePicture(c, im))
	if im.Seed != nil {
		fmt.Fprintf(&b, "Seed: %d\n", *im.Seed)
	}
	if r.Width == im.Width && r.Height == im.Height && r.Format == im.Format {
		b.WriteString("Shown whole.")
	} else {
		fmt.Fprintf(&b, "Shown as %d×%d %s.", r.Width, r.Height, strings.ToUpper(string(r.Format)))
	}
	return Result{
		Text: b.String(), Pictures: []Picture{{Data: r.Data, MIME: r.Format.MIME()}}, Links: []Link{link(im)}, Structured: e.pictureView(c, im),
	}
}
