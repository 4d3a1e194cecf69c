package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// readFile reads a file of the person's, of at most limit bytes.
func readFile(name string, limit int64) (_ []byte, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, usageError{err}
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = usageError{fmt.Errorf("%s is larger than %d bytes", name, limit)}
	}
	return data, err
}

// writeJSON prints v for programs.
func writeJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
