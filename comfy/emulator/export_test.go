package emulator

import (
	"image"
	"maps"
	"net"
	"slices"
	"strconv"
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

// Sketchy makes an emulator draw next to nothing.
func Sketchy(o Options) Options {
	o.sketch = true
	return o
}

// Draw paints a prompt without a server, for people who look at the pictures.
func Draw(prompt, negative string, seed uint64, w, h int) (*image.NRGBA, error) {
	a := &artwork{positive: prompt, negative: negative, seed: hash64(strconv.FormatUint(seed, 10)), grain: 0.02, contrast: 1}
	return a.paint(w, h, func() error { return nil })
}

// Mark writes the mark on a picture.
func Mark(m *image.NRGBA) { mark(m) }

// Pipe makes the two ends of an in-memory connection.
func Pipe() (a, b net.Conn) { return newPipe() }

// CRC16 is the checksum of a FLAC frame.
func CRC16(data []byte) uint16 { return crc16(data) }
