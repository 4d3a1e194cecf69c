package comfy

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// maxDepth bounds the nesting of JSON; ComfyUI's deepest, a workflow with subgraphs inside a history entry, has about 20.
const maxDepth = 100

// decode reads JSON into v if it is not nested too deep. Python writes NaN and Infinity, which are no JSON, for instance into the
// history of a graph whose node always changes; they read as null.
func decode(data []byte, v any) error {
	depth, bare := scan(data)
	if depth > maxDepth {
		return fmt.Errorf("%w: JSON nested over %d deep", ErrProtocol, maxDepth)
	}
	if bare {
		data = withoutNaN(data)
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("%w: %w", ErrProtocol, err)
	}
	return nil
}

// scan returns how deep data nests and whether a capital letter stands outside of its strings. What is no JSON it need not
// understand.
func scan(data []byte) (deepest int, bare bool) {
	depth := 0
	for i := 0; i < len(data); i++ {
		switch b := data[i]; {
		case b == '"':
			i = stringEnd(data, i)
		case b == '{' || b == '[':
			if depth++; depth > deepest {
				deepest = depth
			}
		case b == '}' || b == ']':
			depth--
		case 'A' <= b && b <= 'Z':
			bare = true
		}
	}
	return deepest, bare
}

// stringEnd returns where the string that begins at i ends.
func stringEnd(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch data[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return len(data)
}

func withoutNaN(data []byte) []byte {
	words := [][]byte{[]byte("-Infinity"), []byte("Infinity"), []byte("NaN")}
	out := make([]byte, 0, len(data))
next:
	for i := 0; i < len(data); i++ {
		if data[i] == '"' {
			end := min(stringEnd(data, i)+1, len(data))
			out = append(out, data[i:end]...)
			i = end - 1
			continue
		}
		for _, w := range words {
			if bytes.HasPrefix(data[i:], w) {
				out = append(out, "null"...)
				i += len(w) - 1
				continue next
			}
		}
		out = append(out, data[i])
	}
	return out
}
