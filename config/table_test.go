package config_test

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/comfygate/comfygate/config"
)

const ours = "COMFYGATE_"

const hash64 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

// samples has for every setting a value that is not the default and values that never fit.
var samples = map[string]struct {
	good string
	bad  []string
}{
	"SERVER__TRANSPORT":                {"http", []string{"sse", "Stdio "}},
	"SERVER__ENV":                      {"production", []string{"prod"}},
	"HTTP__HOST":                       {"0.0.0.0", []string{"127.0.0.1:80", "http://localhost", "a b"}},
	"HTTP__PORT":                       {"9000", []string{"http", "80.5", "0x50"}},
	"HTTP__TOKEN":                      {"0123456789abcdef", []string{"two words", "tökén-tökén-tökén", "tab\there"}},
	"HTTP__USERNAME":                   {"ada", []string{"a:b", "a\nb", "a b", "anonymous"}},
	"HTTP__PASSWORD":                   {"päss wörd: fine", []string{"a\x00bcd", "abc"}},
	"HTTP__ALLOW_UNAUTHENTICATED":      {"yes", []string{"maybe", "2", "on"}},
	"HTTP__AUTH_FAILURES_PER_MINUTE":   {"20", []string{"off"}},
	"HTTP__ALLOWED_ORIGINS":            {"https://a.example,http://b.example:81", []string{"a.example", "https://a.example/x", "null", "*"}},
	"HTTP__ALLOWED_HOSTS":              {"gate.example,gate.example:7861", []string{"https://gate.example", "a/b", "a@b"}},
	"HTTP__TRUSTED_PROXIES":            {"10.0.0.0/8,192.168.1.1/32", []string{"10.0.0.0/40", "proxy"}},
	"HTTP__PUBLIC_URL":                 {"https://gate.example/x", []string{"http://gate.example", "ftp://gate.example", "https://a:b@gate.example"}},
	"HTTP__SSE":                        {"false", []string{"none"}},
	"AUTH__STDIO_PRINCIPAL":            {"desktop", []string{"a b", "../x", "-x"}},
	"AUTH__TOKENS":                     {"ada:" + hash64 + ":viewer,bob:" + hash64, []string{"ada", "ada:abc", "ada:" + hash64 + ":king", "a b:" + hash64, "ada:" + hash64 + ",ada:" + hash64, "token:" + hash64, "anonymous:" + hash64}},
	"AUTH__ROLES":                      {"ada=admin,token=viewer", []string{"ada", "ada=king", "=admin", "ada=admin,ada=viewer"}},
	"TOOLSETS__ENABLED":                {"images,operations", []string{"all", "images,"}},
	"MCP__STRUCTURED":                  {"auto", []string{"true"}},
	"MCP__ALIGN_HEADERS":               {"true", []string{"maybe"}},
	"LOGGING__LEVEL":                   {"WARN", []string{"verbose", "fatal", "3"}},
	"LOGGING__FORMAT":                  {"json", []string{"text"}},
	"COMFYUI__URL":                     {"https://comfy.example:8188/prefix", []string{"file:///etc/passwd", "unix:/x", "comfy.example", "http://"}},
	"COMFYUI__BACKEND":                 {"embedded", []string{"fake"}},
	"COMFYUI__RESULTS":                 {"temp", []string{"input"}},
	"COMFYUI__CA_FILE":                 {"/etc/ca.pem", []string{"a\nb"}},
	"COMFYUI__USERNAME":                {"bob", []string{"b:c"}},
	"COMFYUI__PASSWORD":                {"other pass", []string{"a\nbcd"}},
	"COMFYUI__API_KEY":                 {"key-0123456789", []string{"blank in-it"}},
	"COMFYUI__AUTH_HEADER":             {"X-API-Key", []string{"X API Key", "X-Key: v"}},
	"COMFYUI__QUERY_TOKEN":             {"q-token", []string{"a\rbcd"}},
	"COMFYUI__TIMEOUT_CONNECT":         {"2.5", nil},
	"COMFYUI__TIMEOUT_READ":            {"31", nil},
	"COMFYUI__TIMEOUT_QUEUE":           {"11", nil},
	"COMFYUI__TIMEOUT_IMAGE":           {"61", nil},
	"COMFYUI__MAX_JSON_BYTES":          {"33554432", []string{"16MiB"}},
	"COMFYUI__MAX_VIEW_BYTES":          {"33554432", nil},
	"COMFYUI__MAX_CONNECTIONS":         {"4", nil},
	"WEBSOCKET__ALLOW_INSECURE":        {"true", []string{"maybe", "2"}},
	"WEBSOCKET__MAX_TEXT_BYTES":        {"2097152", nil},
	"WEBSOCKET__MAX_PREVIEW_BYTES":     {"off", []string{"on", "-1"}},
	"GENERATION__MODEL":                {"sdxl/base.safetensors", []string{"a\nb"}},
	"GENERATION__MAX_WIDTH":            {"1024", []string{"2056"}}, // SC-27
	"GENERATION__MAX_HEIGHT":           {"1024", []string{"2056"}},
	"GENERATION__MAX_STEPS":            {"50", nil},
	"GENERATION__MAX_CFG":              {"12.5", nil},
	"GENERATION__MAX_BATCH":            {"2", nil},
	"GENERATION__MAX_PROMPT_CHARS":     {"2000", nil},
	"GENERATION__MAX_NEGATIVE_CHARS":   {"1000", nil},
	"UPSCALE__MAX_OUTPUT_PIXELS":       {"67108864", nil},
	"UPLOAD__MAX_BYTES":                {"10485760", []string{"65535", "20 MiB"}},
	"UPLOAD__MAX_PIXELS":               {"1048576", []string{"4095"}},
	"UPLOAD__INPUT_ROOT":               {"/srv/input", []string{"a\nb"}},
	"RECIPES__DIR":                     {"/srv/recipes", []string{"a\nb"}},
	"WORKFLOWS__DIR":                   {"/srv/workflows", []string{"a\nb"}},
	"WORKFLOWS__AS_TOOLS":              {"true", []string{"maybe"}},
	"OUTPUT__DIR":                      {"/srv/pictures", []string{"a\nb"}},
	"OUTPUT__KEEP_METADATA":            {"true", []string{"x"}},
	"STORAGE__DIR":                     {"/srv/state", []string{"a\nb"}},
	"STORAGE__CLEANUP_INTERVAL":        {"60", []string{"0", "-1", "hourly"}}, // SC-34
	"STORAGE__MAX_AGE":                 {"60", []string{"59"}},
	"STORAGE__MAX_BYTES":               {"1073741824", nil},
	"RETENTION__PURGE_HISTORY":         {"true", []string{"x"}},
	"JOBS__TIMEOUT":                    {"600", nil},
	"JOBS__ON_DISCONNECT":              {"cancel", []string{"kill"}},
	"RATELIMIT__GENERATE_PER_MINUTE":   {"off", []string{"0", "-1", "unlimited"}}, // SC-58
	"RATELIMIT__BURST":                 {"3", []string{"off"}},
	"RATELIMIT__GLOBAL_PER_MINUTE":     {"off", []string{"0"}},
	"RATELIMIT__STATUS_PER_MINUTE":     {"off", []string{"0"}},
	"LIMITS__JOBS_PER_PRINCIPAL":       {"1", nil},
	"LIMITS__JOBS_IN_FLIGHT":           {"8", nil},
	"LIMITS__PENDING":                  {"32", nil},
	"LIMITS__PENDING_PER_PRINCIPAL":    {"4", nil},
	"LIMITS__JOB_PIXELS":               {"4194304", nil},
	"LIMITS__WORK_UNITS":               {"1000000", nil},
	"LIMITS__VIDEO_PIXELS":             {"5000000", nil},
	"LIMITS__VIDEO_WORK_UNITS":         {"6000000", nil},
	"LIMITS__GRAPH_NODES":              {"64", nil},
	"LIMITS__IMAGE_BYTES":              {"134217728", nil},
	"LIMITS__MEMORY_BYTES":             {"536870912", nil},
	"LIMITS__REQUEST_BYTES":            {"1048576", nil},
	"LIMITS__BODY_BYTES":               {"16777216", []string{"1048575"}},
	"LIMITS__CALLS":                    {"1000", []string{"4"}},
	"LIMITS__CALLS_PER_PRINCIPAL":      {"64", []string{"0"}},
	"LIMITS__BUDGET_PER_HOUR":          {"2000", []string{"0", "-1", "1.5"}},
	"LIMITS__BUDGET_PER_DAY":           {"10000", []string{"0", "-1", "lots"}},
	"LIMITS__VRAM_FACTOR":              {"0.8", []string{"0", "-1", "NaN"}},
	"LIMITS__VRAM_RESERVE_GB":          {"2.5", []string{"-1", "1 GB"}},
	"MONITOR__INTERVAL":                {"30", []string{"0"}},
	"MONITOR__DISK_WARN_GB":            {"10", nil},
	"MONITOR__DISK_CRITICAL_GB":        {"2", nil},
	"MONITOR__MEMORY_WARN_GB":          {"2", nil},
	"MONITOR__MEMORY_CRITICAL_GB":      {"0", nil},
	"MONITOR__ARTIFACTS_WARN_MB":       {"500", nil},
	"ANOMALY__DENIALS":                 {"20", nil},
	"ANOMALY__FAILURES":                {"20", nil},
	"ANOMALY__WINDOW":                  {"60", nil},
	"METRICS__ENABLED":                 {"true", []string{"maybe"}},
	"METRICS__LISTEN":                  {"127.0.0.1:9464", nil},
	"OTEL__ENABLED":                    {"true", []string{"maybe"}},
	"OTEL__ENDPOINT":                   {"https://collector.example.org", nil},
	"OTEL__SERVICE_NAME":               {"pictures", nil},
	"HTTP__TLS_CERT":                   {"/etc/cert.pem", nil},
	"HTTP__TLS_KEY":                    {"/etc/key.pem", nil},
	"HTTP__TLS_CLIENT_CA":              {"/etc/ca.pem", nil},
	"AUTH__CERTIFICATES":               {"DNS:a.example.org=anna,URI:spiffe://x/y=ben", []string{"anna", "DNS:a", "DNS:a=a b", "a=b"}},
	"AUTH__TOKEN_STORE":                {"/etc/tokens.yaml", nil},
	"AUTH__OIDC_ISSUER":                {"https://login.example.org", nil},
	"AUTH__OIDC_AUDIENCE":              {"https://a.example.org/mcp,b", []string{","}},
	"AUTH__OIDC_CLAIM":                 {"email", nil},
	"AUTH__OIDC_REQUIRE_SCOPES":        {"false", []string{"maybe"}},
	"AUTH__OIDC_CA":                    {"/etc/ca.pem", nil},
	"POLICY__FILE":                     {"@team", nil},
	"POLICY__MODEL_EXTENSIONS":         {".safetensors", []string{"safetensors", ".ckpt", ".pth", ".safetensors,.pkl"}}, // SC-52
	"POLICY__UPSCALE_EXTENSIONS":       {".pth,.pt", []string{"*"}},
	"POLICY__MODEL_ALLOW":              {"sdxl/*,flux*", []string{"a[", ",a"}},
	"POLICY__MODEL_DENY":               {"*old*", []string{"[]"}},
	"POLICY__DISABLED_TOOLS":           {"generate,upscale", []string{"Generate", "a b"}}, // SC-43
	"POLICY__DENIED_PRINCIPALS":        {"eve,mallory", []string{"e ve"}},
	"AUDIT__FAIL_CLOSED":               {"false", []string{"x"}},
	"AUDIT__FSYNC":                     {"interval", []string{"never"}},
	"AUDIT__MAX_BYTES":                 {"10485760", nil},
	"AUDIT__LOG_PROMPTS":               {"true", []string{"x"}},
	"AUDIT__HMAC_KEY":                  {"0123456789abcdef", []string{"15-characters-x"}},
	"AUDIT__ROTATE_HOURS":              {"off", []string{"0", "daily"}},
	"AUDIT__RETENTION_DAYS":            {"90", []string{"0", "-1"}},
	"AUDIT__RETENTION_BYTES":           {"1073741824", []string{"0", "1024"}},
	"AUDIT__CHECKPOINT_RECORDS":        {"100", []string{"off"}},
	"AUDIT__CHECKPOINT_SECONDS":        {"10", []string{"0"}},
	"AUDIT__ORIGIN":                    {"example.org/studio-7", []string{"a b", "x/", "a\nb"}},
	"AUDIT__SIGNING_KEY":               {"PRIVATE+KEY+example.org/x+00000000+AAAA", []string{"example.org/x+00000000+AAAA", "PRIVATE+KEY+x"}},
	"AUDIT__PRIVACY":                   {"prompts=redact,sessions=hash", []string{"prompts", "prompts=off", "faces=hash"}},
	"AUDIT__SINKS":                     {"stdout,required:syslog+tcp://log.example:601,otlp+https://otel.example/v1/logs", []string{"http://x", "syslog+tcp://x", "webhook+https://a:b@x/", "webhook+https://x/?a=b", "stderr"}},
	"AUDIT__SINK_TOKEN":                {"a bearer token", []string{"a\nbcd"}},
	"AUDIT__SINK_SECRET":               {"0123456789abcdef", []string{"15-characters-x"}},
	"RETRY__CIRCUIT_BREAKER_THRESHOLD": {"3", nil},
	"RETRY__CIRCUIT_BREAKER_RESET":     {"30", nil},
	"RETRY__MAX_RETRIES":               {"0", nil},
	"RETRY__BACKOFF_BASE":              {"0.5", nil},
	"RETRY__BACKOFF_MAX":               {"20", nil},
}

