package config

import (
	"errors"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// comfyURL takes the address of a ComfyUI. It says nothing about clear text: that needs the other settings (check.go).
func comfyURL(p *string) value {
	v := text(p, "an http, https, ws or wss URL of a host, with a port and a path if need be")
	v.set = func(raw string) error {
		u, err := parseURL(raw, "http", "https", "ws", "wss")
		if err == nil {
			*p = u.String()
		}
		return err
	}
	return v
}

func publicURL(p *string) value {
	v := text(p, "an https URL, or an http URL of this machine")
	v.set = func(raw string) error {
		u, err := parseURL(raw, "http", "https")
		if err != nil {
			return err
		}
		if u.Scheme == "http" && !loopback(u.Hostname()) {
			return errors.New("links would go over the network in clear text")
		}
		*p = strings.TrimRight(u.String(), "/")
		return nil
	}
	return v
}

// parseURL reads an absolute URL of one of schemes that holds nothing but scheme, host, port and path. Its errors never repeat
// the text, which may hold a credential.
func parseURL(raw string, schemes ...string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("not a URL")
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	known := false
	for _, s := range schemes {
		known = known || u.Scheme == s
	}
	switch {
	case !known:
		return nil, errors.New("scheme is not " + either(schemes))
	case u.Hostname() == "" || u.Opaque != "":
		return nil, errors.New("no host")
	case u.User != nil:
		return nil, errors.New("holds credentials; they have settings of their own")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("holds a query or a fragment")
	}
	return u, nil
}

// loopback reports whether host, as [url.URL.Hostname] gives it, names this machine without asking anyone: localhost, 127.0.0.0/8
// or ::1.
func loopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// listenHost takes an address, with or without the brackets of IPv6, or a host name.
func listenHost(p *string) value {
	v := text(p, "an address or a host name, without port")
	v.set = func(raw string) error {
		host := strings.TrimSuffix(strings.TrimPrefix(raw, "["), "]")
		if _, err := netip.ParseAddr(host); err != nil && !hostShape.MatchString(host) {
			return errors.New("not an address or a host name")
		}
		*p = host
		return nil
	}
	return v
}

func origin(s string) (string, error) {
	u, err := parseURL(s, "http", "https")
	if err != nil {
		return "", err
	}
	if u.Path != "" {
		return "", errors.New("an origin has no path")
	}
	return u.Scheme + "://" + u.Host, nil
}

func hostPort(s string) (string, error) {
	u, err := url.Parse("http://" + s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.Host != s {
		return "", errors.New("an item is not a host with or without port")
	}
	return strings.ToLower(s), nil
}

func glob(s string) (string, error) {
	if s == "" {
		return "", errors.New("an item is empty")
	}
	if _, err := path.Match(s, ""); err != nil {
		return "", errors.New("an item is not a pattern")
	}
	return s, nil
}
