// Command bench measures what comfygate costs, each figure beside a bare baseline taken in the same run on the same machine.
// It needs the built binary: make bench.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"
)

// A row is one line of the table.
type row struct {
	what, ours, base, ratio, target string
	met                             bool
}

// A measure is one section of the run.
type measure struct {
	name string
	run  func(ctx context.Context, binary string) ([]row, error)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv("E2E_BINARY"), os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, binary string, stdout, stderr io.Writer) int {
	only := ""
	if len(args) == 2 && args[0] == "-only" { // one section: words of its name
		only, args = args[1], nil
	}
	if len(args) > 0 { // this program is its own baseline
		if err := bare(ctx, args); err != nil {
			fmt.Fprintln(stderr, "bench:", err)
			return 1
		}
		return 0
	}
	if binary == "" {
		fmt.Fprintln(stderr, "bench: E2E_BINARY names no binary; run it by make bench")
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	code := 0
	fmt.Fprintf(stdout, "%-58s %14s %14s %12s  %s\n", "what", "comfygate", "bare", "", "target")
	for _, m := range []measure{
		{"start", measureStart},
		{"status over stdio", measureStdio},
		{"status over HTTP", measureHTTP},
		{"generate", measureGenerate},
		{"pictures", measurePictures},
		{"denials", measureDenials},
		{"clients", measureClients},
		{"audit", measureAudit},
	} {
		if !strings.Contains(m.name, only) {
			continue
		}
		rows, err := m.run(ctx, binary)
		if err != nil {
			fmt.Fprintf(stderr, "bench: %s: %v\n", m.name, err)
			code = 1
			continue
		}
		for _, r := range rows {
			mark := ""
			if !r.met {
				mark = "  MISSED"
			}
			fmt.Fprintf(stdout, "%-58s %14s %14s %12s  %s%s\n", r.what, r.ours, r.base, r.ratio, r.target, mark)
		}
	}
	return code
}
