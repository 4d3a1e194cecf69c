package mcpserver

import (
	"fmt"
	"math"
	"time"

	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/monitor"
)

// limitRows are what limits refuse besides rates and places. They come first: a rate that never lets the call pass is no reason to wait.
func limitRows() []row {
	return []row{
		{
			code: "LIMIT_EXCEEDED", from: "limits.RateError, limits.BudgetError",
			meaning: "The call asks for more than a limit ever allows; waiting does not help.",
			advice:  "Ask for less: fewer or smaller pictures, or fewer steps. status tells the limits.",
			match: func(err error) *wording {
				if w := as(neverRate)(err); w != nil {
					return w
				}
				return as(neverBudget)(err)
			},
		},
		{
			code: "BUDGET_EXHAUSTED", from: "limits.BudgetError", retryable: true,
			meaning: "What you may have computed in an hour or a day is spent.",
			advice:  "Wait as long as retry_after_ms says, or ask for a smaller picture or fewer steps; status tells what is left.",
			match: as(func(e *limits.BudgetError) *wording {
				return &wording{
					message: fmt.Sprintf("This takes %s megapixel-steps, and of %s (%s) there are %s left: wait %s.",
						units(math.Ceil(e.Cost)), clean(e.Limit, 60), units(e.Max), units(math.Floor(e.Left)), rounded(e.RetryAfter)),
					after: e.RetryAfter,
				}
			}),
		},
		{
			code: "RESOURCE_EXHAUSTED", from: "limits.BusyError", retryable: true,
			meaning: "Too many calls run at once.",
			advice:  "Wait until others have ended, then call again.",
			match: as(func(e *limits.BusyError) *wording {
				return &wording{message: fmt.Sprintf("%d of %d calls run already (%s).", e.Running, e.Max, clean(e.Limit, 60)), after: 2 * time.Second}
			}),
		},
		{
			code: "RESOURCE_EXHAUSTED", from: "monitor.ShortError", retryable: true,
			meaning: "Disk or memory of comfygate's machine is short, so nothing new is made.",
			advice:  "The operator must free some; pictures that are there can still be read. Try again in a few minutes.",
			match: as(func(e *monitor.ShortError) *wording {
				return &wording{message: "This machine's " + clean(e.Probe, 40) + " is nearly full; nothing new is made until there is room.", after: time.Minute}
			}),
		},
	}
}

func neverRate(e *limits.RateError) *wording {
	if e.RetryAfter > 0 {
		return nil
	}
	return &wording{message: fmt.Sprintf("The limit %s never allows that much at once.", clean(e.Limit, 60))}
}

func neverBudget(e *limits.BudgetError) *wording {
	if e.RetryAfter > 0 {
		return nil
	}
	return &wording{message: fmt.Sprintf("This takes %s megapixel-steps, but %s is %s in all.", units(math.Ceil(e.Cost)), clean(e.Limit, 60), units(e.Max))}
}

// units writes megapixel-steps.
func units(f float64) string { return fmt.Sprintf("%.0f", f) }
