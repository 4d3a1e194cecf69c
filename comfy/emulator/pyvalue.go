package emulator

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// ComfyUI's answers show Python's idea of a value: objects keep the order of
// their keys, whole numbers have no bounds, 1 and 1.0 differ. A decoded value is
// one of nil, bool, *big.Int, pyFloat, string, []any, *object.

// pyFloat is a Python float: it keeps its point, "1.0".
type pyFloat float64

// object is a JSON object that keeps the order of its keys.
type object struct {
	keys []string
	vals map[string]any
}

// pair is one key with its value, for obj.
type pair struct {
	key string
	val any
}

// obj makes an object in the order of its pairs.
func obj(pairs ...pair) *object {
	o := &object{vals: make(map[string]any, len(pairs))}
	for _, p := range pairs {
		o.set(p.key, p.val)
	}
	return o
}

// set adds a key at the end, or replaces its value where it stands.
func (o *object) set(key string, val any) {
	if _, ok := o.vals[key]; !ok {
		o.keys = append(o.keys, key)
	}
	o.vals[key] = val
}

// get returns the value of a key, and whether there is one; nil has none.
func (o *object) get(key string) (any, bool) {
	if o == nil {
		return nil, false
	}
	v, ok := o.vals[key]
	return v, ok
}

// remove takes a key out.
func (o *object) remove(key string) {
	if _, ok := o.vals[key]; !ok {
		return
	}
	delete(o.vals, key)
	for i, k := range o.keys {
		if k == key {
			o.keys = append(o.keys[:i:i], o.keys[i+1:]...)
			return
		}
	}
}

// clone copies the object, but not its values.
func (o *object) clone() *object {
	c := obj()
	for _, k := range o.keys {
		c.set(k, o.vals[k])
	}
	return c
}

// MarshalJSON writes the keys in their order.
func (o *object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	err := writePython(&b, o)
	return b.Bytes(), err
}

// MarshalJSON writes the float as Python does.
func (f pyFloat) MarshalJSON() ([]byte, error) { return []byte(f.String()), nil }

// String is Python's repr of the float: the shortest digits that read back, with
// an exponent from 1e16 on and below 1e-4.
func (f pyFloat) String() string {
	v := float64(f)
	switch {
	case math.IsNaN(v):
		return "nan"
	case math.IsInf(v, 0):
		return strings.TrimPrefix(strings.ToLower(strconv.FormatFloat(v, 'g', -1, 64)), "+")
	case v != 0 && (math.Abs(v) >= 1e16 || math.Abs(v) < 1e-4):
		return strconv.FormatFloat(v, 'e', -1, 64)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// maxDepth bounds the nesting of a body, as Python's recursion limit does.
const maxDepth = 200

var errTooDeep = errors.New("nested too deeply")

// decodePython reads one JSON value and nothing after it.
func decodePython(data []byte) (any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("body is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	v, err := decodeValue(d, 0)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("extra data")
	}
	return v, nil
}

func decodeValue(d *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return decodeList(d, depth)
		}
		return decodeObject(d, depth)
	case json.Number:
		return pyNumber(t.String())
	default:
		return t, nil // nil, bool, string
	}
}

func decodeList(d *json.Decoder, depth int) (any, error) {
	list := []any{}
	for d.More() {
		v, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	_, err := d.Token()
	return list, err
}

func decodeObject(d *json.Decoder, depth int) (any, error) {
	o := obj()
	for d.More() {
		k, err := d.Token()
		if err != nil {
			return nil, err
		}
		v, err := decodeValue(d, depth+1)
		if err != nil {
			return nil, err
		}
		key, ok := k.(string)
		if !ok {
			return nil, fmt.Errorf("key %v is no string", k)
		}
		o.set(key, v)
	}
	_, err := d.Token()
	return o, err
}

// pyNumber is an int if the literal has neither point nor exponent.
func pyNumber(s string) (any, error) {
	if strings.ContainsAny(s, ".eE") {
		f, err := strconv.ParseFloat(s, 64)
		if err != nil && !math.IsInf(f, 0) {
			return nil, err
		}
		return pyFloat(f), nil
	}
	i, ok := new(big.Int).SetString(s, 10)
	if !ok {
		return nil, fmt.Errorf("%q is no number", s)
	}
	return i, nil
}

// encodePython writes v as Python's json.dumps does: ", " and ": " between the
// parts, and nothing but ASCII.
func encodePython(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := writePython(&b, v); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func writePython(b *bytes.Buffer, v any) error {
	switch v := v.(type) {
	case *object:
		return writeAll(b, '{', '}', len(v.keys), func(i int) any {
			writeString(b, v.keys[i])
			b.WriteString(": ")
			return v.vals[v.keys[i]]
		})
	case []any:
		return writeAll(b, '[', ']', len(v), func(i int) any { return v[i] })
	case []string:
		return writeAll(b, '[', ']', len(v), func(i int) any { return v[i] })
	case string:
		writeString(b, v)
	case *big.Int:
		b.WriteString(v.String())
	case json.RawMessage:
		b.Write(v)
	default:
		j, err := json.Marshal(v)
		if err != nil {
			return err
		}
		b.Write(j)
	}
	return nil
}

// writeAll writes n values between two brackets.
func writeAll(b *bytes.Buffer, begin, end byte, n int, at func(i int) any) error {
	b.WriteByte(begin)
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		if err := writePython(b, at(i)); err != nil {
			return err
		}
	}
	b.WriteByte(end)
	return nil
}

const hexDigits = "0123456789abcdef"

func writeString(b *bytes.Buffer, s string) {
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x20 || r == 0x7f || (r > 0x7f && r <= 0xffff):
			writeEscape(b, uint16(r))
		case r > 0xffff:
			r -= 0x10000
			writeEscape(b, uint16(0xd800+(r>>10)))
			writeEscape(b, uint16(0xdc00+(r&0x3ff)))
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}

func writeEscape(b *bytes.Buffer, u uint16) {
	b.WriteString(`\u`)
	for shift := 12; shift >= 0; shift -= 4 {
		b.WriteByte(hexDigits[u>>shift&0xf])
	}
}

// pyRepr is Python's repr of a decoded value, as error texts show it.
func pyRepr(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case string:
		return pyQuote(v)
	case []string:
		parts := make([]string, len(v))
		for i, s := range v {
			parts[i] = pyQuote(s)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = pyRepr(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case *object:
		parts := make([]string, len(v.keys))
		for i, k := range v.keys {
			parts[i] = pyQuote(k) + ": " + pyRepr(v.vals[k])
		}
		return "{" + strings.Join(parts, ", ") + "}"
	default:
		return fmt.Sprint(v)
	}
}

// pyStr is Python's str of a decoded value.
func pyStr(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	return pyRepr(v)
}

func pyQuote(s string) string {
	q := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		q = `"`
	}
	r := strings.NewReplacer(`\`, `\\`, q, `\`+q, "\n", `\n`, "\r", `\r`, "\t", `\t`)
	return q + r.Replace(s) + q
}

// pyTypeName is the name of a value's Python type.
func pyTypeName(v any) string {
	switch v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case *big.Int:
		return "int"
	case pyFloat:
		return "float"
	case string:
		return "str"
	case []any:
		return "list"
	default:
		return "dict"
	}
}

// pyTrue is Python's truth of a value.
func pyTrue(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	case *big.Int:
		return v.Sign() != 0
	case pyFloat:
		return v != 0
	case string:
		return v != ""
	case []any:
		return len(v) > 0
	case *object:
		return len(v.keys) > 0
	default:
		return true
	}
}