// company is what some settings need beside them.
var company = map[string]string{
	"HTTP__TLS_CERT": "HTTP__TLS_KEY=x", "HTTP__TLS_KEY": "HTTP__TLS_CERT=x",
	"HTTP__TLS_CLIENT_CA": "HTTP__TLS_CERT=x HTTP__TLS_KEY=x AUTH__CERTIFICATES=DNS:a=b",
	"AUTH__CERTIFICATES":  "HTTP__TLS_CERT=x HTTP__TLS_KEY=x HTTP__TLS_CLIENT_CA=x",
	"AUTH__OIDC_ISSUER":   "AUTH__OIDC_AUDIENCE=x",
	"HTTP__USERNAME":      "HTTP__PASSWORD=xxxx", "HTTP__PASSWORD": "HTTP__USERNAME=x",
	"COMFYUI__USERNAME": "COMFYUI__PASSWORD=xxxx", "COMFYUI__PASSWORD": "COMFYUI__USERNAME=x",
}

func docs() []config.Doc {
	var all []config.Doc
	for _, s := range config.Docs() {
		all = append(all, s.Settings...)
	}
	return all
}

func with(name string, more ...string) []string {
	for c := range strings.FieldsSeq(company[name]) {
		more = append(more, ours+c)
	}
	return more
}

