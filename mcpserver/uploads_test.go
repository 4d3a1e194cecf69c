package mcpserver_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/mcpserver"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

const uploadID = "uuuuuuuuuuuuuuuuuuuuuuuuuu"

// uploadLinks know one token, until it is used.
type uploadLinks struct{ used bool }

func (*uploadLinks) SignUpload(string, int64) (token, id string, expires time.Time, err error) {
	return "good", uploadID, time.Now().Add(time.Minute), nil
}

func (l *uploadLinks) CheckUpload(token string) (owner, id string, size int64, err error) {
	if token != "good" || l.used {
		return "", "", 0, images.ErrLink
	}
	return "ann", uploadID, 1000, nil
}

// PutUpload takes what begins like a PNG.
func (l *uploadLinks) PutUpload(_ context.Context, im images.Image, b images.Bounds, src io.Reader) (images.Image, error) {
	data, err := io.ReadAll(src)
	if err != nil {
		return images.Image{}, err
	}
	if n := int64(len(data)); n > b.Bytes {
		return images.Image{}, &images.BoundsError{What: "bytes", Got: n, Max: b.Bytes}
	}
	l.used = true
	im.Format, im.Width, im.Height, im.Bytes, im.SHA256 = images.PNG, 3, 2, int64(len(data)), "abc"
	return im, nil
}

// newInbox returns an inbox with a link for who, made by a call as any client makes it.
func newInbox(t *testing.T, who auth.Principal) *tools.Inbox {
	t.Helper()
	l := &uploadLinks{}
	inbox, err := tools.NewInbox(tools.InboxConfig{
		Links: l, Pictures: l, URL: func(token string) string { return "https://x/" + token }, Bounds: images.Bounds{Bytes: 1000, Pixels: 1000},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := inbox.Promise(who, ""); err != nil {
		t.Fatal(err)
	}
	return inbox
}

const aPNG = "\x89PNG\r\n\x1a\n"

// reads counts what is read of a body.
type reads struct {
	io.Reader

	n int
}

func (r *reads) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.n += n
	return n, err
}

// What comes to a link is a call of upload_image by the link's owner: limited, judged, recorded; and not a byte is read before.
func TestUpload(t *testing.T) {
	t.Parallel()
	ann := person("ann", policy.Operator)
	for name, tc := range map[string]struct {
		who    auth.Principal
		change func(*set)
		body   string
		code   string
		read   bool
		kinds  []string
	}{
		"taken in":     {ann, nil, aPNG, "", true, []string{"intent", "outcome ok"}},
		"no picture":   {ann, nil, "<svg/>", "UNEXPECTED_OUTPUT_TYPE", true, []string{"intent", "outcome error UNEXPECTED_OUTPUT_TYPE"}},
		"too large":    {ann, nil, aPNG + strings.Repeat("x", 1000), "IMAGE_OUT_OF_BOUNDS", true, []string{"intent", "outcome error IMAGE_OUT_OF_BOUNDS"}},
		"rate limited": {ann, func(s *set) { s.rates.left = 0 }, aPNG, "RATE_LIMITED", false, []string{"decision denied RATE_LIMITED"}},
		"owner denied since": {ann, func(s *set) {
			s.cfg.Policy = rules{deny: func(r policy.Request) bool {
				return r.Principal == "ann" && r.Tool == "upload_image" && r.Scope == policy.ImageUpload
			}}
		}, aPNG, "POLICY_DENIED", false, []string{"decision denied POLICY_DENIED"}},
		"owner may only look": {person("ann", policy.Viewer), nil, aPNG, "POLICY_DENIED", false, []string{"decision denied POLICY_DENIED"}},
		"no record":           {ann, func(s *set) { s.record.sick = audit.ErrUnwritable }, aPNG, "AUDIT_UNAVAILABLE", false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSet(t, nil, func(s *set) {
				s.cfg.Inbox = newInbox(t, tc.who)
				if tc.change != nil {
					tc.change(s)
				}
			})
			body := &reads{Reader: strings.NewReader(tc.body)}
			answer, err := s.server.Upload(t.Context(), mcpserver.Upload{Token: "good", Media: "image/png", Body: body})
			if err != nil || answer.Code != tc.code || (body.n > 0) != tc.read {
				t.Fatalf("%+v, %v; %d bytes read", answer, err, body.n)
			}
			if tc.code == "RATE_LIMITED" && answer.RetryAfter != 1500*time.Millisecond {
				t.Errorf("retry after %v", answer.RetryAfter)
			}
			if want := map[bool]string{true: `"image":"` + uploadID, false: `"code":"` + tc.code}[tc.code == ""]; !strings.Contains(string(answer.Body), want) {
				t.Errorf("no %s in %s", want, answer.Body)
			}
			if d := cmp.Diff(tc.kinds, s.record.kinds()); d != "" && len(tc.kinds) > 0 {
				t.Error(d)
			}
			for _, r := range s.record.records() {
				if r.Tool != "upload_image" || r.Principal != "ann" || r.Transport != "http" || r.Detail["via"] != "upload link" {
					t.Errorf("record %+v", r)
				}
			}
			if tc.code == "" {
				last := s.record.records()[1]
				if !slices.Equal(last.Outputs, []string{"abc"}) || last.Params["image"] != uploadID {
					t.Errorf("outcome %+v", last)
				}
				if _, err := s.server.Upload(t.Context(), mcpserver.Upload{Token: "good", Body: body}); !errors.Is(err, images.ErrLink) {
					t.Errorf("a second use: %v", err)
				}
			}
		})
	}
}

// A link that is no good is no call: nothing is read, nothing is spent.
func TestUpload_badLink(t *testing.T) {
	t.Parallel()
	s := newSet(t, nil, func(s *set) { s.cfg.Inbox = newInbox(t, person("ann", policy.Operator)) })
	body := &reads{Reader: strings.NewReader(aPNG)}
	if _, err := s.server.Upload(t.Context(), mcpserver.Upload{Token: "bad", Body: body}); !errors.Is(err, images.ErrLink) {
		t.Error(err)
	}
	if body.n != 0 || s.rates.spent() != 0 || s.record.count() != 0 {
		t.Errorf("%d bytes read, %d tokens spent, %d records", body.n, s.rates.spent(), s.record.count())
	}
}
