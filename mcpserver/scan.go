package mcpserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Bounds of any JSON that is let in. A number longer or larger than these has no use here,
// and to evaluate 1e999999999 exactly would take a gigabyte (T06, T32).
const (
	maxDepth    = 64
	maxNumber   = 40  // characters
	maxExponent = 308 // of ten, either way
)

// A syntaxError says where a text is not the JSON that is let in.
type syntaxError struct {
	at   int // byte
	what string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("%s at byte %d", e.what, e.at) }

// A scanner reads one JSON text strictly: RFC 8259, valid UTF-8 without lone surrogates or NUL, of bounded depth. encoding/json is laxer
// in each of these points, and whoever judges a message must read the same values as whoever serves it.
type scanner struct {
	b     []byte
	i     int
	depth int
}

func (s *scanner) fail(what string) error { return &syntaxError{at: s.i, what: what} }

func (s *scanner) space() {
	for s.i < len(s.b) && (s.b[s.i] == ' ' || s.b[s.i] == '\n' || s.b[s.i] == '\t' || s.b[s.i] == '\r') {
		s.i++
	}
}

// peek returns the next byte after white space, 0 at the end.
func (s *scanner) peek() byte {
	s.space()
	if s.i == len(s.b) {
		return 0
	}
	return s.b[s.i]
}

func (s *scanner) expect(c byte) error {
	if s.peek() != c {
		return s.fail("expected " + strconv.QuoteRune(rune(c)))
	}
	s.i++
	return nil
}

// end is nil where nothing but white space is left.
func (s *scanner) end() error {
	if s.space(); s.i != len(s.b) {
		return s.fail("unexpected data after the message")
	}
	return nil
}

// object reads an object and calls member for each, which must read the value.
func (s *scanner) object(member func(key string) error) error {
	return s.list('{', '}', func() error {
		key, err := s.str()
		if err != nil {
			return err
		}
		if err := s.expect(':'); err != nil {
			return err
		}
		return member(key)
	})
}

// array reads an array and calls element for each, which must read it.
func (s *scanner) array(element func() error) error { return s.list('[', ']', element) }

func (s *scanner) list(open, closing byte, item func() error) error {
	if err := s.expect(open); err != nil {
		return err
	}
	if s.depth++; s.depth > maxDepth {
		return s.fail(fmt.Sprintf("more than %d levels", maxDepth))
	}
	defer func() { s.depth-- }()
	if s.peek() == closing {
		s.i++
		return nil
	}
	for {
		if err := item(); err != nil {
			return err
		}
		if s.peek() == closing {
			s.i++
			return nil
		}
		if err := s.expect(','); err != nil {
			return err
		}
	}
}

// raw reads any value and returns its text.
func (s *scanner) raw() (json.RawMessage, error) {
	s.space()
	start := s.i
	if err := s.skip(); err != nil {
		return nil, err
	}
	return s.b[start:s.i], nil
}

// skip reads any value.
func (s *scanner) skip() error {
	switch c := s.peek(); {
	case c == '{':
		return s.object(func(string) error { return s.skip() })
	case c == '[':
		return s.array(s.skip)
	case c == '"':
		_, _, err := s.quoted()
		return err
	case c == '-' || '0' <= c && c <= '9':
		_, err := s.number()
		return err
	}
	_, err := s.literal()
	return err
}

