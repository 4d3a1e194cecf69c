// Package doctor looks at a set-up and says what it finds, each finding with its fix. It changes nothing: of ComfyUI it only
// reads, on the disk it makes and removes one empty file to learn whether a folder can be written.
package doctor

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/comfygate/comfygate/auth"
	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/policy"
)

// runTime bounds a whole run, however slow ComfyUI is.
const runTime = time.Minute

// A Server is the ComfyUI that is looked at. [comfy.Client] is one.
type Server interface {
	Redacted() string
	Insecure() bool
	Cloud() bool
	Probe(ctx context.Context) (comfy.ServerInfo, error)
	ObjectInfo(ctx context.Context) (*comfy.ObjectInfo, error)
	Models(ctx context.Context, folder string) ([]comfy.ModelFile, error)
	Metadata(ctx context.Context, folder, name string) (map[string]string, error)
}

// A Catalog knows the model families. [workflow.Catalog] is one.
type Catalog interface {
	Families(inv workflow.Inventory) []workflow.FamilyState
}

// A ModelRule tells which models callers may use. [policy.Rules] is one.
type ModelRule interface {
	AllowModel(kind policy.Kind, name string) bool
}

// A Start is what a server tells of how it was started; its flags come without values, which can be paths.
type Start = comfy.Started

// A Machine is the computer that comfygate runs on. Every nil field means the real one.
type Machine struct {
	Addresses func() ([]netip.Addr, error) // of all interfaces, loopback too
	Dial      func(ctx context.Context, network, address string) (net.Conn, error)
	Free      func(dir string) (bytes uint64, err error) // disk space that the user may fill
	Resolver  auth.Resolver
}

// Input is what Run looks at. Config, Server, Catalog and Rules are required.
type Input struct {
	Version  string // comfygate's
	Config   config.Config
	Warnings []string // of [config.Load]
	Server   Server
	Catalog  Catalog
	Rules    ModelRule
	// Started asks the server how it was started; nil leaves those findings out.
	Started      func(ctx context.Context) (Start, error)
	StoredTokens bool   // the token store holds some
	Published    bool   // a proxy brings others to a listener of this machine
	PolicyHash   string // of the policy in force; for [Security]
	// Audit verifies the audit log and returns what it holds, in words; nil leaves the finding out.
	Audit   func(ctx context.Context) (string, error)
	Machine Machine
}

func (in *Input) validate() error {
	switch {
	case in.Server == nil:
		return errors.New("doctor: Input.Server is required")
	case in.Catalog == nil:
		return errors.New("doctor: Input.Catalog is required")
	case in.Rules == nil:
		return errors.New("doctor: Input.Rules is required")
	}
	return nil
}

// Run looks at everything and returns what it found, within a minute.
func Run(ctx context.Context, in Input) (Report, error) {
	if err := in.validate(); err != nil {
		return Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	in.Machine = in.Machine.filled()
	v := &visit{Input: in, clean: in.Config.Redactor()}
	v.settings()
	v.server(ctx)
	v.exposure(ctx)
	v.listener(ctx)
	v.disk()
	v.audit(ctx)
	return Report{Version: in.Version, Backend: in.Config.ComfyUI.Backend, ComfyUI: v.address(), Findings: v.findings}, nil
}

// A visit is one run.
type visit struct {
	Input
	clean    *config.Redactor
	findings []Finding
}

func (v *visit) add(f Finding) {
	f.Text, f.Fix = v.clean.Clean(f.Text), v.clean.Clean(f.Fix)
	for i, d := range f.Details {
		f.Details[i] = v.clean.Clean(d)
	}
	v.findings = append(v.findings, f)
}

func (v *visit) embedded() bool { return v.Config.ComfyUI.Backend == config.BackendEmbedded }

func (v *visit) address() string {
	if v.embedded() {
		return ""
	}
	return v.Server.Redacted()
}

// settings passes on what loading them warned of.
func (v *visit) settings() {
	for _, w := range v.Warnings {
		v.add(Finding{ID: "setting", Severity: Warn, Text: w, Fix: "take the setting away, unless you mean it; comfygate config docs tells of each"})
	}
}

func (v *visit) audit(ctx context.Context) {
	if v.Audit == nil {
		return
	}
	text, err := v.Audit(ctx)
	if _, gone := os.Stat(filepath.Join(v.Config.Storage.Dir, "audit")); errors.Is(err, fs.ErrNotExist) && errors.Is(gone, fs.ErrNotExist) {
		v.add(Finding{ID: "audit_log", Severity: Info, Text: "there is no audit log yet: nothing was called"})
		return
	}
	if err != nil {
		v.add(Finding{
			ID: "audit_log", Severity: Fail, Text: "the audit log does not verify: " + err.Error(),
			Fix: "comfygate audit verify shows where; keep a copy before you change anything",
		})
		return
	}
	v.add(Finding{ID: "audit_log", Severity: OK, Text: "the audit log verifies: " + text})
}
