package config

import (
	"strings"
)

// A host is what the default folders depend on besides the environment.
type host struct {
	os       string                 // as runtime.GOOS
	pictures func() (string, error) // the system's own name of the pictures folder, on Windows
}

// folders fills in the folders that depend on the user and on other settings.
func (l *loader) folders(c *Config) {
	if c.Storage.Dir == "" && !l.broken["STORAGE__DIR"] {
		if c.Storage.Dir = l.stateDir(); c.Storage.Dir == "" {
			l.add("STORAGE__DIR", "missing, and there is no home folder to take one from", "a path")
		}
	}
	if c.sources["OUTPUT__DIR"] == "" && c.Server.Transport == TransportStdio {
		if c.Output.Dir = l.picturesDir(); c.Output.Dir == "" {
			l.warnings = append(l.warnings, "pictures are not saved: there is no home folder; "+prefixOurs+"OUTPUT__DIR names another")
		}
	}
}

func (l *loader) homeDir() string {
	if l.host.os == "windows" {
		return l.absolute("USERPROFILE")
	}
	return l.absolute("HOME")
}

// absolute returns the variable's value if it is an absolute path.
func (l *loader) absolute(variable string) string {
	v := l.env[variable]
	if strings.HasPrefix(v, "/") || l.host.os == "windows" && (strings.HasPrefix(v, `\\`) || len(v) > 2 && v[1] == ':') {
		return v
	}
	return ""
}

// below joins names to base in the host's way; an empty base stays empty.
func (l *loader) below(base string, names ...string) string {
	if base == "" {
		return ""
	}
	sep := "/"
	if l.host.os == "windows" {
		sep = `\`
	}
	return strings.TrimRight(base, sep) + sep + strings.Join(names, sep)
}

// expand resolves a leading ~, because clients' configuration files hand values over without a shell.
func (l *loader) expand(path string) string {
	rest, ok := strings.CutPrefix(path, "~")
	if !ok || l.home == "" || (rest != "" && rest[0] != '/' && rest[0] != '\\') {
		return path
	}
	return l.home + rest
}

// stateDir is the per-user folder for state; empty where there is no home.
func (l *loader) stateDir() string {
	switch l.host.os {
	case "windows":
		return l.below(l.absolute("LOCALAPPDATA"), "comfygate")
	case "darwin":
		return l.below(l.home, "Library", "Application Support", "comfygate")
	default:
		if state := l.absolute("XDG_STATE_HOME"); state != "" {
			return l.below(state, "comfygate")
		}
		return l.below(l.home, ".local", "state", "comfygate")
	}
}

// picturesDir is our folder in the user's pictures folder; empty where there is no home.
func (l *loader) picturesDir() string {
	switch l.host.os {
	case "windows":
		if dir, err := l.host.pictures(); err == nil {
			return l.below(dir, "comfygate")
		}
	case "darwin":
	default:
		if dir := l.xdgPictures(); dir != "" {
			return l.below(dir, "comfygate")
		}
	}
	return l.below(l.home, "Pictures", "comfygate")
}

// xdgPictures reads the pictures folder from the desktop's list of folders. A folder that equals the home means there is none.
func (l *loader) xdgPictures() string {
	dir := l.absolute("XDG_CONFIG_HOME")
	if dir == "" {
		dir = l.below(l.home, ".config")
	}
	if dir == "" {
		return ""
	}
	list, err := l.read(l.below(dir, "user-dirs.dirs"))
	if err != nil {
		return ""
	}
	found := ""
	for line := range strings.Lines(string(list)) {
		v, ok := strings.CutPrefix(strings.TrimSpace(line), "XDG_PICTURES_DIR=")
		if !ok {
			continue
		}
		v = strings.Trim(v, `"`)
		if rest, inHome := strings.CutPrefix(v, "$HOME"); inHome {
			v = l.home + rest
		}
		found = strings.TrimRight(v, "/")
	}
	if !strings.HasPrefix(found, "/") || found == strings.TrimRight(l.home, "/") {
		return ""
	}
	return found
}
