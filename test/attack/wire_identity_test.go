package attack_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func identityWires() map[string]wire {
	return map[string]wire{
		"T20": noBearer, "T21": badTokens, "T22": keyFlood, "T23": fewScopes, "T26": foreignIDs, "T27": randomIDs, "T28": mute, "T29": hiddenTools,
	}
}

func noBearer(t *testing.T, f *field) {
	good := f.main.someone(t).token
	for name, header := range map[string]string{
		"none": "", "empty": "Bearer", "blank": "Bearer  ", "no scheme": good, "another scheme": "Token " + good, "basic": "Basic YWRtaW46YWRtaW4=",
		"made up": "Bearer made.up.token", "one dot": "Bearer a.b", "twice": "Bearer " + good + ", Bearer " + good, "a tail": "Bearer " + good + " x",
		"cut": "Bearer " + good[:len(good)-2], "very long": "Bearer " + strings.Repeat("a", 20_000), "digest": "Digest username=\"a\"",
	} {
		for _, path := range []string{"/mcp", "/sse", "/message", "/metrics"} {
			c := f.main.nobody(t, "")
			method, body := http.MethodGet, ""
			if path == "/mcp" || path == "/message" {
				method, body = http.MethodPost, hello
			}
			a := c.send(method, path, body, "Authorization", header)
			challenge := strings.Join(a.header["Www-Authenticate"], ", ")
			if a.status != http.StatusUnauthorized || !strings.Contains(challenge, `resource_metadata="`+public) || !strings.Contains(challenge, `scope="`) {
				t.Errorf("%s at %s: %s, challenge %q", name, path, a, challenge)
			}
		}
	}
	c := f.main.nobody(t, "")
	for _, path := range []string{"/mcp?access_token=" + good, "/mcp?token=" + good} {
		if a := c.send(http.MethodPost, path, hello); a.status != http.StatusUnauthorized {
			t.Errorf("a token in the query %.20s: %s", path, a)
		}
	}
	for _, header := range [][]string{{"X-Forwarded-User", "adam"}, {"X-Remote-User", "adam"}, {"X-Forwarded-For", "127.0.0.1"}, {"Cookie", "token=" + good}} {
		if a := c.post(hello, header...); a.status != http.StatusUnauthorized {
			t.Errorf("%s: %s", header[0], a)
		}
	}
}

// forged are tokens of which each has one thing wrong. Most are signed as the provider signs.
func forged(t *testing.T, p *provider) map[string]string {
	t.Helper()
	now := time.Now()
	claims := func(edit func(map[string]any)) map[string]any {
		c := map[string]any{
			"iss": p.issuer, "sub": "adam", "aud": []string{audience}, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
			"scope": strings.Join(everything, " "), "client_id": "adam",
		}
		edit(c)
		return c
	}
	sign := func(alg jose.SignatureAlgorithm, key any, kid, typ string, edit func(map[string]any)) string {
		opts := (&jose.SignerOptions{}).WithHeader("kid", kid)
		if typ != "" {
			opts = opts.WithType(jose.ContentType(typ))
		}
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, opts)
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Signed(signer).Claims(claims(edit)).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	ours := func(edit func(map[string]any)) string { return sign(jose.RS256, p.key, p.kid, "at+jwt", edit) }
	keep := func(map[string]any) {}
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&p.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	body := strings.Split(ours(keep), ".")[1]
	return map[string]string{
		"alg none":             part(`{"alg":"none","typ":"at+jwt"}`) + "." + body + ".",
		"alg None":             part(`{"alg":"None","typ":"at+jwt","kid":"`+p.kid+`"}`) + "." + body + ".",
		"HS256 of the RSA key": sign(jose.HS256, public, p.kid, "at+jwt", keep),
		"a stranger's key":     sign(jose.RS256, stranger, p.kid, "at+jwt", keep),
		"an unknown key id":    sign(jose.RS256, stranger, "unknown", "at+jwt", keep),
		"another issuer":       ours(func(c map[string]any) { c["iss"] = "https://evil.example/" }),
		"another audience":     p.token(t, "adam", append(slices.Clone(everything), abroad)...),
		"no audience":          ours(func(c map[string]any) { delete(c, "aud") }),
		"expired":              ours(func(c map[string]any) { c["exp"] = now.Add(-time.Hour).Unix() }),
		"no expiry":            ours(func(c map[string]any) { delete(c, "exp") }),
		"not yet":              ours(func(c map[string]any) { c["nbf"] = now.Add(time.Hour).Unix() }),
		"no subject":           ours(func(c map[string]any) { delete(c, "sub") }),
		"another type":         sign(jose.RS256, p.key, p.kid, "logout+jwt", keep),
		"changed":              strings.Replace(ours(keep), body[:12], part(`{"sub":"x",`)[:12], 1),
	}
}

func badTokens(t *testing.T, f *field) {
	for name, token := range forged(t, f.main.provider) {
		if a := f.main.nobody(t, token).post(hello); a.status != http.StatusUnauthorized {
			t.Errorf("%s: %s", name, a)
		}
	}
}

