package comfy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/config"
)

// Config says how to reach one server. URL is required; every other zero value works.
type Config struct {
	URL           string // http(s)://host[:port][/prefix]; ws and wss read as http and https
	Username      string // basic credentials, sent with every request and the WebSocket handshake (SC-20)
	Password      config.Secret
	APIKey        config.Secret            // bearer token, or the value of AuthHeader when that is another header
	AuthHeader    string                   // default Authorization; on Comfy Cloud X-API-Key
	QueryToken    config.Secret            // sent as ?token=
	Headers       map[string]config.Secret // more headers for a proxy in front, sent like APIKey
	CAFile        string                   // PEM roots besides the system's (SC-17)
	CertFile      string                   // PEM client certificate; needs KeyFile
	KeyFile       string
	AllowInsecure bool // clear text to a remote host, never with a credential (SC-15)
	UserAgent     string
	Timeouts      Timeouts
	Limits        Limits
	Retry         Retry
	// Dial replaces the network: the embedded server is reached through it without a port.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	Log  *zap.Logger // default zap.NewNop()
}

// Timeouts bound each kind of call; zero means the default, negative is an error.
type Timeouts struct {
	Connect time.Duration // 5 s; 1.5 s where the host is loopback
	Read    time.Duration // 30 s, every GET
	Queue   time.Duration // 10 s, queue and interrupt
	Submit  time.Duration // 60 s, POST /prompt
	Image   time.Duration // 60 s, one /view or upload
}

// Limits bound what is believed of the server's answers; zero means the default (SC-47).
type Limits struct {
	JSONBytes    int64 // 16 MiB
	ViewBytes    int64 // 64 MiB, of a file in either direction
	TextFrame    int64 // 1 MiB
	PreviewFrame int64 // 8 MiB; negative drops previews
	Connections  int   // 10
}

// Retry says how a GET that was answered 429, 502, 503 or 504 is repeated within its deadline: after a random part of
// Base·2ⁿ, at most Cap. A connection that failed is not tried again inside a call, and nothing but a GET is.
type Retry struct {
	Max  int           // repetitions; 0 means 3, negative none
	Base time.Duration // 1.5 s
	Cap  time.Duration // 30 s
}

// orDefault returns v, or d where v is zero.
func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

func (t Timeouts) filled(loopback bool) (Timeouts, error) {
	connect := 5 * time.Second
	if loopback {
		connect = 1500 * time.Millisecond // a listener on this machine answers at once or never
	}
	f := Timeouts{
		Connect: orDefault(t.Connect, connect),
		Read:    orDefault(t.Read, 30*time.Second),
		Queue:   orDefault(t.Queue, 10*time.Second),
		Submit:  orDefault(t.Submit, 60*time.Second),
		Image:   orDefault(t.Image, 60*time.Second),
	}
	if min(f.Connect, f.Read, f.Queue, f.Submit, f.Image) < 0 {
		return f, errors.New("a timeout is negative; give a positive duration")
	}
	return f, nil
}

func (l Limits) filled() (Limits, error) {
	f := Limits{
		JSONBytes:    orDefault(l.JSONBytes, 16<<20),
		ViewBytes:    orDefault(l.ViewBytes, 64<<20),
		TextFrame:    orDefault(l.TextFrame, 1<<20),
		PreviewFrame: orDefault(l.PreviewFrame, 8<<20),
		Connections:  orDefault(l.Connections, 10),
	}
	switch {
	case min(f.JSONBytes, f.ViewBytes, f.TextFrame) < 0 || f.Connections < 0:
		return f, errors.New("a limit is negative; give a positive number")
	case max(f.TextFrame, f.PreviewFrame) > hardFrame:
		return f, fmt.Errorf("a frame limit is over %d bytes", hardFrame)
	}
	return f, nil
}

func (r Retry) filled() (Retry, error) {
	f := Retry{
		Max:  orDefault(r.Max, 3),
		Base: orDefault(r.Base, 1500*time.Millisecond),
		Cap:  orDefault(r.Cap, 30*time.Second),
	}
	if min(f.Base, f.Cap) < 0 {
		return f, errors.New("a retry delay is negative; give a positive duration")
	}
	return f, nil
}
