package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"golang.org/x/time/rate"
)

// algorithms are those that a token may be signed with: none that a public key could be mistaken for a secret of.
var algorithms = []string{oidc.RS256, oidc.ES256, oidc.EdDSA}

var errSignature = errors.New("no key of the provider made this signature")

// A keySet are the provider's keys. They are asked for again only when a token names a key that is not among them, and then only now and
// then: tokens that anybody makes up must not become requests to the provider (T22). While the provider is away the keys at hand go on.
type keySet struct {
	url    string
	client *http.Client
	fetch  *rate.Limiter

	mu   sync.Mutex // held while the keys are fetched: one request at a time
	keys []jose.JSONWebKey
	down bool // the last time it was asked, the provider gave none
}

// VerifySignature implements [oidc.KeySet].
func (k *keySet) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	jws, err := jose.ParseSigned(raw, []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.EdDSA})
	if err != nil || len(jws.Signatures) != 1 {
		return nil, errSignature
	}
	keys, err := k.named(ctx, jws.Signatures[0].Header.KeyID)
	if err != nil {
		return nil, err
	}
	for i := range keys {
		if payload, err := jws.Verify(&keys[i]); err == nil {
			return payload, nil
		}
	}
	return nil, errSignature
}

// named returns the keys with an id; for tokens without one, all.
func (k *keySet) named(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if found := withID(k.keys, kid); len(found) > 0 {
		return found, nil
	}
	if !k.fetch.Allow() {
		return nil, errSignature
	}
	keys, err := k.ask(ctx)
	if k.down = err != nil || len(keys) == 0; err != nil {
		return nil, err
	}
	k.keys = keys
	return withID(keys, kid), nil
}

// none reports whether there are no keys to check anything with, because the provider gave none when it was asked.
func (k *keySet) none() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.keys) == 0 && k.down
}

func withID(keys []jose.JSONWebKey, kid string) (found []jose.JSONWebKey) {
	for _, key := range keys {
		if kid == "" || key.KeyID == kid {
			found = append(found, key)
		}
	}
	return found
}

func (k *keySet) ask(ctx context.Context) (_ []jose.JSONWebKey, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), providerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, nil)
	if err != nil {
		return nil, fmt.Errorf("the provider's keys: %w", err)
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("the provider's keys: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the provider's keys: %s", resp.Status)
	}
	var set jose.JSONWebKeySet
	if err := json.NewDecoder(resp.Body).Decode(&set); err != nil {
		return nil, fmt.Errorf("the provider's keys: %w", err)
	}
	return publicOnly(set.Keys), nil
}

// publicOnly leaves out secrets and private keys, which no provider publishes on purpose.
func publicOnly(keys []jose.JSONWebKey) (out []jose.JSONWebKey) {
	for _, key := range keys {
		if key.IsPublic() && key.Valid() && (key.Use == "" || key.Use == "sig") {
			out = append(out, key)
		}
	}
	return out
}
