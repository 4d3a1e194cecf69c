package jobs

import (
	"context"
	"io"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/fleet"
)

// Servers gives out places at ComfyUI servers.
type Servers interface {
	// Acquire takes a place if one is free; release gives it back and is called once.
	Acquire() (s Server, release func(), ok bool)
	// Changed is closed when a place may have become free.
	Changed() <-chan struct{}
}

// A Server is what a job needs of one ComfyUI. The methods are those of [comfy.Client].
type Server interface {
	Upload(ctx context.Context, name string, data io.Reader) (string, error)
	Submit(ctx context.Context, s comfy.Submission) (Run, error)
	View(ctx context.Context, o comfy.Output, w io.Writer) (int64, error)
	DeleteHistory(ctx context.Context, promptID string) error
	Free(ctx context.Context) error
}

// A Run is a submitted graph. The methods are those of [comfy.Run].
type Run interface {
	Changed() <-chan struct{}
	Progress() comfy.Progress
	Made() []comfy.Output
	Done() <-chan struct{}
	Result(ctx context.Context) (comfy.Result, error)
	Cancel(ctx context.Context) error
}

// OverFleet returns the servers of f.
func OverFleet(f *fleet.Fleet) Servers { return overFleet{f} }

type overFleet struct{ *fleet.Fleet }

func (o overFleet) Acquire() (Server, func(), bool) {
	c, release, ok := o.Fleet.Acquire()
	if !ok {
		return nil, nil, false
	}
	return server{c, o.Fleet}, release, true
}

// server submits behind the fleet's breaker, so that a server that went away is noticed there too.
type server struct {
	*comfy.Client
	fleet *fleet.Fleet
}

func (s server) Submit(ctx context.Context, sub comfy.Submission) (Run, error) {
	var run *comfy.Run
	err := s.fleet.Do(ctx, func(ctx context.Context, _ *comfy.Client) error {
		var err error
		run, err = s.Client.Submit(ctx, sub)
		return err
	})
	if err != nil {
		return nil, err // and not a typed nil
	}
	return watched{run, s.fleet}, nil
}

// watched tells the fleet what following a run has learnt of the server: who is told that a job is lost, since the server is back and does
// not know it, can ask for another at once.
type watched struct {
	*comfy.Run
	fleet *fleet.Fleet
}

func (w watched) Result(ctx context.Context) (comfy.Result, error) {
	res, err := w.Run.Result(ctx)
	if err == nil {
		w.fleet.Heard(res.Err)
	}
	return res, err
}
