package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

// Policy judges requests; *policy.Rules is one.
type Policy interface {
	Decide(ctx context.Context, req policy.Request) policy.Decision
	// Offers reports whether a tool might be allowed, for lists of tools.
	Offers(req policy.Request) bool
	// RoleOf returns the role that a policy gives a principal, whatever authentication told; false where it says nothing of that.
	RoleOf(principal string) (policy.Role, bool)
	ScopesOf(role policy.Role) []policy.Scope
	Hash() string
}

// Limiter spends rates, for each principal and class.
type Limiter interface {
	// Take spends n tokens or none, and is a *limits.RateError in the latter case.
	Take(principal string, class limits.Class, n int) error
	// Refund gives back what Take spent for a call that was refused afterwards.
	Refund(principal string, class limits.Class, n int)
}

// Places are the places in the queue of jobs.
type Places interface {
	// Take reserves one, or is a *limits.QueueFullError. Release may be called once.
	Take(principal string) (release func(), err error)
}

// Budgets hold what principals may have computed; *limits.Budgets do.
type Budgets interface {
	// Charge takes work, or is a *limits.BudgetError.
	Charge(principal string, work float64) (*limits.Charge, error)
}

// Calls are those that run; *limits.Calls are.
type Calls interface {
	// Enter lets one more run, or is a *limits.BusyError. Leave may be called once.
	Enter(principal string, quick bool) (leave func(), err error)
}

// Audit is the record; *audit.Log is one.
type Audit interface {
	Append(ctx context.Context, r audit.Record) error
	AppendReserved(ctx context.Context, r audit.Record) error
	Healthy() error
	Digest(principal, text string) map[string]any
}

// Denials records refusals, floods of them as one record with a count (AUD-18).
type Denials interface {
	Denied(ctx context.Context, r audit.Record) error
}

// Images reads stored pictures and files; *images.Store is one.
type Images interface {
	OpenAny(owner, id string) (io.ReadSeekCloser, images.Served, error)
}

// Inbox knows whose upload link a token is; *tools.Inbox is one.
type Inbox interface {
	Claim(token string) (tools.Delivery, error)
}

// Structured says when tools that may return pictures send structured content as well (MCP__STRUCTURED).
type Structured string

// Modes of structured content.
const (
	Never  Structured = "never"
	Auto   Structured = "auto" // not to clients that drop the picture when they see structured content
	Always Structured = "always"
)

// Bounds of what clients may hold open; zero fields take the defaults.
type Bounds struct {
	RequestBytes  int64         // of one message; default 6 MiB
	Sessions      int           // legacy sessions in all; default 4096
	OwnSessions   int           // of one principal; default 2048
	Streams       int           // long-lived streams in all; default 2048
	OwnStreams    int           // of one principal; default 1024
	Calls         int           // messages being served for one stdio or SSE connection at once; default 64
	Idle          time.Duration // of a legacy session; default 15 min
	KeepAlive     time.Duration // between comments on an idle stream; default 15 s
	Write         time.Duration // one write to a client that does not read; default 30 s
	WriteRate     int           // bytes a second that a slow client must take beyond that; default 64 KiB
	Resolve       time.Duration // of a call, until it runs; default 10 s
	Run           time.Duration // of a call's run beside what it waits; default 60 s
	Owed          time.Duration // to make a record durable after the caller has gone; default 5 s
	ResourceBytes int64         // of a picture read as a resource; default 10 MiB
}

// Config of a [Server]. Name, Version, Policy, Limiter, Places, Audit and Log are required.
type Config struct {
	Name, Title, Version string
	WebsiteURL           string
	Instructions         string // for the model, ≤ 2 KB
	Tools                []tools.Tool
	Policy               Policy
	Limiter              Limiter
	Places               Places
	Budgets              Budgets              // nil: there are none
	Calls                Calls                // nil: any number runs
	Seen                 func(auth.Principal) // told of each call's principal before anything is asked of the limits; nil: nobody asks
	Audit                Audit
	Observe              func(Ended)  // told of each call that ended and each message that was refused; nil: nobody is
	Exhausted            func() error // why nothing new may be made at present; nil: never
	Traces               trace.Tracer // gets spans of calls; nil: there are none
	Challenge            Challenge    // nil: a missing scope is a tool error for everybody
	Denials              Denials      // default: each refusal is a record of its own
	Images               Images       // nil: there are no resources
	Inbox                Inbox        // nil: there are no upload links, and Upload must not be called
	// Upstream is ComfyUI's URL without credentials and query. Faults name it to callers over stdio and to those with the scope operate.
	Upstream   string
	BasePath   string     // what a proxy in front takes off paths, as /pictures; clients of HTTP+SSE are told to post below it
	Structured Structured // default [Never]
	// AlignHeaders serves a request of 2026-07-28 whose header names an older revision, as some proxies send it, instead of refusing it.
	AlignHeaders bool
	// Clean takes credentials out of what a fault says: ComfyUI may quote the very one it was sent. Default: nothing is taken out.
	Clean  func(text string) string
	Bounds Bounds
	Log    *zap.Logger
}

func (c Config) validate() error {
	var errs []error
	for name, missing := range map[string]bool{
		"Name": c.Name == "", "Version": c.Version == "", "Policy": c.Policy == nil, "Limiter": c.Limiter == nil,
		"Places": c.Places == nil, "Audit": c.Audit == nil, "Log": c.Log == nil,
	} {
		if missing {
			errs = append(errs, fmt.Errorf("mcpserver: Config.%s is required", name))
		}
	}
	switch c.Structured {
	case "", Never, Auto, Always:
	default:
		errs = append(errs, fmt.Errorf("MCP__STRUCTURED: %q is none of never, auto and always", c.Structured))
	}
	if n := len(c.Instructions); n > maxText {
		errs = append(errs, fmt.Errorf("mcpserver: the instructions have %d bytes, clients cut at %d", n, maxText))
	}
	return errors.Join(errs...)
}

// maxText is where Claude Code cuts instructions and descriptions (MCP-34).
const maxText = 2048

func (b Bounds) orDefaults() Bounds {
	b.RequestBytes = orElse(b.RequestBytes, 6<<20)
	b.Sessions = orElse(b.Sessions, 4096)
	b.OwnSessions = orElse(b.OwnSessions, 2048)
	b.Streams = orElse(b.Streams, 2048)
	b.OwnStreams = orElse(b.OwnStreams, 1024)
	b.Calls = orElse(b.Calls, 64)
	b.Idle = orElse(b.Idle, 15*time.Minute)
	b.KeepAlive = orElse(b.KeepAlive, 15*time.Second)
	b.Write = orElse(b.Write, 30*time.Second)
	b.WriteRate = orElse(b.WriteRate, 64<<10)
	b.Resolve = orElse(b.Resolve, 10*time.Second)
	b.Run = orElse(b.Run, time.Minute)
	b.Owed = orElse(b.Owed, 5*time.Second)
	b.ResourceBytes = orElse(b.ResourceBytes, 10<<20)
	return b
}

func orElse[T int | int64 | time.Duration](v, def T) T {
	if v > 0 {
		return v
	}
	return def
}

// Ended is what is told of a call that ended, or of a message that was refused before it became one.
type Ended struct {
	Principal string
	Tool      string // empty where there is none by that name
	Code      string // ok, or an error's
	Rule      string // what refused it; empty where nothing did
	Took      time.Duration
}
