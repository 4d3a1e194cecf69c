package policy

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/policy/condition"
	"github.com/comfygate/comfygate/strictyaml"
)

// MaxFileBytes bounds a policy file.
const MaxFileBytes = 1 << 20

// Bounds of what a policy file may hold.
const (
	maxRules = 1000
	maxName  = 64
)

// A File is a policy file as it is written, in YAML. It narrows what the settings and the built-in guards allow, and gives away nothing of
// these but what NodesFile names. Where there is a file, what no rule of it allows is denied (POL-01).
type File struct {
	Version     int                `yaml:"version"` // 1
	Description string             `yaml:"description"`
	Roles       map[string][]Scope `yaml:"roles"`      // besides viewer, operator and admin
	Principals  map[string]Role    `yaml:"principals"` // name → role; "*" is everyone else
	Disabled    DisabledFile       `yaml:"disabled"`
	Models      ModelsFile         `yaml:"models"`
	Nodes       NodesFile          `yaml:"nodes"`
	Bounds      BoundsFile         `yaml:"bounds"`
	Limits      LimitsFile         `yaml:"limits"`
	Rules       []RuleFile         `yaml:"rules"`
}

// DisabledFile takes tools from everyone, and everything from some, at once and without a restart (SC-43).
type DisabledFile struct {
	Tools      []string `yaml:"tools"`
	Principals []string `yaml:"principals"`
}

// ModelsFile are globs as in [Config]; a model must pass these and the settings'.
type ModelsFile struct {
	Allow []string `yaml:"allow"`
	Deny  []string `yaml:"deny"`
}

// NodesFile says which classes may be in a graph, whoever made it.
type NodesFile struct {
	Modules []string     `yaml:"modules"` // further Python modules, as globs: custom_nodes.x, comfy_api_nodes.*
	Allow   []string     `yaml:"allow"`   // classes, as globs, that may run although their module or the built-in list says no
	Deny    []string     `yaml:"deny"`    // classes, as globs, that may not; it wins
	Inputs  []Constraint `yaml:"inputs"`
}

// A Constraint bounds the values of inputs of node classes. A value that comes from another node is not known before the run, and
// is denied.
type Constraint struct {
	Class   string   `yaml:"class"` // glob
	Input   string   `yaml:"input"` // glob
	Min     *float64 `yaml:"min"`
	Max     *float64 `yaml:"max"`
	Values  []string `yaml:"values"`  // of a text: one of these
	Matches string   `yaml:"matches"` // of a text: a regular expression (RE2) that all of it must match
	Never   bool     `yaml:"never"`   // the input may not be given at all
}

// BoundsFile are upper bounds of one job, as in [Config]; the smaller one holds. 0 does not bound.
type BoundsFile struct {
	Nodes       int   `yaml:"nodes"`
	Pixels      int64 `yaml:"pixels"`
	Work        int64 `yaml:"work"`
	VideoPixels int64 `yaml:"video_pixels"`
	VideoWork   int64 `yaml:"video_work"`
}

// LimitsFile are limits of principals; a principal's own go before its role's.
type LimitsFile struct {
	Roles      map[Role]Limits   `yaml:"roles"`
	Principals map[string]Limits `yaml:"principals"`
}

// Limits of one principal; nil means the setting's.
type Limits struct {
	GeneratePerMinute *int     `yaml:"generate_per_minute"`
	StatusPerMinute   *int     `yaml:"status_per_minute"`
	JobsAtOnce        *int     `yaml:"jobs_at_once"`
	Pending           *int     `yaml:"pending"`
	WorkPerHour       *float64 `yaml:"work_per_hour"` // megapixel-steps
	WorkPerDay        *float64 `yaml:"work_per_day"`
}

// Effects of a rule.
const (
	Allow = "allow"
	Deny  = "deny"
)

// A RuleFile is one rule. Empty Tools or Roles mean all, an empty When always.
type RuleFile struct {
	ID     string   `yaml:"id"`
	Effect string   `yaml:"effect"`
	Tools  []string `yaml:"tools"` // names, or globs such as workflow_*
	Roles  []Role   `yaml:"roles"`
	When   string   `yaml:"when"`   // CEL; see package condition
	Reason string   `yaml:"reason"` // for the caller, of a denial
}

// Parse reads a policy file strictly: an unknown or a doubled key, a value of another type are errors, told with their place.
func Parse(data []byte) (*File, error) {
	if len(data) > MaxFileBytes {
		return nil, fmt.Errorf("the policy file has %d bytes, more than %d", len(data), MaxFileBytes)
	}
	var f File
	if err := strictyaml.Unmarshal(data, &f); err != nil {
		return nil, fmt.Errorf("the policy file cannot be read: %w", err)
	}
	return &f, nil
}

// compiled is a file that was checked.
type compiled struct {
	file        File
	rules       []*rule
	index       map[use][]*rule // those of every tool and role there is
	constraints []constraint
}

// compile checks f whole and returns every fault at once.
func compile(f *File) (*compiled, error) {
	c := &compiled{file: *f, index: map[use][]*rule{}}
	faults := slices.Concat(f.checkRoles(), f.checkGlobs(), f.checkNumbers())
	for i, in := range f.Nodes.Inputs {
		k, err := in.compile()
		if err != nil {
			faults = append(faults, fmt.Errorf("nodes.inputs[%d]: %w", i, err))
			continue
		}
		c.constraints = append(c.constraints, k)
	}
	faults = append(faults, c.compileRules()...)
	return c, errors.Join(faults...)
}

