package tools

import "strings"

// strays reports whether a name of a file would mean another place than a models folder to some program on its way: a parent, a root, a
// drive, an encoded one of these, ComfyUI's own annotation of a folder (SC-26). Whether an honest name is there, the lists tell.
func strays(name string) bool {
	low := strings.ToLower(name)
	for _, mark := range []string{"..", ":", "%2e", "%2f", "%5c", "%25", "[input]", "[output]", "[temp]", "\x00"} {
		if strings.Contains(low, mark) {
			return true
		}
	}
	return low != "" && strings.ContainsAny(low[:1], `/\`)
}

// straying refuses a call for such a name. It does not say what was found in it.
func straying(field string) error {
	return &Fault{
		Code: "SECURITY_ERROR", Message: field + " is not the name of a model.", Suggestions: []string{"Use a name as list_models gives it."},
	}
}
