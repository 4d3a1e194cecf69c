package emulator

// Fault is one way in which the emulator misbehaves, made by [ParseFault].
type Fault struct {
	name  string
	arg   string
	times int
}

// String is the fault as [ParseFault] reads it.
func (f Fault) String() string { panic("todo") }

// FaultHelp describes a fault for a --help text.
type FaultHelp struct {
	Name    string // "drop-ws"
	Arg     string // "STEP", "ROUTE", "CLASS=DURATION"; "" if it takes none
	Default string // the argument if none is given; "" if it must be given
	Help    string // one sentence
}

// FaultList names every fault, in the order of the help text.
func FaultList() []FaultHelp { panic("todo") }

// ParseFault reads "name", "name@argument" or "name@argument*times": "drop-ws@5",
// "http-500@/history", "slow-node@VAEDecode=2s", "oom@3*1". Without times the
// fault strikes as often as its occasion comes. The error names the faults there are.
func ParseFault(s string) (Fault, error) { panic("todo") }
