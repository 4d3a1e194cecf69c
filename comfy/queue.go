package comfy

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// A Queue is the server's queue, pending sorted by number (CLIENT-QUEUE-1). It holds ids only.
type Queue struct{ Running, Pending []string }

// maxQueue bounds what is read of the queue; who has more waiting than that has lost count anyway.
const maxQueue = 10_000

// Queue reads the server's queue.
func (c *Client) Queue(ctx context.Context) (Queue, error) {
	raw, err := getJSON[struct {
		Running json.RawMessage `json:"queue_running"`
		Pending json.RawMessage `json:"queue_pending"`
	}](ctx, c, c.timeouts.Queue, nil, "queue")
	if err != nil {
		return Queue{}, err
	}
	running, errRunning := queueItems(raw.Running)
	pending, errPending := queueItems(raw.Pending)
	if err := errors.Join(errRunning, errPending); err != nil {
		return Queue{}, err
	}
	return Queue{Running: inOrder(running), Pending: inOrder(pending)}, nil
}

// queued is an item of the queue: [number, id, graph, …].
type queued struct {
	number float64
	id     string
}

// queueItems reads numbers and ids and steps over the graphs.
func queueItems(raw []byte) ([]queued, error) {
	var items []queued
	for item := range elements(raw) {
		var q queued
		i, ok := 0, false
		for field := range elements(item) {
			if i++; i > 1 {
				q.id, ok = text(field)
				break
			}
			q.number, _ = number(field)
		}
		if !ok {
			return nil, fmt.Errorf("%w: an item of its queue has no id", ErrProtocol)
		}
		if items = append(items, q); len(items) > maxQueue {
			return nil, &TooLargeError{What: "comfyui's queue", Limit: maxQueue}
		}
	}
	return items, nil
}

func inOrder(items []queued) []string {
	slices.SortStableFunc(items, func(a, b queued) int {
		return cmp.Or(cmp.Compare(a.number, b.number), strings.Compare(a.id, b.id))
	})
	ids := make([]string, len(items))
	for i, q := range items {
		ids[i] = q.id
	}
	return ids
}

// jobList is GET /api/jobs.
type jobList struct {
	Jobs []struct {
		ID       string  `json:"id"`
		Status   string  `json:"status"`
		Priority float64 `json:"priority"`
	} `json:"jobs"`
}

// jobsQueue is the queue as the jobs API tells it, without the graphs.
func (c *Client) jobsQueue(ctx context.Context) (Queue, error) {
	list, err := getJSON[jobList](ctx, c, c.timeouts.Queue, url.Values{"status": {"pending,in_progress"}, "limit": {"1000"}}, "jobs")
	if err != nil {
		return Queue{}, err
	}
	var running, pending []queued
	for _, j := range list.Jobs {
		switch j.Status {
		case "in_progress":
			running = append(running, queued{j.Priority, j.ID})
		case "pending":
			pending = append(pending, queued{j.Priority, j.ID})
		}
	}
	return Queue{Running: inOrder(running), Pending: inOrder(pending)}, nil
}

// DeleteHistory removes one run from the server's history (SC-51).
func (c *Client) DeleteHistory(ctx context.Context, promptID string) error {
	return c.postJSON(ctx, c.timeouts.Queue, deletion{[]string{promptID}}, "history")
}

// deletion is the body that deletes from the queue or the history.
type deletion struct {
	IDs []string `json:"delete"`
}

// Free asks the server to unload models and to empty its node cache. It does so after its present job.
func (c *Client) Free(ctx context.Context) error {
	return c.postJSON(ctx, c.timeouts.Queue, map[string]bool{"unload_models": true, "free_memory": true}, "free")
}
