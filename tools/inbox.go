package tools

import (
	"context"
	"errors"
	"io"
	"maps"
	"sync"
	"time"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/policy"
)

// UploadLinks makes and checks one-time upload links. [images.Links] does.
type UploadLinks interface {
	SignUpload(owner string, maxBytes int64) (token, id string, expires time.Time, err error)
	CheckUpload(token string) (owner, id string, maxBytes int64, err error)
}

// Uploads takes pictures in. [images.Store] does.
type Uploads interface {
	PutUpload(ctx context.Context, im images.Image, b images.Bounds, src io.Reader) (images.Image, error)
}

// Uploads that are being received at once: each holds about a megabyte of buffers, and one owner may not take all the room.
const (
	maxDeliveries    = 64
	maxOwnDeliveries = 16
)

// InboxConfig of an [Inbox]. All fields are required.
type InboxConfig struct {
	Links    UploadLinks
	Pictures Uploads
	URL      func(token string) string // of the link
	Bounds   images.Bounds             // of an upload: bytes and pixels
}

// An Inbox is where pictures come in by one-time links: it knows for whom each link was made, with all that this caller may do, so that
// the upload is judged as the owner's own call. It is safe for concurrent use.
type Inbox struct {
	cfg InboxConfig

	mu        sync.Mutex
	waiting   map[string]promise // by picture id; as many as the links let wait
	receiving map[string]int     // by owner
	all       int
}

// A promise is a link that was given out.
type promise struct {
	owner   auth.Principal
	name    string
	expires time.Time
}

// NewInbox returns an empty inbox.
func NewInbox(cfg InboxConfig) (*Inbox, error) {
	if cfg.Links == nil || cfg.Pictures == nil || cfg.URL == nil || cfg.Bounds.Bytes < 1 || cfg.Bounds.Pixels < 1 {
		return nil, errors.New("tools: an inbox without links, pictures, URL or bounds")
	}
	return &Inbox{cfg: cfg, waiting: make(map[string]promise), receiving: make(map[string]int)}, nil
}

// Promise makes a link for owner, to a picture that will be called name. The picture's id is known beforehand, and reads
// [images.ErrPending] until it came.
func (b *Inbox) Promise(owner auth.Principal, name string) (url, id string, expires time.Time, err error) {
	token, id, expires, err := b.cfg.Links.SignUpload(owner.Name, b.cfg.Bounds.Bytes)
	if errors.Is(err, images.ErrTooManyLinks) {
		return "", "", time.Time{}, (&Fault{
			Code: "RESOURCE_EXHAUSTED", Message: "Too many upload links wait to be used.", Retryable: true, RetryAfter: time.Minute,
			Suggestions: []string{"Use one of them, or let one expire: a link lasts 10 minutes."},
		}).WithCause(err)
	}
	if err != nil {
		return "", "", time.Time{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	maps.DeleteFunc(b.waiting, func(_ string, p promise) bool { return now.After(p.expires) })
	b.waiting[id] = promise{owner: owner, name: name, expires: expires}
	return b.cfg.URL(token), id, expires, nil
}

// A Delivery is the use of one link.
type Delivery struct {
	Owner    auth.Principal // whose call it is
	MaxBytes int64
	inbox    *Inbox
	id, name string
}

// Claim returns what the link with this token is for, or [images.ErrLink], also when it was used already. It changes nothing.
func (b *Inbox) Claim(token string) (Delivery, error) {
	owner, id, size, err := b.cfg.Links.CheckUpload(token)
	if err != nil {
		return Delivery{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	p, ok := b.waiting[id]
	if !ok || p.owner.Name != owner {
		return Delivery{}, images.ErrLink
	}
	return Delivery{Owner: p.owner, MaxBytes: size, inbox: b, id: id, name: p.name}, nil
}

// Args are the arguments of the call of upload_image that receives body, of which media tells the declared type; empty: none. The body is
// read only when the call runs. A body that breaks off leaves the link as it was.
func (d Delivery) Args(media string, body io.Reader) Args {
	return &deliveryPlan{Delivery: d, media: media, body: &watched{Reader: body}}
}

// deliveryPlan is arguments and plan in one: there is nothing to choose.
type deliveryPlan struct {
	Delivery

	media string
	body  *watched
}

// watched keeps the error that ended its reading, to tell a bad picture from a bad connection.
type watched struct {
	io.Reader

	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		w.err = err
	}
	return n, err
}

// Resolve implements [Args].
func (p *deliveryPlan) Resolve(context.Context, Caller) (Plan, error) { return p, nil }

// Policy implements [Plan].
func (*deliveryPlan) Policy() policy.Request { return policy.Request{} }

// Cost implements [Plan].
func (*deliveryPlan) Cost() Cost { return Cost{Tokens: 1} }

// Record implements [Plan].
func (p *deliveryPlan) Record() map[string]any {
	return map[string]any{"from": "link", "image": p.id, "name": Digest(p.name)}
}

// Run implements [Plan].
func (p *deliveryPlan) Run(ctx context.Context, c Caller, release func()) (Result, error) {
	release()
	leave, err := p.inbox.enter(p.Owner.Name)
	if err != nil {
		return Result{}, err
	}
	defer leave()
	im, err := p.receive(ctx, c)
	switch {
	case err == nil:
	case p.body.err != nil && ctx.Err() == nil:
		return Result{}, (&Fault{
			Code: "UPLOAD_INCOMPLETE", Message: "The upload broke off or was too slow.", Retryable: true,
			Suggestions: []string{"Send it again to the same link, or a smaller picture."},
		}).WithCause(err)
	default:
		return Result{}, err
	}
	p.inbox.used(p.id)
	return Result{
		Text: "The picture is there.", Outputs: []string{im.SHA256},
		Structured: pictureView{ID: im.ID, Width: im.Width, Height: im.Height, Format: im.Format, Bytes: im.Bytes, URI: link(im).URI},
	}, nil
}

func (p *deliveryPlan) receive(ctx context.Context, c Caller) (images.Image, error) {
	src, err := images.Declared(p.body, p.media)
	if err != nil {
		return images.Image{}, err
	}
	bounds := p.inbox.cfg.Bounds
	bounds.Bytes = p.MaxBytes
	return p.inbox.cfg.Pictures.PutUpload(ctx, images.Image{ID: p.id, Owner: p.Owner.Name, CallID: c.CallID, Name: p.name}, bounds, src)
}

// enter takes one of the places for uploads that are being received, until leave is called.
func (b *Inbox) enter(owner string) (leave func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.all >= maxDeliveries || b.receiving[owner] >= maxOwnDeliveries {
		return nil, &Fault{
			Code: "RESOURCE_EXHAUSTED", Message: "Too many pictures are being uploaded at once.", Retryable: true, RetryAfter: 5 * time.Second,
			Suggestions: []string{"Upload again to the same link in a moment."},
		}
	}
	b.all++
	b.receiving[owner]++
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.all--
		if b.receiving[owner]--; b.receiving[owner] == 0 {
			delete(b.receiving, owner)
		}
	}, nil
}

// used forgets a link. That it is no good any more the store knows by itself.
func (b *Inbox) used(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.waiting, id)
}
