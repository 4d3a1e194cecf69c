package logging

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/comfygate/comfygate/config"
)

// Mask returns core with everything that r knows, and everything whose name or shape is a credential's, masked in messages and in
// fields of every type, however deep (SC-36). Control characters and those that turn text around are taken out, so that no text
// can forge a line (SC-25). Bytes are logged as their number. Samplers and the like belong around the returned core, not inside.
func Mask(core zapcore.Core, r *config.Redactor) zapcore.Core { return &masked{core, r} }

type masked struct {
	zapcore.Core
	redactor *config.Redactor
}

func (m *masked) With(fields []zapcore.Field) zapcore.Core {
	return &masked{m.Core.With(m.fields(fields)), m.redactor}
}

func (m *masked) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if m.Enabled(e.Level) {
		return ce.AddCore(e, m)
	}
	return ce
}

func (m *masked) Write(e zapcore.Entry, fields []zapcore.Field) error {
	e.Message, e.LoggerName = m.text(e.Message), m.text(e.LoggerName)
	stack := strings.Split(e.Stack, "\n")
	for i, line := range stack {
		stack[i] = m.text(line)
	}
	e.Stack = strings.Join(stack, "\n")
	return m.Core.Write(e, m.fields(fields))
}

func (m *masked) text(s string) string { return m.redactor.Clean(s) }

func (m *masked) fields(in []zapcore.Field) []zapcore.Field {
	out := make([]zapcore.Field, 0, len(in))
	for _, f := range in {
		out = append(out, m.field(f)...)
	}
	return out
}

// field cleans one field, which may be several: an error can bring its long form, an inlined object all of its fields.
func (m *masked) field(f zapcore.Field) []zapcore.Field {
	if f.Type == zapcore.NamespaceType || f.Type == zapcore.SkipType {
		return []zapcore.Field{f}
	}
	if f.Type == zapcore.StringType {
		return []zapcore.Field{m.made(f.Key, f.String)}
	}
	enc := zapcore.NewMapObjectEncoder()
	f.AddTo(enc)
	out := make([]zapcore.Field, 0, len(enc.Fields))
	for _, key := range slices.Sorted(maps.Keys(enc.Fields)) {
		out = append(out, m.made(key, enc.Fields[key]))
	}
	return out
}

// made is the field of a value that is already plain data.
func (m *masked) made(key string, v any) zapcore.Field {
	switch v := m.value(key, v).(type) {
	case string:
		return zap.String(m.text(key), v)
	case time.Time:
		return zap.Time(key, v)
	case time.Duration:
		return zap.Duration(key, v)
	case float64: // JSON knows no NaN
		return zap.Float64(key, v)
	case float32:
		return zap.Float32(key, v)
	default:
		return zapcore.Field{Key: m.text(key), Type: zapcore.ReflectType, Interface: v}
	}
}

// value cleans what stands under key.
func (m *masked) value(key string, v any) any {
	if config.SensitiveKey(key) {
		return config.Mask
	}
	switch v := v.(type) {
	case string:
		return m.text(v)
	case []byte:
		return fmt.Sprintf("%d bytes", len(v))
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, inner := range v {
			out[m.text(k)] = m.value(k, inner)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, inner := range v {
			out[i] = m.value("", inner)
		}
		return out
	case nil, bool, json.Number, time.Time, time.Duration,
		int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, uintptr, float32, float64:
		return v
	default:
		return m.reflected(v)
	}
}

// reflected turns any other value into plain data by its JSON form, and cleans that.
func (m *masked) reflected(v any) any {
	data, err := json.Marshal(v)
	if err != nil {
		return m.text(fmt.Sprintf("%T without a JSON form", v))
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var plain any
	if err := dec.Decode(&plain); err != nil {
		return m.text(fmt.Sprintf("%T without a JSON form", v))
	}
	return m.value("", plain)
}
