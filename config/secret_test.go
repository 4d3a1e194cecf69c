package config_test

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog" //nolint:depguard // SC-30 names its handlers too
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"pgregory.net/rapid"

	"github.com/comfygate/comfygate/config"
)

// holder has secrets where fmt calls no method: in unexported fields, pointers, maps and slices.
type holder struct {
	Open   config.Secret
	hidden config.Secret
	ptr    *config.Secret
	list   []config.Secret
	byName map[string]config.Secret
	any    any
}

// waysOut prints and encodes s in every way there is.
func waysOut(s config.Secret) map[string]string {
	out := map[string]string{}
	h := holder{s, s, &s, []config.Secret{s}, map[string]config.Secret{"k": s}, s}
	err := fmt.Errorf("wrapping %w: %v", errors.New("cause"), s)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10s", "%-40v", "%.3s", "%t", "%c", "%U", "%e"} {
		out[verb] = fmt.Sprintf(verb, s)
		out[verb+" of a pointer"] = fmt.Sprintf(verb, &s)
		out[verb+" of a holder"] = fmt.Sprintf(verb, h)
		out[verb+" of a pointer to a holder"] = fmt.Sprintf(verb, &h)
	}
	out["Sprint"] = fmt.Sprint(s)
	out["error"] = err.Error()
	out["String"], out["GoString"] = s.String(), s.GoString()
	encode := func(name string, f func(v any) ([]byte, error)) {
		for kind, v := range map[string]any{"alone": s, "pointer": &s, "holder": struct{ Open config.Secret }{s}, "list": []config.Secret{s}} {
			data, err := f(v)
			out[name+" "+kind] = string(data) + fmt.Sprint(err)
		}
	}
	encode("json", json.Marshal)
	encode("xml", xml.Marshal)
	encode("yaml", func(v any) ([]byte, error) { return yaml.Marshal(v) })
	encode("gob", func(v any) ([]byte, error) {
		var b bytes.Buffer
		err := gob.NewEncoder(&b).Encode(v)
		return b.Bytes(), err
	})
	encode("text", func(v any) ([]byte, error) {
		if m, ok := v.(interface{ MarshalText() ([]byte, error) }); ok {
			return m.MarshalText()
		}
		return nil, nil
	})
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Info("m", "k", s, "h", h)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("m", "k", s, "h", h)
	out["slog"] = b.String()
	b.Reset()
	for _, enc := range []zapcore.Encoder{zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig())} {
		zap.New(zapcore.NewCore(enc, zapcore.AddSync(&b), zapcore.DebugLevel)).
			Info("m", zap.Stringer("s", s), zap.Object("o", s), zap.Inline(s), zapcore.Field{Key: "r", Type: zapcore.ReflectType, Interface: h})
	}
	out["zap"] = b.String()
	return out
}

// TestSec_SC30_property: no way of printing or encoding a secret tells it, a part of it, its length or another form of it.
func TestSec_SC30_property(t *testing.T) {
	t.Parallel()
	ways := waysOut(config.NewSecret("x"))
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.StringMatching(`[A-Z]{3}[!-~]{5,30}[A-Z]{3}é`).Draw(t, "secret")
		for way, text := range waysOut(config.NewSecret(v)) {
			for _, form := range []string{v, v[:6], v[len(v)-6:], base64.StdEncoding.EncodeToString([]byte(v))[:8], hex.EncodeToString([]byte(v))[:12], strings.ToUpper(hex.EncodeToString([]byte(v)))[:12]} {
				if strings.Contains(text, form) {
					t.Fatalf("%s tells %q: %s", way, form, text)
				}
			}
			if !strings.Contains(way, "holder") && way != "slog" && way != "zap" && text != ways[way] { // those print addresses or times
				t.Fatalf("%s depends on the value: %s and %s", way, text, ways[way])
			}
		}
	})
	for _, way := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "Sprint", "json alone", "yaml alone", "xml alone", "slog", "zap", "error"} {
		if !strings.Contains(ways[way], config.Mask) {
			t.Errorf("%s gives %s", way, ways[way])
		}
	}
}

// SC-30: a whole Config can be printed.
func TestSec_SC30_config(t *testing.T) {
	t.Parallel()
	c := canaryConfig(t)
	printed := fmt.Sprint(&c) + fmt.Sprintf("%#v %+v", c, c) + show(t, c)
	if data, err := json.Marshal(c); err == nil {
		printed += string(data)
	}
	for _, line := range config.Show(c) {
		printed += fmt.Sprint(line)
	}
	if strings.Contains(printed, "s3cr3t") || strings.Contains(printed, hash64) {
		t.Errorf("a secret is in %s", printed)
	}
}

