// Command comfygate lets AI agents make pictures with ComfyUI, safely: it is an MCP server over stdio or HTTP.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/comfygate/comfygate/config"
)

func main() { os.Exit(start()) }

// start runs the program until it ends or is told to. The first SIGINT or SIGTERM asks it to end in order; the second ends it now.
func start() int {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	signal.Ignore(syscall.SIGPIPE) // a client that dies is a write that fails: the record still wants its last line
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		cancel()
		<-signals
		os.Exit(exitNow)
	}()
	environ := os.Environ()
	for _, name := range config.SecretVariables() {
		_ = os.Unsetenv(name) // what this process starts does not inherit them (SC-31)
	}
	return run(ctx, os.Args[1:], environ, os.Stdin, os.Stdout, os.Stderr)
}
