package config

import "slices"

const (
	prefixOurs = "COMFYGATE_"
	prefixOld  = "COMFY_HEADLESS_"

	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
	tib = 1 << 40
)

// maxSide is the hard cap of a generated picture's sides; settings only lower it (SC-27).
const maxSide = 2048

// A setting is one row of the table.
type setting struct {
	name  string // <SECTION>__<KEY>
	value        // binds it to its field
	def   string // as it would be written; empty: unset
	doc   string // sentences for people
	unset string // what an empty def means, in words
	alias string // the older name, after COMFY_HEADLESS_
}

// section tells what the settings of one section are about.
type section struct{ name, doc string }

func sections() []section {
	return []section{
		{"SERVER", "The process as a whole."},
		{"HTTP", "The listener of the HTTP transport, and who may come in."},
		{"COMFYUI", "The ComfyUI that makes the pictures. Callers can never change it."},
		{"WEBSOCKET", "The event channel to ComfyUI."},
		{"GENERATION", "What a caller may ask for. Requests out of bounds are refused, never bent."},
		{"UPSCALE", "What upscaling may make."},
		{"UPLOAD", "What upload_image takes in."},
		{"OUTPUT", "Where full pictures are saved for people."},
		{"STORAGE", "The working store: what picture ids and links point to, the audit log, the keys."},
		{"RETENTION", "What stays at ComfyUI."},
		{"LOGGING", "The log, which goes to stderr. Secrets are always masked in it."},
		{"AUDIT", "The record of every call, below the storage folder."},
		{"RETRY", "How failing connections to ComfyUI are met."},
		{"RATELIMIT", "Calls per minute. A limit is switched off only by the word off."},
		{"LIMITS", "What may be in hand at one time."},
		{"POLICY", "What is allowed, narrower than the built-in policy."},
		{"AUTH", "Who callers are and what role they have."},
		{"JOBS", "The life of a job."},
		{"RECIPES", "Model families beyond the built-in ones."},
		{"WORKFLOWS", "Workflows that are kept under a name."},
		{"TOOLSETS", "Which groups of tools are offered."},
		{"MCP", "The form of answers."},
		{"MONITOR", "What is looked at every so often, and when it is worth an alert."},
		{"ANOMALY", "What of one principal is worth an alert."},
		{"METRICS", "Figures for Prometheus."},
		{"OTEL", "Traces for OpenTelemetry."},
	}
}

// table lists every setting, bound to c: first those of the server and its callers, then those of ComfyUI and the pictures, then
// the bounds.
func table(c *Config) []setting {
	return slices.Concat(faceTable(c), pictureTable(c), identityTable(c), guardTable(c), auditTable(c), watchTable(c))
}

