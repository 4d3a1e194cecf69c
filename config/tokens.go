package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
)

// A Token is one entry of AUTH__TOKENS: a principal, known by the hash of its bearer token.
type Token struct {
	Principal string
	Hash      [sha256.Size]byte // SHA-256 of the token
	Role      string            // viewer, operator, admin; empty: none given
}

// ParseTokens reads the text of AUTH__TOKENS: name:hash[:role], separated by commas. No name and no hash stands there twice, and
// its errors repeat nothing of the text. [Load] has already refused a text that does not parse.
func ParseTokens(text string) ([]Token, error) {
	var tokens []Token
	for entry := range strings.SplitSeq(text, ",") {
		t, err := parseToken(strings.TrimSpace(entry))
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(tokens, func(o Token) bool { return o.Principal == t.Principal || o.Hash == t.Hash }) {
			return nil, errors.New("a name or a hash stands there twice")
		}
		tokens = append(tokens, t)
	}
	return tokens, nil
}

func parseToken(entry string) (Token, error) {
	parts := strings.Split(entry, ":")
	if len(parts) != 2 && len(parts) != 3 {
		return Token{}, errors.New("an entry is not name:hash or name:hash:role")
	}
	name, err := principal(parts[0])
	if err != nil {
		return Token{}, err
	}
	t := Token{Principal: name}
	hash, err := hex.DecodeString(parts[1])
	if err != nil || len(hash) != len(t.Hash) {
		return Token{}, errors.New("a hash is not 64 hexadecimal digits")
	}
	copy(t.Hash[:], hash)
	if len(parts) == 3 {
		if t.Role, err = oneOf("viewer", "operator", "admin")(parts[2]); err != nil {
			return Token{}, errors.New("a role is not viewer, operator or admin")
		}
	}
	return t, nil
}

func tokensCheck(text string) error {
	_, err := ParseTokens(text)
	return err
}
