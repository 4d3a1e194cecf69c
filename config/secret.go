package config

// A Secret holds a credential. Its zero value is unset. Every way of printing or
// encoding one yields the mask (SC-30); [Secret.Reveal] is the only way to the value.
type Secret struct{ value string }

// Mask is what every printed or encoded [Secret] reads as.
const Mask = "**********"

// NewSecret returns a Secret that holds value.
func NewSecret(value string) Secret { return Secret{value} }

// IsSet reports whether s holds a value.
func (s Secret) IsSet() bool { return s.value != "" }

// Reveal returns the value. Only auth, comfy, audit and engine may call it; arch_test.go counts the callers.
func (s Secret) Reveal() string { return s.value }
