package logging_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"pgregory.net/rapid"

	"github.com/comfygate/comfygate/config"
	"github.com/comfygate/comfygate/logging"
)

const canary = "s3cr3t-VALUE-of-the-test"

// redactor knows canary as the token of the listener.
func redactor(t *testing.T) *config.Redactor {
	t.Helper()
	return withToken(t, canary)
}

func withToken(t interface {
	Helper()
	Fatal(args ...any)
}, token string,
) *config.Redactor {
	t.Helper()
	env := []string{"HOME=/home/ada", "COMFYGATE_HTTP__TOKEN=" + token}
	c, _, err := config.Load(env, func(string) ([]byte, error) { return nil, errors.New("no files here") }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Redactor()
}

type upstream struct {
	URL    string
	Header http.Header
	Nested map[string][]string
	hidden string
}

type object struct{ text string }

func (o object) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("text", o.text)
	return enc.AddArray("list", zapcore.ArrayMarshalerFunc(func(a zapcore.ArrayEncoder) error {
		a.AppendString(o.text)
		return a.AppendReflected(map[string]any{"deep": []any{o.text}})
	}))
}

type stringer struct{ text string }

func (s stringer) String() string { return s.text }

// verbose is an error that has a long form too, as those with stacks do.
type verbose struct{ text string }

func (v verbose) Error() string { return "short " + v.text }

func (v verbose) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "long "+v.text) }

func TestSec_SC36_fields(t *testing.T) {
	t.Parallel()
	text := "before " + canary + " after"
	for _, tc := range []struct {
		name  string
		field zapcore.Field
		keeps string
	}{
		{"string", zap.String("k", text), "before ********** after"},
		{"strings", zap.Strings("k", []string{text, "kept"}), "kept"},
		{"byte string", zap.ByteString("k", []byte(text)), "before ********** after"},
		{"bytes", zap.Binary("k", []byte(text)), "37 bytes"},
		{"error", zap.Error(errors.New(text)), "before ********** after"},
		{"wrapped error", zap.Error(fmt.Errorf("asking: %w", errors.New(text))), "asking: before"},
		{"error with a long form", zap.Error(verbose{text}), "long before **********"},
		{"errors", zap.Errors("k", []error{errors.New(text)}), "before ********** after"},
		{"stringer", zap.Stringer("k", stringer{text}), "before ********** after"},
		{"object", zap.Object("k", object{text}), "deep"},
		{"inline object", zap.Inline(object{text}), "deep"},
		{"objects", zap.Objects("k", []object{{text}}), "deep"},
		{"dict", zap.Dict("k", zap.String("inner", text)), "inner"},
		{"reflected", reflected("k", upstream{URL: "http://" + canary + "/x", hidden: canary}), "http://**********/x"},
		{"reflected map", reflected("k", map[string]any{canary: 1}), "**********"},
		{"pointer to string", zap.Stringp("k", &[]string{text}[0]), "before ********** after"},
		{"secret", zap.Stringer("k", config.NewSecret(canary)), config.Mask},
		{"key", zap.String(canary, "v"), "**********"},
		{"authorization header", reflected("k", http.Header{"Authorization": {"Bearer other-token"}}), "Authorization"},
		{"cookie by key", zap.String("cookie", "sid=other-token"), config.Mask},
		{"header in a text", zap.String("k", "sent Authorization: Bearer other-token"), "sent Authorization"},
		{"cookie in a printed map", zap.String("k", "map[Cookie:[sid=other-token] Accept:[*/*]]"), "Accept:[*/*]"},
		{"bearer alone", zap.String("k", "said bearer other-token."), "said bearer"},
		{"basic alone", zap.String("k", "said Basic b3RoZXItdG9rZW4="), "said Basic"},
		{"userinfo", zap.String("k", `Get "https://ada:other-token@host/x": refused`), "@host/x"},
		{"query", zap.String("k", "GET /view?filename=a.png&token=other-token&type=temp"), "type=temp"},
		{"query of a nested URL", reflected("k", upstream{Nested: map[string][]string{"u": {"wss://h/ws?clientId=1&api_key=other-token"}}}), "clientId=1"},
	} {
		for _, format := range []string{config.FormatJSON, config.FormatConsole} {
			for _, level := range []zapcore.Level{zapcore.DebugLevel, zapcore.InfoLevel, zapcore.WarnLevel, zapcore.ErrorLevel} {
				t.Run(tc.name+"/"+format+"/"+level.String(), func(t *testing.T) {
					t.Parallel()
					var out bytes.Buffer
					log := logging.New(&out, zapcore.DebugLevel, format, redactor(t))
					log.Log(level, "a message", tc.field)
					log.With(tc.field).Log(level, "another")
					log.With(zap.Namespace("ns"), tc.field).Log(level, "a third")
					for _, bad := range []string{canary, "other-token", "b3RoZXItdG9rZW4", canary[:8]} {
						if strings.Contains(out.String(), bad) {
							t.Errorf("%q is in %s", bad, out.String())
						}
					}
					if n := strings.Count(out.String(), tc.keeps); n < 3 {
						t.Errorf("%q stands there %d times, want 3: %s", tc.keeps, n, out.String())
					}
				})
			}
		}
	}
}

