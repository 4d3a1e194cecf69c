package config

import (
	"errors"
	"net/url"
	"regexp"
	"strings"
)

// auditTable is the record: how it is kept, signed and passed on.
func auditTable(c *Config) []setting {
	a := &c.Audit
	return []setting{
		{
			name: "AUDIT__FAIL_CLOSED", value: boolean(&a.FailClosed), def: "true",
			doc: "Refuses calls that cannot be recorded.",
		},
		{
			name: "AUDIT__FSYNC", value: word(&a.Fsync, FsyncEach, FsyncInterval), def: FsyncEach,
			doc: "Whether a record is on the disk before its call goes on, or soon after.",
		},
		{
			name: "AUDIT__MAX_BYTES", value: whole(&a.MaxBytes, mib, tib, "bytes"), def: "104857600",
			doc: "Size at which a new file is begun.",
		},
		{
			name: "AUDIT__ROTATE_HOURS", value: orOff(&a.RotateHours, 0, whole(&a.RotateHours, 1, 100_000, "hours")), def: "24",
			doc: "Age at which a new file is begun.",
		},
		{
			name: "AUDIT__RETENTION_DAYS", value: orOff(&a.RetentionDays, 0, whole(&a.RetentionDays, 1, 100_000, "days")), def: "off",
			doc: "Age at which whole files of the record are removed. What stays still verifies.",
		},
		{
			name: "AUDIT__RETENTION_BYTES", value: orOff(&a.RetentionBytes, 0, whole(&a.RetentionBytes, mib, 1<<50, "bytes")), def: "off",
			doc: "Size that the record of a process may have; whole files beyond it are removed, the oldest first.",
		},
		{
			name: "AUDIT__CHECKPOINT_RECORDS", value: whole(&a.CheckpointRecords, 1, 1_000_000, "records"), def: "1000",
			doc: "New records after which a checkpoint is signed, at most one a second.",
		},
		{
			name: "AUDIT__CHECKPOINT_SECONDS", value: seconds(&a.CheckpointEvery, 1, 86400), def: "60",
			doc: "Time after which a checkpoint is signed if there are new records.",
		},
		{
			name: "AUDIT__ORIGIN", value: text(&a.Origin, "a name such as `example.org/studio-7`").checked(logOrigin), unset: "the name in the signing key",
			doc: "First line of checkpoints, by which others know this log.",
		},
		{
			name: "AUDIT__SIGNING_KEY", value: secret(&a.SigningKey, "an Ed25519 key in the note format, `PRIVATE+KEY+…`", signingKey), unset: "made at the first start",
			doc: "Key that signs checkpoints.",
		},
		{
			name: "AUDIT__LOG_PROMPTS", value: boolean(&a.LogPrompts), def: "false",
			doc: "Keeps prompts in the record as they are, besides their digests; short for `prompts=full` in AUDIT__PRIVACY.",
		},
		{
			name: "AUDIT__PRIVACY", value: texts(&a.Privacy, "`prompts`, `arguments` or `sessions`, each with `=hash`, `=redact` or `=full`", privacy), unset: "prompts=hash,arguments=full,sessions=full",
			doc: "What the record keeps of prompts, of other texts in arguments, and of session ids and addresses: a keyed digest, only that there was one, or all.",
		},
		{
			name: "AUDIT__HMAC_KEY", value: secret(&a.HMACKey, "16 characters or more", longEnough), unset: "made at the first start",
			doc: "Key of the digests that stand for prompts.",
		},
		{
			name: "AUDIT__SINKS", value: texts(&a.Sinks, "`stdout`, or URLs: `syslog+tcp://host:601`, `syslog+udp://host:514`, `otlp+https://host/v1/logs`, `webhook+https://host/path`, each with `required:` before it where calls must wait for it", sink),
			doc: "Where records are passed on to, each with its place remembered across restarts.",
		},
		{
			name: "AUDIT__SINK_TOKEN", value: secret(&a.SinkToken, "a bearer token"),
			doc: "Sent to OTLP and webhook sinks as `Authorization: Bearer`.",
		},
		{
			name: "AUDIT__SINK_SECRET", value: secret(&a.SinkSecret, "16 characters or more", longEnough),
			doc: "Signs what webhook sinks get, so that they can tell that it comes from here.",
		},
	}
}

var originShape = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:-]{2,199}$`) // immutable

func logOrigin(s string) (string, error) {
	if !originShape.MatchString(s) || strings.HasSuffix(s, "/") {
		return "", errors.New("a name is not 3 to 200 letters, digits or . _ / : -")
	}
	return s, nil
}

func signingKey(s string) error {
	if !strings.HasPrefix(s, "PRIVATE+KEY+") || strings.Count(s, "+") < 4 {
		return errors.New("not a signing key in the note format")
	}
	return nil
}

// privacy takes class=mode.
func privacy(s string) (string, error) {
	class, mode, _ := strings.Cut(strings.ToLower(s), "=")
	if _, err := oneOf("prompts", "arguments", "sessions")(class); err != nil {
		return "", err
	}
	if _, err := oneOf("hash", "redact", "full")(mode); err != nil {
		return "", err
	}
	return class + "=" + mode, nil
}

// sink takes a sink's address. Credentials have settings of their own.
func sink(s string) (string, error) {
	address := strings.TrimPrefix(s, "required:")
	if address == "stdout" {
		return s, nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("an item is not a sink's URL, without credentials and query")
	}
	if _, err := oneOf("syslog+tcp", "syslog+udp", "otlp+http", "otlp+https", "webhook+http", "webhook+https")(u.Scheme); err != nil {
		return "", err
	}
	if strings.HasPrefix(u.Scheme, "syslog") && u.Port() == "" {
		return "", errors.New("a syslog sink needs a port")
	}
	return s, nil
}
