package mcpserver

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// uploadTime is how long an upload may take to come in beside what any call's run may. The face that reads the body bounds its pace.
const uploadTime = 300 * time.Second

// An Upload is what came to a one-time upload link.
type Upload struct {
	Token string
	Media string    // declared media type; empty: none
	Body  io.Reader // read only when the call runs
}

// An UploadAnswer is what its sender is told, as JSON: the picture, or a fault with its code.
type UploadAnswer struct {
	Code       string // of the fault; empty: the picture is there
	RetryAfter time.Duration
	Body       []byte
}

// uploadTool is upload_image as links call it: its arguments are the link itself.
func uploadTool() (*tool, error) {
	t, err := newTool(tools.Tool{
		Name: "upload_image", Title: "Receive a picture", Description: "Receives what is sent to an upload link.",
		Scope: policy.ImageUpload, Class: limits.Status, Waits: true,
		Schema: json.RawMessage(`{"type":"object","additionalProperties":false}`),
		Decode: func(json.RawMessage) (tools.Args, error) { return nil, errNoPlan },
	})
	if err == nil {
		t.defaultWait = uploadTime
	}
	return t, err
}

// Upload takes in what came to a link: a call of upload_image like any other, by the link's owner. The error is [images.ErrLink] for a
// link that is no good, of which the body is not read.
func (s *Server) Upload(ctx context.Context, u Upload) (UploadAnswer, error) {
	d, err := s.cfg.Inbox.Claim(u.Token)
	if err != nil {
		return UploadAnswer{}, err
	}
	t := *s.upload
	t.Decode = func(json.RawMessage) (tools.Args, error) { return d.Args(u.Media, u.Body), nil }
	c := &call{tool: &t, arrived: time.Now(), transport: "http", via: "upload link"}
	res, err := s.pass(auth.NewContext(ctx, d.Owner), c)
	var answer UploadAnswer
	say := res.Structured
	if err != nil {
		f := s.public(c, err)
		answer.Code, answer.RetryAfter, say = f.Code, time.Duration(f.RetryAfterMS)*time.Millisecond, f
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(say); err != nil {
		return UploadAnswer{}, err
	}
	answer.Body = b.Bytes()
	return answer, nil
}
