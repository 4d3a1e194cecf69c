package mcpserver

import (
	"context"
	"fmt"

	"github.com/comfygate/comfygate/tools"
)

// decode is the only validator: strict reading, the published schema, then the tool's own types.
func (*pipeline) decode(next handler) handler {
	return func(ctx context.Context, c *call) (tools.Result, error) {
		doc, raw, err := c.tool.check(c.raw)
		if err != nil {
			return tools.Result{}, err
		}
		args, err := c.tool.Decode(raw)
		if err != nil {
			return tools.Result{}, fmt.Errorf("decoding checked arguments: %w", err)
		}
		c.doc, c.args = doc, args
		return next(ctx, c)
	}
}
