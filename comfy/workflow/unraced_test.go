//go:build !race

package workflow_test

// raced says that the race detector is on.
const raced = false
