package audit

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/comfygate/comfygate/config"
)

// SignatureHeader is the header by which a webhook's receiver knows that a batch comes from here: t=<seconds since 1970>,v1=<HMAC-SHA256, in hex, of
// the seconds, a dot and the body>.
const SignatureHeader = "Comfygate-Signature"

// An httpCarrier posts batches as JSON.
type httpCarrier struct {
	url    string
	token  config.Secret
	secret config.Secret
	body   func(origin string, batch []item) ([]byte, error)
	client *http.Client
}

func newHTTPCarrier(url string, s Sink, body func(string, []item) ([]byte, error)) *httpCarrier {
	return &httpCarrier{
		url: url, token: s.Token, secret: s.Secret, body: body,
		client: &http.Client{
			Timeout:       sinkTimeout,
			Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxConnsPerHost: 2, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func (h *httpCarrier) carry(ctx context.Context, origin string, batch []item) error {
	body, err := h.body(origin, batch)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("posting records: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "comfygate")
	if h.token.IsSet() {
		req.Header.Set("Authorization", "Bearer "+h.token.Reveal())
	}
	if h.secret.IsSet() {
		req.Header.Set(SignatureHeader, Signature(h.secret, time.Now(), body))
	}
	res, err := h.client.Do(req)
	if err != nil {
		return fmt.Errorf("posting records: %w", err)
	}
	defer res.Body.Close()                                       //nolint:errcheck // it was only read
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection is used again
	switch {
	case res.StatusCode/100 == 2:
		return nil
	case res.StatusCode == http.StatusBadRequest, res.StatusCode == http.StatusRequestEntityTooLarge, res.StatusCode == http.StatusUnprocessableEntity:
		return fmt.Errorf("posting records: status %d: %w", res.StatusCode, errRejected)
	}
	return fmt.Errorf("posting records: status %d", res.StatusCode)
}

// Close closes idle connections.
func (h *httpCarrier) Close() error {
	h.client.CloseIdleConnections()
	return nil
}

// Signature is [SignatureHeader]'s value for a body.
func Signature(secret config.Secret, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	m := hmac.New(sha256.New, []byte(secret.Reveal()))
	m.Write([]byte(t + "."))
	m.Write(body)
	return "t=" + t + ",v1=" + hex.EncodeToString(m.Sum(nil))
}

// webhookBody is {"items":[…]}, each an envelope as stdout has it.
func webhookBody(origin string, batch []item) ([]byte, error) {
	b := []byte(`{"items":[`)
	for i, it := range batch {
		if i > 0 {
			b = append(b, ',')
		}
		b = envelope(b, origin, it)
	}
	return append(b, "]}"...), nil
}

// The parts of an OTLP logs request, in its JSON encoding.
type (
	otlpValue struct {
		String string `json:"stringValue"`
	}
	otlpAttribute struct {
		Key   string    `json:"key"`
		Value otlpValue `json:"value"`
	}
	otlpRecord struct {
		Time       string          `json:"timeUnixNano"`
		Number     int             `json:"severityNumber"`
		Severity   string          `json:"severityText"`
		Body       otlpValue       `json:"body"`
		Attributes []otlpAttribute `json:"attributes"`
	}
	otlpScope struct {
		Scope   map[string]string `json:"scope"`
		Records []otlpRecord      `json:"logRecords"`
	}
	otlpResource struct {
		Resource map[string][]otlpAttribute `json:"resource"`
		Scopes   []otlpScope                `json:"scopeLogs"`
	}
)

// otlpNumber is OTLP's severity number.
func otlpNumber(severity string) int {
	switch severity {
	case Critical:
		return 21
	case High:
		return 17
	case Medium:
		return 13
	case Low:
		return 10
	}
	return 9
}

func otlpBody(origin string, batch []item) ([]byte, error) {
	records := make([]otlpRecord, 0, len(batch))
	for _, it := range batch {
		r := &it.record
		o := otlpRecord{
			Time: strconv.FormatInt(r.Time.UnixNano(), 10), Number: otlpNumber(r.Severity), Severity: r.Severity, Body: otlpValue{string(it.line)},
			Attributes: []otlpAttribute{{"audit.seq", otlpValue{strconv.FormatUint(it.seq, 10)}}},
		}
		if it.checkpoint != "" {
			o.Time, o.Body = strconv.FormatInt(time.Now().UnixNano(), 10), otlpValue{it.checkpoint}
			r = &Record{Kind: "checkpoint"}
		}
		for _, a := range [...]struct{ key, value string }{
			{"audit.kind", string(r.Kind)},
			{"audit.event", r.Name},
			{"audit.principal", r.Principal},
			{"audit.tool", r.Tool},
			{"audit.decision", r.Decision},
			{"audit.status", r.Status},
			{"audit.code", r.Code},
			{"audit.call_id", r.CallID},
			{"audit.job_id", r.JobID},
		} {
			if a.value != "" {
				o.Attributes = append(o.Attributes, otlpAttribute{a.key, otlpValue{a.value}})
			}
		}
		records = append(records, o)
	}
	body, err := json.Marshal(map[string][]otlpResource{"resourceLogs": {{
		Resource: map[string][]otlpAttribute{"attributes": {{"service.name", otlpValue{"comfygate"}}, {"audit.origin", otlpValue{origin}}}},
		Scopes:   []otlpScope{{Scope: map[string]string{"name": "comfygate/audit"}, Records: records}},
	}}})
	if err != nil {
		return nil, fmt.Errorf("encoding records: %w", err)
	}
	return body, nil
}
