package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/config"
)

// auditCommands are the commands about the record. All work offline, beside running processes too.
type auditCommands struct {
	Verify        auditVerifyCommand     `cmd:"" help:"Check that the audit log is whole and unchanged."`
	Show          auditShowCommand       `cmd:"" help:"Print records: all, or those that the flags choose."`
	Tail          auditTailCommand       `cmd:"" help:"Print the last records, and with --follow those to come."`
	Stats         auditStatsCommand      `cmd:"" help:"Count records by kind, principal, tool and error."`
	Export        auditExportCommand     `cmd:"" help:"Write records as they are stored, or as CSV, to a file or to stdout."`
	Prove         auditProveCommand      `cmd:"" help:"Print the receipt of a record: proof that it stands in the signed log."`
	VerifyReceipt auditReceiptCommand    `cmd:"" help:"Check a receipt with nothing but the log's public key."`
	Hash          auditHashCommand       `cmd:"" help:"Tell whether a text, a prompt for example, is in the record."`
	FindImage     auditFindImageCommand  `cmd:"" help:"Tell when, by whom and by which call a picture was made."`
	Checkpoint    auditCheckpointCommand `cmd:"" help:"Print a log's last signed checkpoint, to be kept where this machine cannot write."`
	Keys          auditKeysCommand       `cmd:"" help:"Print the public keys that checkpoints are signed with."`
	RotateKey     auditRotateKeyCommand  `cmd:"" help:"Make a new signing key, vouched for by the one before."`
	Forget        auditForgetCommand     `cmd:"" help:"Destroy a principal's key, so that nobody can recognise that principal's texts in the record any more."`
}

type auditVerifyCommand struct {
	JSON       bool     `help:"Print the report as JSON."`
	Slot       string   `placeholder:"NAME" help:"Only this slot; default all."`
	Checkpoint string   `placeholder:"FILE" help:"A checkpoint that was kept elsewhere: the log must still hold what it signs."`
	Key        []string `name:"verifier" placeholder:"PUBLIC-KEY" sep:"none" help:"Believe this public key, and those that it vouches for; default the keys in the data folder."`
}

// Help tells the exit codes.
func (auditVerifyCommand) Help() string {
	return fmt.Sprintf("Reads the logs of all slots of the data folder, also while they are being written.\n\n"+
		"Exit code %d: whole, there may be warnings. %d: something was changed, removed or added; the report says where. "+
		"%d: there is no record, or it could not be read, so nothing is proved.", audit.ExitOK, audit.ExitTampered, audit.ExitUnreadable)
}

// A verifyReport is the report as JSON.
type verifyReport struct {
	Whole    bool   `json:"whole"`
	ExitCode int    `json:"exit_code"`
	Error    string `json:"error,omitempty"`
	audit.Report
}

// Run verifies the audit log.
func (v *auditVerifyCommand) Run(p *process) error {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	opts := audit.VerifyOptions{Slot: v.Slot, Keys: v.Key}
	if v.Checkpoint != "" {
		if opts.Checkpoint, err = os.ReadFile(v.Checkpoint); err != nil {
			return usageError{err}
		}
	}
	report, err := audit.Verify(cfg.Storage.Dir, opts)
	if v.Slot == "" && len(report.Slots) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist)) { // that is nothing to call whole
		err = noRecord(cfg)
	}
	if v.JSON {
		if err := v.printJSON(p, report, err); err != nil {
			return err
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

func noRecord(cfg config.Config) error {
	return fmt.Errorf("there is no record in %s: nothing was called yet, or it was taken away", cfg.Storage.Dir)
}

func (*auditVerifyCommand) printJSON(p *process, report audit.Report, err error) error {
	out := verifyReport{Whole: err == nil, ExitCode: audit.ExitCode(err), Report: report}
	if err != nil {
		out.Error = err.Error()
	}
	if out.Slots == nil {
		out.Slots = []audit.SlotReport{}
	}
	if out.Findings == nil {
		out.Findings = []audit.Finding{}
	}
	return writeJSON(p.stdout, out)
}

func (*auditVerifyCommand) print(p *process, report audit.Report) {
	for _, s := range report.Slots {
		fmt.Fprintf(p.stdout, "slot %s: %d records in %d segments, %d calls and %d jobs open", s.Name, s.Records, s.Segments, s.OpenCalls, s.OpenJobs)
		if s.Live {
			fmt.Fprint(p.stdout, ", in use now")
		}
		fmt.Fprintf(p.stdout, "\n  last hash %s\n", s.Hash)
		if s.Checkpoints > 0 {
			fmt.Fprintf(p.stdout, "  %d checkpoints, the last signs %d records, root %s\n", s.Checkpoints, s.Signed, s.Root)
		}
	}
	for _, f := range report.Findings {
		fmt.Fprintln(p.stdout, f)
	}
	if report.Omitted > 0 {
		fmt.Fprintf(p.stdout, "and %d more findings\n", report.Omitted)
	}
}
