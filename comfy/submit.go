package comfy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// maxRuns bounds what is followed at one server at a time; a server runs one prompt at a time, and the fleet lets in a few.
const maxRuns = 64

// A Submission is one graph to run, which must not be changed afterwards.
type Submission struct {
	PromptID string // UUIDv4, lower case; NewPromptID makes one. Never used twice (CLIENT-PROMPT-3)
	Graph    Graph
	Extra    map[string]any // extra_data.extra_pnginfo; nil for none
}

// NewPromptID returns a random UUIDv4 (CLIENT-PROMPT-4).
func NewPromptID() string { return uuid.NewString() }

// placement is the body of POST /prompt. What is absent is left out, never null; number and front are never sent.
type placement struct {
	Prompt   Graph      `json:"prompt"`
	Client   string     `json:"client_id"`
	PromptID string     `json:"prompt_id"`
	Extra    *extraData `json:"extra_data,omitempty"`
}

type extraData struct {
	Info map[string]any `json:"extra_pnginfo"`
}

// Submit registers a waiter, makes sure the WebSocket is up or given up on, and posts. It never posts twice: after a
// doubtful failure it looks into queue and history (CLIENT-FAIL-13), and where nobody answers there either it returns a run that
// is Unreachable until somebody does. It returns *RejectedError for 400. When ctx ends first, what the server has got by then is
// cancelled.
func (c *Client) Submit(ctx context.Context, s Submission) (*Run, error) {
	if id, err := uuid.Parse(s.PromptID); err != nil || id.String() != s.PromptID {
		return nil, errors.New("comfyui: a prompt id is a UUID in lower case")
	}
	if len(s.Graph) == 0 {
		return nil, errors.New("comfyui: the graph is empty")
	}
	client, err := c.socket.join(ctx)
	if err != nil {
		return nil, err
	}
	r := newRun(c, s, client)
	body, err := s.body(client)
	if err == nil && int64(len(body)) > c.limits.JSONBytes {
		err = &TooLargeError{What: "the graph", Limit: c.limits.JSONBytes}
	}
	if err == nil {
		err = c.register(r)
	}
	if err != nil {
		c.socket.leave()
		return nil, err
	}
	placed := make(chan error, 1)
	if err := c.background(ctx, func(ctx context.Context) { placed <- c.place(ctx, r, body) }); err != nil {
		c.drop(r)
		return nil, err
	}
	select {
	case err := <-placed:
		if err != nil {
			return nil, err
		}
		return r, nil
	case <-ctx.Done():
		_ = c.background(ctx, func(ctx context.Context) { abandon(ctx, r, placed) }) // a closed client abandons all
		return nil, ctx.Err()
	}
}

func (s Submission) body(client string) ([]byte, error) {
	p := placement{Prompt: s.Graph, Client: client, PromptID: s.PromptID}
	if s.Extra != nil {
		p.Extra = &extraData{s.Extra}
	}
	body, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("comfyui: the graph is no JSON: %w", err)
	}
	return body, nil
}

// register makes the run known to the socket's reader, before the POST: a cached job ends before its answer comes (CLIENT-WS-8,
// CLIENT-FAIL-3).
func (c *Client) register(r *Run) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.runs) >= maxRuns {
		return ErrTooMany
	}
	if _, taken := c.runs[r.id]; taken {
		return errors.New("comfyui: the prompt id is in use")
	}
	c.runs[r.id] = r
	return nil
}

// drop forgets a run that has ended or never began.
func (c *Client) drop(r *Run) {
	id := r.PromptID()
	c.mu.Lock()
	if c.runs[id] == r {
		delete(c.runs, id)
	}
	c.mu.Unlock()
	c.socket.leave()
}

// rename takes the id that an older server gave in place of ours.
func (c *Client) rename(r *Run, id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(c.runs, r.id)
	r.id = id
	c.runs[id] = r
}

// abandonWithin bounds the stopping of a run whose submitter has left.
const abandonWithin = time.Minute

func abandon(ctx context.Context, r *Run, placed <-chan error) {
	if <-placed != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, abandonWithin)
	defer cancel()
	_ = r.Cancel(ctx) // nobody is left to tell
}

// place posts and begins to follow, or drops the run.
func (c *Client) place(ctx context.Context, r *Run, body []byte) error {
	faults, err := c.post(ctx, r, body)
	if err == nil {
		err = c.background(ctx, r.follow)
	}
	if err != nil {
		c.drop(r)
		return err
	}
	if faults == nil {
		return nil
	}
	// A part of the graph runs all the same (CLIENT-PROMPT-1), and nobody will want it.
	_ = c.background(ctx, func(ctx context.Context) { abandon(ctx, r, closedErr()) })
	return faults
}

func closedErr() <-chan error {
	none := make(chan error)
	close(none)
	return none
}

// post sends the body once. An error means that the server has no such job, as far as can be known.
func (c *Client) post(ctx context.Context, r *Run, body []byte) (*RejectedError, error) {
	var sent atomic.Bool
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	var answer struct {
		PromptID string                `json:"prompt_id"`
		Faults   map[string]nodeFaults `json:"node_errors"`
	}
	err := c.do(traced, call{
		method: http.MethodPost, route: []string{"prompt"}, body: onceReader{bytes.NewReader(body)}, length: int64(len(body)),
		mime: "application/json", within: c.timeouts.Submit, rejects: true,
	}, func(resp *http.Response) error { return c.readJSON(resp, &answer) })
	switch {
	case err != nil && doubtful(err, sent.Load()):
		return nil, c.find(ctx, r, err)
	case err != nil:
		return nil, err
	}
	if id := answer.PromptID; id != r.PromptID() && id != "" && len(id) <= 64 {
		c.rename(r, id)
	}
	if len(answer.Faults) > 0 {
		return &RejectedError{Type: "node_errors", Message: "some outputs failed validation", Nodes: faults(answer.Faults)}, nil
	}
	return nil, nil
}

// A onceReader cannot be rewound, so that net/http cannot send the body again either.
type onceReader struct{ io.Reader }

// doubtful reports whether the server may have taken the job in spite of err: the request left, and what came back is nothing, a
// proxy's word, or not understood.
func doubtful(err error, sent bool) bool {
	switch status(err) {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return sent && (errors.Is(err, ErrUnreachable) || errors.Is(err, ErrProtocol))
}

// find looks for the run after a doubtful POST: at once, and twice more over two seconds. It returns cause where the server
// answers and does not have it.
func (c *Client) find(ctx context.Context, r *Run, cause error) error {
	answered := false
	for _, wait := range []time.Duration{0, 500 * time.Millisecond, 1500 * time.Millisecond} {
		if !sleep(ctx, wait) {
			return ErrClosed
		}
		s, err := c.look(ctx, r.PromptID())
		if err == nil && s.state != Lost {
			return nil
		}
		answered = err == nil
	}
	if answered {
		return cause
	}
	r.update(func(p *Progress) { p.State, p.Unreachable = Pending, true })
	return nil
}
