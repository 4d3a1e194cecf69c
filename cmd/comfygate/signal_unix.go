//go:build unix

package main

import (
	"os"
	"syscall"
)

// reloadSignals ask for files to be read again at once.
var reloadSignals = []os.Signal{syscall.SIGHUP}
