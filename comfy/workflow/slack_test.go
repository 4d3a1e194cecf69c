//go:build !race

package workflow_test

// slack is how many times as long as on a machine of its own a thing may take.
const slack = 5
