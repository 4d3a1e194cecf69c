package config

import (
	"net/netip"
	"time"

	"go.uber.org/zap/zapcore"
)

// Words that settings take.
const (
	TransportStdio = "stdio"
	TransportHTTP  = "http"

	EnvDevelopment = "development"
	EnvProduction  = "production"

	BackendComfyUI  = "comfyui"
	BackendEmbedded = "embedded"

	ResultsOutput = "output"
	ResultsTemp   = "temp"

	FormatConsole = "console"
	FormatJSON    = "json"

	FsyncEach     = "each"
	FsyncInterval = "interval"

	OnDisconnectDetach = "detach"
	OnDisconnectCancel = "cancel"

	StructuredNever  = "never"
	StructuredAuto   = "auto"
	StructuredAlways = "always"
)

// A Config is every setting, validated. What each one means stands in the table that [Docs] prints; comments here tell only what
// the type does not. Treat it as immutable.
type Config struct {
	Server     Server
	HTTP       HTTP
	ComfyUI    ComfyUI
	WebSocket  WebSocket
	Generation Generation
	Upscale    Upscale
	Upload     Upload
	Output     Output
	Storage    Storage
	Retention  Retention
	Logging    Logging
	Audit      Audit
	Retry      Retry
	RateLimit  RateLimit
	Limits     Limits
	Policy     Policy
	Auth       Auth
	Jobs       Jobs
	Recipes    Recipes
	Workflows  Workflows
	Toolsets   Toolsets
	MCP        MCP
	Monitor    Monitor
	Anomaly    Anomaly
	Metrics    Metrics
	OTel       OTel

	sources map[string]Source // by setting name; absent = SourceDefault
}

// Monitor is what is looked at; see package monitor.
type Monitor struct {
	Interval                       time.Duration
	DiskWarnGB, DiskCriticalGB     int
	MemoryWarnGB, MemoryCriticalGB int
	ArtifactsWarnMB                int // 0: nine tenths of Storage.MaxBytes
}

// Anomaly is what is out of the ordinary for one principal.
type Anomaly struct {
	Denials, Failures int
	Window            time.Duration
}

// Metrics are for Prometheus.
type Metrics struct {
	Enabled bool
	Listen  string // host:port of this machine; empty: none
}

// OTel is where traces go.
type OTel struct {
	Enabled               bool
	Endpoint, ServiceName string
}

// Server is the process as a whole.
type Server struct {
	Transport string // stdio, http
	Env       string // development, production
}

// HTTP is the listener of the HTTP transport.
type HTTP struct {
	Host                  string
	Port                  int // 0: any free port
	Username              string
	Password              Secret
	Token                 Secret
	AllowUnauthenticated  bool
	AuthFailuresPerMinute int
	AllowedOrigins        []string // scheme://host[:port], lower case
	AllowedHosts          []string // host[:port], lower case
	TrustedProxies        []netip.Prefix
	PublicURL             string // without trailing slash; empty: none
	SSE                   bool
	TLSCert, TLSKey       string // paths; both or neither
	TLSClientCA           string
}

// ComfyUI is the server that makes the pictures.
type ComfyUI struct {
	URL            string
	Backend        string // comfyui, embedded
	Results        string // output, temp
	CAFile         string
	Username       string
	Password       Secret
	APIKey         Secret
	AuthHeader     string
	QueryToken     Secret
	TimeoutConnect time.Duration // 0: by the host, 1.5 s on loopback and 5 s elsewhere
	TimeoutRead    time.Duration
	TimeoutQueue   time.Duration
	TimeoutImage   time.Duration
	MaxJSONBytes   int64
	MaxViewBytes   int64
	MaxConnections int
}

// WebSocket is the event channel to ComfyUI.
type WebSocket struct {
	AllowInsecure   bool // also of plain HTTP
	MaxTextBytes    int64
	MaxPreviewBytes int64 // -1: previews are off
}

// Generation bounds what a caller may ask for.
type Generation struct {
	Model            string // empty: chosen from what is installed
	MaxWidth         int
	MaxHeight        int
	MaxSteps         int
	MaxCFG           float64
	MaxBatch         int
	MaxPromptChars   int
	MaxNegativeChars int
}

// Upscale bounds upscaling.
type Upscale struct {
	MaxOutputPixels int64
}

