package auth

import (
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Certificates tell whose a client certificate is: name in the certificate → principal. A name is URI:spiffe://…, DNS:… or EMAIL:….
// (AUT-05). The common name is not looked at.
type Certificates map[string]string

func (c Certificates) check() error {
	var errs []error
	for _, san := range slices.Sorted(maps.Keys(c)) {
		kind, rest, _ := strings.Cut(san, ":")
		if !slices.Contains([]string{"URI", "DNS", "EMAIL"}, kind) || rest == "" {
			errs = append(errs, fmt.Errorf("AUTH__CERTIFICATES: %q is no name such as DNS:anna.example.org, URI:spiffe://example.org/anna or EMAIL:anna@example.org", san))
		}
		if name := c[san]; !nameForm.MatchString(name) || name == Anonymous || name == Token {
			errs = append(errs, fmt.Errorf("AUTH__CERTIFICATES: %s: the principal must be 1 to 64 letters, digits or . _ @ + -", san))
		}
	}
	return errors.Join(errs...)
}

// principal returns whose certificate it is; false where no name of it is known, or two name different principals.
func (c Certificates) principal(cert *x509.Certificate) (string, bool) {
	var names []string
	add := func(kind, san string) {
		if name, known := c[kind+":"+san]; known {
			names = append(names, name)
		}
	}
	for _, u := range cert.URIs {
		add("URI", u.String())
	}
	for _, d := range cert.DNSNames {
		add("DNS", d)
	}
	for _, e := range cert.EmailAddresses {
		add("EMAIL", e)
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) != 1 {
		return "", false
	}
	return names[0], true
}
