package config

// watchTable is what is watched, and who is told.
func watchTable(c *Config) []setting {
	m, a, o := &c.Monitor, &c.Anomaly, &c.OTel
	return []setting{
		{
			name: "MONITOR__INTERVAL", value: seconds(&m.Interval, 1, 3600), def: "60",
			doc: "Pause between two looks at ComfyUI, disk, memory and queue. Changes are recorded, and told by `status`.",
		},
		{
			name: "MONITOR__DISK_WARN_GB", value: whole(&m.DiskWarnGB, 0, 1<<20, "gibibytes"), def: "5",
			doc: "Free space of the data and output folders below which it is a warning.",
		},
		{
			name: "MONITOR__DISK_CRITICAL_GB", value: whole(&m.DiskCriticalGB, 0, 1<<20, "gibibytes"), def: "1",
			doc: "Free space below which nothing new is made.",
		},
		{
			name: "MONITOR__MEMORY_WARN_GB", value: whole(&m.MemoryWarnGB, 0, 1<<20, "gibibytes"), def: "4",
			doc: "Memory that is left to programs of this machine, below which it is a warning.",
		},
		{
			name: "MONITOR__MEMORY_CRITICAL_GB", value: whole(&m.MemoryCriticalGB, 0, 1<<20, "gibibytes"), def: "1",
			doc: "Memory left below which it is critical.",
		},
		{
			name: "MONITOR__ARTIFACTS_WARN_MB", value: whole(&m.ArtifactsWarnMB, 0, 1<<30, "mebibytes"), def: "0",
			doc: "Size of the working store above which it is a warning; 0 means nine tenths of what it may hold.",
		},
		{
			name: "ANOMALY__DENIALS", value: whole(&a.Denials, 1, 1_000_000, "refusals"), def: "10",
			doc: "Refusals of one principal in one window that are worth an alert.",
		},
		{
			name: "ANOMALY__FAILURES", value: whole(&a.Failures, 1, 1_000_000, "failures"), def: "10",
			doc: "Calls of one principal that failed in one window, likewise.",
		},
		{
			name: "ANOMALY__WINDOW", value: seconds(&a.Window, 1, 86400), def: "300",
			doc: "That window.",
		},
		{
			name: "METRICS__ENABLED", value: boolean(&c.Metrics.Enabled), def: "false",
			doc: "Serves `/metrics` for Prometheus on the HTTP listener, to whoever signs in there.",
		},
		{
			name: "METRICS__LISTEN", value: text(&c.Metrics.Listen, "a loopback address such as 127.0.0.1:9464"),
			doc: "Serves them on a listener of their own instead, without sign-in and to this machine only; over stdio too.",
		},
		{
			name: "OTEL__ENABLED", value: boolean(&o.Enabled), def: "false",
			doc: "Sends traces of calls by OTLP over HTTP. They hold no prompts.",
		},
		{
			name: "OTEL__ENDPOINT", value: text(&o.Endpoint, "an address such as http://127.0.0.1:4318"), def: "http://127.0.0.1:4318",
			doc: "Collector that gets them.",
		},
		{
			name: "OTEL__SERVICE_NAME", value: text(&o.ServiceName, "a name").checked(nonEmpty), def: "comfygate",
			doc: "Name under which they appear.",
		},
	}
}
