package doctor

import (
	"net/netip"
	"net/url"
	"strings"

	"go.uber.org/zap/zapcore"

	"github.com/comfygate/comfygate/config"
)

// What of the promises about listeners, callers and ComfyUI's address the set-up decides.

func (g *guard) http() bool { return g.Config.Server.Transport == config.TransportHTTP }

const stdioOnly = "stdio: nothing listens"

func (g *guard) securityText() verdict {
	if !g.http() {
		return none(stdioOnly + "; SECURITY.md names the contact")
	}
	return pass("/.well-known/security.txt names the private advisory page")
}

func (g *guard) comfyVersion() verdict {
	if g.embedded() {
		return none("the embedded ComfyUI is of this version")
	}
	info, err := g.Server.Probe(g.ctx)
	switch {
	case err != nil:
		return none("ComfyUI does not answer now; its version is looked at when it does")
	case info.BelowFloor:
		return pass("ComfyUI %s is older than what is tested; comfygate warns and serves", info.Version)
	}
	return pass("ComfyUI %s", info.Version)
}

func (g *guard) bind() verdict {
	switch {
	case !g.http():
		return pass(stdioOnly)
	case g.loopback(g.ctx, g.Config.HTTP.Host):
		return pass("%s, port %d: this machine only", g.Config.HTTP.Host, g.Config.HTTP.Port)
	}
	return none("COMFYGATE_HTTP__HOST=%s was chosen: see SC-09 and SC-11", g.Config.HTTP.Host)
}

func (g *guard) wider() verdict {
	switch in := g.signIn(); {
	case !g.http() || g.private:
		return none("other machines reach no listener")
	case len(in) == 0:
		return failed("set COMFYGATE_HTTP__TOKEN, or one of the other ways to sign in", "%s without any sign-in", g.Config.HTTP.Host)
	default:
		return pass("%s, with %s", g.Config.HTTP.Host, strings.Join(in, ", "))
	}
}

func (g *guard) signedIn() verdict {
	in := g.signIn()
	switch {
	case !g.http():
		return none("stdio: the client that starts comfygate is the caller")
	case len(in) > 0:
		return pass("%s; %d failures a minute and address", strings.Join(in, ", "), g.Config.HTTP.AuthFailuresPerMinute)
	case g.private:
		return none("no sign-in on a listener of this machine")
	}
	return failed("set COMFYGATE_HTTP__TOKEN, or one of the other ways to sign in", "no sign-in, and other machines reach the listener")
}

func (g *guard) exposed() verdict {
	f, looked := g.findings["listener"]
	switch {
	case !g.http() || !looked:
		return none(stdioOnly)
	case len(g.signIn()) == 0 && !g.private:
		return failed(f.Fix, "%s", f.Text)
	}
	return pass("%s", f.Text)
}

func (g *guard) rebinding() verdict {
	if !g.http() {
		return none(stdioOnly)
	}
	for _, o := range g.Config.HTTP.AllowedOrigins {
		u, err := url.Parse(o)
		if err != nil || u.Scheme != "https" && !hostIsLocal(u.Hostname()) {
			return failed("serve that page over https, or take it from COMFYGATE_HTTP__ALLOWED_ORIGINS", "the scripts of %s may call, and anybody on the way can change them", o)
		}
	}
	return pass("Host: this machine, %d more; Origin: this machine, %d more", len(g.Config.HTTP.AllowedHosts), len(g.Config.HTTP.AllowedOrigins))
}

// scheme is how ComfyUI is reached, in words; ok is false where it is embedded.
func (g *guard) scheme() (scheme string, local, ok bool) {
	host, _, found := g.target()
	u, err := url.Parse(g.Config.ComfyUI.URL)
	if g.embedded() || !found || err != nil {
		return "", false, false
	}
	return u.Scheme, hostIsLocal(host) || g.loopback(g.ctx, host), true
}

const noUpstream = "the embedded ComfyUI has no port"

func (g *guard) clearText() verdict {
	scheme, local, ok := g.scheme()
	switch {
	case !ok:
		return none(noUpstream)
	case g.Server.Insecure():
		return failed("use ComfyUI's https address (deploy/nginx.conf shows a proxy)", "prompts and pictures go in clear text to %s", g.Server.Redacted())
	case local:
		return pass("%s is this machine", g.Server.Redacted())
	}
	return pass("%s to %s", scheme, g.Server.Redacted())
}

