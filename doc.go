// Package comfygate holds the rules about the whole repository, as tests: arch_test.go and docs_test.go.
// The program is cmd/comfygate.
package comfygate
