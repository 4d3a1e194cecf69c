package emulator

import (
	"maps"
	"slices"
)

// Classes names every class of nodes that the emulator has in some version.
func Classes() []string { return slices.Sorted(maps.Keys(allNodes())) }