// value reads any value into the types that the schema validator knows: numbers stay as they were written.
// duplicate is called for each key that an object has twice, with the path to it.
func (s *scanner) value(path string, duplicate func(path string)) (any, error) {
	switch c := s.peek(); {
	case c == '{':
		m := make(map[string]any)
		err := s.object(func(key string) error {
			at := join(path, key)
			if _, ok := m[key]; ok {
				duplicate(at)
			}
			v, err := s.value(at, duplicate)
			m[key] = v
			return err
		})
		return m, err
	case c == '[':
		list := []any{}
		err := s.array(func() error {
			v, err := s.value(join(path, strconv.Itoa(len(list))), duplicate)
			list = append(list, v)
			return err
		})
		return list, err
	case c == '"':
		return s.str()
	case c == '-' || '0' <= c && c <= '9':
		n, err := s.number()
		return json.Number(n), err
	}
	return s.literal()
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (s *scanner) literal() (any, error) {
	for text, v := range map[string]any{"true": true, "false": false, "null": nil} {
		if bytes.HasPrefix(s.b[s.i:], []byte(text)) {
			s.i += len(text)
			return v, nil
		}
	}
	return nil, s.fail("expected a value")
}

func (s *scanner) number() (string, error) {
	start := s.i
	s.accept('-')
	if !s.accept('0') && s.digits() == 0 {
		return "", s.fail("expected a digit")
	}
	if s.accept('.') && s.digits() == 0 {
		return "", s.fail("expected a digit")
	}
	if s.accept('e') || s.accept('E') {
		if !s.accept('+') {
			s.accept('-')
		}
		digits := s.i
		if s.digits() == 0 {
			return "", s.fail("expected a digit")
		}
		if n, err := strconv.Atoi(string(s.b[digits:s.i])); err != nil || n > maxExponent {
			return "", s.fail("number out of range")
		}
	}
	if s.i-start > maxNumber {
		return "", s.fail(fmt.Sprintf("number of more than %d characters", maxNumber))
	}
	return string(s.b[start:s.i]), nil
}

func (s *scanner) accept(c byte) bool {
	if s.i < len(s.b) && s.b[s.i] == c {
		s.i++
		return true
	}
	return false
}

func (s *scanner) digits() int {
	start := s.i
	for s.i < len(s.b) && '0' <= s.b[s.i] && s.b[s.i] <= '9' {
		s.i++
	}
	return s.i - start
}

// str reads a string and returns its value.
func (s *scanner) str() (string, error) {
	text, escaped, err := s.quoted()
	if err != nil {
		return "", err
	}
	if !escaped {
		return string(text[1 : len(text)-1]), nil
	}
	var v string
	if err := json.Unmarshal(text, &v); err != nil {
		return "", s.fail("bad string")
	}
	return v, nil
}

// quoted reads a string and returns it as written, with its quotes.
func (s *scanner) quoted() (text []byte, escaped bool, err error) {
	if err := s.expect('"'); err != nil {
		return nil, false, err
	}
	start := s.i - 1
	for {
		n := bytes.IndexAny(s.b[s.i:], "\"\\")
		if n < 0 {
			s.i = len(s.b)
			return nil, false, s.fail("unfinished string")
		}
		if err := s.plain(s.i + n); err != nil {
			return nil, false, err
		}
		if s.b[s.i] == '"' {
			s.i++
			return s.b[start:s.i], escaped, nil
		}
		escaped = true
		if err := s.escape(); err != nil {
			return nil, false, err
		}
	}
}

// plain checks what stands unescaped before end, and goes there.
func (s *scanner) plain(end int) error {
	part := s.b[s.i:end]
	for k, c := range part {
		if c < 0x20 {
			s.i += k
			return s.fail("control character in a string")
		}
	}
	if !utf8.Valid(part) {
		return s.fail("invalid UTF-8")
	}
	s.i = end
	return nil
}

func (s *scanner) escape() error {
	s.i++ // the backslash
	if s.i == len(s.b) {
		return s.fail("unfinished string")
	}
	c := s.b[s.i]
	s.i++
	if c != 'u' {
		if bytes.IndexByte([]byte(`"\/bfnrt`), c) < 0 {
			return s.fail("unknown escape")
		}
		return nil
	}
	unit, err := s.hex4()
	switch {
	case err != nil:
		return err
	case unit == 0:
		return s.fail("NUL in a string")
	case unit >= 0xDC00 && unit <= 0xDFFF:
		return s.fail("lone surrogate")
	case unit >= 0xD800 && unit <= 0xDBFF:
		if !s.accept('\\') || !s.accept('u') {
			return s.fail("lone surrogate")
		}
		if low, err := s.hex4(); err != nil || low < 0xDC00 || low > 0xDFFF {
			return s.fail("lone surrogate")
		}
	}
	return nil
}

func (s *scanner) hex4() (uint64, error) {
	if len(s.b)-s.i < 4 {
		return 0, s.fail("unfinished escape")
	}
	n, err := strconv.ParseUint(string(s.b[s.i:s.i+4]), 16, 16)
	if err != nil {
		return 0, s.fail("bad escape")
	}
	s.i += 4
	return n, nil
}
