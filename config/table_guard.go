package config

// guardTable are the bounds: of jobs, rates, queues, policy and failing connections.
func guardTable(c *Config) []setting {
	r, l, p := &c.RateLimit, &c.Limits, &c.Policy
	return []setting{
		{
			name: "JOBS__TIMEOUT", value: seconds(&c.Jobs.Timeout, 1, 7*86400), def: "3600",
			doc: "Time a job may take from the start of its execution.",
		},
		{
			name: "JOBS__ON_DISCONNECT", value: word(&c.Jobs.OnDisconnect, OnDisconnectDetach, OnDisconnectCancel), def: OnDisconnectDetach,
			doc: "What becomes of a job whose caller went away: it runs on, or is cancelled.",
		},
		{
			name: "RATELIMIT__GENERATE_PER_MINUTE", value: rate(&r.GeneratePerMinute), def: "10",
			doc: "Pictures of one principal.",
		},
		{
			name: "RATELIMIT__BURST", value: whole(&r.Burst, 1, 10_000, "calls"), def: "10",
			doc: "Calls of one principal that may come at once.",
		},
		{
			name: "RATELIMIT__GLOBAL_PER_MINUTE", value: rate(&r.GlobalPerMinute), def: "30",
			doc: "Pictures of all principals together.",
		},
		{
			name: "RATELIMIT__STATUS_PER_MINUTE", value: rate(&r.StatusPerMinute), def: "120",
			doc: "Calls of one principal that make nothing.",
		},
		{
			name: "LIMITS__JOBS_PER_PRINCIPAL", value: whole(&l.JobsPerPrincipal, 1, 1000, "jobs"), def: "2",
			doc: "Jobs of one principal that are at ComfyUI at one time; more wait.",
		},
		{
			name: "LIMITS__JOBS_IN_FLIGHT", value: whole(&l.JobsInFlight, 1, 1000, "jobs"), def: "4",
			doc: "Jobs of all principals that are at ComfyUI at one time; more wait.",
		},
		{
			name: "LIMITS__PENDING", value: whole(&l.Pending, 1, 10_000, "jobs"), def: "16",
			doc: "Jobs that may wait; more are refused.",
		},
		{
			name: "LIMITS__PENDING_PER_PRINCIPAL", value: whole(&l.PendingPerPrincipal, 1, 10_000, "jobs"), def: "8",
			doc: "Jobs of one principal that may wait.",
		},
		{
			name: "LIMITS__JOB_PIXELS", value: whole(&l.JobPixels, 64*64, 1<<40, "pixels"), def: "16777216",
			doc: "Pixels of one job, all its pictures together.",
		},
		{
			name: "LIMITS__WORK_UNITS", value: whole(&l.WorkUnits, 64*64, 1<<50, "pixel steps"), def: "1677721600",
			doc: "Steps times pixels times pictures of one job.",
		},
		{
			name: "LIMITS__VIDEO_PIXELS", value: whole(&l.VideoPixels, 64*64, 1<<40, "pixels"), def: "268435456",
			doc: "Pixels of one job that makes a video, all its frames together; LIMITS__JOB_PIXELS holds for each frame then.",
		},
		{
			name: "LIMITS__VIDEO_WORK_UNITS", value: whole(&l.VideoWorkUnits, 64*64, 1<<50, "pixel steps"), def: "26843545600",
			doc: "Steps times pixels of such a job.",
		},
		{
			name: "LIMITS__GRAPH_NODES", value: whole(&l.GraphNodes, 1, 10_000, "nodes"), def: "512",
			doc: "Nodes of one graph.",
		},
		{
			name: "LIMITS__IMAGE_BYTES", value: whole(&l.ImageBytes, 32*mib, tib, "bytes"), def: "268435456",
			doc: "Memory for decoded pictures, all calls together; more wait.",
		},
		{
			name: "LIMITS__MEMORY_BYTES", value: orUnset(whole(&l.MemoryBytes, 64*mib, tib, "bytes")), unset: "GOMEMLIMIT, or 1073741824",
			doc: "Memory the process tries to stay below.",
		},
		{
			name: "LIMITS__REQUEST_BYTES", value: whole(&l.RequestBytes, 64*kib, 64*mib, "bytes"), def: "6291456",
			doc: "Largest MCP request.",
		},
		{
			name: "POLICY__FILE", value: filePath(&p.File), unset: "the built-in guards alone",
			doc: "Policy file, or one that comes with comfygate: `@personal`, `@team`, `@public`. It is read again when it changes.",
		},
		{
			name: "LIMITS__BODY_BYTES", value: whole(&l.BodyBytes, mib, tib, "bytes"), def: "50331648",
			doc: "Memory for large requests that are being served over HTTP, all together; more wait a moment, then are refused.",
		},
		{
			name: "LIMITS__CALLS", value: whole(&l.Calls, 5, 100_000, "calls"), def: "512",
			doc: "Calls that run at one time; a fifth is kept for those that only look.",
		},
		{
			name: "LIMITS__CALLS_PER_PRINCIPAL", value: whole(&l.CallsPerPrincipal, 5, 100_000, "calls"), def: "128",
			doc: "Calls of one principal that run at one time, likewise.",
		},
		{
			name: "LIMITS__BUDGET_PER_HOUR", value: orOff(&l.BudgetPerHour, 0, whole(&l.BudgetPerHour, 1, 1e12, "megapixel-steps")), def: "off",
			doc: "What one principal may have computed in an hour: megapixels times steps. A picture of 1024×1024 in 25 steps is 27. What a failed job did not use comes back.",
		},
		{
			name: "LIMITS__BUDGET_PER_DAY", value: orOff(&l.BudgetPerDay, 0, whole(&l.BudgetPerDay, 1, 1e12, "megapixel-steps")), def: "off",
			doc: "The same for a day.",
		},
		{
			name: "LIMITS__VRAM_FACTOR", value: orOff(&l.VRAMFactor, 0, decimal(&l.VRAMFactor, 0.05, 10)), def: "0.5",
			doc: "How much of the estimated video memory a job must find, or it is refused: ComfyUI does with less than the estimate, by moving models out of the way. off refuses nothing.",
		},
		{
			name: "LIMITS__VRAM_RESERVE_GB", value: decimal(&l.VRAMReserveGB, 0, 1024), def: "1",
			doc: "Video memory that is left to others; a job that is estimated to need more than the rest is told so.",
		},
		{
			name: "POLICY__MODEL_EXTENSIONS", value: texts(&p.ModelExtensions, "file extensions that load without running code", extension(false)), def: ".safetensors,.sft,.gguf",
			doc: "File types of models that may be used.",
		},
		{
			name: "POLICY__UPSCALE_EXTENSIONS", value: texts(&p.UpscaleExtensions, "file extensions", extension(true)), def: ".safetensors,.sft,.pth",
			doc: "File types of upscale models that may be used. ComfyUI reads only the weights of these.",
		},
		{
			name: "POLICY__MODEL_ALLOW", value: texts(&p.ModelAllow, "patterns such as `sdxl/*`", glob), unset: "every model",
			doc: "Models that may be used; with one pattern at least, all others may not.",
		},
		{
			name: "POLICY__MODEL_DENY", value: texts(&p.ModelDeny, "patterns such as `*experimental*`", glob),
			doc: "Models that may not be used, whatever else allows them.",
		},
		{
			name: "POLICY__DISABLED_TOOLS", value: texts(&p.DisabledTools, "tools' names", toolName),
			doc: "Tools that are switched off.",
		},
		{
			name: "POLICY__DENIED_PRINCIPALS", value: texts(&p.DeniedPrincipals, "principals' names", principal),
			doc: "Principals that are refused everything.",
		},
		{
			name: "RETRY__CIRCUIT_BREAKER_THRESHOLD", value: whole(&c.Retry.CircuitBreakerThreshold, 1, 1000, "failures"), def: "5",
			doc: "Failed connections after which ComfyUI counts as down.",
		},
		{
			name: "RETRY__CIRCUIT_BREAKER_RESET", value: seconds(&c.Retry.CircuitBreakerReset, 0.1, 3600), def: "60",
			doc: "Longest time for which calls are refused without a new try.",
		},
		{
			name: "RETRY__MAX_RETRIES", value: whole(&c.Retry.MaxRetries, 0, 20, "retries"), def: "3",
			doc: "Repeats of a reading call that failed. What changes something is never repeated blindly.",
		},
		{
			name: "RETRY__BACKOFF_BASE", value: seconds(&c.Retry.BackoffBase, 0.01, 600), def: "1.5",
			doc: "First pause between repeats.",
		},
		{
			name: "RETRY__BACKOFF_MAX", value: seconds(&c.Retry.BackoffMax, 0.01, 3600), def: "30",
			doc: "Longest pause between repeats.",
		},
	}
}
