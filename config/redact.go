package config

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// A Redactor takes credentials out of text (SC-36): every configured secret in each form it is sent in, and what by its shape is a
// credential. It is safe for concurrent use. The zero value knows the shapes only.
type Redactor struct{ secrets *strings.Replacer }

// Redactor returns a Redactor that knows the secrets of c.
func (c Config) Redactor() *Redactor {
	var values []string
	for _, s := range []Secret{c.HTTP.Token, c.HTTP.Password, c.ComfyUI.Password, c.ComfyUI.APIKey, c.ComfyUI.QueryToken, c.Audit.HMACKey, c.Audit.SigningKey, c.Audit.SinkToken, c.Audit.SinkSecret} {
		if s.IsSet() {
			values = append(values, forms(s.reveal())...)
		}
	}
	if c.Auth.Tokens.IsSet() {
		for entry := range strings.SplitSeq(c.Auth.Tokens.reveal(), ",") {
			values = append(values, strings.Split(entry, ":")[1]) // its shape was checked by Load
		}
	}
	for user, password := range map[string]Secret{c.HTTP.Username: c.HTTP.Password, c.ComfyUI.Username: c.ComfyUI.Password} {
		if password.IsSet() {
			values = append(values, base64.StdEncoding.EncodeToString([]byte(user+":"+password.reveal())))
		}
	}
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) }) // a secret inside another must not cut it in two
	pairs := make([]string, 0, 2*len(values))
	for _, v := range slices.Compact(values) {
		pairs = append(pairs, v, Mask)
	}
	return &Redactor{strings.NewReplacer(pairs...)}
}

// forms lists the ways a secret is written: as it is, escaped for a URL, quoted, encoded.
func forms(v string) []string {
	quoted, err := json.Marshal(v)
	if err != nil {
		quoted = nil
	}
	return []string{
		v, url.QueryEscape(v), url.PathEscape(v), strings.Trim(string(quoted), `"`),
		base64.StdEncoding.EncodeToString([]byte(v)), base64.URLEncoding.EncodeToString([]byte(v)),
	}
}

// Clean returns text with the mask in place of every credential, on one line and without control characters or such as turn
// text around, so that no text forges a line or commands a terminal (SC-25).
func (r *Redactor) Clean(text string) string {
	text = flat(text) // first, for it could join the halves of a secret
	if r.secrets != nil {
		text = r.secrets.Replace(text)
	}
	return maskPatterns(text)
}

// Holds reports whether text has a configured secret in it, in any form in which it is sent.
func (r *Redactor) Holds(text string) bool {
	return r.secrets != nil && r.secrets.Replace(text) != text
}

func flat(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || r == '\u2028' || r == '\u2029':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return -1
		default:
			return r
		}
	}, text)
}

// SensitiveKey reports whether a field, header or parameter of this name holds a credential whatever its value looks like.
func SensitiveKey(name string) bool { return sensitiveName.MatchString(name) }

var ( // immutable
	sensitiveName = regexp.MustCompile(`(?i)^(.*[-_.])?(authorization|cookie|password|passwd|secret|token|api[-_]?key|credentials?)$`)

	credentialShapes = []struct {
		shape *regexp.Regexp
		with  string
		needs [][]string // a text in lower case without any word of one of these cannot have the shape
	}{
		// Headers, as they are sent, printed from a map, or in JSON.
		{regexp.MustCompile(`(?i)\b((?:proxy-)?authorization|(?:set-)?cookie)("?\s*[:=]\s*)(\[[^\]]*\]|"[^"]*"|[^\r\n"]+)`), "${1}${2}" + Mask, [][]string{{"authorization", "cookie"}, {":", "="}}},
		{regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}`), "${1} " + Mask, [][]string{{"bearer", "basic"}}},
		// User and password of a URL.
		{regexp.MustCompile(`(?i)\b([a-z][a-z0-9+.-]*:)//[^/\s?#"'<>]*@`), "${1}//" + Mask + "@", [][]string{{"://"}, {"@"}}},
		// Parameters of a query.
		{regexp.MustCompile(`(?i)([?&;][a-z0-9_.-]*(?:token|key|secret|passwd|password|signature|sig|auth|credential)[a-z0-9_]*=)[^&#\s"'<>]*`), "${1}" + Mask, [][]string{{"?", "&", ";"}, {"="}}},
	}
)

func maskPatterns(text string) string {
	if !strings.ContainsAny(text, ":=?& ") { // none of the shapes can be there
		return text
	}
	lower, ascii := strings.ToLower(text), isASCII(text)
	for _, s := range credentialShapes {
		if ascii && !hasOfEach(lower, s.needs) { // letters of other alphabets may stand for one in a word
			continue
		}
		text = s.shape.ReplaceAllString(text, s.with)
	}
	return text
}

func isASCII(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r > unicode.MaxASCII }) < 0
}

// hasOfEach reports whether text has at least one word of every list.
func hasOfEach(text string, lists [][]string) bool {
	return !slices.ContainsFunc(lists, func(words []string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return strings.Contains(text, w) })
	})
}
