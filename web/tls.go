package web

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

// Certificates are the listener's, read again when their files change. They are safe for concurrent use.
type Certificates struct {
	cert, key, clientCA string

	mu      sync.RWMutex
	seen    [sha256.Size]byte
	current *tls.Config
}

// OpenCertificates reads certificate and key, and the authorities of client certificates, which may be empty: then none is asked for.
func OpenCertificates(cert, key, clientCA string) (*Certificates, error) {
	c := &Certificates{cert: cert, key: key, clientCA: clientCA}
	return c, c.Reload()
}

// Config is for a listener: each connection gets what is current.
func (c *Certificates) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c.mu.RLock()
		defer c.mu.RUnlock()
		return c.current, nil
	}}
}

// Reload reads the files again if they changed. After an error everything is as it was.
func (c *Certificates) Reload() error {
	var files [3][]byte
	for i, name := range []string{c.cert, c.key, c.clientCA} {
		if name == "" {
			continue
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("the listener's certificates: %w", err)
		}
		files[i] = data
	}
	sum := sha256.Sum256(slices.Concat(files[0], []byte{0}, files[1], []byte{0}, files[2]))
	c.mu.RLock()
	same := c.current != nil && sum == c.seen
	c.mu.RUnlock()
	if same {
		return nil
	}
	fresh, err := listenerConfig(files[0], files[1], files[2])
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current, c.seen = fresh, sum
	return nil
}

func listenerConfig(cert, key, clientCA []byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("the listener's certificate and key: %w", err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}
	if clientCA != nil {
		cfg.ClientCAs = x509.NewCertPool()
		if !cfg.ClientCAs.AppendCertsFromPEM(clientCA) {
			return nil, errors.New("the authorities of client certificates: there is no certificate in the file")
		}
		cfg.ClientAuth = tls.RequireAndVerifyClientCert // AUT-05
	}
	return cfg, nil
}
