package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/images"
)

type auditProveCommand struct {
	Call   string `placeholder:"ID" xor:"which" required:"" help:"The call whose end is to be proved."`
	Record uint64 `placeholder:"N" xor:"which" required:"" help:"The record's number."`
	Kind   string `enum:",intent,outcome,decision,job.end" default:"" help:"Of a call, this record instead of its end: ${enum}."`
	Slot   string `default:"001" help:"The slot of --record."`
	Output string `short:"o" type:"path" placeholder:"FILE" help:"Where to; default stdout."`
}

// Help tells what a receipt is.
func (auditProveCommand) Help() string {
	return "A receipt is a record, the proof that it stands in the log, and the checkpoint that the log's key has signed, in the form C2SP tlog-proof. " +
		"Whoever has the public key (comfygate audit keys) can check it, without this machine and without trusting it."
}

// Run prints a receipt.
func (c *auditProveCommand) Run(p *process) error {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	slot, seq := c.Slot, c.Record
	if c.Call != "" {
		if slot, seq, err = c.find(cfg); err != nil {
			return err
		}
	}
	receipt, err := audit.Prove(cfg.Storage.Dir, slot, seq)
	if err != nil {
		return err
	}
	if c.Output != "" {
		return os.WriteFile(c.Output, receipt, 0o600)
	}
	_, err = p.stdout.Write(receipt)
	return err
}

// find finds the call's record.
func (c *auditProveCommand) find(cfg config.Config) (slot string, seq uint64, err error) {
	for e, err := range audit.Records(cfg.Storage.Dir, audit.Filter{Call: c.Call, Kind: audit.Kind(c.Kind)}) {
		if err != nil {
			return "", 0, err
		}
		if c.Kind != "" || e.Kind == audit.Outcome || e.Kind == audit.DecisionK {
			slot, seq = e.Slot, e.Seq
		}
	}
	if seq == 0 {
		return "", 0, fmt.Errorf("there is no such record of a call %q", c.Call)
	}
	return slot, seq, nil
}

type auditReceiptCommand struct {
	File string   `arg:"" help:"The receipt; - is stdin."`
	Key  []string `name:"verifier" placeholder:"PUBLIC-KEY" sep:"none" help:"The log's public key; default those in the data folder."`
}

// Help tells the exit codes.
func (auditReceiptCommand) Help() string {
	return fmt.Sprintf("Exit code %d: the record stands in the log that the key signs, and is printed. %d: the receipt proves nothing.", exitOK, audit.ExitTampered)
}

// Run checks a receipt.
func (c *auditReceiptCommand) Run(p *process) error {
	var receipt []byte
	var err error
	if c.File == "-" {
		receipt, err = io.ReadAll(io.LimitReader(p.stdin, 1<<20))
	} else {
		receipt, err = os.ReadFile(c.File)
	}
	if err != nil {
		return usageError{err}
	}
	keys := c.Key
	if len(keys) == 0 {
		cfg, _, err := load(p, nil)
		if err != nil {
			return err
		}
		if keys, err = audit.TrustedKeys(cfg.Storage.Dir); err != nil {
			return err
		}
	}
	_, line, checkpoint, err := audit.VerifyReceipt(receipt, keys)
	if errors.Is(err, audit.ErrBadKey) {
		return usageError{err}
	}
	if err != nil {
		fmt.Fprintln(p.stderr, "comfygate:", err)
		return exitCode(audit.ExitTampered)
	}
	fmt.Fprintln(p.stdout, line)
	fmt.Fprintf(p.stderr, "The record stands in the log %s of %d records, root %s.\n", checkpoint.Origin, checkpoint.Size, checkpoint.Root)
	return nil
}

type auditHashCommand struct {
	auditFilter
	Text   string `arg:"" help:"The text; - is stdin, without a last newline."`
	Format string `enum:"table,json,csv" default:"table" help:"How to print the records that hold it: ${enum}."`
}

// Help tells the exit codes.
func (auditHashCommand) Help() string {
	return "Texts stand in the record as keyed digests: whoever has the key can tell whether a text is there, nobody can read it from there.\n\n" +
		"Exit code 0: it is there, and the records are printed. 1: it is not."
}

// Run looks a text up.
func (c *auditHashCommand) Run(p *process) error {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	filter, err := c.filter(time.Now())
	if err != nil {
		return err
	}
	text := c.Text
	if text == "-" {
		b, err := io.ReadAll(io.LimitReader(p.stdin, 1<<20))
		if err != nil {
			return err
		}
		text = strings.TrimSuffix(strings.TrimSuffix(string(b), "\n"), "\r")
	}
	known, err := audit.Recogniser(auditConfig(cfg, "001"), text)
	if err != nil {
		return err
	}
	out := newPrinter(p.stdout, c.Format)
	n := 0
	for e, err := range audit.Records(cfg.Storage.Dir, filter) {
		if err != nil {
			return err
		}
		if known(&e.Record) {
			n++
			if err := out.print(e); err != nil {
				return err
			}
		}
	}
	if err := out.end(); err != nil {
		return err
	}
	if n == 0 {
		fmt.Fprintln(p.stderr, "The text is in no record.")
		return exitCode(exitError)
	}
	return nil
}

