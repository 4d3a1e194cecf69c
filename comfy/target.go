package comfy

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// A target is where the server is: a normalised http or https URL with nothing but scheme, host, port and path.
type target struct {
	url   url.URL
	cloud bool
}

const cloudHost = "cloud.comfy.org"

// parseTarget is the URL gate (SC-13, SC-14): it decides on the parsed host only, before a byte is sent. Its errors never repeat
// the text, which may hold a credential.
func parseTarget(raw string, allowInsecure bool) (target, error) {
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return target{}, fmt.Errorf("%w: not a URL; give one like http://127.0.0.1:8188", ErrURL)
	}
	scheme, ok := map[string]string{"http": "http", "ws": "http", "https": "https", "wss": "https"}[strings.ToLower(u.Scheme)]
	switch {
	case !ok:
		return target{}, fmt.Errorf("%w: the scheme must be http, https, ws or wss", ErrURL)
	case u.Hostname() == "" || u.Opaque != "":
		return target{}, fmt.Errorf("%w: no host; give one like http://127.0.0.1:8188", ErrURL)
	}
	if err := checkPort(u.Port()); err != nil {
		return target{}, fmt.Errorf("%w: %w", ErrURL, err)
	}
	t := target{url: url.URL{Scheme: scheme, Host: strings.ToLower(u.Host), Path: cleanPrefix(u.Path)}}
	t.cloud = scheme == "https" && t.url.Hostname() == cloudHost
	switch {
	case t.insecure() && !allowInsecure:
		return target{}, fmt.Errorf("%w: use https or wss for a host that is not this machine", ErrInsecure)
	case u.User != nil:
		return target{}, fmt.Errorf("%w: it holds credentials, which have settings of their own", ErrURL)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return target{}, fmt.Errorf("%w: it holds a query or a fragment; a token has a setting of its own", ErrURL)
	}
	return t, nil
}

func checkPort(port string) error {
	if port == "" {
		return nil
	}
	if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
		return errors.New("the port must be from 1 to 65535")
	}
	return nil
}

func cleanPrefix(p string) string {
	if p = path.Clean("/" + p); p == "/" {
		return ""
	}
	return p
}

// loopback reports whether the host names this machine without asking anyone.
func (t target) loopback() bool {
	host := t.url.Hostname()
	if strings.TrimSuffix(host, ".") == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

func (t target) insecure() bool { return t.url.Scheme == "http" && !t.loopback() }

func (t target) String() string { return t.url.String() }

// at returns the URL of a route, escaped segment by segment.
func (t target) at(query url.Values, segments ...string) *url.URL {
	u := t.url.JoinPath("api")
	for _, s := range segments {
		u = u.JoinPath(url.PathEscape(s))
	}
	u.RawQuery = query.Encode()
	return u
}

// outside returns the URL of a route that is not below /api.
func (t target) outside(segments ...string) *url.URL {
	u := t.url.JoinPath()
	for _, s := range segments {
		u = u.JoinPath(url.PathEscape(s))
	}
	return u
}

// socket returns the WebSocket's URL (SC-16). Comfy Cloud has it only without /api.
func (t target) socket(query url.Values) *url.URL {
	u := t.at(query, "ws")
	if t.cloud {
		u = t.url.JoinPath("ws")
		u.RawQuery = query.Encode()
	}
	u.Scheme = strings.Replace(t.url.Scheme, "http", "ws", 1)
	return u
}
