package jobs

import (
	"context"
	"errors"
	"io"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/engine"
	"github.com/comfygate/comfygate/images"
)

// Pictures is where inputs come from and results go. [images.Store] is one.
type Pictures interface {
	PutIf(ctx context.Context, im images.Image, b images.Bounds, show images.Showing, src io.Reader, sure func() error) (out images.Image, saveErr, err error)
	PutResult(ctx context.Context, im images.Image, name string, b images.Bounds, show images.Showing, src io.Reader) (out images.Result, saveErr, err error)
	Open(owner, id string) (io.ReadSeekCloser, images.Image, error)
}

// A Recorder takes the record of a job's end. [audit.Log] is one.
type Recorder interface {
	AppendReserved(ctx context.Context, r audit.Record) error
}

// Config of a [Manager]. Servers, Pictures and Record are required; every other zero value means the default.
type Config struct {
	Servers  Servers
	Pictures Pictures
	Record   Recorder

	Queue engine.Queue   // jobs that wait; default in memory, 1024 at most
	Store engine.KV[Job] // what is known of jobs; default in memory, 4096 at most

	PerOwner int // jobs at the servers of one owner; default 2 (LIMITS__JOBS_PER_PRINCIPAL)
	// OwnPerOwner, where set, tells how many jobs an owner may have at the servers in place of PerOwner; false: PerOwner.
	OwnPerOwner  func(owner string) (int, bool)
	InFlight     int           // jobs at the servers in all; default 4 (LIMITS__JOBS_IN_FLIGHT)
	StartTimeout time.Duration // from Start to the start of execution; default 1 h
	Timeout      time.Duration // from the start of execution; default 1 h (JOBS__TIMEOUT)
	CancelGrace  time.Duration // for the server to confirm that a job was stopped; default 60 s

	CancelOnClose bool   // Close cancels submitted jobs instead of leaving them to run (JOBS__ON_DISCONNECT=cancel)
	PurgeHistory  bool   // remove a run from the server's history once its pictures are here (SC-51)
	ResultBytes   int64  // results of one job without [Spec.Output], all together; default 512 MiB
	Backend       string // written on pictures: comfyui (default) or embedded

	Keep         int           // ended jobs remembered; default 1000
	KeepPerOwner int           // of these of one owner; default 200
	KeepFor      time.Duration // after their end; default 24 h

	Code func(error) string // an error's code for the record; default none
	Log  *zap.Logger        // default zap.NewNop()
}

func (c *Config) validate() error {
	switch {
	case c.Servers == nil:
		return errors.New("jobs: Servers is nil")
	case c.Pictures == nil:
		return errors.New("jobs: Pictures is nil")
	case c.Record == nil:
		return errors.New("jobs: Record is nil")
	case min(c.PerOwner, c.InFlight, c.Keep, c.KeepPerOwner) < 0,
		min(c.StartTimeout, c.Timeout, c.CancelGrace, c.KeepFor) < 0, c.ResultBytes < 0:
		return errors.New("jobs: a limit is negative")
	}
	return nil
}

func (c *Config) setDefaults() {
	setDefault(&c.PerOwner, 2)
	setDefault(&c.InFlight, 4)
	setDefault(&c.StartTimeout, time.Hour)
	setDefault(&c.Timeout, time.Hour)
	setDefault(&c.CancelGrace, time.Minute)
	setDefault(&c.ResultBytes, 512<<20)
	setDefault(&c.Backend, "comfyui")
	setDefault(&c.Keep, 1000)
	setDefault(&c.KeepPerOwner, 200)
	setDefault(&c.KeepFor, 24*time.Hour)
	if c.Queue == nil {
		c.Queue = engine.NewLines(1024)
	}
	if c.Store == nil {
		c.Store = engine.NewMemory[Job](4096)
	}
	if c.Code == nil {
		c.Code = func(error) string { return "" }
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}
