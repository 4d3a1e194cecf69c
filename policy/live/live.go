// Package live keeps the policy that is in force: read from a file, and again whenever [Policy.Reload] finds that it changed. A file that is broken changes
// nothing; the last good policy stays (POL-02).
package live

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/comfygate/comfygate/policy"
)

// Config of a [Policy].
type Config struct {
	Settings policy.Config
	// File is the path of a policy file, "@" and the name of a shipped posture, or empty: the built-in guards alone.
	File string
	// Changed, where set, is told of each policy that comes into force after the first.
	Changed func(was, is *policy.Rules)
	// Rejected, where set, is told why a changed file was not taken, once for each state of the file.
	Rejected func(error)
}

// A Policy is what is in force. It is safe for concurrent use.
type Policy struct {
	cfg   Config
	rules atomic.Pointer[policy.Rules]

	mu   sync.Mutex // of reading
	seen [sha256.Size]byte
	gone bool  // the file could not be read
	bad  error // why the file as it was last seen is not in force
}

// Open reads the policy, or says every fault of it.
func Open(cfg Config) (*Policy, error) {
	p := &Policy{cfg: cfg}
	data, err := p.read()
	if err != nil {
		return nil, err
	}
	rules, err := p.compile(data)
	if err != nil {
		return nil, err
	}
	p.rules.Store(rules)
	p.seen = sha256.Sum256(data)
	return p, nil
}

// Current returns the rules in force.
func (p *Policy) Current() *policy.Rules { return p.rules.Load() }

// Decide is [policy.Rules.Decide] of the rules in force.
func (p *Policy) Decide(ctx context.Context, req policy.Request) policy.Decision {
	return p.Current().Decide(ctx, req)
}

// Offers is [policy.Rules.Offers] of the rules in force.
func (p *Policy) Offers(req policy.Request) bool { return p.Current().Offers(req) }

// Hash is [policy.Rules.Hash] of the rules in force.
func (p *Policy) Hash() string { return p.Current().Hash() }

// AllowModel is [policy.Rules.AllowModel] of the rules in force.
func (p *Policy) AllowModel(kind policy.Kind, name string) bool {
	return p.Current().AllowModel(kind, name)
}

// AllowNode is [policy.Rules.AllowNode] of the rules in force.
func (p *Policy) AllowNode(n policy.Node) bool { return p.Current().AllowNode(n) }

// RoleOf is [policy.Rules.RoleOf] of the rules in force.
func (p *Policy) RoleOf(principal string) (policy.Role, bool) { return p.Current().RoleOf(principal) }

// ScopesOf is [policy.Rules.ScopesOf] of the rules in force.
func (p *Policy) ScopesOf(role policy.Role) []policy.Scope { return p.Current().ScopesOf(role) }

// Reload reads the file now. Its error says why the policy in force stays. Changed and Rejected are told.
func (p *Policy) Reload() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	data, err := p.read()
	if err != nil {
		p.gone = true
		return p.reject(err)
	}
	sum := sha256.Sum256(data)
	if sum == p.seen && !p.gone {
		return p.bad
	}
	p.seen, p.gone = sum, false
	rules, err := p.compile(data)
	if err != nil {
		return p.reject(err)
	}
	p.bad = nil
	was := p.rules.Swap(rules)
	if p.cfg.Changed != nil && was.Hash() != rules.Hash() {
		p.cfg.Changed(was, rules)
	}
	return nil
}

func (p *Policy) reject(err error) error {
	if (p.bad == nil || p.bad.Error() != err.Error()) && p.cfg.Rejected != nil {
		p.cfg.Rejected(err)
	}
	p.bad = err
	return err
}

func (p *Policy) compile(data []byte) (*policy.Rules, error) {
	if p.cfg.File == "" {
		return policy.New(p.cfg.Settings)
	}
	rules, err := policy.Read(p.cfg.Settings, data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.cfg.File, err)
	}
	return rules, nil
}

// read returns the file's bytes, of at most [policy.MaxFileBytes] and one.
func (p *Policy) read() ([]byte, error) { return Read(p.cfg.File) }

// Read returns the bytes of a policy file, named as in [Config], as many as a policy file may have and one at most.
func Read(file string) (_ []byte, err error) {
	if file == "" {
		return nil, nil
	}
	if name, shipped := strings.CutPrefix(file, "@"); shipped {
		data, _, ok := policy.Posture(name)
		if !ok {
			return nil, fmt.Errorf("no policy called %s comes with comfygate; there are @%s", file, strings.Join(policy.Postures(), ", @"))
		}
		return data, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("the policy file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := io.ReadAll(io.LimitReader(f, policy.MaxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("the policy file: %w", err)
	}
	return data, nil
}
