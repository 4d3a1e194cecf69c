package mcpserver

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/comfygate/comfygate/tools"
)

// Errors of the pipeline's own.
var (
	errClosing  = errors.New("the server is shutting down")
	errTimeout  = errors.New("the call took too long")
	errNoPlan   = errors.New("the tool made no plan")
	errPanicked = errors.New("the call panicked")
)

// A PanicError is what recover makes of a panic. It holds nothing of it: value and stack are in the log.
type PanicError struct{}

func (*PanicError) Error() string { return "internal error" }

// An ArgumentsError is every fault of one call's arguments.
type ArgumentsError struct {
	Code   string   // INVALID_PARAMETER, or a narrower one where all faults are of one kind
	Faults []string // one sentence each: field, what is wrong, what would fit
}

func (e *ArgumentsError) Error() string { return "arguments: " + strings.Join(e.Faults, "; ") }

// An ErrorDoc is one line of docs/errors.md.
type ErrorDoc struct {
	Code      string
	Meaning   string
	Advice    string
	Retryable bool
	From      string // the Go error it is made of; empty where a tool words it itself
}

// A row of the table: which error, what it is called, what the caller reads.
type row struct {
	code      string
	from      string
	meaning   string
	advice    string
	retryable bool
	// match words the fault, or is nil for another error. Message defaults to meaning, suggestions to advice.
	match func(err error) *wording
}

type wording struct {
	message     string
	suggestions []string
	after       time.Duration
	code        string // where one error has several codes
	upstream    bool   // about reaching ComfyUI: trusted callers also read where
}

// is matches by errors.Is.
func is(targets ...error) func(error) *wording {
	return func(err error) *wording {
		for _, target := range targets {
			if errors.Is(err, target) {
				return &wording{}
			}
		}
		return nil
	}
}

// as matches by errors.As.
func as[E error](word func(E) *wording) func(error) *wording {
	return func(err error) *wording {
		if e, ok := errors.AsType[E](err); ok {
			return word(e)
		}
		return nil
	}
}

// ErrorTable lists every code, sorted, with what it means; the first meaning of a code that has several.
func ErrorTable() []ErrorDoc {
	byCode := make(map[string]ErrorDoc)
	for _, r := range table() {
		d, ok := byCode[r.code]
		if !ok {
			d = ErrorDoc{Code: r.code, Meaning: r.meaning, Advice: r.advice, Retryable: r.retryable}
		}
		if r.from != "" {
			d.From = strings.TrimPrefix(d.From+", "+r.from, ", ")
		}
		byCode[r.code] = d
	}
	docs := make([]ErrorDoc, 0, len(byCode))
	for _, d := range byCode {
		docs = append(docs, d)
	}
	slices.SortFunc(docs, func(x, y ErrorDoc) int { return strings.Compare(x.Code, y.Code) })
	return docs
}

// Explain words err for a caller who is not trusted with addresses: the text that stands in a tool's error, and that
// tools use for why a job failed. It returns nil for nil. What no row knows is INTERNAL.
func Explain(err error) *tools.Fault { return explain(err, "") }

// A told error knows what its caller reads: the record, the log and the answer need it, and wording it costs more than many a refusal.
type told struct {
	error
	fault *tools.Fault
}

func (e *told) Unwrap() error { return e.error }

// whereMark is where a trusted caller reads the address.
const whereMark = "\x00"

// explain is Explain for a caller who may read where ComfyUI is, unless upstream is empty.
func explain(err error, upstream string) *tools.Fault {
	if err == nil {
		return nil
	}
	if t, ok := err.(*told); ok { //nolint:errorlint // one that is wrapped says more than it did
		return t.fault
	}
	if f, ok := errors.AsType[*tools.Fault](err); ok {
		return cleanFault(f).WithCause(err)
	}
	for _, r := range table() {
		if r.match == nil {
			continue
		}
		w := r.match(err)
		if w == nil {
			continue
		}
		f := &tools.Fault{Code: r.code, Message: r.meaning, Suggestions: []string{r.advice}, Retryable: r.retryable, RetryAfter: w.after}
		if w.code != "" {
			f.Code = w.code
		}
		if w.message != "" {
			f.Message = w.message
		}
		if len(w.suggestions) > 0 {
			f.Suggestions = w.suggestions
		}
		where := ""
		if w.upstream {
			where = " at the configured address"
			if upstream != "" {
				where = " at " + clean(upstream, 200)
			}
		}
		f.Message = strings.ReplaceAll(f.Message, whereMark, where)
		return f.WithCause(err)
	}
	return explain(&PanicError{}, "").WithCause(err)
}

// cleanFault is what a tool worded, cleaned all the same: names of models and files stand in it.
func cleanFault(f *tools.Fault) *tools.Fault {
	c := &tools.Fault{Code: clean(f.Code, 60), Message: clean(f.Message, 2000), Retryable: f.Retryable, RetryAfter: f.RetryAfter}
	for _, s := range f.Suggestions {
		if c.Suggestions = append(c.Suggestions, clean(s, 500)); len(c.Suggestions) == 10 {
			break
		}
	}
	return c
}

// why tells in a few words why a connection failed, without the address that the error's own text holds.
func why(err error) string {
	var (
		dns  *net.DNSError
		cert x509.UnknownAuthorityError
		host x509.HostnameError
		old  x509.CertificateInvalidError
	)
	switch {
	case refused(err):
		return "connection refused, nothing listens there"
	case errors.As(err, &dns):
		return "the host name is not known"
	case errors.As(err, &cert):
		return "its certificate is signed by an unknown authority"
	case errors.As(err, &host):
		return "its certificate is for another host"
	case errors.As(err, &old):
		return "its certificate is not valid, or not now"
	case errors.Is(err, context.DeadlineExceeded) || timedOut(err):
		return "it did not answer in time"
	case errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE):
		return "the connection was reset"
	case errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH):
		return "the network or host is not reachable"
	}
	return "the connection failed"
}

func timedOut(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// refused tells whether nothing listened. Windows names it with a number of its own.
func refused(err error) bool {
	const wsaRefused = syscall.Errno(10061)
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, wsaRefused)
}

// codeOf is the narrowest code for faults in fields.
func codeOf(fields []string) string {
	narrow := map[string]string{
		"width": "DIMENSION_ERROR", "height": "DIMENSION_ERROR",
		"prompt": "INVALID_PROMPT", "negative_prompt": "INVALID_PROMPT",
	}
	code := ""
	for _, f := range fields {
		c := orInvalid(narrow[f])
		if code != "" && code != c {
			return "INVALID_PARAMETER"
		}
		code = c
	}
	return orInvalid(code)
}

func orInvalid(code string) string {
	if code == "" {
		return "INVALID_PARAMETER"
	}
	return code
}

func sentence(faults []string) string { return strings.Join(faults, "; ") + "." }

func rounded(d time.Duration) time.Duration {
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}
