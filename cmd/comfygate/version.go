package main

import (
	"fmt"
	"runtime/debug"
)

// version is the one version string: of --version, MCP's serverInfo, status and the User-Agent (SC-01). CHANGELOG.md's top heading equals it (SC-05).
const version = "0.1.0"

type versionCommand struct{}

// Run prints the version, and where known the commit and the Go release it was built with.
func (versionCommand) Run(p *process) error {
	_, err := fmt.Fprintln(p.stdout, versionLine())
	return err
}

func versionLine() string { return "comfygate " + version + " " + built() }

func built() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	commit := ""
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			commit = s.Value[:12] + ", "
		}
	}
	return "(" + commit + info.GoVersion + ")"
}