// canaryConfig has every secret set to something with s3cr3t in it.
func canaryConfig(t *testing.T) config.Config {
	t.Helper()
	return mustLoad(t, "COMFYGATE_HTTP__USERNAME=ada", "COMFYGATE_HTTP__PASSWORD=s3cr3t pass/word", "COMFYGATE_HTTP__TOKEN=s3cr3t-token-0123456789",
		"COMFYGATE_COMFYUI__USERNAME=bob", "COMFYGATE_COMFYUI__PASSWORD=s3cr3t+\"two\"", "COMFYGATE_COMFYUI__API_KEY=s3cr3t-key", "COMFYGATE_COMFYUI__AUTH_HEADER=X-API-Key",
		"COMFYGATE_COMFYUI__QUERY_TOKEN=s3cr3t&query", "COMFYGATE_AUDIT__HMAC_KEY=s3cr3t-hmac-key-0123", "COMFYGATE_AUTH__TOKENS=eve:"+hash64+":viewer")
}

// SC-31: what config show prints of a password, by name and by alias.
func TestSec_SC31_show(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{"COMFYGATE_HTTP__PASSWORD=secret123", "COMFY_HEADLESS_UI__PASSWORD=secret123"} {
		text := show(t, mustLoad(t, entry, "COMFYGATE_HTTP__USERNAME=ada"))
		if !strings.Contains(text, "password: **********") || strings.Contains(text, "secret123") {
			t.Errorf("%s gives %s", entry, text)
		}
	}
	if text := show(t, mustLoad(t)); !strings.Contains(text, "http:\n  host: 127.0.0.1  # default\n") || !strings.Contains(text, "  token: (unset)  # default\n") {
		t.Error(text)
	}
}

func TestSum(t *testing.T) {
	t.Parallel()
	a, b := mustLoad(t), mustLoad(t, "COMFYGATE_HTTP__PORT=1")
	if a.Sum() == b.Sum() || a.Sum() != mustLoad(t).Sum() || len(a.Sum()) != 64 {
		t.Errorf("%s, %s", a.Sum(), b.Sum())
	}
	if mustLoad(t, "COMFYGATE_HTTP__TOKEN=0123456789abcdef").Sum() != mustLoad(t, "COMFYGATE_HTTP__TOKEN=fedcba9876543210").Sum() {
		t.Error("the digest depends on a secret's value")
	}
}

// SC-36: every secret in every form it is sent in.
func TestSec_SC36_forms(t *testing.T) {
	t.Parallel()
	c := canaryConfig(t)
	r := c.Redactor()
	for _, text := range []string{
		"s3cr3t pass/word", "s3cr3t+pass%2Fword", "s3cr3t%20pass%2Fword", `"s3cr3t+\"two\""`, "s3cr3t-token-0123456789", "s3cr3t-key", "s3cr3t-hmac-key-0123", "s3cr3t%26query", hash64,
		base64.StdEncoding.EncodeToString([]byte("ada:s3cr3t pass/word")), base64.StdEncoding.EncodeToString([]byte("bob:s3cr3t+\"two\"")), base64.URLEncoding.EncodeToString([]byte("s3cr3t-key")),
	} {
		if got := r.Clean("<" + text + ">"); strings.Contains(got, text) || strings.Contains(got, "s3cr3t") || !strings.Contains(got, config.Mask) {
			t.Errorf("%s becomes %s", text, got)
		}
	}
	for _, text := range []string{"", "nothing to hide", "http://127.0.0.1:8188/view?filename=a.png&type=temp", "token bucket", "the basic rule", "author: Ada", "monkey=1", "at 12:30: key=value"} {
		if got := r.Clean(text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
	for _, text := range []string{ // by their shape, in any spelling, and whatever stands around them
		"BEARER AAAAAAAA", "Basic AAAAAAAA", "Cookie: AAAAAAAA", "coo\u212aie: AAAAAAAA", "x=1 Authorization=AAAAAAAA", "ftp://me:AAAAAAAA@host", "/view?a=1&api_Key=AAAAAAAA", "?to\u212aen=AAAAAAAA ü",
	} {
		if got := r.Clean(text); strings.Contains(got, "AAAAAAAA") {
			t.Errorf("%s becomes %s", text, got)
		}
	}
	nested := mustLoad(t, "COMFYGATE_COMFYUI__QUERY_TOKEN=abcdef", "COMFYGATE_HTTP__TOKEN=abcdef-and-much-more").Redactor()
	if got := nested.Clean("<abcdef-and-much-more abcdef>"); got != "<********** **********>" {
		t.Errorf("a secret inside another: %s", got)
	}
	if got := nested.Clean("a\r\nb\tabc\x1bdef\u202e\u0085c"); got != "a  b **********c" { // SC-25
		t.Errorf("%q", got)
	}
	var zero config.Redactor
	if got := zero.Clean("Cookie: a=b"); got != "Cookie: "+config.Mask {
		t.Error(got)
	}
	for name, want := range map[string]bool{"Authorization": true, "Proxy-Authorization": true, "set-cookie": true, "http_token": true, "api_key": true, "password": true, "tokens": false, "key": false, "author": false} {
		if config.SensitiveKey(name) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}
