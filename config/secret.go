package config

import (
	"fmt"
	"io"

	"go.uber.org/zap/zapcore"
)

// A Secret holds a credential. Its zero value is unset. Every way of printing or
// encoding one yields the mask (SC-30); [Secret.Reveal] is the only way to the value.
//
// The value lies behind a pointer because fmt calls no method on an unexported field of another struct: there it prints an
// address.
type Secret struct{ value *string }

// Mask is what every printed or encoded [Secret] reads as.
const Mask = "**********"

// NewSecret returns a Secret that holds value; an empty value is an unset Secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{&value}
}

// IsSet reports whether s holds a value.
func (s Secret) IsSet() bool { return s.value != nil }

// Reveal returns the value. Only auth, comfy, audit and engine may call it; arch_test.go counts the callers.
func (s Secret) Reveal() string { return s.reveal() }

// reveal is Reveal for this package, which needs the values to keep them out of the logs.
func (s Secret) reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Format prints the mask for every verb and flag.
func (Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, Mask) // fmt.State reports write errors to fmt's caller
}

// String returns the mask.
func (Secret) String() string { return Mask }

// GoString returns the mask.
func (Secret) GoString() string { return Mask }

// MarshalText encodes the mask. JSON object keys, XML and flag packages use it.
func (Secret) MarshalText() ([]byte, error) { return []byte(Mask), nil }

// MarshalJSON encodes the mask.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Mask + `"`), nil }

// MarshalYAML encodes the mask.
func (Secret) MarshalYAML() (any, error) { return Mask, nil }

// GobEncode encodes the mask.
func (Secret) GobEncode() ([]byte, error) { return []byte(Mask), nil }

// MarshalLogObject logs the mask.
func (Secret) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	enc.AddString("secret", Mask)
	return nil
}
