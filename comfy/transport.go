package comfy

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

// maxHeaderBytes bounds an answer's header (SC-47); ComfyUI's have a few hundred bytes.
const maxHeaderBytes = 64 << 10

// connectors makes what dials: both HTTP clients and the WebSocket's dialer, with the same roots and the same network.
func (c *Client) connectors(cfg Config) error {
	roots, err := tlsConfig(cfg)
	if err != nil {
		return err
	}
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: c.timeouts.Connect, KeepAlive: 15 * time.Second}).DialContext
	}
	transport := func(conns int) *http.Transport {
		// No Proxy: the operator's URL is where the bytes go. No overall timeout: each call has its own (CLIENT-TIME-2).
		return &http.Transport{
			DialContext: dial, TLSClientConfig: roots, TLSHandshakeTimeout: c.timeouts.Connect,
			MaxConnsPerHost: conns, MaxIdleConns: conns, MaxIdleConnsPerHost: conns, IdleConnTimeout: 90 * time.Second,
			MaxResponseHeaderBytes: maxHeaderBytes, ForceAttemptHTTP2: false,
		}
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &http.Client{Transport: transport(c.limits.Connections), CheckRedirect: stay}
	c.bare = &http.Client{Transport: transport(c.limits.Connections), CheckRedirect: stay}
	c.dialer = &websocket.Dialer{
		NetDialContext: dial, TLSClientConfig: roots, HandshakeTimeout: 2 * c.timeouts.Connect,
		ReadBufferSize: 32 << 10, WriteBufferSize: 1 << 10, EnableCompression: false, // CLIENT-WS-15
	}
	return nil
}

func tlsConfig(cfg Config) (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a system without roots still has the operator's
		}
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("comfyui: CA file: %w", err)
		}
		if !pool.AppendCertsFromPEM(pem) {
			return nil, errors.New("comfyui: the CA file holds no PEM certificate")
		}
		t.RootCAs = pool
	}
	if cfg.CertFile != "" || cfg.KeyFile != "" {
		pair, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("comfyui: client certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
