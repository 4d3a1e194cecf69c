//go:build !unix

package doctor

import "io/fs"

// guarded and exposed ask nothing: modes and owners are Unix's.
func guarded(fs.FileInfo) error { return nil }

func exposed(fs.FileInfo) bool { return false }
