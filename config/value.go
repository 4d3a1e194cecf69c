package config

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"
)

// A value binds one setting's text to a field of a [Config].
type value struct {
	set    func(raw string) error // the error says what is wrong, never what was there
	show   func() string          // the present value as it would be written; empty: unset
	fits   string                 // what would be accepted, for people
	secret bool                   // has a _FILE form, is never shown
	path   bool                   // a leading ~/ means the home directory
}

// text takes any single line without control characters.
func text(p *string, fits string) value {
	return value{
		set: func(raw string) error {
			if err := oneLine(raw); err != nil {
				return err
			}
			*p = raw
			return nil
		},
		show: func() string { return *p },
		fits: fits,
	}
}

// checked makes v refuse what check refuses.
func (v value) checked(check func(string) (string, error)) value {
	set := v.set
	v.set = func(raw string) error {
		if _, err := check(raw); err != nil {
			return err
		}
		return set(raw)
	}
	return v
}

func filePath(p *string) value {
	v := text(p, "a path")
	v.path = true
	return v
}

// outputDir takes a path, or off, which empties p.
func outputDir(p *string) value {
	v := filePath(p)
	set, show := v.set, v.show
	v.set = func(raw string) error {
		if strings.EqualFold(raw, "off") {
			*p = ""
			return nil
		}
		return set(raw)
	}
	v.show = func() string {
		if *p == "" {
			return "off"
		}
		return show()
	}
	v.fits += ", or off"
	return v
}

func secret(p *Secret, fits string, checks ...func(string) error) value {
	return value{
		set: func(raw string) error {
			for _, check := range append([]func(string) error{oneLine, maskable}, checks...) {
				if err := check(raw); err != nil {
					return err
				}
			}
			*p = NewSecret(raw)
			return nil
		},
		show: func() string {
			if p.IsSet() {
				return Mask
			}
			return ""
		},
		fits:   fits,
		secret: true,
	}
}

// word takes one of words, in any case.
func word(p *string, words ...string) value {
	return value{
		set: func(raw string) error {
			w := strings.ToLower(raw)
			if !slices.Contains(words, w) {
				return errors.New("not one of the words it takes")
			}
			*p = w
			return nil
		},
		show: func() string { return *p },
		fits: either(words),
	}
}

func boolean(p *bool) value {
	return value{
		set: func(raw string) error {
			switch strings.ToLower(raw) {
			case "true", "1", "yes":
				*p = true
			case "false", "0", "no":
				*p = false
			default:
				return errors.New("neither true nor false")
			}
			return nil
		},
		show: func() string { return strconv.FormatBool(*p) },
		fits: "true or false",
	}
}

func whole[T int | int64](p *T, least, most T, unit string) value {
	return value{
		set: func(raw string) error {
			n, err := strconv.ParseInt(raw, 10, 64)
			if errors.Is(err, strconv.ErrRange) {
				return errors.New("out of range")
			}
			if err != nil {
				return errors.New("not a whole number")
			}
			if n < int64(least) || n > int64(most) {
				return errors.New("out of range")
			}
			*p = T(n)
			return nil
		},
		show: func() string { return strconv.FormatInt(int64(*p), 10) },
		fits: fmt.Sprintf("%s, %d to %d", unit, least, most),
	}
}

// rate takes a number of calls per minute; off is stored as 0, which is not a number it takes (SC-58).
func rate(p *int) value { return orOff(p, 0, whole(p, 1, 1_000_000, "calls a minute")) }

// level takes zap's levels from debug to error; WARNING is WARN.
func level(p *zapcore.Level) value {
	words := map[string]zapcore.Level{
		"debug": zapcore.DebugLevel, "info": zapcore.InfoLevel,
		"warn": zapcore.WarnLevel, "warning": zapcore.WarnLevel, "error": zapcore.ErrorLevel,
	}
	return value{
		set: func(raw string) error {
			l, ok := words[strings.ToLower(raw)]
			if !ok {
				return errors.New("not a level")
			}
			*p = l
			return nil
		},
		show: func() string { return p.CapitalString() },
		fits: "DEBUG, INFO, WARN or ERROR",
	}
}