// TestTable_everySettingHasAnEffect sets each setting alone and sees its own value, and no field of Config is without a setting.
func TestTable_everySettingHasAnEffect(t *testing.T) {
	t.Parallel()
	touched := map[string]bool{}
	for _, d := range docs() {
		name := strings.TrimPrefix(d.Variable, ours)
		s, ok := samples[name]
		if !ok {
			t.Errorf("%s has no sample", name)
			continue
		}
		base := mustLoad(t, with(name)[:0]...)
		c := mustLoad(t, with(name, d.Variable+"="+s.good)...)
		changed := differences("", reflect.ValueOf(base), reflect.ValueOf(c))
		if len(changed) == 0 {
			t.Errorf("%s=%s changes nothing", name, s.good)
		}
		for _, f := range changed {
			touched[f] = true
		}
		for _, l := range config.Show(c) {
			want := s.good
			if d.Secret {
				want = config.Mask
			}
			if want == "yes" {
				want = "true"
			}
			if l.Variable == d.Variable && (l.Value != want || l.Source != config.SourceEnvironment) {
				t.Errorf("%s=%s is shown as %q from %s", name, s.good, l.Value, l.Source)
			}
		}
	}
	for _, f := range leaves("", reflect.TypeFor[config.Config]()) {
		if !touched[f] {
			t.Errorf("no setting fills %s", f)
		}
	}
	if len(samples) != len(docs()) {
		t.Errorf("%d samples for %d settings", len(samples), len(docs()))
	}
}

