package tools

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"strings"
	"time"

	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
)

// maxData bounds base64 in a call: the protocol layers read arguments several times, so large ones are dear.
const (
	maxData   = 4 << 20
	maxHeader = 64 // characters of a data: URL before its data
)

// Inputs are the files of the folder that the operator named. [images.Inputs] are.
type Inputs interface {
	Open(path string) (io.ReadCloser, error)
}

func uploadImageTool(e *Env) Tool {
	return Tool{
		Name:    "upload_image",
		Title:   "Bring a picture in",
		Toolset: "images",
		Scope:   policy.ImageUpload,
		Class:   limits.Status,
		Description: "Takes in a picture (PNG, JPEG or WebP) and returns its image id, for upscale, workflows and get_image. Give one of: data (small pictures only), path " +
			"(a file in the operator's input folder, if you run on the same machine), or link: true, which returns an upload address for the person, or for a program, to send the file to. " +
			"Metadata is removed.",
		Schema: object(fields{
			{"data", schema{
				Type: "string", Description: "Base64 of the file, at most 4 MiB of it; a data: URL too.", MinLength: 4, MaxLength: maxData + maxHeader,
				Examples: []any{"iVBORw0KGgo="},
			}},
			{"path", schema{
				Type: "string", Description: "Path in the input folder, relative or absolute. Only over stdio.", MinLength: 1, MaxLength: 1024, Examples: []any{"cat.png"},
			}},
			{"link", schema{Type: "boolean", Description: "Return a one-time upload link. Only over HTTP.", Default: false, Examples: []any{true}}},
			{"name", schema{Type: "string", Description: "What to call it.", MinLength: 1, MaxLength: 100, Examples: []any{"my cat"}}},
		}).raw(),
		Decode: func(raw json.RawMessage) (Args, error) {
			a := uploadArgs{env: e}
			if err := decode(raw, &a.in); err != nil {
				return nil, err
			}
			return a, nil
		},
	}
}

type uploadArgs struct {
	env *Env
	in  struct {
		Data *string `json:"data"`
		Path *string `json:"path"`
		Link bool    `json:"link"`
		Name string  `json:"name"`
	}
}

// Resolve implements [Args]. It reads no file yet: that is the run's.
func (a uploadArgs) Resolve(_ context.Context, c Caller) (Plan, error) {
	if err := a.check(c); err != nil {
		return nil, err
	}
	p := uploadPlan{env: a.env, name: a.in.Name}
	switch {
	case a.in.Path != nil:
		p.from, p.path = "path", *a.in.Path
	case a.in.Data != nil:
		p.from = "data"
		media, text, err := dataOf(*a.in.Data)
		if err != nil {
			return nil, err
		}
		if p.data, err = base64.StdEncoding.Strict().DecodeString(text); err != nil {
			return nil, &workflow.FieldError{Field: "data", Problem: "is not base64", Fits: "standard base64 with padding, and nothing else"}
		}
		if _, err := images.Declared(bytes.NewReader(p.data), media); err != nil {
			return nil, err
		}
	default:
		p.from = "link"
	}
	return p, nil
}

// check finds what the schema cannot say.
func (a uploadArgs) check(c Caller) error {
	var faults workflow.FieldErrors
	given := 0
	for _, source := range []struct {
		field   string
		given   bool
		fault   string // where it does not work here
		instead string
	}{
		{"data", a.in.Data != nil, "", ""},
		{"path", a.in.Path != nil, a.noPath(c), "data or link"},
		{"link", a.in.Link, a.noLink(c), "data or path"},
	} {
		if !source.given {
			continue
		}
		if given++; given > 1 {
			faults = append(faults, &workflow.FieldError{Field: source.field, Problem: "is one source too many", Fits: "one of data, path and link"})
			continue
		}
		if source.fault != "" {
			faults = append(faults, &workflow.FieldError{Field: source.field, Problem: source.fault, Fits: source.instead})
		}
	}
	if given == 0 {
		faults = append(faults, &workflow.FieldError{Field: "data", Problem: "is missing, and so are path and link", Fits: "one of them"})
	}
	if clean(a.in.Name, 100) != a.in.Name {
		faults = append(faults, &workflow.FieldError{Field: "name", Problem: "holds characters that are no text", Fits: "letters, digits, blanks and signs"})
	}
	if len(faults) > 0 {
		return faults
	}
	return nil
}

// noPath says why c cannot name files, if that is so.
func (a uploadArgs) noPath(c Caller) string {
	switch {
	case c.Transport != "stdio":
		return "works only for a client on this machine, over stdio"
	case a.env.Inputs == nil:
		return "does not work here: the operator has set no input folder (COMFYGATE_UPLOAD__INPUT_ROOT)"
	}
	return ""
}

// noLink says why there are no links for c, if that is so.
func (a uploadArgs) noLink(c Caller) string {
	switch {
	case c.Transport == "stdio":
		return "works only over HTTP"
	case a.env.Inbox == nil:
		return "does not work here: the operator has set no public address (COMFYGATE_HTTP__PUBLIC_URL)"
	}
	return ""
}

