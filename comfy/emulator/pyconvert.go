package emulator

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// toInt is Python's int(v). The error's text is Python's own.
func toInt(v any) (*big.Int, error) {
	switch v := v.(type) {
	case *big.Int:
		return v, nil
	case bool:
		if v {
			return big.NewInt(1), nil
		}
		return big.NewInt(0), nil
	case pyFloat:
		switch f := float64(v); {
		case math.IsInf(f, 0):
			return nil, errors.New("cannot convert float infinity to integer")
		case math.IsNaN(f):
			return nil, errors.New("cannot convert float NaN to integer")
		default:
			i, _ := big.NewFloat(f).Int(nil)
			return i, nil
		}
	case string:
		digits := strings.ReplaceAll(strings.TrimSpace(v), "_", "")
		i, ok := new(big.Int).SetString(digits, 10)
		if !ok || len(digits) > maxIntDigits {
			return nil, fmt.Errorf("invalid literal for int() with base 10: %s", pyQuote(v))
		}
		return i, nil
	default:
		return nil, fmt.Errorf("int() argument must be a string, a bytes-like object or a real number, not '%s'", pyTypeName(v))
	}
}

// maxIntDigits is Python's own bound on the digits of a number in a string.
const maxIntDigits = 4300

// toFloat is Python's float(v). The error's text is Python's own.
func toFloat(v any) (pyFloat, error) {
	switch v := v.(type) {
	case pyFloat:
		return v, nil
	case bool:
		if v {
			return 1, nil
		}
		return 0, nil
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		if math.IsInf(f, 0) {
			return 0, errors.New("int too large to convert to float")
		}
		return pyFloat(f), nil
	case string:
		f, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
		if err != nil && !math.IsInf(f, 0) {
			return 0, fmt.Errorf("could not convert string to float: %s", pyQuote(v))
		}
		return pyFloat(f), nil
	default:
		return 0, fmt.Errorf("float() argument must be a string or a real number, not '%s'", pyTypeName(v))
	}
}

// less compares two numbers; false if one is none.
func less(a, b any) bool {
	x, y := toBig(a), toBig(b)
	return x != nil && y != nil && x.Cmp(y) < 0
}

func toBig(v any) *big.Float {
	switch v := v.(type) {
	case *big.Int:
		return new(big.Float).SetPrec(256).SetInt(v)
	case pyFloat:
		if math.IsNaN(float64(v)) {
			return nil
		}
		return new(big.Float).SetPrec(256).SetFloat64(float64(v))
	default:
		return nil
	}
}
