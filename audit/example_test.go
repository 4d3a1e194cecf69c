package audit_test

import (
	"context"
	"fmt"
	"os"

	"github.com/comfygate/comfygate/audit"
)

// A process takes a slot, ends what crashed ones left open, and records what it does; anybody verifies it later.
func Example() {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	data, err := os.MkdirTemp("", "comfygate")
	must(err)
	defer func() { must(os.RemoveAll(data)) }()

	slot, err := audit.TakeSlot(data)
	must(err)
	cfg := audit.Config{Dir: slot.Dir(), Version: "1.0"}
	log, err := audit.Open(cfg)
	must(err)
	_, err = audit.RecoverSlots(data, slot, cfg)
	must(err)

	ctx := context.Background()
	must(log.Append(ctx, audit.Record{
		Kind: audit.Intent, CallID: "7q2w", Principal: "local", Tool: "generate", Decision: "allow",
		Params: map[string]any{"prompt": log.Digest("ann", "a red fox"), "width": 1024},
	})) // an error: nothing is generated
	must(log.AppendReserved(ctx, audit.Record{
		Kind: audit.Outcome, CallID: "7q2w", Principal: "local", Tool: "generate", Status: audit.StatusOK,
	})) // an error: the result is withheld
	must(log.Close(ctx))
	must(slot.Release())

	report, err := audit.Verify(data, audit.VerifyOptions{})
	fmt.Println(report.Slots[0].Name, report.Slots[0].Records, err)
	// Output: 001 4 <nil>
}
