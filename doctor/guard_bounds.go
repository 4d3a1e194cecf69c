package doctor

import (
	"encoding/json"
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/comfygate/comfygate/config"
)

// What of the promises about bounds, secrets, files and the record the set-up decides.

// cap of the seed, which no setting may raise (SC-27).
const maxSide = 2048

func (g *guard) sides() verdict {
	c := g.Config.Generation
	if c.MaxWidth > maxSide || c.MaxHeight > maxSide {
		return failed("lower COMFYGATE_GENERATION__MAX_WIDTH and MAX_HEIGHT to 2048", "up to %d × %d", c.MaxWidth, c.MaxHeight)
	}
	return pass("up to %d × %d", c.MaxWidth, c.MaxHeight)
}

func (g *guard) parameters() verdict {
	c := g.Config.Generation
	if c.MaxSteps <= 0 || c.MaxCFG <= 0 || c.MaxBatch <= 0 || c.MaxPromptChars <= 0 || c.MaxNegativeChars <= 0 {
		return failed("give each COMFYGATE_GENERATION__MAX_ setting a bound", "a parameter is without a bound")
	}
	return pass("steps %d, cfg %g, pictures %d, prompt %d and negative prompt %d characters", c.MaxSteps, c.MaxCFG, c.MaxBatch, c.MaxPromptChars, c.MaxNegativeChars)
}

func (g *guard) secretSources() verdict {
	n := 0
	for _, l := range config.Show(g.Config) {
		if l.Value != config.Mask {
			continue
		}
		n++
		if l.Source == config.SourceFlag || l.Source == config.SourceDefault {
			return failed("give it in the environment, or in a file named by its _FILE variable", "%s comes from the %s", l.Variable, l.Source)
		}
	}
	return pass("%d credentials are set, each by the environment or by a file that it names", n)
}

// reportIt is the fix where it is ours to mend, unless the credential is no secret.
const reportIt = "report it; or, if the credential is a word that stands in settings anyway, take a longer one"

// masked prints the whole configuration in each way there is, and looks for a secret with the log's own mask.
func (g *guard) masked() verdict {
	raw, err := json.Marshal(g.Config)
	if err != nil {
		return failed("report it", "the configuration cannot be encoded")
	}
	printed := []string{fmt.Sprint(g.Config), fmt.Sprintf("%+v", g.Config), fmt.Sprintf("%#v", g.Config), string(raw)}
	if slices.ContainsFunc(printed, g.clean.Holds) {
		return failed(reportIt, "a printed configuration holds a credential")
	}
	return pass("the configuration in force was printed in 4 ways and searched")
}

func (g *guard) shown() verdict {
	var b strings.Builder
	if err := config.WriteShow(&b, g.Config); err != nil || g.clean.Holds(b.String()) {
		return failed(reportIt, "config show prints a credential")
	}
	return pass("what config show prints was searched")
}

func (g *guard) folders() verdict {
	for _, id := range []string{"storage_folder", "storage_modes"} {
		if f, looked := g.findings[id]; looked && f.Severity == Fail {
			return failed(f.Fix, "%s", f.Text)
		}
	}
	return pass("%s", g.findings["storage_folder"].Text)
}

func (g *guard) cleaning() verdict {
	s := g.Config.Storage
	if s.CleanupInterval <= 0 || s.MaxAge <= 0 || s.MaxBytes <= 0 {
		return failed("set COMFYGATE_STORAGE__CLEANUP_INTERVAL, MAX_AGE and MAX_BYTES", "nothing is cleaned")
	}
	return pass("every %s, what is older than %s or beyond %d MiB", s.CleanupInterval, s.MaxAge, s.MaxBytes>>20)
}

func (g *guard) level() verdict {
	if l := g.Config.Logging.Level; l < zapcore.InfoLevel {
		return failed("set COMFYGATE_LOGGING__LEVEL to INFO", "the level is %s", l)
	}
	return pass("the level is %s", g.Config.Logging.Level)
}

