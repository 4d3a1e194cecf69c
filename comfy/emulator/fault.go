package emulator

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Fault is one way in which the emulator misbehaves, made by [ParseFault].
type Fault struct {
	kind  *faultKind
	arg   string
	times int // how often it strikes, 0 for always

	step  int           // of argStep
	delay time.Duration // of argClassDelay, argRouteDelay, argDelay
	bytes int           // of argBytes
	name  string        // the class or route of the argument
}

// String is the fault as [ParseFault] reads it.
func (f Fault) String() string {
	if f.kind == nil {
		return ""
	}
	s := f.kind.name
	if f.arg != "" {
		s += "@" + f.arg
	}
	if f.times > 0 {
		s += "*" + strconv.Itoa(f.times)
	}
	return s
}

// FaultHelp describes a fault for a --help text.
type FaultHelp struct {
	Name    string // "drop-ws"
	Arg     string // "STEP", "ROUTE", "CLASS=DURATION"; "" if it takes none
	Default string // the argument if none is given; "" if it must be given
	Help    string // one sentence
}

// argKind is what the argument of a fault is.
type argKind string

const (
	argNone       argKind = ""
	argStep       argKind = "STEP" // 0 is the start of a job, n its n-th report of progress
	argRoute      argKind = "ROUTE"
	argRouteDelay argKind = "ROUTE=DURATION"
	argClassDelay argKind = "CLASS=DURATION"
	argClass      argKind = "CLASS"
	argDelay      argKind = "DURATION"
	argBytes      argKind = "BYTES"
)

// faultKind is one row of the table of faults.
type faultKind struct {
	name string
	arg  argKind
	def  string
	help string
}

// The names by which the emulator asks for its faults.
const (
	faultDropWS       = "drop-ws"
	faultStallWS      = "stall-ws"
	faultBigFrame     = "big-frame"
	faultDeaf         = "deaf-reconnect"
	faultMended       = "mended-reconnect"
	faultOOM          = "oom"
	faultError        = "error"
	faultEvilError    = "evil-error"
	faultBlocked      = "blocked"
	faultInterrupt    = "interrupt"
	faultRestart      = "restart"
	faultDie          = "die"
	faultSlowNode     = "slow-node"
	faultSlowStart    = "slow-start"
	faultLate         = "late-interrupt"
	faultZombie       = "zombie"
	faultForget       = "forget"
	faultNoJobs       = "no-jobs-api"
	faultHTTP         = "http-" // and the status
	faultSlowHTTP     = "slow-http"
	faultSlowAnswer   = "slow-answer"
	faultHangHTTP     = "hang-http"
	faultCutHTTP      = "cut-http"
	faultRefuseHTTP   = "refuse-http"
	faultEndlessHTTP  = "endless-http"
	faultEvilName     = "evil-name"
	faultBrokenView   = "broken-view"
	faultTruncateView = "truncated-view"
)

// faultKinds is the table of faults, in the order of the help text.
func faultKinds() []faultKind {
	kinds := []faultKind{
		{faultDropWS, argStep, "3", "every WebSocket is cut without a close frame"},
		{faultStallWS, argStep, "3", "nothing more is ever sent to any WebSocket; they stay open and answer pings"},
		{faultBigFrame, argBytes, "67108865", "before the first progress of a job a preview frame of that size is sent"},
		{faultDeaf, argNone, "", "a WebSocket under a clientId that was connected before gets nothing but its first status"},
		{faultMended, argNone, "", "takes away the real servers' bug that makes such a WebSocket deaf while the old one lingers"},
		{faultOOM, argStep, "3", "the running node runs out of memory"},
		{faultError, argClass, "KSampler", "nodes of that class raise an error"},
		{faultEvilError, argClass, "KSampler", "as error, and its text holds terminal escapes, paths and a very long line"},
		{faultBlocked, argStep, "3", "an execution_error of type ExecutionBlocked is sent, which ends nothing"},
		{faultInterrupt, argStep, "3", "somebody else interrupts whatever runs"},
		{faultRestart, argStep, "3", "the server restarts: connections are cut and refused for a while, queue and history are lost"},
		{faultDie, argStep, "3", "the server dies and stays away"},
		{faultSlowNode, argClassDelay, "VAEDecode=5s", "nodes of that class take so much longer, and 0.3.64 heeds no interrupt meanwhile"},
		{faultSlowStart, argDelay, "500ms", "a job that runs already still loses an interrupt that comes within this time"},
		{faultLate, argDelay, "1s", "an interrupt takes effect so much later, as it does in the middle of a long step"},
		{faultZombie, argNone, "", "jobs are accepted and never run"},
		{faultForget, argNone, "", "jobs that end are not in the history"},
		{faultNoJobs, argNone, "", "the jobs API is not there, as on servers before v0.6.0"},
	}
	for _, status := range []string{"401", "403", "404", "429", "500", "502", "503"} {
		kinds = append(kinds, faultKind{faultHTTP + status, argRoute, "", "the route answers " + status + " and does nothing"})
	}
	return append(kinds,
		faultKind{faultSlowHTTP, argRouteDelay, "POST /prompt=5s", "the route waits before it does anything"},
		faultKind{faultSlowAnswer, argRouteDelay, "POST /prompt=5s", "the route does its work and then waits before it answers"},
		faultKind{faultHangHTTP, argRoute, "POST /prompt", "the route does its work and never answers"},
		faultKind{faultCutHTTP, argRoute, "POST /prompt", "the route does its work and cuts the connection instead of answering"},
		faultKind{faultRefuseHTTP, argRoute, "POST /prompt", "the route cuts the connection and does nothing"},
		faultKind{faultEndlessHTTP, argRoute, "/object_info", "the route answers 200 with a JSON body that has no end"},
		faultKind{faultEvilName, argNone, "", "pictures are reported under names that climb out of their folder"},
		faultKind{faultBrokenView, argNone, "", "/view answers with bytes that are no picture, and says image/png"},
		faultKind{faultTruncateView, argNone, "", "/view cuts the connection in the middle of the picture"},
	)
}