// mute compares what the refusals of bad tokens say.
func mute(t *testing.T, f *field) {
	said := make(map[string][]string)
	for name, token := range forged(t, f.main.provider) {
		a := f.main.nobody(t, token).post(hello)
		text := fmt.Sprint(a.status, a.header["Www-Authenticate"], string(a.body))
		said[text] = append(said[text], name)
	}
	if len(said) != 1 {
		t.Errorf("refusals differ: %v", said)
	}
}

func keyFlood(t *testing.T, f *field) {
	stranger, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for i := range times(50, 10) {
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: stranger}, (&jose.SignerOptions{}).WithHeader("kid", fmt.Sprint("flood-", i)).WithType("at+jwt"))
		if err != nil {
			t.Fatal(err)
		}
		token, err := jwt.Signed(signer).Claims(map[string]any{"iss": f.main.provider.issuer, "aud": audience, "sub": "adam", "exp": time.Now().Add(time.Hour).Unix()}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		if a := f.main.nobody(t, token).post(hello); a.status != http.StatusUnauthorized {
			t.Fatalf("key %d: %s", i, a)
		}
	}
	if a := f.main.someone(t).ask("tools/list", "{}"); a.status != http.StatusOK {
		t.Errorf("after the flood a good token gives %s", a)
	}
}

func fewScopes(t *testing.T, f *field) {
	a := f.main.someone(t, "job:read").ask("tools/call", `{"name":"generate","arguments":{"prompt":"x"}}`)
	challenge := strings.Join(a.header["Www-Authenticate"], ", ")
	if a.status != http.StatusForbidden || !strings.Contains(challenge, `error="insufficient_scope"`) || !strings.Contains(challenge, "image:generate") || !strings.Contains(challenge, "job:read") {
		t.Errorf("%s, challenge %q", a, challenge)
	}
	// Scopes that are asked for do not widen a role.
	vera := f.main.named(t, "vera", append(slices.Clone(everything), "operate")...)
	vera.refused("generate", small("a cat"))
	c := f.main.someone(t, append(slices.Clone(everything), "operate")...)
	c.isRefused("manage_queue", c.call("manage_queue", args{"action": "list"}))
}

// unknown is an id that nobody has, and that looks like one.
func unknown(i int) string { return strings.Repeat(string(rune('b'+i)), 26) }

func foreignIDs(t *testing.T, f *field) {
	alice, mallory := f.main.someone(t), f.main.someone(t)
	made := alice.must("generate", small(canaryPrompt))
	picture, job := made.links[0], jobID.FindStringSubmatch(made.text)[1]
	same := func(what string, of func(id string) outcome, foreign string) {
		t.Helper()
		a, b := of(foreign), of(unknown(0))
		mallory.isRefused(what, a)
		blank := func(o outcome, id string) string {
			text := strings.ReplaceAll(string(o.body), id, "ID")
			return fmt.Sprint(o.status, callID.ReplaceAllString(text, "CALL"))
		}
		if x, y := blank(a, foreign), blank(b, unknown(0)); x != y {
			t.Errorf("%s: another's answers %s\nan unknown one %s", what, x, y)
		}
	}
	same("status", func(id string) outcome { return mallory.call("status", args{"job_id": id}) }, job)
	same("cancel", func(id string) outcome { return mallory.call("cancel", args{"job_id": id}) }, job)
	same("get_image", func(id string) outcome { return mallory.call("get_image", args{"image": id}) }, picture)
	same("upscale", func(id string) outcome { return mallory.call("upscale", args{"image": id}) }, picture)
	same("resources/read", func(id string) outcome {
		return read(mallory.ask("resources/read", `{"uri":"comfygate://images/`+id+`"}`))
	}, picture)
	same("run_workflow", func(id string) outcome { return mallory.call("run_workflow", args{"graph": loading(id)}) }, picture)
	if text := mallory.must("status", nil).text; strings.Contains(text, job) || strings.Contains(text, picture) {
		t.Errorf("status tells of another's: %s", text)
	}
	alice.must("get_image", args{"image": picture})
}

func randomIDs(t *testing.T, f *field) {
	seen := make(map[string]bool)
	for range times(5, 2) {
		c := f.main.someone(t)
		for range 3 {
			made := c.must("generate", small("a cat"))
			for _, id := range []string{made.links[0], jobID.FindStringSubmatch(made.text)[1]} {
				if seen[id] || len(id) != 26 { // 26 × 5 bits
					t.Errorf("id %q, seen before: %v", id, seen[id])
				}
				seen[id] = true
			}
		}
	}
	common := make(map[string]int)
	for id := range seen {
		common[id[:4]]++
	}
	if len(common) < len(seen)-2 {
		t.Errorf("%d ids begin with %d beginnings", len(seen), len(common))
	}
}

func hiddenTools(t *testing.T, f *field) {
	all := f.main.someone(t).offered()
	for name, c := range map[string]*caller{"a viewer": f.main.named(t, "vera"), "one who may read models": f.main.someone(t, "model:read")} {
		shown := c.offered()
		if len(shown) == 0 || len(shown) >= len(all) {
			t.Errorf("%s is offered %v of %v", name, shown, all)
		}
		for _, tool := range all {
			if !slices.Contains(shown, tool) {
				c.isRefused(name+" calls "+tool, c.call(tool, args{"prompt": "x"}))
			}
		}
	}
}
