// Command templates tells whether a ComfyUI takes what we make of the templates that it ships.
//
//	go run ./test/templates -url URL [-base DIR]
//
// reads each template of the server, converts it and posts it, behind a job that keeps the server busy, so that it is validated and taken
// off the queue unrun. It prints a table, and of each that is refused the reasons. Models need only be there by name (make tiny-models
// TEMPLATES=URL), and the pictures, videos and sounds that templates name are lent, empty in all but name: what is there stays as it is, what
// is put below -base is taken away again, and without it they are uploaded and remain. Then it runs what needs no
// model and compares pixels. The exit code is 1 when more open templates are refused than -misses allows, or a pixel is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/policy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("templates", flag.ContinueOnError)
	flags.SetOutput(stderr)
	url := flags.String("url", "", "the ComfyUI")
	base := flags.String("base", "", "its base directory, for files that cannot be uploaded")
	cases := flags.String("cases", "comfy/workflow/testdata/ui", "folder of workflows whose pixels are known")
	misses := flags.Int("misses", 3, "how many open templates may be refused")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *url == "" || flags.NArg() > 0 {
		_, _ = fmt.Fprintln(stderr, "say which server: templates -url URL [-base DIR] [-misses N]")
		return 2
	}
	s, err := connect(*url, *base, *cases)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	defer s.client.Close()
	ok, err := s.judge(ctx, stdout, *misses)
	if err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	if !ok {
		return 1
	}
	return 0
}

// A server is the ComfyUI under test.
type server struct {
	url, base string
	cases     string // folder of workflows whose pixels are known
	client    *comfy.Client
	rules     *policy.Rules
	info      *comfy.ObjectInfo
	placed    []string // files to take away at the end
}

func connect(url, base, cases string) (*server, error) {
	rules, err := policy.New(policy.Config{})
	if err != nil {
		return nil, err
	}
	client, err := comfy.New(comfy.Config{URL: url})
	return &server{url: url, base: base, cases: cases, client: client, rules: rules}, err
}

func (s *server) judge(ctx context.Context, out io.Writer, misses int) (ok bool, err error) {
	defer func() { err = errors.Join(err, s.clean()) }()
	release, err := s.occupy(ctx)
	if err != nil {
		return false, err
	}
	report, err := s.templates(ctx)
	release()
	if err != nil {
		return false, err
	}
	ok = report.print(out, misses)
	wrong, err := s.pixels(ctx, out)
	return ok && wrong == 0, err
}
