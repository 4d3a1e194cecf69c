package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// A Source tells where a setting's value comes from.
type Source string

// Sources.
const (
	SourceDefault     Source = "default"
	SourceEnvironment Source = "environment"
	SourceFile        Source = "file"  // of a _FILE variable
	SourceAlias       Source = "alias" // a COMFY_HEADLESS_ variable
	SourceFlag        Source = "flag"
)

// Load makes a Config of environ, which holds NAME=value entries as os.Environ gives them; of two entries of one name the later
// counts. read reads the files that _FILE variables name, and the user's list of folders. overrides, which may be nil, are values
// of command-line flags by full variable name: they are judged like any other and win over the environment; a secret is never one.
//
// The strings are warnings for the log. Every fault is in the one error, a *[SettingsError]. The Config is then not to be used.
//
// Besides read, Load reads nothing but, on Windows, the system's name of the pictures folder.
func Load(environ []string, read func(path string) ([]byte, error), overrides map[string]string) (Config, []string, error) {
	return load(host{os: runtime.GOOS, pictures: knownPictures}, environ, read, overrides)
}

func load(h host, environ []string, read func(path string) ([]byte, error), overrides map[string]string) (Config, []string, error) {
	c := Config{sources: map[string]Source{}}
	l := &loader{host: h, env: environment(environ, h.os), read: read, broken: map[string]bool{}}
	l.home = l.homeDir()
	rows := table(&c)
	for _, s := range rows {
		l.load(&c, s, overrides)
	}
	l.unknown(rows, overrides)
	l.folders(&c)
	l.memory(&c)
	l.check(&c)
	if len(l.faults) > 0 {
		return Config{}, l.warnings, &SettingsError{Faults: l.faults}
	}
	return c, l.warnings, nil
}

// memory leaves the bound to GOMEMLIMIT where that is set (SC-55).
func (l *loader) memory(c *Config) {
	if c.Limits.MemoryBytes == 0 && l.env["GOMEMLIMIT"] == "" {
		c.Limits.MemoryBytes = gib
	}
}

// A loader is one run of Load.
type loader struct {
	host     host
	env      map[string]string
	read     func(path string) ([]byte, error)
	home     string          // empty: not known
	broken   map[string]bool // settings that have a fault of their own, so that no fault is told of their company
	faults   []Fault
	warnings []string
}

// A given is a value that someone gave, and the variable it stands in.
type given struct {
	variable string
	raw      string
	source   Source
}

func environment(environ []string, goos string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, entry := range environ {
		name, v, _ := strings.Cut(entry, "=")
		if goos == "windows" {
			name = strings.ToUpper(name) // names have no case there
		}
		env[name] = v
	}
	return env
}

// load fills one setting: by its default first, so that other checks see a sound value, then by what was given.
func (l *loader) load(c *Config, s setting, overrides map[string]string) {
	if s.def != "" {
		if err := s.set(s.def); err != nil {
			l.fault(s, given{variable: prefixOurs + s.name, raw: s.def}, err)
		}
	}
	g, ok := l.find(s)
	if v, flagged := overrides[prefixOurs+s.name]; flagged {
		g, ok = given{prefixOurs + s.name, v, SourceFlag}, true
		if s.secret {
			l.fault(s, g, errors.New("a secret never comes from a flag"))
			return
		}
	}
	if !ok {
		return
	}
	if s.path {
		g.raw = l.expand(g.raw)
	}
	if g.raw == "" {
		l.fault(s, g, errors.New("empty; give a value or take it away"))
		return
	}
	if err := s.set(g.raw); err != nil {
		l.fault(s, g, err)
		return
	}
	c.sources[s.name] = g.source
}

// find looks for a setting under its name and its alias, each with its _FILE form.
func (l *loader) find(s setting) (given, bool) {
	g, ok := l.form(s, prefixOurs+s.name, SourceEnvironment, SourceFile)
	if s.alias == "" {
		return g, ok
	}
	old, oldOK := l.form(s, prefixOld+s.alias, SourceAlias, SourceAlias)
	switch {
	case ok && oldOK && g.raw != old.raw:
		l.tell(s, Fault{Variable: g.variable, Problem: "differs from " + old.variable, Fits: "one of the two, or the same value in both"})
		return given{}, false
	case ok:
		return g, true
	default:
		return old, oldOK
	}
}

