package audit_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" { //nolint:forbidigo // this is one of the processes that crash_test.go kills
		os.Exit(child(dir, os.Stdout)) //nolint:forbidigo // as above
	}
	goleak.VerifyTestMain(m)
}
