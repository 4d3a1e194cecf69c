package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"math"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/comfygate/comfygate/config"
)

// A line is the JSON of a [Record]: fields in the order of the struct, empty ones left out, maps sorted, nothing escaped that
// need not be, and the SHA-256 of the line without its hash at the end. There is one way to write a record, so a verifier
// writes it again and compares bytes.

const (
	// maxLine bounds a line, its newline included. Whoever reads a log needs no larger buffer.
	maxLine = 64 << 10
	// maxFrame bounds what a line has besides its body: seq, ts, prev and hash.
	maxFrame = 512
	maxBody  = maxLine - maxFrame

	maxWord    = 256 // bytes of an id, a name, a key
	maxDetail  = 1024
	maxOutputs = 128
	maxDepth   = 8
)

// texts are the bytes that each text in Params may have, tried in turn until the line fits. The first holds the longest
// prompt that is accepted (10,000 characters), most often with its negative beside it.
var texts = [...]int{40_000, 12_000, 3000, 750}

// digest is a SHA-256.
type digest = [sha256.Size]byte

// An encoder appends canonical JSON to buf.
type encoder struct {
	buf  []byte
	text int // bytes of a text in Params
}

// appendBody appends what the caller determines of a line, from "kind" on. It never fails: what is too long is cut and
// says so by an ellipsis, what cannot be made to fit is counted in its place, what has no place in a log is masked.
func appendBody(dst []byte, r *Record) []byte {
	start := len(dst)
	for _, text := range texts {
		e := encoder{buf: dst[:start], text: text}
		e.record(r)
		dst = e.buf
		if len(dst)-start <= maxBody {
			return dst
		}
	}
	short := *r
	short.Params = map[string]any{"omitted": len(r.Params)}
	short.Outputs, short.Contents, short.Detail = nil, nil, map[string]string{"omitted": "outputs and details: the record was too long"}
	e := encoder{buf: dst[:start], text: maxWord}
	e.record(&short)
	return e.buf
}

func (e *encoder) record(r *Record) {
	e.buf = append(e.buf, `"kind":`...)
	e.string(string(r.Kind), maxWord)
	e.word("event", r.Name)
	e.word("severity", r.Severity)
	e.word("call_id", r.CallID)
	e.word("job_id", r.JobID)
	e.word("principal", r.Principal)
	e.word("auth", r.Method)
	e.word("transport", r.Transport)
	e.word("session", r.Session)
	e.word("tool", r.Tool)
	if len(r.Params) > 0 {
		e.name("params")
		e.object(r.Params, 1)
	}
	e.word("decision", r.Decision)
	e.word("rule", r.Rule)
	e.word("policy", r.PolicyHash)
	e.word("status", r.Status)
	e.word("code", r.Code)
	e.word("prompt_id", r.PromptID)
	if n := len(r.Outputs); n > 0 {
		e.name("outputs")
		e.strings(r.Outputs[:min(n, maxOutputs)], maxWord)
	}
	if n := len(r.Contents); n > 0 {
		e.name("contents")
		e.strings(r.Contents[:min(n, maxOutputs)], maxWord)
	}
	if r.Cost != 0 && !math.IsNaN(r.Cost) && !math.IsInf(r.Cost, 0) {
		e.name("cost")
		e.float(r.Cost)
	}
	e.number("duration_ms", r.DurationMS)
	e.number("count", int64(r.Count))
	if len(r.Detail) > 0 {
		e.name("detail")
		e.details(r.Detail)
	}
}

func (e *encoder) name(name string) {
	e.buf = append(e.buf, `,"`...)
	e.buf = append(e.buf, name...)
	e.buf = append(e.buf, `":`...)
}

func (e *encoder) word(name, value string) {
	if value != "" {
		e.name(name)
		e.string(value, maxWord)
	}
}

func (e *encoder) number(name string, n int64) {
	if n != 0 {
		e.name(name)
		e.buf = strconv.AppendInt(e.buf, n, 10)
	}
}

// float writes the shortest number that reads back as f.
func (e *encoder) float(f float64) {
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	e.buf = strconv.AppendFloat(e.buf, f, format, -1, 64)
}

// full reports that the line is too long already and going on is of no use.
func (e *encoder) full() bool { return len(e.buf) > 2*maxLine }