// form reads variable, or the file that variable_FILE names.
func (l *loader) form(s setting, variable string, plain, file Source) (given, bool) {
	raw, ok := l.get(variable)
	g := given{variable, raw, plain}
	if !s.secret {
		return g, ok
	}
	name, fromFile := l.get(variable + "_FILE")
	switch {
	case ok && fromFile:
		l.tell(s, Fault{Variable: variable, Problem: "given twice, here and in " + variable + "_FILE", Fits: "one of the two"})
		return given{}, false
	case fromFile:
		g = given{variable: variable + "_FILE", source: file}
		content, err := l.secretFile(name)
		if err != nil {
			l.tell(s, Fault{Variable: g.variable, Got: name, Problem: err.Error(), Fits: "a readable file that holds the value and nothing else"})
			return given{}, false
		}
		g.raw = content
		return g, true
	default:
		return g, ok
	}
}

// placeholder is what a desktop host leaves of an optional field that was not filled in (MCP-37).
var placeholder = regexp.MustCompile(`^\$\{user_config\.[^}]*\}$`)

func (l *loader) get(variable string) (string, bool) {
	v, ok := l.env[variable]
	if placeholder.MatchString(v) {
		return "", false
	}
	return v, ok
}

// maxSecretFile is far above any credential: what is larger is the wrong file.
const maxSecretFile = 64 * kib

func (l *loader) secretFile(name string) (string, error) {
	if name == "" {
		return "", errors.New("empty; give a path or take it away")
	}
	data, err := l.read(l.expand(name))
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err // the path is told beside it
		}
		return "", fmt.Errorf("cannot be read: %w", err)
	}
	if len(data) > maxSecretFile {
		return "", fmt.Errorf("the file is larger than %d bytes", maxSecretFile)
	}
	content := strings.TrimSuffix(strings.TrimSuffix(string(data), "\n"), "\r")
	if content == "" {
		return "", errors.New("the file is empty")
	}
	return content, nil
}

// fault tells that the value g does not fit s.
func (l *loader) fault(s setting, g given, err error) {
	f := Fault{Variable: g.variable, Problem: err.Error(), Fits: s.fits}
	if !s.secret {
		f.Got = shown(g.raw)
	}
	l.tell(s, f)
}

func (l *loader) tell(s setting, f Fault) {
	l.broken[s.name] = true
	l.faults = append(l.faults, f)
}

// unknown tells of variables with our prefix that no setting reads, and warns of old ones.
func (l *loader) unknown(rows []setting, overrides map[string]string) {
	known := map[string]bool{}
	for _, s := range rows {
		for _, name := range s.variables() {
			known[name] = true
		}
	}
	names := slices.Sorted(maps.Keys(known))
	var old []string
	for _, name := range slices.Sorted(maps.Keys(l.env)) {
		switch {
		case known[name]:
		case strings.HasPrefix(name, prefixOurs):
			l.faults = append(l.faults, unknownFault(name, names))
		case strings.HasPrefix(name, prefixOld):
			old = append(old, name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(overrides)) {
		if !known[name] {
			l.faults = append(l.faults, unknownFault(name, names))
		}
	}
	if len(old) > 0 {
		l.warnings = append(l.warnings, "not read, because only seven COMFY_HEADLESS_ names are: "+strings.Join(old, ", "))
	}
}

// variables lists every name under which s is read.
func (s setting) variables() []string {
	names := []string{prefixOurs + s.name}
	if s.alias != "" {
		names = append(names, prefixOld+s.alias)
	}
	if s.secret {
		for _, n := range slices.Clone(names) {
			names = append(names, n+"_FILE")
		}
	}
	return names
}

// SecretVariables lists every variable that may hold a secret's value, for a program that removes them from its environment
// once they are loaded, so that child processes don't inherit them (SC-31).
func SecretVariables() []string {
	var names []string
	for _, s := range table(&Config{}) {
		if !s.secret {
			continue
		}
		names = append(names, prefixOurs+s.name)
		if s.alias != "" {
			names = append(names, prefixOld+s.alias)
		}
	}
	return names
}
