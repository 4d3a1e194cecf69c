package audit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// A syslogCarrier sends RFC 5424 messages: over TCP with their length before them (RFC 6587, octet counting), over UDP one in each datagram
// (RFC 5426). Syslog has no acknowledgement: what the system took counts as passed on.
type syslogCarrier struct {
	network, address string
	conn             net.Conn
}

const (
	facilityAudit = 13    // log audit
	maxDatagram   = 60000 // bytes of a message over UDP; a longer one is cut
	sdID          = "comfygate@32473"
)

// syslogSeverity is what RFC 5424 has for a severity of ours.
func syslogSeverity(severity string) int {
	switch severity {
	case Critical:
		return 2
	case High:
		return 3
	case Medium:
		return 4
	case Low:
		return 5
	}
	return 6
}

func (s *syslogCarrier) carry(ctx context.Context, origin string, batch []item) error {
	if s.conn == nil {
		var d net.Dialer
		conn, err := d.DialContext(ctx, s.network, s.address)
		if err != nil {
			return fmt.Errorf("reaching syslog: %w", err)
		}
		s.conn = conn
	}
	err := s.write(ctx, origin, batch)
	if err != nil {
		err = errors.Join(fmt.Errorf("writing to syslog: %w", err), s.Close())
	}
	return err
}

func (s *syslogCarrier) write(ctx context.Context, origin string, batch []item) error {
	if deadline, ok := ctx.Deadline(); ok {
		if err := s.conn.SetWriteDeadline(deadline); err != nil {
			return err //nolint:wrapcheck // carry does
		}
	}
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "-"
	}
	var out []byte
	for _, it := range batch {
		m := syslogMessage(host, origin, it)
		if s.network == "udp" {
			if _, err := s.conn.Write(m[:min(len(m), maxDatagram)]); err != nil {
				return err //nolint:wrapcheck // carry does
			}
			continue
		}
		out = append(strconv.AppendInt(out, int64(len(m)), 10), ' ')
		out = append(out, m...)
	}
	if len(out) == 0 {
		return nil
	}
	_, err = s.conn.Write(out)
	return err //nolint:wrapcheck // carry does
}

// syslogMessage is the message of an item. What it says is JSON, whose control characters are escaped, so it is one line (T66).
func syslogMessage(host, origin string, it item) []byte {
	kind, at := string(it.record.Kind), it.record.Time
	text := it.line
	if it.checkpoint != "" {
		kind, at = "checkpoint", time.Now()
		text = envelope(nil, origin, it)
	}
	b := fmt.Appendf(nil, "<%d>1 %s %s comfygate %d %s [%s origin=\"%s\" seq=\"%d\"] ",
		facilityAudit*8+syslogSeverity(it.record.Severity), at.UTC().Format("2006-01-02T15:04:05.000000Z"), printable(host, 255), os.Getpid(),
		printable(kind, 32), sdID, sdValue(origin), it.seq)
	return append(b, text...)
}

// printable is a header's field: visible ASCII, not empty, not too long.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

// sdValue escapes a value of structured data.
func sdValue(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(s)
}

// Close closes the connection; the next batch makes a new one.
func (s *syslogCarrier) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err //nolint:wrapcheck // it is thrown away
}