func (g *guard) userData() verdict {
	const prompts = "prompts"
	full := g.Config.Audit.LogPrompts
	for _, p := range g.Config.Audit.Privacy {
		if class, mode, _ := strings.Cut(p, "="); strings.TrimSpace(mode) == "full" && strings.Contains(class, strings.TrimSuffix(prompts, "s")) {
			full = true
		}
	}
	if full {
		return failed("take COMFYGATE_AUDIT__LOG_PROMPTS and the mode full of COMFYGATE_AUDIT__PRIVACY away", "prompts are kept in the record as they are")
	}
	return pass("prompts are kept as keyed digests only")
}

func (g *guard) rates() verdict {
	r := g.Config.RateLimit
	if r.GeneratePerMinute == 0 && r.GlobalPerMinute == 0 {
		return failed("set COMFYGATE_RATELIMIT__GENERATE_PER_MINUTE", "pictures are not limited, neither for each nor for all")
	}
	return pass("pictures a minute: %s for each, %s for all; deploy/comfygate-nginx.conf limits connections besides", rate(r.GeneratePerMinute), rate(r.GlobalPerMinute))
}

func rate(n int) string {
	if n == 0 {
		return "any number"
	}
	return fmt.Sprint(n)
}

func (g *guard) callRates() verdict {
	r := g.Config.RateLimit
	if r.GeneratePerMinute == 0 || r.StatusPerMinute == 0 {
		return failed("give COMFYGATE_RATELIMIT__GENERATE_PER_MINUTE and STATUS_PER_MINUTE numbers", "calls of one principal are not limited")
	}
	return pass("each principal: %d pictures and %d other calls a minute, %d at once; all: %s pictures", r.GeneratePerMinute, r.StatusPerMinute, r.Burst, rate(r.GlobalPerMinute))
}

func (g *guard) breaker() verdict {
	r := g.Config.Retry
	if r.CircuitBreakerThreshold <= 0 || r.CircuitBreakerReset <= 0 {
		return failed("set COMFYGATE_RETRY__CIRCUIT_BREAKER_THRESHOLD and _RESET", "there is no circuit breaker")
	}
	return pass("open after %d failures, for %s at most", r.CircuitBreakerThreshold, r.CircuitBreakerReset)
}

func (g *guard) anomalies() verdict {
	a := g.Config.Anomaly
	if a.Denials <= 0 || a.Failures <= 0 || a.Window <= 0 {
		return failed("set COMFYGATE_ANOMALY__DENIALS, FAILURES and WINDOW", "nothing out of the ordinary is told")
	}
	return pass("%d denials or %d failures in %s are told; %d tools and %d principals are shut out now", a.Denials, a.Failures, a.Window,
		len(g.Config.Policy.DisabledTools), len(g.Config.Policy.DeniedPrincipals))
}

func (g *guard) answers() verdict {
	if g.embedded() {
		return none(noUpstream)
	}
	c := g.Config.ComfyUI
	return pass("JSON %d MiB, pictures %d MiB, events %d KiB, %d connections", c.MaxJSONBytes>>20, c.MaxViewBytes>>20, g.Config.WebSocket.MaxTextBytes>>10, c.MaxConnections)
}

func (g *guard) uploads() verdict {
	u := g.Config.Upload
	if g.http() && u.InputRoot != "" {
		return pass("%d MiB, %d pixels; COMFYGATE_UPLOAD__INPUT_ROOT is not used over HTTP", u.MaxBytes>>20, u.MaxPixels)
	}
	files := "no file of this machine"
	if u.InputRoot != "" {
		files = "files below the input folder"
	}
	return pass("%d MiB, %d pixels, %s", u.MaxBytes>>20, u.MaxPixels, files)
}

func (g *guard) jobs() verdict {
	l := g.Config.Limits
	if l.Pending <= 0 || l.JobsInFlight <= 0 || l.JobsPerPrincipal <= 0 || l.JobPixels <= 0 || l.WorkUnits <= 0 {
		return failed("give the COMFYGATE_LIMITS__ settings of jobs numbers", "jobs are not bounded")
	}
	return pass("%d run for one and %d for all, %d wait; %d megapixels and %d megapixel-steps of one", l.JobsPerPrincipal, l.JobsInFlight, l.Pending, l.JobPixels/1e6, l.WorkUnits/1e6)
}

