package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/comfygate/comfygate/comfy/emulator"
)

type emulatorCommand struct {
	Listen        string        `default:"127.0.0.1:8188" help:"Address to serve on; port 0 takes a free one."`
	As            string        `default:"0.33.0" enum:"0.33.0,0.3.64" help:"Which ComfyUI to speak as: ${enum}."`
	StepTime      time.Duration `default:"0s" help:"Waited at every sampling step."`
	PreviewMethod string        `default:"none" enum:"none,auto" help:"Whether clients are sent previews, ${enum}; ComfyUI sends none unless it is told to."`
	Fault         []string      `sep:"none" placeholder:"NAME[@ARG]" help:"Misbehave in a named way; may be given several times. The names stand below."`
	Seed          uint64        `help:"Salt of every drawing."`
}

// Help lists the faults below the flags.
func (emulatorCommand) Help() string {
	var b strings.Builder
	b.WriteString("Faults:\n\n")
	for _, f := range emulator.FaultList() {
		name := f.Name
		if f.Arg != "" {
			name += "@" + f.Arg
		}
		fmt.Fprintf(&b, "  %-28s %s\n", name, f.Help)
	}
	b.WriteString("\n\"*N\" behind a fault lets it strike N times only: oom@3*1")
	return b.String()
}

// Run serves the emulator until the process is told to end.
func (e *emulatorCommand) Run(p *process) error {
	opts := emulator.Options{Version: e.As, StepTime: e.StepTime, Seed: e.Seed, NoPreviews: e.PreviewMethod == "none"}
	for _, text := range e.Fault {
		f, err := emulator.ParseFault(text)
		if err != nil {
			return usageError{err}
		}
		opts.Faults = append(opts.Faults, f)
	}
	srv, err := emulator.New(opts)
	if err != nil {
		return usageError{err}
	}
	lis, err := (&net.ListenConfig{}).Listen(p.ctx, "tcp", e.Listen)
	if err != nil {
		return fmt.Errorf("listening on %s: %w", e.Listen, err)
	}
	fmt.Fprintf(p.stdout, "ComfyUI %s (embedded) at http://%s\n", e.As, lis.Addr())
	for _, f := range opts.Faults {
		fmt.Fprintln(p.stdout, "fault in force:", f)
	}
	stop := context.AfterFunc(p.ctx, func() { _ = srv.Close() })
	defer stop()
	err = srv.Serve(lis)
	if cerr := srv.Close(); err == nil {
		err = cerr
	}
	return err
}
