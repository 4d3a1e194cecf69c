// Command tinymodels writes model files for a live suite: a checkpoint and an upscaler that are small and random but work,
// and empty files under the usual names of every family, with which a ComfyUI accepts the family's graph.
//
//	go run ./test/tinymodels -out DIR [-templates URL]
//
// writes below DIR/models; DIR is then a base directory for ComfyUI. The same bytes come out each time and everywhere. With the URL of a
// ComfyUI, there are empty files too for all models that the templates it ships name.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("tinymodels", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("out", "", "folder to write models/ into")
	templates := flags.String("templates", "", "URL of a ComfyUI whose templates' models shall be there too, as empty files")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if *out == "" || flags.NArg() > 0 {
		_, _ = fmt.Fprintln(stderr, "say where: tinymodels -out DIR [-templates URL]")
		return 2
	}
	if err := write(filepath.Join(*out, "models")); err != nil {
		_, _ = fmt.Fprintln(stderr, err)
		return 1
	}
	if *templates != "" {
		n, err := writeNamed(ctx, *templates, filepath.Join(*out, "models"))
		if err != nil {
			_, _ = fmt.Fprintln(stderr, err)
			return 1
		}
		_, _ = fmt.Fprintf(stdout, "wrote placeholders of %d models that templates name\n", n)
	}
	_, _ = fmt.Fprintf(stdout, "wrote %s, %s and %d placeholders below %s\n", checkpointFile, upscalerFile, placeholderCount(), filepath.Join(*out, "models"))
	return 0
}

// The two models that work.
const (
	checkpointFile = "checkpoints/tiny-sd3.safetensors"
	upscalerFile   = "upscale_models/tiny-x2.safetensors"
)

// write writes all files below dir. A placeholder never replaces a file that is there: it may be a real model.
func write(dir string) error {
	for name, data := range map[string][]byte{checkpointFile: encode(checkpoint(), 1), upscalerFile: encode(upscaler(), 2)} {
		if err := writeFile(filepath.Join(dir, filepath.FromSlash(name)), data, os.O_TRUNC); err != nil {
			return err
		}
	}
	for _, p := range placeholders() {
		for _, name := range p.names {
			if err := writeFile(filepath.Join(dir, p.folder, name+".safetensors"), nil, os.O_APPEND); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeFile(name string, data []byte, flag int) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|flag, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		_ = f.Close() // the first error says more
		return err
	}
	return f.Close()
}
