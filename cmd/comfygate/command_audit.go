package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"

	"github.com/comfygate/comfygate/audit"
)

type auditVerifyCommand struct {
	JSON bool   `help:"Print the report as JSON."`
	Slot string `placeholder:"NAME" help:"Only this slot; default all."`
}

// Help tells the exit codes.
func (auditVerifyCommand) Help() string {
	return fmt.Sprintf("Reads the logs of all slots of the data folder, also while they are being written.\n\n"+
		"Exit code %d: whole, there may be warnings. %d: something was changed, removed or added; the report says where. "+
		"%d: there is no record, or it could not be read, so nothing is proved.", audit.ExitOK, audit.ExitTampered, audit.ExitUnreadable)
}

// Run verifies the audit log.
func (v *auditVerifyCommand) Run(p *process) error {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	report, err := audit.Verify(cfg.Storage.Dir, audit.VerifyOptions{Slot: v.Slot})
	if v.Slot == "" && len(report.Slots) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist)) { // that is nothing to call whole
		err = fmt.Errorf("there is no record in %s: nothing was called yet, or it was taken away", cfg.Storage.Dir)
	}
	if v.JSON {
		enc := json.NewEncoder(p.stdout)
		enc.SetIndent("", "  ")
		if jerr := enc.Encode(report); jerr != nil {
			return jerr
		}
	} else {
		v.print(p, report)
	}
	if err != nil {
		fmt.Fprintln(p.stderr, "comfygate:", err)
		return exitCode(audit.ExitCode(err))
	}
	if !v.JSON {
		fmt.Fprintln(p.stdout, "The record is whole.")
	}
	return nil
}

func (*auditVerifyCommand) print(p *process, report audit.Report) {
	for _, s := range report.Slots {
		fmt.Fprintf(p.stdout, "slot %s: %d records in %d segments, %d calls and %d jobs open", s.Name, s.Records, s.Segments, s.OpenCalls, s.OpenJobs)
		if s.Live {
			fmt.Fprint(p.stdout, ", in use now")
		}
		fmt.Fprintf(p.stdout, "\n  last hash %s\n", s.Hash)
	}
	for _, f := range report.Findings {
		fmt.Fprintln(p.stdout, f)
	}
	if report.Omitted > 0 {
		fmt.Fprintf(p.stdout, "and %d more findings\n", report.Omitted)
	}
}
