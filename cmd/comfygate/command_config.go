package main

import (
	"os"

	"github.com/comfygate/comfygate/config"
)

// load reads the settings. Its error is a usage error that names every fault at once.
func load(p *process, overrides map[string]string) (config.Config, []string, error) {
	cfg, warnings, err := config.Load(p.environ, os.ReadFile, overrides)
	if err != nil {
		return cfg, nil, usageError{err}
	}
	return cfg, warnings, nil
}

type configShowCommand struct{}

// Run prints the settings in force.
func (configShowCommand) Run(p *process) error {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	return config.WriteShow(p.stdout, cfg)
}

type configDocsCommand struct{}

// Run prints the reference of all settings.
func (configDocsCommand) Run(p *process) error { return config.WriteDocs(p.stdout) }