func (g *guard) override() verdict {
	switch {
	case g.Server.Insecure():
		return failed("take COMFYGATE_WEBSOCKET__ALLOW_INSECURE away and use an https address", "COMFYGATE_WEBSOCKET__ALLOW_INSECURE is set and used")
	case g.Config.WebSocket.AllowInsecure:
		return pass("COMFYGATE_WEBSOCKET__ALLOW_INSECURE is set, and nothing needs it")
	}
	return pass("COMFYGATE_WEBSOCKET__ALLOW_INSECURE is not set")
}

func (g *guard) overTLS() verdict {
	scheme, _, ok := g.scheme()
	switch {
	case !ok:
		return none(noUpstream)
	case scheme == "https" || scheme == "wss":
		authorities := "the system's authorities"
		if g.Config.ComfyUI.CAFile != "" {
			authorities += " and those of COMFYGATE_COMFYUI__CA_FILE"
		}
		return pass("%s, verified by %s", g.Server.Redacted(), authorities)
	case g.Server.Insecure():
		return g.clearText()
	}
	return none("plain HTTP to this machine")
}

func (g *guard) production() verdict {
	switch {
	case !g.Config.Production():
		return none("COMFYGATE_SERVER__ENV is development")
	case g.Server.Insecure() || g.Config.Logging.Level < zapcore.InfoLevel: // config and comfy refuse it before
		return failed("take COMFYGATE_WEBSOCKET__ALLOW_INSECURE and DEBUG away", "clear text or DEBUG in production")
	}
	return pass("production: no clear text, no DEBUG")
}

func (g *guard) address() verdict {
	if g.embedded() {
		return none(noUpstream)
	}
	return pass("%s, from the operator (%s); no tool takes an address", g.Server.Redacted(), g.source("COMFYGATE_COMFYUI__URL"))
}

// source is where a setting comes from.
func (g *guard) source(variable string) config.Source {
	for _, l := range config.Show(g.Config) {
		if l.Variable == variable {
			return l.Source
		}
	}
	return config.SourceDefault
}

func (g *guard) upstreamCredentials() verdict {
	c := g.Config.ComfyUI
	_, local, ok := g.scheme()
	switch {
	case !ok:
		return none(noUpstream)
	case c.Password.IsSet() || c.APIKey.IsSet() || c.QueryToken.IsSet():
		return pass("a credential goes with every request, and with the WebSocket")
	case local:
		return none("ComfyUI is on this machine")
	}
	return failed("put a proxy with sign-in in front (deploy/nginx.conf) and set COMFYGATE_COMFYUI__USERNAME and COMFYGATE_COMFYUI__PASSWORD",
		"whoever reaches %s can use it around comfygate", g.Server.Redacted())
}

func (g *guard) port() verdict {
	f, looked := g.findings["comfyui_port_exposed"]
	switch {
	case !looked:
		return none("ComfyUI is not on this machine, or has no port")
	case f.Severity == OK:
		return pass("%s", f.Text)
	case f.Severity == Info:
		return none("%s", f.Text)
	}
	return failed(f.Fix, "%s", f.Text)
}

func (g *guard) proxies() verdict {
	if !g.http() {
		return none(stdioOnly)
	}
	for _, p := range g.Config.HTTP.TrustedProxies {
		if p.Bits() == 0 || p.Addr().Is4() && p.Bits() < 8 {
			return failed("name the proxies themselves in COMFYGATE_HTTP__TRUSTED_PROXIES", "X-Forwarded-For is believed from %s, which is nearly everybody", p)
		}
	}
	return pass("X-Forwarded-For is believed from %d networks: %s", len(g.Config.HTTP.TrustedProxies), networks(g.Config.HTTP.TrustedProxies))
}

func networks(list []netip.Prefix) string {
	var words []string
	for _, p := range list {
		words = append(words, p.String())
	}
	if len(words) == 0 {
		return "from nobody"
	}
	return strings.Join(words, ", ")
}

func (g *guard) principals() verdict {
	switch {
	case !g.http():
		return pass("stdio: %s; policy %s", g.Config.Auth.StdioPrincipal, g.policyName())
	case len(g.signIn()) == 0 && !g.private:
		return failed("set COMFYGATE_HTTP__TOKEN, or one of the other ways to sign in", "everybody is a viewer without a name")
	case len(g.signIn()) == 0:
		return pass("every program of this machine is local; policy %s", g.policyName())
	}
	return pass("%s; policy %s", strings.Join(g.signIn(), ", "), g.policyName())
}

func (g *guard) policyName() string {
	name := g.Config.Policy.File
	if name == "" {
		name = "built-in"
	}
	if g.PolicyHash != "" {
		name += " (" + g.PolicyHash[:min(len(g.PolicyHash), 12)] + ")"
	}
	return name
}
