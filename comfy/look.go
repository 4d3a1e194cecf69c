package comfy

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A sight is what one look at the server tells of a run.
type sight struct {
	state    State // Lost means: not known there
	position int
	idle     bool // pending, and the server runs nothing
	result   Result
}

// look asks where the run stands: the jobs API where it is, else queue, history and queue again, since a run can move on between
// two calls (CLIENT-FAIL-4, CLIENT-WS-13). That order alone makes Lost mean something.
func (c *Client) look(ctx context.Context, id string) (sight, error) {
	switch c.dialect.jobs.Load() {
	case jobsThere:
		s, err := c.lookJobs(ctx, id)
		if errors.Is(err, errNoJobs) {
			return c.lookQueue(ctx, id)
		}
		if err == nil && s.state == Lost && !c.base.cloud {
			return c.lookQueue(ctx, id) // hard to take back, so asked twice
		}
		return s, err
	case jobsMissing:
		return c.lookQueue(ctx, id)
	}
	s, err := c.lookJobs(ctx, id)
	if errors.Is(err, errNoJobs) || err == nil && s.state == Lost && !c.base.cloud {
		return c.lookQueue(ctx, id)
	}
	return s, err
}

// lookEnd asks only whether the run has ended, which is all that is open after the socket said so.
func (c *Client) lookEnd(ctx context.Context, id string) (sight, error) {
	if c.dialect.jobs.Load() != jobsMissing {
		s, err := c.lookJob(ctx, id)
		unsure := err == nil && s.state == Lost && c.dialect.jobs.Load() == jobsUnknown // a proxy's 404 may have words, too
		if !errors.Is(err, errNoJobs) && !unsure {
			return s, err
		}
	}
	return c.lookHistory(ctx, id)
}

// errNoJobs says that the server has no jobs API.
var errNoJobs = errors.New("no jobs API") //nolint:gochecknoglobals // an error value

// lookJobs is the jobs API with the place in the queue.
func (c *Client) lookJobs(ctx context.Context, id string) (sight, error) {
	s, err := c.lookJob(ctx, id)
	if err != nil || s.state != Pending {
		return s, err
	}
	if q, err := c.jobsQueue(ctx); err == nil { // it is only the place, and the next look tells it again
		s.position = slices.Index(q.Pending, id) + 1
		s.idle = len(q.Running) == 0 && s.position > 0
	}
	return s, nil
}

func (c *Client) lookJob(ctx context.Context, id string) (sight, error) {
	job, err := getJSON[jobEntry](ctx, c, c.timeouts.Queue, nil, "jobs", id)
	switch code := status(err); {
	case code == http.StatusNotFound && saysUnknown(err):
		return sight{state: Lost}, nil
	case code == http.StatusNotFound, code == http.StatusMethodNotAllowed:
		c.dialect.jobs.Store(jobsMissing)
		return sight{}, errNoJobs
	case err != nil:
		return sight{}, err
	}
	c.dialect.jobs.Store(jobsThere)
	switch job.Status {
	case "pending":
		return sight{state: Pending}, nil
	case "completed", "failed", "cancelled":
		return ended(job.result(c.timeUnit())), nil
	}
	return sight{state: Running}, nil // in_progress, and whatever newer servers call what has not ended
}

// saysUnknown tells the jobs API's 404, which has words, from that of a server without the route, which has none.
func saysUnknown(err error) bool {
	var s *StatusError
	return errors.As(err, &s) && s.Text != "" && s.json
}

func ended(r Result) sight { return sight{state: r.State, result: r} }

// timeUnit is that of the jobs API's times (CLIENT-ALT-3).
func (c *Client) timeUnit() time.Duration {
	if c.base.cloud {
		return time.Second
	}
	return time.Millisecond
}

func (c *Client) lookQueue(ctx context.Context, id string) (sight, error) {
	if s, err := c.lookWaiting(ctx, id); err != nil || s.state != Lost {
		return s, err
	}
	if s, err := c.lookHistory(ctx, id); err != nil || s.state != Lost {
		return s, err
	}
	return c.lookWaiting(ctx, id)
}

func (c *Client) lookWaiting(ctx context.Context, id string) (sight, error) {
	q, err := c.Queue(ctx)
	switch i := slices.Index(q.Pending, id); {
	case err != nil:
		return sight{}, err
	case slices.Contains(q.Running, id):
		return sight{state: Running}, nil
	case i >= 0:
		return sight{state: Pending, position: i + 1, idle: len(q.Running) == 0}, nil
	}
	return sight{state: Lost}, nil
}

// lookHistory reads one entry of the history, never the whole (CLIENT-FAIL-10). No entry means nothing by itself
// (CLIENT-QUEUE-3).
func (c *Client) lookHistory(ctx context.Context, id string) (sight, error) {
	all, err := getJSON[map[string]historyEntry](ctx, c, c.timeouts.Read, nil, "history", id)
	if err != nil {
		return sight{}, err
	}
	if entry, ok := all[id]; ok {
		return ended(entry.result()), nil
	}
	return sight{state: Lost}, nil
}

// outputs is node id → kind → list; the lists hold files and other things.
type outputs map[string]map[string]json.RawMessage

// Bounds of the outputs of one run: how many, and the bytes of one text.
const (
	maxOutputs = 4096
	maxText    = 16 << 10
)

func (o outputs) files() []Output {
	var files []Output
	for node, kinds := range o {
		for kind, data := range kinds {
			files = append(files, outputsOf(node, kind, data)...)
		}
	}
	slices.SortStableFunc(files, func(a, b Output) int {
		if c := byNumber(a.Node, b.Node); c != 0 {
			return c
		}
		return byNumber(a.Kind, b.Kind)
	})
	return files[:min(len(files), maxOutputs)]
}

// outputsOf reads one list; what is no output is passed over.
func outputsOf(node, kind string, data json.RawMessage) (files []Output) {
	var list []json.RawMessage
	if json.Unmarshal(data, &list) != nil {
		return nil
	}
	for _, item := range list {
		f, ok := outputFile(item)
		if !ok && kind == "text" {
			f, ok = outputText(item)
		}
		if ok {
			f.Node, f.Kind = node, kind
			files = append(files, f)
		}
	}
	return files
}

// outputFile reads one item where it is a file with a name that can be asked for (CLIENT-SEC-10).
func outputFile(item json.RawMessage) (Output, bool) {
	var f struct{ Filename, Subfolder, Type string }
	if len(item) == 0 || item[0] != '{' || json.Unmarshal(item, &f) != nil || !isServerName(f.Filename) {
		return Output{}, false
	}
	if f.Subfolder != "" && !isServerName(f.Subfolder) {
		return Output{}, false
	}
	switch f.Type = orDefault(f.Type, "output"); f.Type {
	case "output", "temp", "input":
		return Output{Filename: f.Filename, Subfolder: f.Subfolder, Type: f.Type}, true
	}
	return Output{}, false
}

// outputText reads one item where it is a text, or a list of texts as some custom nodes give them.
func outputText(item json.RawMessage) (Output, bool) {
	var text string
	var lines []string
	switch {
	case json.Unmarshal(item, &text) == nil:
	case json.Unmarshal(item, &lines) == nil:
		text = strings.Join(lines, "\n")
	default:
		return Output{}, false
	}
	text = CleanText(text, maxText)
	return Output{Text: text}, text != ""
}
