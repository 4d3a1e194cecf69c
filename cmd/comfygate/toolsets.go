package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/tools"
)

// offered are those of all tools whose toolset is enabled. A toolset without any is refused: who names it expects tools of it.
func offered(all []tools.Tool, enabled []string) (list []tools.Tool, err error) {
	var there []string
	for _, t := range all {
		if !slices.Contains(there, t.Toolset) {
			there = append(there, t.Toolset)
		}
		if slices.Contains(enabled, t.Toolset) {
			list = append(list, t)
		}
	}
	for _, name := range enabled {
		if !slices.Contains(there, name) {
			return nil, usageError{fmt.Errorf("COMFYGATE_TOOLSETS__ENABLED: this version has no tools in %s; use %s", name, strings.Join(there, " or "))}
		}
	}
	return list, nil
}
