// Package condition is the language in which policy files say when a rule applies: CEL expressions over the facts of one
// request. They always end, they have no side effects, and their types are checked before any of them is asked.
// It is pure: no clock, file or network. All its types are safe for concurrent use.
package condition

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
)

// Bounds of a condition.
const (
	// MaxText is the most characters of one condition.
	MaxText = 2000
	// MaxCost bounds one evaluation, in CEL's units: about one for each operation and for every ten characters that are compared (POL-05).
	MaxCost = 20_000
	// interruptEvery is after how many elements of a list the context is asked.
	interruptEvery = 64
)

// A Language compiles conditions.
type Language struct{ env *cel.Env }

// NewLanguage returns the language of [Facts].
func NewLanguage() (*Language, error) {
	options := []cel.EnvOption{cel.HomogeneousAggregateLiterals(), cel.CrossTypeNumericComparisons(true), cel.DefaultUTCTimeZone(true)}
	for _, f := range Facts() {
		options = append(options, cel.Variable(f.Name, f.Type.cel()))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("condition: %w", err)
	}
	return &Language{env}, nil
}

// A Condition is a compiled expression.
type Condition struct {
	text    string
	program cel.Program
}

// Compile checks text and makes a condition of it. Its error says where and why text is none: it is to be shown to the
// operator who wrote it.
func (l *Language) Compile(text string) (*Condition, error) {
	if len(text) > MaxText {
		return nil, fmt.Errorf("the condition has %d characters, more than %d", len(text), MaxText)
	}
	ast, issues := l.env.Compile(text)
	if err := issues.Err(); err != nil {
		return nil, errors.New(strings.TrimSpace(err.Error()))
	}
	if ast.OutputType() != cel.BoolType {
		return nil, fmt.Errorf("the condition is of type %s; it has to be true or false, such as width > 1024", ast.OutputType())
	}
	program, err := l.env.Program(ast,
		cel.EvalOptions(cel.OptOptimize),
		cel.CostLimit(MaxCost),
		cel.InterruptCheckFrequency(interruptEvery),
	)
	if err != nil {
		return nil, fmt.Errorf("the condition cannot be run: %w", err)
	}
	return &Condition{text, program}, nil
}

// String returns the condition as it was written.
func (c *Condition) String() string { return c.text }

// Holds evaluates c. Lookup gives the value of a fact by its name, of the Go type that its [Type] tells; it is asked only for
// what c names. An error means that nothing is known: a fact that is absent, a division by zero, an overflow, more than [MaxCost], or the end of ctx.
func (c *Condition) Holds(ctx context.Context, lookup func(name string) (any, bool)) (bool, error) {
	out, _, err := c.program.ContextEval(ctx, activation(lookup))
	if err != nil {
		return false, fmt.Errorf("condition: %w", err)
	}
	holds, ok := out.(types.Bool)
	if !ok {
		return false, errors.New("condition: it is neither true nor false")
	}
	return bool(holds), nil
}

// activation hands facts to CEL.
type activation func(name string) (any, bool)

// ResolveName implements [interpreter.Activation].
func (a activation) ResolveName(name string) (any, bool) { return a(name) }

// Parent implements [interpreter.Activation].
func (activation) Parent() interpreter.Activation { return nil }

// Timestamp makes a fact of type Time of Unix seconds.
func Timestamp(unix int64) any { return types.Timestamp{Time: time.Unix(unix, 0).UTC()} }

// ParseTime reads a time as RFC 3339 writes it and returns its Unix seconds.
func ParseTime(text string) (unix int64, err error) {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, fmt.Errorf("%q is no time such as 2026-07-01T12:00:00Z", text)
	}
	return t.Unix(), nil
}