// reflected is what zap.Any and zap.Reflect make of a value; our code may not use them, others' does.
func reflected(key string, v any) zapcore.Field {
	return zapcore.Field{Key: key, Type: zapcore.ReflectType, Interface: v}
}

func TestSec_SC36_messageAndStack(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	core := logging.Mask(zapcore.NewCore(zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg", NameKey: "n", StacktraceKey: "s"}),
		zapcore.AddSync(&out), zapcore.DebugLevel), redactor(t))
	entry := zapcore.Entry{Message: "m " + canary, LoggerName: canary, Stack: "one(" + canary + ")\ntwo"}
	if err := core.Write(entry, nil); err != nil {
		t.Fatal(err)
	}
	want := `{"n":"**********","msg":"m **********","s":"one(**********)\ntwo"}` + "\n"
	if out.String() != want {
		t.Errorf("got %s", out.String())
	}
}

func TestSec_SC36_property(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		token := rapid.StringMatching(`[!-+\--9;-~]{6,40}`).Draw(t, "token") // what a header can carry
		around := rapid.String()
		text := around.Draw(t, "before") + token + around.Draw(t, "after")
		var out bytes.Buffer
		log := logging.New(&out, zapcore.DebugLevel, config.FormatConsole, withToken(t, token))
		log.Debug("m", zap.Error(errors.New(text)), reflected("deep", map[string]any{"a": []string{text}}))
		if strings.Contains(out.String(), token) && !strings.Contains(empty(token), token) {
			t.Fatalf("%q is in %q", token, out.String())
		}
	})
}

// empty is a line in which no token was logged: a token that is part of it proves nothing.
func empty(string) string {
	return `DEBUG	m	{"error": "**********", "deep": {"a":["**********"]}}`
}

// SC-25: no text forges a line or turns one around.
func TestSec_SC25_oneLine(t *testing.T) {
	t.Parallel()
	hostile := "a\r\n{\"level\":\"ERROR\"}\x1b[31m\u202ered\u2066\u0085b\u2028c"
	for _, format := range []string{config.FormatJSON, config.FormatConsole} {
		var out bytes.Buffer
		log := logging.New(&out, zapcore.InfoLevel, format, redactor(t))
		log.Info(hostile, zap.String("k", hostile), zap.Error(errors.New(hostile)))
		line := strings.TrimSuffix(out.String(), "\n")
		if strings.ContainsAny(line, "\n\r\x1b\u202e\u2066\u0085\u2028") {
			t.Errorf("%s: %q", format, line)
		}
	}
}

func TestNew_json(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := logging.New(&out, zapcore.InfoLevel, config.FormatJSON, redactor(t))
	log.Debug("unheard")
	log.Info("heard", zap.Int("n", 3), zap.Float64("nan", math.NaN()), zap.Duration("took", time.Second), zap.Bool("ok", true), zap.Uint64("seed", math.MaxUint64))
	var line map[string]any
	dec := json.NewDecoder(&out)
	dec.UseNumber()
	if err := dec.Decode(&line); err != nil {
		t.Fatal(err)
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", line["ts"].(string)); err != nil { //nolint:errcheck // a panic fails the test as well
		t.Error(err)
	}
	delete(line, "ts")
	got := fmt.Sprint(line)
	want := "map[level:INFO msg:heard n:3 nan:NaN ok:true seed:18446744073709551615 took:1s]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if dec.More() {
		t.Error("more than one line")
	}
}
