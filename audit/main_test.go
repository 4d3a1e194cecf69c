package audit_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" { // one of the processes that crash_test.go kills
		os.Exit(child(dir))
	}
	goleak.VerifyTestMain(m)
}
