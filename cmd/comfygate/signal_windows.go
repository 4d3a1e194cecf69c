package main

import "os"

// reloadSignals: Windows has none; files are looked at every few seconds.
var reloadSignals []os.Signal