func (e *encoder) object(m map[string]any, depth int) {
	var room [16]string
	keys := room[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	e.buf = append(e.buf, '{')
	for i, k := range keys {
		if e.full() {
			break
		}
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.string(k, maxWord)
		e.buf = append(e.buf, ':')
		e.value(m[k], depth)
	}
	e.buf = append(e.buf, '}')
}

func (e *encoder) details(m map[string]string) {
	var room [16]string
	keys := room[:0]
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	e.buf = append(e.buf, '{')
	for i, k := range keys {
		if e.full() {
			break
		}
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.string(k, maxWord)
		e.buf = append(e.buf, ':')
		e.string(m[k], maxDetail)
	}
	e.buf = append(e.buf, '}')
}

func (e *encoder) strings(list []string, most int) {
	e.buf = append(e.buf, '[')
	for i, s := range list {
		if e.full() {
			break
		}
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.string(s, most)
	}
	e.buf = append(e.buf, ']')
}

// value writes strings, numbers, booleans, and lists and maps of them. All else is masked, named string types too: a
// type of its own may mean a secret, or a text that should have become a digest (AUD-13).
func (e *encoder) value(v any, depth int) {
	switch v := v.(type) {
	case nil:
		e.buf = append(e.buf, "null"...)
	case string:
		e.string(v, e.text)
	case json.Number:
		e.literal(v)
	case []string:
		e.strings(v, e.text)
	case map[string]any:
		if depth < maxDepth {
			e.object(v, depth+1)
		} else {
			e.string(config.Mask, maxWord)
		}
	default:
		e.reflected(reflect.ValueOf(v), depth)
	}
}

// literal writes a number as it was read, which is how a log that is read is written again.
func (e *encoder) literal(n json.Number) {
	if json.Valid([]byte(n)) && (n[0] == '-' || n[0] >= '0' && n[0] <= '9') && len(n) <= maxWord {
		e.buf = append(e.buf, n...)
		return
	}
	e.string(string(n), maxWord)
}

func (e *encoder) reflected(v reflect.Value, depth int) {
	switch v.Kind() { //nolint:exhaustive // all other kinds are masked, by intent
	case reflect.Bool:
		e.buf = strconv.AppendBool(e.buf, v.Bool())
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		e.buf = strconv.AppendInt(e.buf, v.Int(), 10)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		e.buf = strconv.AppendUint(e.buf, v.Uint(), 10)
	case reflect.Float32, reflect.Float64:
		if f := v.Float(); math.IsNaN(f) || math.IsInf(f, 0) {
			e.string(strconv.FormatFloat(f, 'g', -1, 64), maxWord)
		} else {
			e.float(f)
		}
	case reflect.Slice, reflect.Array:
		e.list(v, depth)
	default:
		e.string(config.Mask, maxWord)
	}
}

func (e *encoder) list(v reflect.Value, depth int) {
	if depth >= maxDepth || v.Type().Elem().Kind() == reflect.Uint8 { // bytes are never for the log
		e.string(config.Mask, maxWord)
		return
	}
	e.buf = append(e.buf, '[')
	for i := range v.Len() {
		if e.full() {
			break
		}
		if i > 0 {
			e.buf = append(e.buf, ',')
		}
		e.value(v.Index(i).Interface(), depth+1)
	}
	e.buf = append(e.buf, ']')
}

// string writes s, at most so many bytes of it.
func (e *encoder) string(s string, most int) {
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		e.buf = append(e.buf, '"')
		e.escape(s[:cut])
		e.buf = append(e.buf, `…"`...)
		return
	}
	e.buf = append(e.buf, '"')
	e.escape(s)
	e.buf = append(e.buf, '"')
}

const hexDigits = "0123456789abcdef"

// escape writes s so that no reader of the file, a terminal, an editor, a spreadsheet, is told anything by it (T66).
func (e *encoder) escape(s string) {
	for i := 0; i < len(s); {
		plain := i
		for plain < len(s) && s[plain] >= ' ' && s[plain] < 0x7f && s[plain] != '"' && s[plain] != '\\' {
			plain++
		}
		e.buf = append(e.buf, s[i:plain]...)
		if i = plain; i == len(s) {
			return
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '"' || r == '\\':
			e.buf = append(e.buf, '\\', byte(r))
		case r == utf8.RuneError: // bytes that are no text become what a decoder makes of them
			e.buf = append(e.buf, "\ufffd"...)
		case unseen(r):
			e.escapeRune(r)
		default:
			e.buf = append(e.buf, s[i:i+size]...)
		}
		i += size
	}
}

func (e *encoder) escapeRune(r rune) {
	if r >= 0x10000 {
		r -= 0x10000
		e.escapeRune(0xd800 + r>>10)
		r = 0xdc00 + r&0x3ff
	}
	e.buf = append(e.buf, '\\', 'u', hexDigits[r>>12&0xf], hexDigits[r>>8&0xf], hexDigits[r>>4&0xf], hexDigits[r&0xf])
}

// hidden are the characters that are escaped: controls, line and paragraph separators, and those that show nothing or
// turn the text around them. The list is our own and stays as it is, because a log that is written today is verified
// with the tables of another year.
var hidden = [...]struct{ from, to rune }{
	{0x00, 0x1f},
	{0x7f, 0x9f},
	{0xad, 0xad},
	{0x61c, 0x61c},
	{0x180e, 0x180e},
	{0x200b, 0x200f},
	{0x2028, 0x202e},
	{0x2060, 0x206f},
	{0xfeff, 0xfeff},
	{0xfff9, 0xfffb},
	{0x1bca0, 0x1bca3},
	{0x1d173, 0x1d17a},
	{0xe0000, 0xe0fff},
}

func unseen(r rune) bool {
	for _, h := range hidden {
		if r <= h.to {
			return r >= h.from
		}
	}
	return false
}

// appendTime appends t as every line has it.
func appendTime(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, time.RFC3339Nano)
}

// appendLine appends the line of a body, chained to prev, and returns its hash.
func appendLine(dst []byte, seq uint64, ts, body []byte, prev digest) ([]byte, digest) {
	start := len(dst)
	dst = append(dst, `{"seq":`...)
	dst = strconv.AppendUint(dst, seq, 10)
	dst = append(dst, `,"ts":"`...)
	dst = append(dst, ts...)
	dst = append(dst, `",`...)
	dst = append(dst, body...)
	dst = append(dst, prevName...)
	dst = hex.AppendEncode(dst, prev[:])
	dst = append(dst, `"}`...)
	hash := sha256.Sum256(dst[start:])
	dst = append(dst[:len(dst)-1], hashName...)
	dst = hex.AppendEncode(dst, hash[:])
	return append(dst, "\"}\n"...), hash
}
