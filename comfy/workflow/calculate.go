package workflow

import (
	"math"
	"strconv"
	"strings"
)

// Bounds of a formula that is calculated.
const (
	maxFormula      = 2000
	maxFormulaDepth = 50
)

// calculate works out a formula of ComfyMathExpression: numbers, names, + - * / // % ** & ~, parentheses and the common functions. It is
// false for anything else, and for a result that is no finite number.
func calculate(formula string, value func(name string) (float64, bool)) (float64, bool) {
	if len(formula) > maxFormula {
		return 0, false
	}
	c := &calculation{rest: formula, value: value}
	result := c.bits(0)
	if c.skip(); c.rest != "" || c.failed || math.IsNaN(result) || math.IsInf(result, 0) {
		return 0, false
	}
	return result, true
}

// A calculation reads a formula from left to right. Once it has failed, nothing that it returns matters.
type calculation struct {
	rest   string
	value  func(string) (float64, bool)
	failed bool
}

func (c *calculation) skip() { c.rest = strings.TrimLeft(c.rest, " \t\r\n") }

func (c *calculation) fail() float64 {
	c.failed, c.rest = true, ""
	return 0
}

// takes reads one of the operators, the longest first.
func (c *calculation) takes(operators ...string) string {
	c.skip()
	for _, op := range operators {
		if strings.HasPrefix(c.rest, op) {
			c.rest = c.rest[len(op):]
			return op
		}
	}
	return ""
}

// bits combines whole numbers bit by bit, which rounds sizes: a & -8.
func (c *calculation) bits(depth int) float64 {
	x := c.sum(depth)
	for c.takes("&") != "" {
		y := c.sum(depth)
		if math.Trunc(x) != x || math.Trunc(y) != y || math.Abs(x) > 1<<53 || math.Abs(y) > 1<<53 {
			return c.fail()
		}
		x = float64(int64(x) & int64(y))
	}
	return x
}

func (c *calculation) sum(depth int) float64 {
	if depth > maxFormulaDepth {
		return c.fail()
	}
	x := c.product(depth)
	for {
		switch c.takes("+", "-") {
		case "+":
			x += c.product(depth)
		case "-":
			x -= c.product(depth)
		default:
			return x
		}
	}
}

func (c *calculation) product(depth int) float64 {
	x := c.sign(depth)
	for {
		switch op := c.takes("//", "/", "%", "*"); op {
		case "*":
			x *= c.sign(depth)
		case "/":
			x /= c.sign(depth)
		case "//":
			x = math.Floor(x / c.sign(depth))
		case "%":
			y := c.sign(depth)
			x -= y * math.Floor(x/y) // the sign of y, as in Python
		default:
			return x
		}
	}
}

func (c *calculation) sign(depth int) float64 {
	if depth > maxFormulaDepth {
		return c.fail()
	}
	switch c.takes("-", "+", "~") {
	case "-":
		return -c.sign(depth + 1)
	case "~":
		return -c.sign(depth+1) - 1
	case "+":
		return c.sign(depth + 1)
	}
	x := c.atom(depth)
	if c.takes("**") != "" {
		return math.Pow(x, c.sign(depth+1))
	}
	return x
}

func (c *calculation) atom(depth int) float64 {
	if c.takes("(") != "" {
		x := c.bits(depth + 1)
		if c.takes(")") == "" {
			return c.fail()
		}
		return x
	}
	if digits := c.word("0123456789."); digits != "" {
		x, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			return c.fail()
		}
		return x
	}
	name := c.word("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")
	if name == "" {
		return c.fail()
	}
	if c.takes("(") != "" {
		return c.call(name, depth)
	}
	x, ok := c.value(name)
	if !ok {
		return c.fail()
	}
	return x
}

func (c *calculation) word(of string) string {
	c.skip()
	n := strings.IndexFunc(c.rest, func(r rune) bool { return !strings.ContainsRune(of, r) })
	if n < 0 {
		n = len(c.rest)
	}
	word := c.rest[:n]
	c.rest = c.rest[n:]
	return word
}

// functions are those that formulas call, of one argument.
//
//nolint:gochecknoglobals // an immutable table
var functions = map[string]func(float64) float64{
	"abs": math.Abs, "round": math.RoundToEven, "ceil": math.Ceil, "floor": math.Floor, "int": math.Trunc, "sqrt": math.Sqrt,
	"float": func(x float64) float64 { return x },
}

// folds are those of several.
//
//nolint:gochecknoglobals // an immutable table
var folds = map[string]func(x, y float64) float64{"min": math.Min, "max": math.Max, "pow": math.Pow}

func (c *calculation) call(name string, depth int) float64 {
	x := c.bits(depth + 1)
	fold, f := folds[name], functions[name]
	for c.takes(",") != "" {
		y := c.bits(depth + 1)
		if fold == nil {
			return c.fail()
		}
		x = fold(x, y)
	}
	switch {
	case c.takes(")") == "", fold == nil && f == nil:
		return c.fail()
	case f != nil:
		return f(x)
	}
	return x
}
