package main

import (
	"context"
	"fmt"
	"io"

	"go.uber.org/zap"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/doctor"
)

type doctorCommand struct {
	JSON     bool `help:"Print the findings as JSON."`
	Security bool `help:"Instead, tell of each promise of the security checklist how it stands in this set-up."`
}

// Help tells the exit codes.
func (doctorCommand) Help() string {
	return "Changes nothing. Exit code 0: nothing failed, there may be warnings. 1: something failed; the finding tells its fix. " +
		"With --security each promise passes, fails, or is about something that is not here (n-a); what no setting can change names the tests that hold it."
}

// Run looks at the set-up.
func (d *doctorCommand) Run(p *process) (err error) {
	cfg, warnings, err := load(p, nil)
	if err != nil {
		return err
	}
	h := &house{cfg: cfg, log: zap.NewNop()}
	defer func() {
		if cerr := h.close(context.WithoutCancel(p.ctx)); err == nil {
			err = cerr
		}
	}()
	if err := h.reachComfyUI(p.ctx); err != nil {
		return err
	}
	rules, err := newRules(cfg)
	if err != nil {
		return err
	}
	catalog, err := newCatalog(cfg)
	if err != nil {
		return err
	}
	in := doctor.Input{
		Version: version, Config: cfg, Warnings: warnings, Server: h.client, Catalog: catalog, Rules: rules,
		StoredTokens: storedTokens(cfg), Published: published(cfg), PolicyHash: rules.Hash(),
		Audit: func(context.Context) (string, error) { return auditInWords(cfg) },
	}
	if cfg.ComfyUI.Backend != config.BackendEmbedded {
		in.Started = h.client.Started
	}
	report, err := d.look(p.ctx, in)
	if err != nil {
		return err
	}
	write := report.WriteText
	if d.JSON {
		write = report.WriteJSON
	}
	if err := write(p.stdout); err != nil {
		return err
	}
	if code := report.ExitCode(); code != exitOK {
		return exitCode(code)
	}
	return nil
}

// A diagnosis is either of the doctor's reports.
type diagnosis interface {
	WriteText(w io.Writer) error
	WriteJSON(w io.Writer) error
	ExitCode() int
}

func (d *doctorCommand) look(ctx context.Context, in doctor.Input) (diagnosis, error) {
	if d.Security {
		return doctor.Security(ctx, in)
	}
	return doctor.Run(ctx, in)
}

// storedTokens reports whether tokens were made. A store that cannot be read has none that let in; serving finds it.
func storedTokens(cfg config.Config) bool {
	store, err := auth.OpenStore(tokenStore(cfg))
	return err == nil && !store.Empty()
}

func auditInWords(cfg config.Config) (string, error) {
	report, err := audit.Verify(cfg.Storage.Dir, audit.VerifyOptions{})
	if err != nil {
		return "", err
	}
	records := 0
	for _, s := range report.Slots {
		records += s.Records
	}
	if records == 0 {
		return "empty: nothing was called yet", nil
	}
	return fmt.Sprintf("%d records, whole", records), nil
}