// Upload is what upload_image takes in.
type Upload struct {
	MaxBytes  int64
	MaxPixels int64
	InputRoot string // empty: no file of this machine
}

// Output is where full pictures are saved for people.
type Output struct {
	Dir          string // empty: off
	KeepMetadata bool
}

// Storage is the working store: what ids and links point to.
type Storage struct {
	Dir             string
	CleanupInterval time.Duration
	MaxAge          time.Duration
	MaxBytes        int64
}

// Retention is what stays at ComfyUI.
type Retention struct {
	PurgeHistory bool
}

// Logging is the log on stderr.
type Logging struct {
	Level  zapcore.Level
	Format string // console, json
}

// Audit is the record of every call.
type Audit struct {
	FailClosed bool
	Fsync      string // each, interval
	MaxBytes   int64  // of one file
	LogPrompts bool
	HMACKey    Secret

	RotateHours       int           // 0: off
	RetentionDays     int           // 0: off
	RetentionBytes    int64         // 0: off
	CheckpointRecords int           // new records that call for a checkpoint
	CheckpointEvery   time.Duration // if there are new ones
	Origin            string        // empty: the signing key's name
	SigningKey        Secret
	Privacy           []string // class=mode
	Sinks             []string // URLs, or stdout; with required: before it
	SinkToken         Secret
	SinkSecret        Secret
}

// Retry is how failing connections to ComfyUI are met.
type Retry struct {
	CircuitBreakerThreshold int
	CircuitBreakerReset     time.Duration
	MaxRetries              int // of reading calls; posts are never repeated blindly
	BackoffBase             time.Duration
	BackoffMax              time.Duration
}

// RateLimit bounds calls per minute. In each rate 0 means that the limit is off.
type RateLimit struct {
	GeneratePerMinute int
	Burst             int
	GlobalPerMinute   int
	StatusPerMinute   int
}

// Limits bound what is in hand at one time.
type Limits struct {
	JobsPerPrincipal    int
	JobsInFlight        int
	Pending             int
	PendingPerPrincipal int
	JobPixels           int64
	WorkUnits           int64
	VideoPixels         int64 // in place of JobPixels where a video is made
	VideoWorkUnits      int64 // likewise of WorkUnits
	GraphNodes          int
	ImageBytes          int64
	MemoryBytes         int64 // 0: GOMEMLIMIT is set and holds
	RequestBytes        int64
	BodyBytes           int64   // of all requests together
	BudgetPerHour       int64   // megapixel-steps; 0: off
	BudgetPerDay        int64   // likewise
	Calls               int     // that run at one time
	CallsPerPrincipal   int     // likewise
	VRAMReserveGB       float64 // 10⁹ bytes
	VRAMFactor          float64 // 0: off
}

// Policy narrows what is allowed.
type Policy struct {
	File              string   // path, or @ and the name of a shipped posture; empty: the built-in guards alone
	ModelExtensions   []string // lower case, with the dot
	UpscaleExtensions []string // likewise
	ModelAllow        []string
	ModelDeny         []string
	DisabledTools     []string
	DeniedPrincipals  []string
}

// OIDC is an OpenID provider.
type OIDC struct {
	Issuer        string // empty: none
	Audience      []string
	Claim         string
	RequireScopes bool
	CA            string // path
}

// Auth is who callers are.
type Auth struct {
	StdioPrincipal string
	Tokens         Secret            // name:sha256hex[:role],…; its form is checked, auth reads it
	Roles          map[string]string // principal → viewer, operator or admin
	Certificates   []string          // NAME=principal; see CertificateOwners
	TokenStore     string            // path; empty: tokens.yaml in the data folder
	OIDC           OIDC
}

// Jobs is the life of jobs.
type Jobs struct {
	Timeout      time.Duration
	OnDisconnect string // detach, cancel
}

// Recipes are the operator's own model families.
type Recipes struct {
	Dir string // empty: none
}

// Workflows are the saved ones.
type Workflows struct {
	Dir     string // empty: none
	AsTools bool
}

// Toolsets are the groups of tools that are offered.
type Toolsets struct {
	Enabled []string
}

// MCP is how answers look.
type MCP struct {
	Structured string // never, auto, always
	// AlignHeaders serves requests whose headers name an older revision than their body.
	AlignHeaders bool
}

// Production reports whether the stricter rules of production hold (SC-18).
func (c Config) Production() bool { return c.Server.Env == EnvProduction }
