package config

import (
	"errors"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// What one item of a setting may look like. Errors say what is wrong and never repeat the text.
var ( // immutable
	principalShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}$`)
	toolShape      = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
	extensionShape = regexp.MustCompile(`^\.[a-z0-9]{1,15}$`)
	hostShape      = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,252})$`)
	headerShape    = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")
)

func principal(s string) (string, error) {
	if !principalShape.MatchString(s) {
		return "", errors.New("a name is not 1 to 64 letters, digits or . _ @ + -")
	}
	return s, nil
}

func userName(s string) (string, error) {
	if s == principalAnonymous {
		return "", errors.New("the name is not free")
	}
	return principal(s)
}

func toolName(s string) (string, error) {
	if !toolShape.MatchString(s) {
		return "", errors.New("an item is not a tool's name")
	}
	return s, nil
}

func oneOf(words ...string) func(string) (string, error) {
	return func(s string) (string, error) {
		if w := strings.ToLower(s); slices.Contains(words, w) {
			return w, nil
		}
		return "", errors.New("an item is not one of the words it takes")
	}
}

// extension refuses file types that can run code when loaded, unless pickles says that its loader reads weights only (SC-52).
func extension(pickles bool) func(string) (string, error) {
	return func(s string) (string, error) {
		s = strings.ToLower(s)
		if !extensionShape.MatchString(s) {
			return "", errors.New("an item is not a file extension with its dot")
		}
		if !pickles && slices.Contains([]string{".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl"}, s) {
			return "", errors.New(s + " files can run code when they are loaded")
		}
		return s, nil
	}
}

func headerName(s string) (string, error) {
	if !headerShape.MatchString(s) {
		return "", errors.New("not a header's name")
	}
	return s, nil
}

// visible refuses what cannot stand in a header unquoted.
func visible(s string) error {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return errors.New("holds a blank or a character that is not ASCII")
		}
	}
	return nil
}

// maskable refuses secrets that are so short that masking them wherever they occur would give them away.
func maskable(s string) error {
	if len(s) < 4 {
		return errors.New("has fewer than 4 characters")
	}
	return nil
}

func longEnough(s string) error {
	if len(s) < 16 {
		return errors.New("too short")
	}
	return nil
}

func networkText(p netip.Prefix) string { return p.String() }

func network(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return a.Prefix(a.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return netip.Prefix{}, errors.New("an item is neither an address nor a network")
	}
	return p.Masked(), nil
}
