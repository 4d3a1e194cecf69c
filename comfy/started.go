package comfy

import (
	"context"
	"net/http"
	"strings"
)

// A Started is what a server tells of how it was started.
type Started struct {
	Flags   []string // names of its command line's flags, such as --listen; values, which can be paths, are left out
	Manager bool     // ComfyUI-Manager answers: who reaches the server can install code
}

// maxFlags bounds a command line.
const maxFlags = 256

// Started asks how the server was started, for findings about its set-up.
func (c *Client) Started(ctx context.Context) (Started, error) {
	stats, err := getJSON[struct {
		System struct {
			Argv []string `json:"argv"`
		} `json:"system"`
	}](ctx, c, c.timeouts.Read, nil, "system_stats")
	if err != nil {
		return Started{}, err
	}
	var s Started
	for _, arg := range stats.System.Argv[:min(len(stats.System.Argv), maxFlags)] {
		if name, _, _ := strings.Cut(arg, "="); strings.HasPrefix(name, "--") {
			s.Flags = append(s.Flags, clean(name, 60))
		}
	}
	err = c.do(ctx, call{method: http.MethodGet, route: []string{"manager", "version"}, within: c.timeouts.Read}, nil)
	switch {
	case err == nil:
		s.Manager = true
	case status(err) != http.StatusNotFound:
		return Started{}, err
	}
	return s, nil
}
