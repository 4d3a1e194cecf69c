package config

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Names that callers without a name of their own have; no one else may.
const (
	principalToken     = "token"
	principalAnonymous = "anonymous"
)

// tokens refuses what auth could not read as tokens: name:sha256hex[:role], separated by commas. Its errors tell the place,
// never the text, which may be a token that was put there by mistake.
func tokens(text string) error {
	var names []string
	for i, entry := range strings.Split(text, ",") {
		name, err := tokenEntry(strings.TrimSpace(entry))
		if err == nil && slices.Contains(names, name) {
			err = errors.New("its name stands there twice")
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", i+1, err)
		}
		names = append(names, name)
	}
	return nil
}

func tokenEntry(entry string) (name string, err error) {
	parts := strings.Split(entry, ":")
	if len(parts) != 2 && len(parts) != 3 {
		return "", errors.New("not name:sha256hex or name:sha256hex:role")
	}
	if _, err := principal(parts[0]); err != nil {
		return "", err
	}
	if parts[0] == principalToken || parts[0] == principalAnonymous {
		return "", errors.New("the name is not free")
	}
	if sum, err := hex.DecodeString(parts[1]); err != nil || len(sum) != 32 {
		return "", errors.New("the SHA-256 is not 64 hexadecimal digits")
	}
	if len(parts) == 3 && !slices.Contains(roles(), parts[2]) {
		return "", errors.New("the role is not viewer, operator or admin")
	}
	return parts[0], nil
}

func roles() []string { return []string{"viewer", "operator", "admin"} }
