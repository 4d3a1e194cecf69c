// Command benchmemory measures what memory comfygate takes where an attacker would make it take most, each figure beside its stated budget:
// a million identities at every limit, and 200 uploads of the largest kind at once. It needs the built binary: make bench-memory.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

// A row is one line of the table, in bytes.
type row struct {
	what         string
	took, budget uint64
	note         string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Getenv("E2E_BINARY"), os.Stdout, os.Stderr))
}

func run(ctx context.Context, binary string, stdout, stderr io.Writer) int {
	if binary == "" {
		fmt.Fprintln(stderr, "benchmemory: E2E_BINARY names no binary; run it by make bench-memory")
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	code := 0
	fmt.Fprintf(stdout, "%-66s %12s %12s\n", "what", "memory", "budget")
	for _, measure := range []func(context.Context, string) ([]row, error){identities, uploads} {
		rows, err := measure(ctx, binary)
		if err != nil {
			fmt.Fprintln(stderr, "benchmemory:", err)
			code = 1
		}
		for _, r := range rows {
			mark := ""
			if r.took > r.budget {
				mark, code = "  MISSED", 1
			}
			fmt.Fprintf(stdout, "%-66s %12s %12s%s\n", r.what, mebibytes(r.took), mebibytes(r.budget), mark)
			if r.note != "" {
				fmt.Fprintln(stdout, "  "+r.note)
			}
		}
	}
	return code
}

func mebibytes(n uint64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
