package mcpserver

import (
	"context"
	"encoding/json"
	"time"

	"github.com/comfygate/comfygate/tools"
)

// deadline bounds what comes before the run by one limit, and the run by what the caller wants to wait and a margin. Both count from the
// call's arrival. A deadline that passes is errTimeout, whatever the stage made of it.
func (p *pipeline) deadline(next handler) handler {
	return func(ctx context.Context, c *call) (tools.Result, error) {
		whole := c.arrived.Add(p.bounds.Resolve + c.tool.wait(c.doc) + p.bounds.Run)
		c.running = func(context.Context) (context.Context, context.CancelFunc) {
			return context.WithDeadlineCause(ctx, whole, errTimeout)
		}
		deciding, cancel := context.WithDeadlineCause(ctx, c.arrived.Add(p.bounds.Resolve), errTimeout)
		defer cancel()
		return next(deciding, c)
	}
}

// Bounds of wait_seconds, and what it is where neither the call nor the schema says.
const (
	defaultWait = 45 * time.Second
	maxWait     = 300 * time.Second
)

// wait is how long the call wants to wait for a job.
func (t *tool) wait(doc map[string]any) time.Duration {
	if !t.Waits {
		return 0
	}
	n, ok := doc["wait_seconds"].(json.Number)
	if !ok {
		return t.defaultWait
	}
	seconds, err := n.Float64()
	if err != nil || seconds < 0 {
		return t.defaultWait
	}
	return min(time.Duration(min(seconds, maxWait.Seconds())*float64(time.Second)), maxWait)
}