func faceTable(c *Config) []setting {
	h := &c.HTTP
	return []setting{
		{
			name: "SERVER__TRANSPORT", value: word(&c.Server.Transport, TransportStdio, TransportHTTP), def: TransportStdio,
			doc: "How clients reach comfygate: started by them and spoken to over stdin and stdout, or over HTTP. With stdio nothing listens.",
		},
		{
			name: "SERVER__ENV", value: word(&c.Server.Env, EnvDevelopment, EnvProduction), def: EnvDevelopment,
			doc: "In production, clear text to a remote ComfyUI and the log level DEBUG are refused.",
		},
		{
			name: "HTTP__HOST", value: listenHost(&h.Host), def: "127.0.0.1", alias: "UI__HOST",
			doc: "Address to listen on. Any other than this machine's own needs a token or a user name and password.",
		},
		{
			name: "HTTP__PORT", value: whole(&h.Port, 0, 65535, "a port"), def: "7861",
			doc: "Port to listen on; 0 takes any that is free.",
		},
		{
			name: "HTTP__TOKEN", value: secret(&h.Token, "4 or more visible ASCII characters without blanks", visible),
			doc: "Bearer token that lets a caller in, as the principal `token`.",
		},
		{
			name: "HTTP__USERNAME", value: text(&h.Username, "1 to 64 letters, digits or . _ @ + -, but not anonymous").checked(userName), alias: "UI__USERNAME",
			doc: "User name of basic sign-in; needs the password too.",
		},
		{
			name: "HTTP__PASSWORD", value: secret(&h.Password, "one line of 4 characters or more"), alias: "UI__PASSWORD",
			doc: "Password of basic sign-in; needs the user name too.",
		},
		{
			name: "HTTP__ALLOW_UNAUTHENTICATED", value: boolean(&h.AllowUnauthenticated), def: "false",
			doc: "Lets the listener start without any sign-in although others can reach it. Everyone is then the viewer `anonymous`.",
		},
		{
			name: "HTTP__AUTH_FAILURES_PER_MINUTE", value: whole(&h.AuthFailuresPerMinute, 1, 1000, "failures"), def: "10",
			doc: "Failed sign-ins of one address before it has to wait.",
		},
		{
			name: "HTTP__ALLOWED_ORIGINS", value: texts(&h.AllowedOrigins, "origins such as `https://app.example.com`", origin),
			doc: "Web pages, besides this machine's own, whose scripts may call.",
		},
		{
			name: "HTTP__ALLOWED_HOSTS", value: texts(&h.AllowedHosts, "hosts with or without port", hostPort),
			doc: "Host names, besides this machine's own and that of the public URL, that a request may be addressed to.",
		},
		{
			name: "HTTP__TRUSTED_PROXIES", value: list(&h.TrustedProxies, "addresses or networks such as `10.0.0.0/8`", network, networkText),
			doc: "Proxies whose X-Forwarded-For is believed.",
		},
		{
			name: "HTTP__PUBLIC_URL", value: publicURL(&h.PublicURL), unset: "links only on a listener of this machine",
			doc: "Address under which clients reach the listener; links to pictures begin with it.",
		},
		{
			name: "HTTP__SSE", value: boolean(&h.SSE), def: "true",
			doc: "Also offers the older HTTP+SSE transport, `/sse` and `/message`.",
		},
		{
			name: "AUTH__STDIO_PRINCIPAL", value: text(&c.Auth.StdioPrincipal, "a name").checked(principal), def: "local",
			doc: "Name under which the client that started comfygate is known.",
		},
		{
			name: "AUTH__TOKENS", value: secret(&c.Auth.Tokens, "name:sha256hex or name:sha256hex:role, separated by commas", tokens),
			doc: "Bearer tokens of several principals, by their SHA-256: `printf %s TOKEN | sha256sum`.",
		},
		{
			name: "AUTH__ROLES", value: pairs(&c.Auth.Roles, roles()...), unset: "everyone who signs in is an operator",
			doc: "Roles by principal, such as `token=viewer,local=operator`.",
		},
		{
			name: "TOOLSETS__ENABLED", value: texts(&c.Toolsets.Enabled, "toolsets: images, workflows, video, operations", oneOf("images", "workflows", "video", "operations")), def: "images,workflows",
			doc: "Groups of tools that are offered.",
		},
		{
			name: "MCP__STRUCTURED", value: word(&c.MCP.Structured, StructuredNever, StructuredAuto, StructuredAlways), def: StructuredNever,
			doc: "Whether tools that show pictures also send structured content. Some clients then drop the picture.",
		},
		{
			name: "MCP__ALIGN_HEADERS", value: boolean(&c.MCP.AlignHeaders), def: "false",
			doc: "Serves requests of 2026-07-28 whose headers name an older revision, which a proxy of some clients sends; otherwise they are refused. What runs is what the message says.",
		},
		{
			name: "LOGGING__LEVEL", value: level(&c.Logging.Level), def: "INFO", alias: "LOGGING__LEVEL",
			doc: "Least severity that is logged.",
		},
		{
			name: "LOGGING__FORMAT", value: word(&c.Logging.Format, FormatConsole, FormatJSON), def: FormatConsole,
			doc: "Lines for people, or JSON.",
		},
	}
}