func (g *guard) history() verdict {
	if g.embedded() {
		return none(noUpstream)
	}
	if !g.Config.Retention.PurgeHistory {
		return none("COMFYGATE_RETENTION__PURGE_HISTORY is off: ComfyUI keeps prompts in its history until it ends")
	}
	return pass("our jobs leave ComfyUI's history once their pictures are fetched")
}

// pickles are file types whose loading can run code.
func pickles() []string { return []string{".ckpt", ".pt", ".pth", ".bin", ".pkl", ".pickle"} }

func (g *guard) models() verdict {
	for _, ext := range g.Config.Policy.ModelExtensions {
		if slices.Contains(pickles(), strings.ToLower(ext)) {
			return failed("take it from COMFYGATE_POLICY__MODEL_EXTENSIONS", "files of type %s run code when they are loaded", ext)
		}
	}
	return pass("models: %s; upscale models, of which ComfyUI reads weights only: %s", strings.Join(g.Config.Policy.ModelExtensions, " "), strings.Join(g.Config.Policy.UpscaleExtensions, " "))
}

func (g *guard) results() verdict {
	if g.Config.Output.KeepMetadata {
		return failed("take COMFYGATE_OUTPUT__KEEP_METADATA away", "pictures keep ComfyUI's prompt and workflow")
	}
	return pass("metadata goes; upscaling makes at most %d megapixels", g.Config.Upscale.MaxOutputPixels/1e6)
}

func (g *guard) graphs() verdict {
	return pass("core nodes, at most %d; policy %s says which others", g.Config.Limits.GraphNodes, g.policyName())
}

func (g *guard) memory() verdict {
	l := g.Config.Limits
	limit := l.MemoryBytes
	if limit == 0 {
		limit = debug.SetMemoryLimit(-1) // what GOMEMLIMIT says
	}
	if limit <= 0 || limit == math.MaxInt64 || l.ImageBytes <= 0 || l.RequestBytes <= 0 || l.BodyBytes <= 0 {
		return failed("set COMFYGATE_LIMITS__MEMORY_BYTES, IMAGE_BYTES, REQUEST_BYTES and BODY_BYTES", "memory is not bounded")
	}
	return pass("process %d MiB, decoded pictures %d MiB, a request %d MiB, all requests %d MiB", limit>>20, l.ImageBytes>>20, l.RequestBytes>>20, l.BodyBytes>>20)
}

func (g *guard) times() verdict {
	c := g.Config.ComfyUI
	for _, d := range []time.Duration{c.TimeoutRead, c.TimeoutQueue, c.TimeoutImage, g.Config.Jobs.Timeout} {
		if d <= 0 {
			return failed("give each COMFYGATE_COMFYUI__TIMEOUT_ setting and COMFYGATE_JOBS__TIMEOUT a time", "something may last forever")
		}
	}
	return pass("read %s, queue %s, picture %s, job %s", c.TimeoutRead, c.TimeoutQueue, c.TimeoutImage, g.Config.Jobs.Timeout)
}

func (g *guard) record() verdict {
	a := g.Config.Audit
	f := g.findings["audit_log"]
	switch {
	case !a.FailClosed:
		return failed("take COMFYGATE_AUDIT__FAIL_CLOSED away", "calls that cannot be recorded are made all the same")
	case a.Fsync != config.FsyncEach:
		return failed("take COMFYGATE_AUDIT__FSYNC away", "a record may be on the disk only after its call was made")
	case f.Severity == Fail:
		return failed(f.Fix, "%s", f.Text)
	}
	return pass("fails closed, synced for each call; %s", f.Text)
}

func (g *guard) watch() verdict {
	m := g.Config.Monitor
	if m.Interval <= 0 {
		return failed("set COMFYGATE_MONITOR__INTERVAL", "nothing is watched")
	}
	return pass("every %s; disk %d and %d GB, memory %d and %d GB", m.Interval, m.DiskWarnGB, m.DiskCriticalGB, m.MemoryWarnGB, m.MemoryCriticalGB)
}

func (*guard) whole() verdict {
	const all = 63
	if n := len(promises()); n != all {
		return failed("report it", "%d of %d promises are looked at", n, all)
	}
	return pass("%d promises and %d boxes", all, len(boxes()))
}
