package comfy

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/comfygate/comfygate/config"
)

// credentials go with every request and with the WebSocket handshake (SC-20).
type credentials struct {
	header      map[string]config.Secret // by canonical name
	username    string
	password    config.Secret
	basic       bool
	query       config.Secret
	socketQuery config.Secret // where the socket wants one that the other requests do not
}

func newCredentials(cfg Config, t target) (credentials, error) {
	c := credentials{
		header: make(map[string]config.Secret), username: cfg.Username, password: cfg.Password,
		basic: cfg.Username != "" || cfg.Password.IsSet(), query: cfg.QueryToken, socketQuery: cfg.QueryToken,
	}
	name := textproto.CanonicalMIMEHeaderKey(orDefault(cfg.AuthHeader, "Authorization"))
	if t.cloud && name == "Authorization" {
		name = "X-Api-Key" // Cloud reads Authorization only in its other API
	}
	if cfg.APIKey.IsSet() {
		key := cfg.APIKey
		if name == "Authorization" {
			key = config.NewSecret("Bearer " + key.Reveal())
		}
		c.header[name] = key
		if t.cloud {
			c.socketQuery = cfg.APIKey
		}
	}
	for name, value := range cfg.Headers {
		c.header[textproto.CanonicalMIMEHeaderKey(name)] = value
	}
	return c, c.check(t)
}

func (c credentials) check(t target) error {
	for name, value := range c.header {
		if err := checkHeader(name, value); err != nil {
			return err
		}
	}
	switch _, has := c.header["Authorization"]; {
	case has && c.basic:
		return errors.New("comfyui: a username and a key cannot both be sent as Authorization; name another header for the key")
	case strings.Contains(c.username, ":"):
		return errors.New("comfyui: a username holds no colon")
	case t.insecure() && c.any():
		return fmt.Errorf("%w: a credential never goes there, whatever is allowed; use https", ErrInsecure)
	}
	return nil
}

func (c credentials) any() bool { return len(c.header) > 0 || c.basic || c.query.IsSet() }

// checkHeader refuses names that would change what a request is rather than who sends it (CLIENT-HTTP-4), and values that would
// end the header.
func checkHeader(name string, value config.Secret) error {
	const token = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!#$%&'*+-.^_`|~"
	taken := map[string]bool{
		"Host": true, "Connection": true, "Upgrade": true, "Origin": true, "Content-Length": true, "Content-Type": true,
		"Transfer-Encoding": true, "Trailer": true, "Te": true, "User-Agent": true, "Accept-Encoding": true,
	}
	switch {
	case name == "" || strings.Trim(name, token) != "":
		return errors.New("comfyui: the name of a credential's header must be a word such as X-API-Key")
	case taken[name] || strings.HasPrefix(name, "Sec-"):
		return fmt.Errorf("comfyui: %s cannot carry a credential; use a header such as X-API-Key", name)
	case strings.ContainsFunc(value.Reveal(), func(r rune) bool { return r < ' ' || r == 0x7f }):
		return fmt.Errorf("comfyui: the credential for %s holds a control character; it may end in a line break", name)
	}
	return nil
}

// fill puts the credentials into a request's header and query.
func (c credentials) fill(h http.Header, u *url.URL, query config.Secret) {
	for name, value := range c.header {
		h.Set(name, value.Reveal())
	}
	if c.basic {
		r := http.Request{Header: h}
		r.SetBasicAuth(c.username, c.password.Reveal())
	}
	if query.IsSet() {
		q := u.Query()
		q.Set("token", query.Reveal())
		u.RawQuery = q.Encode()
	}
}
