//go:build race

package workflow_test

// slack is how many times as long as on a machine of its own a thing may take; the race detector adds its own.
const slack = 50