// leaves names the exported fields of t, sections opened.
func leaves(prefix string, t reflect.Type) []string {
	var names []string
	for f := range t.Fields() {
		switch {
		case !f.IsExported():
		case prefix == "":
			names = append(names, leaves(f.Name, f.Type)...)
		default:
			names = append(names, prefix+"."+f.Name)
		}
	}
	return names
}

// differences names the leaves in which a and b differ. Secrets differ when only one is set.
func differences(prefix string, a, b reflect.Value) []string {
	var names []string
	for f := range a.Type().Fields() {
		if !f.IsExported() {
			continue
		}
		x, y := a.FieldByIndex(f.Index), b.FieldByIndex(f.Index)
		if prefix == "" {
			names = append(names, differences(f.Name, x, y)...)
			continue
		}
		if s, ok := reflect.TypeAssert[config.Secret](x); ok {
			if o, _ := reflect.TypeAssert[config.Secret](y); s.IsSet() != o.IsSet() {
				names = append(names, prefix+"."+f.Name)
			}
		} else if !reflect.DeepEqual(x.Interface(), y.Interface()) {
			names = append(names, prefix+"."+f.Name)
		}
	}
	return names
}

func TestTable_badValues(t *testing.T) {
	t.Parallel()
	for _, d := range docs() {
		name := strings.TrimPrefix(d.Variable, ours)
		bad := append([]string{""}, samples[name].bad...) // set but empty never fits
		if least, most, ok := bounds(d.Fits); ok {
			bad = append(bad, least+"x", "-"+most, "1e400", "NaN", "99999999999999999999")
			bad = append(bad, beyond(least, -1), beyond(most, +1))
			for _, edge := range []string{least, most} {
				if fs := faults(t, nil, d.Variable+"="+edge); len(fs) > 0 && !strings.HasPrefix(name, "RETRY__BACKOFF") {
					t.Errorf("%s=%s, a bound, is refused: %v", name, edge, fs)
				}
			}
		}
		for _, v := range bad {
			t.Run(name+"="+v, func(t *testing.T) {
				t.Parallel()
				fs := faults(t, nil, with(name, d.Variable+"="+v)...)
				if len(fs) != 1 {
					t.Fatalf("%d faults: %v", len(fs), fs)
				}
				f := fs[0]
				if f.Variable != d.Variable || f.Problem == "" {
					t.Errorf("fault is %v", f)
				}
				if d.Secret && v != "" && (f.Got != "" || strings.Contains(f.String(), v)) {
					t.Errorf("a secret's value is told: %v", f)
				}
				if !d.Secret && v != "" && !strings.Contains(v, "@") && f.Got != v && !strings.Contains(v, ":") {
					t.Errorf("told %q in place of %q", f.Got, v)
				}
			})
		}
	}
}