// FaultList names every fault, in the order of the help text.
func FaultList() []FaultHelp {
	kinds := faultKinds()
	list := make([]FaultHelp, len(kinds))
	for i, k := range kinds {
		list[i] = FaultHelp{Name: k.name, Arg: string(k.arg), Default: k.def, Help: k.help}
	}
	return list
}

// ParseFault reads "name", "name@argument" or "name@argument*times": "drop-ws@5",
// "http-500@/history", "slow-node@VAEDecode=2s", "oom@3*1". A route is a path
// without /api, all below it included, or a method and a path, "POST /prompt".
// Without times the fault strikes whenever its occasion comes. The error says
// what would fit.
func ParseFault(s string) (Fault, error) {
	rest, times, err := cutTimes(s)
	if err != nil {
		return Fault{}, err
	}
	name, arg, given := strings.Cut(rest, "@")
	for _, k := range faultKinds() {
		if k.name != name {
			continue
		}
		f := Fault{kind: &k, arg: arg, times: times}
		if !given {
			f.arg = k.def
		}
		return f.parseArg()
	}
	var names []string
	for _, k := range faultKinds() {
		names = append(names, k.name)
	}
	return Fault{}, fmt.Errorf("no fault %q; there are %s", name, strings.Join(names, ", "))
}

func cutTimes(s string) (string, int, error) {
	i := strings.LastIndexByte(s, '*')
	if i < 0 {
		return s, 0, nil
	}
	n, err := strconv.Atoi(s[i+1:])
	if err != nil || n < 1 {
		return "", 0, fmt.Errorf("fault %q: %q after * is no number of times from 1 on", s, s[i+1:])
	}
	return s[:i], n, nil
}

// parseArg fills the fields that the argument stands for.
func (f Fault) parseArg() (Fault, error) {
	want := f.readArg()
	if want == "" {
		return f, nil
	}
	return Fault{}, fmt.Errorf("fault %s: %q is not %s", f.kind.name, f.arg, want)
}

// readArg returns what would have fitted, or "" if the argument does.
func (f *Fault) readArg() string {
	var err error
	switch f.kind.arg {
	case argNone:
		return unless(f.arg == "", "wanted: it takes no argument")
	case argStep:
		f.step, err = strconv.Atoi(f.arg)
		return unless(err == nil && f.step >= 0, "a step from 0 on, such as 5")
	case argBytes:
		f.bytes, err = strconv.Atoi(f.arg)
		return unless(err == nil && f.bytes >= 1 && f.bytes <= 1<<30, "a number of bytes from 1 to 1073741824")
	case argDelay:
		f.delay, err = time.ParseDuration(f.arg)
		return unless(err == nil && f.delay >= 0, "a duration, such as 500ms")
	case argRoute:
		f.name = f.arg
		return unless(validRoute(f.name), "a route, such as /history or POST /prompt")
	case argClass:
		f.name = f.arg
		return unless(f.name != "", "a class of nodes, such as KSampler")
	case argRouteDelay, argClassDelay:
		left, right, split := strings.Cut(f.arg, "=")
		f.name = left
		f.delay, err = time.ParseDuration(right)
		fits := split && err == nil && f.delay >= 0 && left != "" && (f.kind.arg == argClassDelay || validRoute(left))
		return unless(fits, string(f.kind.arg)+", such as "+f.kind.def)
	}
	return ""
}

func unless(fits bool, want string) string {
	if fits {
		return ""
	}
	return want
}

func validRoute(s string) bool {
	_, path := cutMethod(s)
	return strings.HasPrefix(path, "/") && path != "/" && !strings.HasPrefix(path, "/api/")
}

// cutMethod splits "POST /prompt"; without a method the first is "".
func cutMethod(s string) (method, path string) {
	if m, p, ok := strings.Cut(s, " "); ok {
		return m, p
	}
	return "", s
}

// faultSet holds the faults in force and counts how often they struck.
type faultSet struct {
	mu     sync.Mutex
	faults []Fault
	struck []int
}

func (s *faultSet) set(faults []Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults, s.struck = append([]Fault(nil), faults...), make([]int, len(faults))
}

// strike returns the first fault of that name that fits and has not struck its
// number of times, and counts it.
func (s *faultSet) strike(name string, fits func(Fault) bool) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if f.kind == nil || f.kind.name != name || (f.times > 0 && s.struck[i] >= f.times) {
			continue
		}
		if fits == nil || fits(f) {
			s.struck[i]++
			return f, true
		}
	}
	return Fault{}, false
}

func (s *faultSet) on(name string) bool {
	_, ok := s.strike(name, nil)
	return ok
}

func (s *faultSet) atStep(name string, step int) bool {
	_, ok := s.strike(name, func(f Fault) bool { return f.step == step })
	return ok
}

func (s *faultSet) forClass(name, class string) (Fault, bool) {
	return s.strike(name, func(f Fault) bool { return f.name == class })
}

func (s *faultSet) forRoute(name, method, path string) (Fault, bool) {
	return s.strike(name, func(f Fault) bool {
		m, p := cutMethod(f.name)
		return (m == "" || m == method) && (path == p || strings.HasPrefix(path, p+"/"))
	})
}