func pictureTable(c *Config) []setting {
	u, g := &c.ComfyUI, &c.Generation
	return []setting{
		{
			name: "COMFYUI__URL", value: comfyURL(&u.URL), def: "http://127.0.0.1:8188", alias: "COMFYUI__URL",
			doc: "Address of ComfyUI. A remote one must be https. The WebSocket follows it.",
		},
		{
			name: "COMFYUI__BACKEND", value: word(&u.Backend, BackendComfyUI, BackendEmbedded), def: BackendComfyUI,
			doc: "A real ComfyUI, or the embedded one, which draws placeholder pictures for trying out.",
		},
		{
			name: "COMFYUI__RESULTS", value: word(&u.Results, ResultsOutput, ResultsTemp), def: ResultsOutput,
			doc: "Where ComfyUI keeps what it makes: in its output folder below `comfygate/`, or in its temp folder, which it empties itself.",
		},
		{
			name: "COMFYUI__CA_FILE", value: filePath(&u.CAFile), unset: "the system's authorities",
			doc: "Certificate authorities in PEM that are trusted besides the system's.",
		},
		{
			name: "COMFYUI__USERNAME", value: text(&u.Username, "a name without colon"),
			doc: "User name of basic sign-in at a proxy in front of ComfyUI.",
		},
		{
			name: "COMFYUI__PASSWORD", value: secret(&u.Password, "one line of 4 characters or more"),
			doc: "Password that goes with it.",
		},
		{
			name: "COMFYUI__API_KEY", value: secret(&u.APIKey, "4 or more visible ASCII characters without blanks", visible),
			doc: "Key that is sent as bearer token, or as it is in another header.",
		},
		{
			name: "COMFYUI__AUTH_HEADER", value: text(&u.AuthHeader, "a header's name").checked(headerName), def: "Authorization",
			doc: "Header that carries the key.",
		},
		{
			name: "COMFYUI__QUERY_TOKEN", value: secret(&u.QueryToken, "one line of 4 characters or more"),
			doc: "Token that is sent as `?token=`, for hosts that want it so.",
		},
		{
			name: "COMFYUI__TIMEOUT_CONNECT", value: seconds(&u.TimeoutConnect, 0.1, 300), unset: "1.5 on this machine, 5 elsewhere",
			doc: "Time to connect.",
		},
		{
			name: "COMFYUI__TIMEOUT_READ", value: seconds(&u.TimeoutRead, 0.1, 3600), def: "30",
			doc: "Time for an answer that reads.",
		},
		{
			name: "COMFYUI__TIMEOUT_QUEUE", value: seconds(&u.TimeoutQueue, 0.1, 3600), def: "10",
			doc: "Time for an answer about the queue.",
		},
		{
			name: "COMFYUI__TIMEOUT_IMAGE", value: seconds(&u.TimeoutImage, 0.1, 3600), def: "60",
			doc: "Time to move one picture.",
		},
		{
			name: "COMFYUI__MAX_JSON_BYTES", value: whole(&u.MaxJSONBytes, mib, gib, "bytes"), def: "16777216",
			doc: "Largest JSON answer that is read.",
		},
		{
			name: "COMFYUI__MAX_VIEW_BYTES", value: whole(&u.MaxViewBytes, mib, gib, "bytes"), def: "67108864",
			doc: "Largest picture that is read.",
		},
		{
			name: "COMFYUI__MAX_CONNECTIONS", value: whole(&u.MaxConnections, 1, 1000, "connections"), def: "10",
			doc: "Connections to ComfyUI at one time.",
		},
		{
			name: "WEBSOCKET__ALLOW_INSECURE", value: boolean(&c.WebSocket.AllowInsecure), def: "false", alias: "WEBSOCKET__ALLOW_INSECURE",
			doc: "Allows clear text to a remote ComfyUI, over HTTP and WebSocket alike, but never with a credential.",
		},
		{
			name: "WEBSOCKET__MAX_TEXT_BYTES", value: whole(&c.WebSocket.MaxTextBytes, 64*kib, 64*mib, "bytes"), def: "1048576",
			doc: "Largest event that is read.",
		},
		{
			name: "WEBSOCKET__MAX_PREVIEW_BYTES", value: orOff(&c.WebSocket.MaxPreviewBytes, -1, whole(&c.WebSocket.MaxPreviewBytes, 64*kib, 64*mib, "bytes")), def: "8388608",
			doc: "Largest preview that is read; off does without previews.",
		},
		{
			name: "GENERATION__MODEL", value: text(&g.Model, "a model's name as ComfyUI lists it"), unset: "the best family that is installed",
			doc: "Model that a bare prompt takes.",
		},
		{
			name: "GENERATION__MAX_WIDTH", value: whole(&g.MaxWidth, 64, maxSide, "pixels"), def: "2048",
			doc: "Widest picture.",
		},
		{
			name: "GENERATION__MAX_HEIGHT", value: whole(&g.MaxHeight, 64, maxSide, "pixels"), def: "2048",
			doc: "Highest picture.",
		},
		{
			name: "GENERATION__MAX_STEPS", value: whole(&g.MaxSteps, 1, 1000, "steps"), def: "100",
			doc: "Most sampling steps.",
		},
		{
			name: "GENERATION__MAX_CFG", value: decimal(&g.MaxCFG, 1, 100), def: "30",
			doc: "Highest guidance.",
		},
		{
			name: "GENERATION__MAX_BATCH", value: whole(&g.MaxBatch, 1, 64, "pictures"), def: "4",
			doc: "Most pictures of one call.",
		},
		{
			name: "GENERATION__MAX_PROMPT_CHARS", value: whole(&g.MaxPromptChars, 1, 100_000, "characters"), def: "10000",
			doc: "Longest prompt.",
		},
		{
			name: "GENERATION__MAX_NEGATIVE_CHARS", value: whole(&g.MaxNegativeChars, 1, 100_000, "characters"), def: "5000",
			doc: "Longest negative prompt.",
		},
		{
			name: "UPSCALE__MAX_OUTPUT_PIXELS", value: whole(&c.Upscale.MaxOutputPixels, maxSide*maxSide, 16384*16384, "pixels"), def: "16777216",
			doc: "Largest picture that upscaling makes, width times height.",
		},
		{
			name: "UPLOAD__MAX_BYTES", value: whole(&c.Upload.MaxBytes, 64*kib, gib, "bytes"), def: "20971520",
			doc: "Largest file that is taken in. Base64 in a call is bounded to 4 MiB besides.",
		},
		{
			name: "UPLOAD__MAX_PIXELS", value: whole(&c.Upload.MaxPixels, 64*64, 16384*16384, "pixels"), def: "4194304",
			doc: "Largest picture that is taken in, width times height.",
		},
		{
			name: "UPLOAD__INPUT_ROOT", value: filePath(&c.Upload.InputRoot), unset: "no file of this machine is read",
			doc: "Folder from which the client that started comfygate may take pictures by their path. Nothing outside of it is read.",
		},
		{
			name: "RECIPES__DIR", value: filePath(&c.Recipes.Dir), unset: "only the built-in families",
			doc: "Folder of your own model families, one YAML file each.",
		},
		{
			name: "WORKFLOWS__DIR", value: filePath(&c.Workflows.Dir), unset: "none can be saved; those that ComfyUI ships can be run all the same",
			doc: "Folder of saved workflows: `NAME.json`, and beside it `NAME.yaml` with title, description and inputs. It must be there. Changes in it are seen without a restart.",
		},
		{
			name: "WORKFLOWS__AS_TOOLS", value: boolean(&c.Workflows.AsTools), def: "false",
			doc: "Offers each saved workflow as a tool of its own, `workflow_NAME`, with arguments made of its inputs. Those there are when comfygate starts.",
		},
		{
			name: "OUTPUT__DIR", value: outputDir(&c.Output.Dir), unset: "over stdio the folder `comfygate` in your pictures folder, over HTTP off",
			doc: "Folder in which full pictures are saved and never cleaned.",
		},
		{
			name: "OUTPUT__KEEP_METADATA", value: boolean(&c.Output.KeepMetadata), def: "false",
			doc: "Leaves ComfyUI's prompt and workflow in the pictures.",
		},
		{
			name: "STORAGE__DIR", value: filePath(&c.Storage.Dir), unset: "`comfygate` in your folder for application state",
			doc: "Folder of the working store, the audit log and the keys; only its owner may enter it.",
		},
		{
			name: "STORAGE__CLEANUP_INTERVAL", value: seconds(&c.Storage.CleanupInterval, 1, 7*86400), def: "3600", alias: "UI__TEMP_CLEANUP_INTERVAL",
			doc: "Time between two cleanings of the working store.",
		},
		{
			name: "STORAGE__MAX_AGE", value: seconds(&c.Storage.MaxAge, 60, 10*365*86400), def: "604800",
			doc: "Age at which a picture leaves the working store.",
		},
		{
			name: "STORAGE__MAX_BYTES", value: whole(&c.Storage.MaxBytes, 16*mib, 1024*tib, "bytes"), def: "5368709120",
			doc: "Size at which the oldest pictures leave the working store.",
		},
		{
			name: "RETENTION__PURGE_HISTORY", value: boolean(&c.Retention.PurgeHistory), def: "false",
			doc: "Removes our jobs, with their prompts, from ComfyUI's history once their pictures are fetched.",
		},
	}
}
