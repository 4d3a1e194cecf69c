package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/alecthomas/kong"
)

// Exit codes. `audit verify` and `doctor` have further ones, told by their --help.
const (
	exitOK    = 0
	exitError = 1   // it was tried and failed
	exitUsage = 2   // it was not tried: wrong command, flag or setting
	exitNow   = 130 // ended by a second signal
)

// process is what a command may touch of the outside.
type process struct {
	ctx     context.Context //nolint:containedctx // lives as long as one run
	environ []string
	stdin   io.Reader
	stdout  io.Writer
	stderr  io.Writer
}

// commands is the whole command line.
type commands struct {
	Serve    serveCommand    `cmd:"" default:"withargs" help:"Serve MCP, over stdio or HTTP. This is what no command means."`
	Demo     demoCommand     `cmd:"" help:"Make a picture with the embedded ComfyUI, as an MCP client would."`
	Emulator emulatorCommand `cmd:"" help:"Serve the embedded ComfyUI alone, for people who write ComfyUI clients."`
	Doctor   doctorCommand   `cmd:"" help:"Look at this set-up and say what is wrong with it, and what to do."`
	Config   struct {
		Show configShowCommand `cmd:"" help:"Print the settings in force and where each comes from; secrets are masked."`
		Docs configDocsCommand `cmd:"" help:"Print the reference of all settings, as Markdown."`
	} `cmd:"" help:"Settings."`
	Audit    auditCommands    `cmd:"" help:"The record of every call."`
	Token    tokenCommands    `cmd:"" help:"Tokens that let callers in over HTTP."`
	Policy   policyCommands   `cmd:"" help:"Who may do what."`
	Workflow workflowCommands `cmd:"" help:"Workflows of your own and those that ComfyUI ships."`
	Install  installCommand   `cmd:"" help:"Write comfygate into an MCP client's configuration."`
	Version  versionCommand   `cmd:"" help:"Print the version."`

	VersionFlag kong.VersionFlag `name:"version" help:"Print the version."`
}

// An exitCode is an error that ends the program with this code, its cause already told.
type exitCode int //nolint:errname // it is an exit code first

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// A usageError says that the command was not tried.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// run is the program. It reads nothing of the process but its arguments.
func run(ctx context.Context, args, environ []string, stdin io.Reader, stdout, stderr io.Writer) (code int) {
	defer func() { // kong's --help and --version end the process through Exit
		if v := recover(); v != nil {
			c, ok := v.(exitCode)
			if !ok {
				panic(v)
			}
			code = int(c)
		}
	}()
	var cmds commands
	parser, err := kong.New(&cmds,
		kong.Name("comfygate"),
		kong.Description("Pictures from ComfyUI for AI agents, safely. Settings are environment variables: comfygate config docs."),
		kong.Writers(stdout, stderr),
		kong.Vars{"version": versionLine()},
		kong.Exit(func(code int) { panic(exitCode(code)) }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "comfygate:", err)
		return exitError
	}
	kctx, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(stderr, "comfygate: %v\nRun comfygate --help for what there is.\n", err)
		return exitUsage
	}
	err = kctx.Run(&process{ctx, environ, stdin, stdout, stderr})
	var quiet exitCode
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &quiet):
		return int(quiet)
	case errors.Is(err, syscall.EPIPE): // as in comfygate config docs | head
		return exitError
	case errors.As(err, new(usageError)):
		fmt.Fprintln(stderr, "comfygate:", err)
		return exitUsage
	default:
		fmt.Fprintln(stderr, "comfygate:", err)
		return exitError
	}
}