var boundsShape = regexp.MustCompile(`, ([0-9.]+) to ([0-9.]+)`)

// bounds reads the range out of what a setting's documentation says it takes.
func bounds(fits string) (least, most string, ok bool) {
	m := boundsShape.FindStringSubmatch(fits)
	if m == nil {
		return "", "", false
	}
	return m[1], m[2], true
}

// beyond is the nearest number on the other side of a bound.
func beyond(bound string, by int) string {
	if n, err := strconv.ParseInt(bound, 10, 64); err == nil {
		return strconv.FormatInt(n+int64(by), 10)
	}
	f, _ := strconv.ParseFloat(bound, 64)
	return strconv.FormatFloat(f+float64(by)*0.001, 'f', -1, 64)
}

func TestDocs(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, d := range docs() {
		switch {
		case seen[d.Variable]:
			t.Errorf("%s stands there twice", d.Variable)
		case !regexp.MustCompile(`^COMFYGATE_[A-Z]+__[A-Z_]+$`).MatchString(d.Variable):
			t.Errorf("%s is not COMFYGATE_<SECTION>__<KEY>", d.Variable)
		case !strings.HasSuffix(d.Text, ".") || d.Fits == "":
			t.Errorf("%s is not documented: %q, %q", d.Variable, d.Text, d.Fits)
		case d.Secret && d.Default != "":
			t.Errorf("the secret %s has a default", d.Variable) // SC-29
		}
		seen[d.Variable] = true
	}
	for _, s := range config.Docs() {
		if len(s.Settings) == 0 || s.Doc == "" {
			t.Errorf("section %s is empty", s.Name)
		}
		for _, d := range s.Settings {
			if !strings.HasPrefix(d.Variable, ours+s.Name+"__") {
				t.Errorf("%s stands in section %s", d.Variable, s.Name)
			}
		}
	}
	// What is documented as a default is what is in force.
	shown := map[string]string{}
	for _, l := range config.Show(mustLoad(t)) {
		shown[l.Variable] = l.Value
		if l.Source != config.SourceDefault {
			t.Errorf("%s comes from %s", l.Variable, l.Source)
		}
	}
	for _, d := range docs() {
		if d.Default != "" && shown[d.Variable] != d.Default {
			t.Errorf("%s is documented as %s and is %s", d.Variable, d.Default, shown[d.Variable])
		}
	}
}

func TestWriteDocs(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := config.WriteDocs(&b); err != nil {
		t.Fatal(err)
	}
	for _, d := range docs() {
		for _, part := range []string{"### " + d.Variable + "\n", d.Text, "- Takes: " + d.Fits, d.Alias} {
			if !strings.Contains(b.String(), part) {
				t.Errorf("%q is missing", part)
			}
		}
	}
	if err := config.WriteDocs(failing{}); err == nil {
		t.Error("a failed write is no error")
	}
	if err := config.WriteShow(failing{}, mustLoad(t)); err == nil {
		t.Error("a failed write is no error")
	}
}

type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, fmt.Errorf("full") }