func (c *compiled) compileRules() (faults []error) {
	rules := c.file.Rules
	switch {
	case len(rules) == 0:
		return []error{errors.New("rules: there are none, so nothing would be allowed; begin with {id: all, effect: allow}")}
	case len(rules) > maxRules:
		return []error{fmt.Errorf("rules: %d are more than %d", len(rules), maxRules)}
	}
	language, err := condition.NewLanguage()
	if err != nil {
		return []error{err}
	}
	seen := map[string]bool{}
	for i := range rules {
		r, errs := c.file.rule(rules[i], language)
		if seen[r.id] {
			errs = append(errs, errors.New("another rule has this id"))
		}
		seen[r.id] = true
		for _, err := range errs {
			faults = append(faults, fmt.Errorf("rules[%d] %s: %w", i, quoted(r.id), err))
		}
		c.rules = append(c.rules, r)
	}
	return faults
}

func (f *File) checkRoles() (faults []error) {
	if f.Version != 1 {
		faults = append(faults, fmt.Errorf("version: %d is not known; write version: 1", f.Version))
	}
	for _, name := range slices.Sorted(maps.Keys(f.Roles)) {
		if ScopesOf(Role(name)) != nil {
			faults = append(faults, fmt.Errorf("roles.%s: this role is built in; give yours another name", name))
		}
		if !plainID(name) {
			faults = append(faults, fmt.Errorf("roles: %s is no name; use letters, digits, - and _", quoted(name)))
		}
		if len(f.Roles[name]) == 0 {
			faults = append(faults, fmt.Errorf("roles.%s: a role without scopes may do nothing", name))
		}
		for _, scope := range f.Roles[name] {
			if !slices.Contains(ScopesOf(Admin), scope) {
				faults = append(faults, fmt.Errorf("roles.%s: there is no scope %s; the scopes are %s", name, quoted(string(scope)), listed(ScopesOf(Admin))))
			}
		}
	}
	unknown := func(where string, role Role) {
		if f.scopesOf(role) == nil {
			faults = append(faults, fmt.Errorf("%s: there is no role %s", where, quoted(string(role))))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Principals)) {
		unknown("principals."+name, f.Principals[name])
	}
	for _, role := range slices.Sorted(maps.Keys(f.Limits.Roles)) {
		unknown("limits.roles", role)
	}
	return faults
}

// scopesOf returns the scopes of a role of the file or a built-in one; nil for an unknown one.
func (f *File) scopesOf(role Role) []Scope {
	if scopes, own := f.Roles[string(role)]; own {
		return slices.Sorted(slices.Values(scopes))
	}
	return ScopesOf(role)
}

func (f *File) checkGlobs() (faults []error) {
	for where, globs := range map[string][]string{
		"models.allow": f.Models.Allow, "models.deny": f.Models.Deny,
		"nodes.modules": f.Nodes.Modules, "nodes.allow": f.Nodes.Allow, "nodes.deny": f.Nodes.Deny,
	} {
		for _, g := range globs {
			if !validGlob(g) {
				faults = append(faults, fmt.Errorf("%s: %s is no pattern; write one such as sdxl/* or *Video*", where, quoted(g)))
			}
		}
	}
	slices.SortFunc(faults, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return faults
}

func (f *File) checkNumbers() (faults []error) {
	if b := f.Bounds; min(int64(b.Nodes), b.Pixels, b.Work, b.VideoPixels, b.VideoWork) < 0 {
		faults = append(faults, errors.New("bounds: a bound cannot be negative; leave it out, or write 0, for none"))
	}
	check := func(where string, l Limits) {
		for _, n := range []*int{l.GeneratePerMinute, l.StatusPerMinute, l.JobsAtOnce, l.Pending} {
			if n != nil && (*n < 0 || *n > 1_000_000) {
				faults = append(faults, fmt.Errorf("%s: %d is not between 0 and 1000000", where, *n))
			}
		}
		for _, n := range []*float64{l.WorkPerHour, l.WorkPerDay} {
			if n != nil && !(*n >= 0 && *n <= 1e12) {
				faults = append(faults, fmt.Errorf("%s: %v megapixel-steps are not between 0 and 1e12", where, *n))
			}
		}
	}
	for _, role := range slices.Sorted(maps.Keys(f.Limits.Roles)) {
		check("limits.roles."+string(role), f.Limits.Roles[role])
	}
	for _, name := range slices.Sorted(maps.Keys(f.Limits.Principals)) {
		check("limits.principals."+name, f.Limits.Principals[name])
	}
	return faults
}

func validGlob(glob string) bool {
	_, err := path.Match(glob, "")
	return err == nil && strings.TrimSpace(glob) != ""
}

// plainID reports whether name can stand in a record, a URL and a sentence as it is.
func plainID(name string) bool {
	return len(name) <= maxName && regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`).MatchString(name)
}

func listed[T ~string](words []T) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = string(w)
	}
	return strings.Join(all, ", ")
}