// dataOf splits what people paste: plain base64, or a data: URL, which declares a media type.
func dataOf(text string) (media, data string, err error) {
	fault := func(problem string) error {
		return &workflow.FieldError{Field: "data", Problem: problem, Fits: "base64, or data:image/png;base64, followed by it"}
	}
	if len(text) >= 5 && strings.EqualFold(text[:5], "data:") {
		header, rest, ok := strings.Cut(text[5:], ",")
		kind, isBase64 := strings.CutSuffix(header, ";base64")
		if !ok || !isBase64 || len(header) > maxHeader {
			return "", "", fault("is a data: URL, but not one of base64")
		}
		if kind != "" {
			if media, _, err = mime.ParseMediaType(kind); err != nil {
				return "", "", fault("declares no media type")
			}
		}
		text = rest
	}
	if len(text) > maxData {
		return "", "", &workflow.FieldError{Field: "data", Problem: "is longer than 4 MiB", Fits: "a smaller picture, or path or link in place of it"}
	}
	if strings.ContainsAny(text, "\r\n") {
		return "", "", fault("has line breaks")
	}
	return media, text, nil
}

// uploadPlan is one picture that comes in, or the link for one.
type uploadPlan struct {
	env  *Env
	from string // data, path, link
	data []byte
	path string
	name string
}

// Policy implements [Plan].
func (uploadPlan) Policy() policy.Request { return policy.Request{} }

// Cost implements [Plan].
func (uploadPlan) Cost() Cost { return Cost{Tokens: 1} }

// Record implements [Plan].
func (p uploadPlan) Record() map[string]any {
	r := map[string]any{"from": p.from}
	if p.name != "" {
		r["name"] = Digest(p.name)
	}
	switch p.from {
	case "data":
		r["bytes"] = len(p.data)
	case "path":
		r["path"] = Digest(p.path)
	}
	return r
}

// Run implements [Plan].
func (p uploadPlan) Run(ctx context.Context, c Caller, release func()) (Result, error) {
	release()
	var src io.Reader = bytes.NewReader(p.data)
	switch p.from {
	case "link":
		return p.promise(c)
	case "path":
		f, err := p.env.Inputs.Open(p.path)
		if err != nil {
			return Result{}, pathFault(err)
		}
		defer f.Close() //nolint:errcheck // only read
		src = f
	}
	s := p.env.Settings
	im, err := p.env.Pictures.PutUpload(ctx, images.Image{Owner: c.Principal.Name, CallID: c.CallID, Name: p.name},
		images.Bounds{Bytes: s.MaxUploadBytes, Pixels: s.MaxUploadPixels}, src)
	if err != nil {
		return Result{}, err
	}
	return p.show(ctx, c, im), nil
}

// pathFault words what is wrong with a path, without telling what is where.
func pathFault(err error) error {
	switch {
	case errors.Is(err, images.ErrOutside):
		return (&Fault{
			Code: "SECURITY_ERROR", Message: "path does not lie in the operator's input folder.",
			Suggestions: []string{"Copy the file into the folder of COMFYGATE_UPLOAD__INPUT_ROOT and name it by its path in there."},
		}).WithCause(err)
	case errors.Is(err, images.ErrNoFile):
		return &workflow.FieldError{Field: "path", Problem: "names no file that can be read in the operator's input folder", Fits: "the path of a picture in there"}
	}
	return err
}

// promise is the answer with a link.
func (p uploadPlan) promise(c Caller) (Result, error) {
	url, id, expires, err := p.env.Inbox.Promise(c.Principal, p.name)
	if err != nil {
		return Result{}, err
	}
	s := p.env.Settings
	lasts := time.Until(expires).Round(time.Second)
	return Result{
		Text: fmt.Sprintf("Upload link, good once, for %d minutes: %s\nSend the file itself there with PUT or POST, at most %s, for instance: curl -T picture.png '%s'\n"+
			"Whoever has the link can use it. The picture will be %s; until it is there, that id answers UPLOAD_PENDING.\n"+
			"Next: when the file is sent, go on with this id: upscale, run_workflow, or get_image to see it.",
			int(lasts/time.Minute), url, size(s.MaxUploadBytes), url, id),
		Structured: struct {
			ID      string `json:"image"`
			URL     string `json:"upload_url"`
			Seconds int    `json:"seconds"`
			Bytes   int64  `json:"max_bytes"`
		}{id, url, int(lasts / time.Second), s.MaxUploadBytes},
	}, nil
}

// show is the answer with a picture that has come in.
func (p uploadPlan) show(ctx context.Context, c Caller, im images.Image) Result {
	pictures, note := p.env.previews(ctx, c, []images.Image{im}, "")
	var b strings.Builder
	b.WriteString("The picture is taken in, without its metadata.\n")
	b.WriteString(p.env.describePicture(c, im))
	if im.Name != "" {
		fmt.Fprintf(&b, "Name: %s\n", im.Name)
	}
	b.WriteString(note)
	if max(im.Width, im.Height) > maxSide {
		b.WriteString("Next: give this id to run_workflow; for upscale it is too large.")
	} else {
		b.WriteString("Next: give this id to upscale or to run_workflow.")
	}
	return Result{
		Text: b.String(), Pictures: pictures, Links: []Link{link(im)}, Outputs: []string{im.SHA256}, Structured: p.env.pictureView(c, im),
	}
}