type auditFindImageCommand struct {
	File   string `arg:"" help:"The picture; - is stdin."`
	Format string `enum:"table,json,csv" default:"table" help:"How to print: ${enum}."`
}

// Help tells what is compared and the exit codes.
func (auditFindImageCommand) Help() string {
	return "Compares the file with all that was ever made, first as it is, then by its pixel data alone, which stays the same when somebody takes a PNG's metadata away or writes other metadata into it. " +
		"A picture that was scaled, or compressed anew, is another picture.\n\nExit code 0: it was made here, and the records are printed. 1: it was not."
}

// maxFound bounds a picture that is looked for.
const maxFound = 1 << 30

// Run finds a picture.
func (c *auditFindImageCommand) Run(p *process) error {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	src := p.stdin
	if c.File != "-" {
		f, err := os.Open(c.File)
		if err != nil {
			return usageError{err}
		}
		defer f.Close() //nolint:errcheck // it was only read
		src = f
	}
	b, err := io.ReadAll(io.LimitReader(src, maxFound))
	if err != nil {
		return err
	}
	file := sha256.Sum256(b)
	wanted := []struct{ what, hash string }{{"the file as it is", hex.EncodeToString(file[:])}}
	if info, err := images.StripPNG(io.Discard, bytes.NewReader(b), images.StripOptions{}); err == nil {
		wanted = append(wanted, struct{ what, hash string }{"its pixel data; its metadata was changed or taken away", info.Content})
	}
	for _, w := range wanted {
		n, err := c.print(p, cfg, w.hash)
		if err != nil {
			return err
		}
		if n > 0 {
			fmt.Fprintf(p.stderr, "Found by %s.\n", w.what)
			return nil
		}
	}
	fmt.Fprintln(p.stderr, "The record knows no such picture.")
	return exitCode(exitError)
}

// print prints the records of a hash, and with them those of their calls.
func (c *auditFindImageCommand) print(p *process, cfg config.Config, hash string) (n int, err error) {
	out := newPrinter(p.stdout, c.Format)
	calls := map[string]bool{}
	for e, err := range audit.Records(cfg.Storage.Dir, audit.Filter{Output: hash}) {
		if errors.Is(err, os.ErrNotExist) {
			return 0, noRecord(cfg)
		}
		if err != nil {
			return 0, err
		}
		n++
		if e.CallID == "" || len(calls) >= maxCalls {
			if err := out.print(e); err != nil {
				return 0, err
			}
			continue
		}
		calls[e.CallID] = true
	}
	if len(calls) == 0 {
		return n, out.end()
	}
	for e, err := range audit.Records(cfg.Storage.Dir, audit.Filter{}) {
		if err != nil {
			return 0, err
		}
		if calls[e.CallID] {
			if err := out.print(e); err != nil {
				return 0, err
			}
		}
	}
	return n, out.end()
}

// maxCalls bounds the calls whose records are printed together.
const maxCalls = 1000

type auditCheckpointCommand struct {
	Slot   string `default:"001" help:"The slot."`
	Output string `short:"o" type:"path" placeholder:"FILE" help:"Where to; default stdout."`
}

// Run prints a checkpoint.
func (c *auditCheckpointCommand) Run(p *process) error {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	signed, err := audit.LastCheckpoint(cfg.Storage.Dir, c.Slot)
	if err != nil {
		return err
	}
	if c.Output != "" {
		return os.WriteFile(c.Output, signed, 0o600)
	}
	_, err = p.stdout.Write(signed)
	return err
}

type auditKeysCommand struct{}

// Run prints the public keys.
func (auditKeysCommand) Run(p *process) error {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	keys, err := audit.TrustedKeys(cfg.Storage.Dir)
	if err != nil {
		return err
	}
	for _, k := range keys {
		fmt.Fprintln(p.stdout, k)
	}
	return nil
}

type auditRotateKeyCommand struct {
	To string `type:"path" placeholder:"FILE" help:"Where the new key goes, when the present one is a setting; the setting is to name this file from then on."`
}

// Run makes a new signing key.
func (c *auditRotateKeyCommand) Run(p *process) error {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	a := auditConfig(cfg, "001")
	if a.SigningKey.IsSet() != (c.To != "") {
		return usageError{errors.New("--to is needed when COMFYGATE_AUDIT__SIGNING_KEY is set, and only then")}
	}
	a.SigningKeyFile = c.To
	public, err := audit.RotateSigningKey(a)
	if err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, public)
	fmt.Fprintln(p.stderr, "Processes sign with the new key from their next start on. Give its public key to whoever checks checkpoints.")
	return nil
}

type auditForgetCommand struct {
	Principal string `arg:"" help:"Whose texts nobody is to recognise any more."`
}

// Run destroys a principal's key.
func (c *auditForgetCommand) Run(p *process) error {
	cfg, _, err := load(p, nil)
	if err != nil {
		return err
	}
	if err := audit.Forget(auditConfig(cfg, "001"), c.Principal); errors.Is(err, audit.ErrNoRecord) {
		return fmt.Errorf("there is no key of a principal %q", c.Principal)
	} else if err != nil {
		return err
	}
	fmt.Fprintln(p.stdout, "The key is destroyed. Processes that run now keep it in memory until they end.")
	return nil
}
