package emulator

import (
	"maps"
	"slices"
)

// Classes names every class of nodes that the emulator has in some version.
func Classes() []string { return slices.Sorted(maps.Keys(allNodes())) }

// Connected says whether a WebSocket stands under a clientId.
func (s *Server) Connected(clientID string) bool {
	l := s.current()
	if l == nil {
		return false
	}
	l.hub.mu.Lock()
	defer l.hub.mu.Unlock()
	_, ok := l.hub.sockets[clientID]
	return ok
}
