package audit

import (
	"maps"
	"slices"
)

// Severities (SC-41).
const (
	Critical = "critical" // code run from remote, a breach of data, an exploit of image processing
	High     = "high"     // a credential exposed, authentication bypassed, a privilege gained
	Medium   = "medium"   // information disclosed, resources exhausted, service denied
	Low      = "low"      // little impact
	Info     = "info"     // none
)

// Names of events, for Record.Name.
const (
	ExposedWithoutAuth = "security.exposed_without_auth" // a listener that anybody reaches asks nobody who they are
	InsecureTransport  = "security.insecure_transport"   // credentials or pictures travel in clear
	Traversal          = "security.traversal"            // a name that tried to leave its folder
	ImageAttack        = "security.image_attack"         // a picture made to exhaust or confuse a decoder
	AuthFailure        = "auth.failure"                  // wrong or missing credentials
	AuthBlocked        = "auth.blocked"                  // failed so often that credentials aren't looked at any more
	RateLimited        = "limit.rate"                    // refused for its rate outside of a call
	ProtocolRefused    = "protocol.refused"              // a message that reaches no tool
	PolicyChanged      = "policy.changed"                // another policy holds from here on
	ToolsOffered       = "tools.offered"                 // what callers are offered from here on, by the digest of its names, texts and schemas
	PolicyRejected     = "policy.rejected"               // a changed policy file was broken; the one before holds on
	MonitorChanged     = "monitor.changed"               // what is looked at got worse or better
	AnomalyDenials     = "anomaly.denials"               // one principal is refused much
	AnomalyFailures    = "anomaly.failures"              // one principal's calls fail much
	AnomalySurge       = "anomaly.surge"                 // one principal suddenly calls much
	StorageClean       = "storage.clean"                 // old pictures or uploads were removed
	LimitOff           = "limit.off"                     // a limit that is switched off

	LogSealed  = "audit.sealed"      // the root of the tree, at the end of a segment
	LogRotated = "audit.rotated"     // the log goes on in a new segment
	LogPruned  = "audit.pruned"      // the oldest segments were removed, as the settings say
	LogMended  = "audit.mended"      // a line that a crash tore was cut off
	LogDamaged = "audit.damaged"     // the log isn't as it was left; verify says where
	LogGap     = "audit.gap"         // the log could not be written for a while
	KeyChanged = "audit.key_changed" // prompts are digested with another key from here on

	SinkGap       = "audit.sink_gap"       // records that a sink will never have
	SignerChanged = "audit.signer_changed" // checkpoints are signed with another key from here on; both keys' signatures are in it
)

// eventSeverities is total over the names above; a test holds that.
var eventSeverities = map[string]string{ //nolint:gochecknoglobals // an immutable table
	ExposedWithoutAuth: High,
	InsecureTransport:  High,
	Traversal:          High,
	ImageAttack:        Critical,
	AuthFailure:        Medium,
	AuthBlocked:        High,
	RateLimited:        Medium,
	ProtocolRefused:    Low,
	PolicyChanged:      Info,
	ToolsOffered:       Info,
	PolicyRejected:     Medium,
	MonitorChanged:     Low,
	AnomalyDenials:     Medium,
	AnomalyFailures:    Low,
	AnomalySurge:       Low,
	StorageClean:       Info,
	LimitOff:           Medium,
	LogRotated:         Info,
	LogSealed:          Info,
	LogPruned:          Info,
	SignerChanged:      Medium,
	SinkGap:            High,
	LogMended:          Low,
	LogDamaged:         High,
	LogGap:             High,
	KeyChanged:         Medium,
}

// codeSeverities are those of error codes, in outcomes and decisions.
var codeSeverities = map[string]string{ //nolint:gochecknoglobals // an immutable table
	"AUDIT_UNAVAILABLE":           High,
	"CIRCUIT_OPEN":                Low,
	"DIMENSION_ERROR":             Low,
	"GENERATION_TIMEOUT":          Low,
	"INSECURE_TRANSPORT":          High,
	"INSUFFICIENT_VRAM":           Medium,
	"INTERNAL":                    Medium,
	"INVALID_PARAMETER":           Low,
	"JOB_NOT_FOUND":               Low,
	"MODEL_NOT_ALLOWED":           Medium,
	"POLICY_DENIED":               Medium,
	"QUEUE_FULL":                  Medium,
	"QUEUE_TIMEOUT":               Medium,
	"RATE_LIMITED":                Medium,
	"RESOURCE_EXHAUSTED":          Medium,
	"SECURITY_ERROR":              High,
	"UNEXPECTED_OUTPUT_TYPE":      Critical,
	"UPSTREAM_AUTH_FAILED":        Medium,
	"UPSTREAM_REDIRECT":           High,
	"UPSTREAM_RESPONSE_TOO_LARGE": Critical,
}

// statusSeverities are those of what has neither a name nor a known code.
var statusSeverities = map[string]string{ //nolint:gochecknoglobals // an immutable table
	StatusOK:       Info,
	StatusAccepted: Info,
	StatusError:    Low,
	StatusDenied:   Medium,
	StatusCrashed:  Medium,
}

// EventSeverities returns the table of events, for the documentation that repeats it.
func EventSeverities() map[string]string { return maps.Clone(eventSeverities) }

// CodeSeverities returns the table of error codes, for the documentation that repeats it.
func CodeSeverities() map[string]string { return maps.Clone(codeSeverities) }

// SeverityOf returns r's severity: the one it says, if that is one of SC-41's; else its event's; else its code's; else its status's.
func SeverityOf(r Record) string { return severity(&r) }

func severity(r *Record) string {
	if slices.Contains([]string{Critical, High, Medium, Low, Info}, r.Severity) {
		return r.Severity
	}
	for _, table := range []struct {
		severities map[string]string
		key        string
	}{{eventSeverities, r.Name}, {codeSeverities, r.Code}, {statusSeverities, r.Status}} {
		if s, ok := table.severities[table.key]; ok {
			return s
		}
	}
	switch {
	case r.Code != "" || r.Kind == Event:
		return Low
	case r.Kind == DecisionK && r.Decision != "allow":
		return Medium
	default:
		return Info
	}
}
