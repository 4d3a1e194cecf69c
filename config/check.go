package config

import (
	"net/url"
	"slices"
	"strings"

	"go.uber.org/zap/zapcore"
)

// check judges settings together. A setting that has a fault of its own is not judged in company.
func (l *loader) check(c *Config) {
	l.pair("HTTP__USERNAME", c.HTTP.Username != "", "HTTP__PASSWORD", c.HTTP.Password.IsSet())
	l.pair("COMFYUI__USERNAME", c.ComfyUI.Username != "", "COMFYUI__PASSWORD", c.ComfyUI.Password.IsSet())
	if strings.Contains(c.ComfyUI.Username, ":") {
		l.add("COMFYUI__USERNAME", "holds a colon, which basic sign-in cannot carry", "a name without colon")
	}
	if role, ok := c.Auth.Roles[principalAnonymous]; ok && role != "viewer" {
		l.add("AUTH__ROLES", "anonymous is a viewer and nothing else", "anonymous left out")
	}
	l.identity(c)
	l.oneCredential(c)
	l.clearText(c)
	l.production(c)
	if c.Retry.BackoffMax < c.Retry.BackoffBase {
		l.add("RETRY__BACKOFF_MAX", "shorter than "+prefixOurs+"RETRY__BACKOFF_BASE", "the same or longer")
	}
	l.limits(c)
	l.loosened(c)
}

// limits refuses a budget that could never be reached, because another stands before it: one of the two is a mistake.
func (l *loader) limits(c *Config) {
	if n := c.Limits; n.BudgetPerHour > n.BudgetPerDay && n.BudgetPerDay > 0 {
		l.add("LIMITS__BUDGET_PER_HOUR", "more than "+prefixOurs+"LIMITS__BUDGET_PER_DAY", "the same or less", "LIMITS__BUDGET_PER_DAY")
	}
}

// add adds a fault of name unless name, or any of others, has one already.
func (l *loader) add(name, problem, fits string, others ...string) {
	if l.broken[name] || slices.ContainsFunc(others, func(o string) bool { return l.broken[o] }) {
		return
	}
	l.faults = append(l.faults, Fault{Variable: prefixOurs + name, Problem: problem, Fits: fits})
}

// identity wants what belongs together of certificates and of an OpenID provider.
func (l *loader) identity(c *Config) {
	h, a := &c.HTTP, &c.Auth
	l.pair("HTTP__TLS_CERT", h.TLSCert != "", "HTTP__TLS_KEY", h.TLSKey != "")
	if h.TLSClientCA != "" && h.TLSCert == "" {
		l.add("HTTP__TLS_CERT", "missing, although "+prefixOurs+"HTTP__TLS_CLIENT_CA is set", "")
	}
	l.pair("HTTP__TLS_CLIENT_CA", h.TLSClientCA != "", "AUTH__CERTIFICATES", len(a.Certificates) > 0)
	if a.OIDC.Issuer != "" && len(a.OIDC.Audience) == 0 && h.PublicURL == "" {
		l.add("AUTH__OIDC_AUDIENCE", "missing, and no "+prefixOurs+"HTTP__PUBLIC_URL from which it would follow", "https://pictures.example.org/mcp")
	}
}

// pair wants both of two settings or none, and names the one that is missing (SC-10).
func (l *loader) pair(a string, hasA bool, b string, hasB bool) {
	switch {
	case hasA && !hasB:
		l.add(b, "missing, although "+prefixOurs+a+" is set", "", a)
	case hasB && !hasA:
		l.add(a, "missing, although "+prefixOurs+b+" is set", "", b)
	}
}

// oneCredential refuses two credentials for one header.
func (l *loader) oneCredential(c *Config) {
	if c.ComfyUI.Password.IsSet() && c.ComfyUI.APIKey.IsSet() && strings.EqualFold(c.ComfyUI.AuthHeader, "Authorization") {
		l.add("COMFYUI__API_KEY", "wants the Authorization header, as "+prefixOurs+"COMFYUI__PASSWORD does",
			"being left out, or another header in "+prefixOurs+"COMFYUI__AUTH_HEADER", "COMFYUI__PASSWORD", "COMFYUI__AUTH_HEADER")
	}
}

// clearText holds the rule about unencrypted ways to a remote ComfyUI (SC-13…15).
func (l *loader) clearText(c *Config) {
	u, err := url.Parse(c.ComfyUI.URL)
	if err != nil || c.ComfyUI.Backend == BackendEmbedded || (u.Scheme != "http" && u.Scheme != "ws") || loopback(u.Hostname()) {
		return
	}
	insecure := prefixOurs + "WEBSOCKET__ALLOW_INSECURE"
	if !c.WebSocket.AllowInsecure {
		l.add("COMFYUI__URL", "clear text to a remote host (INSECURE_TRANSPORT)", "https, or http together with "+insecure+"=true where the network is trusted",
			"WEBSOCKET__ALLOW_INSECURE", "COMFYUI__BACKEND")
		return
	}
	l.warnings = append(l.warnings, "prompts and pictures go in clear text to "+u.Host+", as "+insecure+" allows")
	for _, s := range []struct {
		name string
		Secret
	}{{"COMFYUI__PASSWORD", c.ComfyUI.Password}, {"COMFYUI__API_KEY", c.ComfyUI.APIKey}, {"COMFYUI__QUERY_TOKEN", c.ComfyUI.QueryToken}} {
		if s.IsSet() {
			l.add(s.name, "would go in clear text to a remote host", "an https address in "+prefixOurs+"COMFYUI__URL", "COMFYUI__URL")
		}
	}
}

// production holds the stricter rules of production (SC-18).
func (l *loader) production(c *Config) {
	if !c.Production() {
		return
	}
	if c.WebSocket.AllowInsecure {
		l.add("WEBSOCKET__ALLOW_INSECURE", "not in production", "false")
	}
	if c.Logging.Level == zapcore.DebugLevel {
		l.add("LOGGING__LEVEL", "DEBUG is not for production", "INFO, WARN or ERROR")
	}
}

// loosened warns of guards that were taken off.
func (l *loader) loosened(c *Config) {
	for _, w := range []struct {
		off  bool
		text string
	}{
		{c.RateLimit.GeneratePerMinute == 0, "RATELIMIT__GENERATE_PER_MINUTE is off: one caller may keep ComfyUI busy alone"},
		{c.RateLimit.GlobalPerMinute == 0, "RATELIMIT__GLOBAL_PER_MINUTE is off: callers together may ask for any number of pictures"},
		{c.RateLimit.StatusPerMinute == 0, "RATELIMIT__STATUS_PER_MINUTE is off: callers may ask without end"},
		{!c.Audit.FailClosed, "AUDIT__FAIL_CLOSED is false: calls go on although they cannot be recorded"},
		{c.Audit.LogPrompts, "AUDIT__LOG_PROMPTS is true: prompts stand in the audit log"},
		{c.HTTP.Token.IsSet() && len(c.HTTP.Token.reveal()) < 16, "HTTP__TOKEN has fewer than 16 characters and can be guessed"},
	} {
		if w.off {
			l.warnings = append(l.warnings, prefixOurs+w.text)
		}
	}
}
