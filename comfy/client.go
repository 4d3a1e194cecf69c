package comfy

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/zap"
)

// A Client speaks to one server. It is safe for concurrent use. Close it when done.
type Client struct {
	base     target
	creds    credentials
	timeouts Timeouts
	limits   Limits
	retry    Retry
	agent    string
	log      *zap.Logger

	http   *http.Client // with credentials, to base only; it follows nothing
	bare   *http.Client // without credentials, for Comfy Cloud's storage
	dialer *websocket.Dialer
	socket *socket

	dialect dialect
	classes cache[*ObjectInfo]
	single  cache[*Class]
	models  cache[[]ModelFile]
	embeds  cache[[]string]
	metas   cache[map[string]string]
	shipped cache[[]Template]
	files   cache[[]byte] // of templates

	mu     sync.Mutex
	closed bool
	next   int
	cancel map[int]context.CancelCauseFunc // of everything that runs by itself
	runs   map[string]*Run                 // not ended, by prompt id
	wg     sync.WaitGroup
}

// New checks cfg (URL gate: SC-13…20) and returns a client. It sends nothing.
func New(cfg Config) (*Client, error) {
	base, err := parseTarget(cfg.URL, cfg.AllowInsecure)
	if err != nil {
		return nil, err
	}
	creds, err := newCredentials(cfg, base)
	if err != nil {
		return nil, err
	}
	c := &Client{
		base: base, creds: creds, log: cfg.Log, agent: orDefault(cfg.UserAgent, "comfygate"),
		cancel: make(map[int]context.CancelCauseFunc), runs: make(map[string]*Run),
	}
	if c.timeouts, err = cfg.Timeouts.filled(base.loopback()); err != nil {
		return nil, fmt.Errorf("comfyui: %w", err)
	}
	if c.limits, err = cfg.Limits.filled(); err != nil {
		return nil, fmt.Errorf("comfyui: %w", err)
	}
	if c.retry, err = cfg.Retry.filled(); err != nil {
		return nil, fmt.Errorf("comfyui: %w", err)
	}
	if c.log == nil {
		c.log = zap.NewNop()
	}
	if err := c.connectors(cfg); err != nil {
		return nil, err
	}
	c.socket = newSocket(c)
	c.files.most = keptTemplates
	for _, start := range []*starter{&c.classes.start, &c.single.start, &c.models.start, &c.embeds.start, &c.metas.start, &c.shipped.start, &c.files.start} {
		*start = c.background
	}
	return c, nil
}

// Close ends the WebSocket reader, what is still followed and idle connections, and waits for them. Runs that have not ended
// end as [Lost] with [ErrClosed]; the server goes on with them.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	for _, cancel := range c.cancel {
		cancel(ErrClosed)
	}
	c.mu.Unlock()
	c.wg.Wait()
	c.http.CloseIdleConnections()
	c.bare.CloseIdleConnections()
	return nil
}

// Redacted is the server's URL without credentials and query, for people.
func (c *Client) Redacted() string { return c.base.String() }

// Insecure reports whether the server is reached in clear text over a network, which is the program's to say at start (SC-15).
func (c *Client) Insecure() bool { return c.base.insecure() }

// Cloud reports whether the server is Comfy Cloud, which its host name tells.
func (c *Client) Cloud() bool { return c.base.cloud }

// background runs fn beside its caller, who may leave: fn's context ends with the client only.
func (c *Client) background(ctx context.Context, fn func(context.Context)) error {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		cancel(ErrClosed)
		return ErrClosed
	}
	c.next++
	key := c.next
	c.cancel[key] = cancel
	c.wg.Go(func() {
		defer func() {
			c.mu.Lock()
			delete(c.cancel, key)
			c.mu.Unlock()
			cancel(nil)
		}()
		fn(ctx)
	})
	return nil
}

// sleep waits d and reports whether ctx still holds then.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