func decimal(p *float64, least, most float64) value {
	return value{
		set: func(raw string) error {
			f, err := number(raw, least, most)
			if err == nil {
				*p = f
			}
			return err
		},
		show: func() string { return strconv.FormatFloat(*p, 'g', -1, 64) },
		fits: fmt.Sprintf("a number, %g to %g", least, most),
	}
}

// seconds takes a time in seconds, fractions allowed. Zero, negative and endless times never fit (SC-56).
func seconds(p *time.Duration, least, most float64) value {
	return value{
		set: func(raw string) error {
			f, err := number(raw, least, most)
			if err == nil {
				*p = time.Duration(math.Round(f*1e6)) * time.Microsecond
			}
			return err
		},
		show: func() string {
			if *p == 0 {
				return ""
			}
			return strconv.FormatFloat(p.Seconds(), 'f', -1, 64)
		},
		fits: "seconds, " + strconv.FormatFloat(least, 'f', -1, 64) + " to " + strconv.FormatFloat(most, 'f', -1, 64),
	}
}

func number(raw string, least, most float64) (float64, error) {
	f, err := strconv.ParseFloat(raw, 64)
	if err != nil || math.IsNaN(f) {
		return 0, errors.New("not a number")
	}
	if f < least || f > most {
		return 0, errors.New("out of range")
	}
	return f, nil
}

// orOff lets v take the word off as well, which stores off in p. No number that v takes may equal off.
func orOff[T int | int64 | float64](p *T, off T, v value) value {
	set, show := v.set, v.show
	v.set = func(raw string) error {
		if strings.EqualFold(raw, "off") {
			*p = off
			return nil
		}
		return set(raw)
	}
	v.show = func() string {
		if *p == off {
			return "off"
		}
		return show()
	}
	v.fits += ", or off"
	return v
}

// orUnset shows a zero as unset.
func orUnset(v value) value {
	show := v.show
	v.show = func() string {
		if s := show(); s != "0" {
			return s
		}
		return ""
	}
	return v
}

// list takes items separated by commas; blanks around them don't count. item checks one and returns its normal form.
func list[T any](p *[]T, fits string, item func(string) (T, error), show func(T) string) value {
	return value{
		set: func(raw string) error {
			var items []T
			for part := range strings.SplitSeq(raw, ",") {
				it, err := item(strings.TrimSpace(part))
				if err != nil {
					return err
				}
				items = append(items, it)
			}
			*p = items
			return nil
		},
		show: func() string {
			parts := make([]string, len(*p))
			for i, it := range *p {
				parts[i] = show(it)
			}
			return strings.Join(parts, ",")
		},
		fits: fits + ", separated by commas",
	}
}

func texts(p *[]string, fits string, item func(string) (string, error)) value {
	return list(p, fits, item, func(s string) string { return s })
}

// pairs takes name=word items; each name once.
func pairs(p *map[string]string, words ...string) value {
	return value{
		set: func(raw string) error {
			m := map[string]string{}
			for part := range strings.SplitSeq(raw, ",") {
				name, w, _ := strings.Cut(strings.TrimSpace(part), "=")
				w = strings.ToLower(w)
				if !slices.Contains(words, w) {
					return errors.New("an item does not name one of the words it takes")
				}
				if _, err := principal(name); err != nil {
					return err
				}
				if _, twice := m[name]; twice {
					return errors.New("a name stands there twice")
				}
				m[name] = w
			}
			*p = m
			return nil
		},
		show: func() string {
			parts := make([]string, 0, len(*p))
			for name, w := range *p {
				parts = append(parts, name+"="+w)
			}
			slices.Sort(parts)
			return strings.Join(parts, ",")
		},
		fits: "name=word, separated by commas; words: " + either(words),
	}
}

func either(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}

func oneLine(raw string) error {
	for _, r := range raw {
		if r < ' ' || r == 0x7f {
			return errors.New("holds a control character or a line break")
		}
	}
	return nil
}
