package policy

import (
	"embed"
	"slices"
	"strings"
)

//go:embed postures/*.yaml
var shipped embed.FS

// Postures returns the names of the policy files that come with the program, sorted. Each is one to begin with.
func Postures() []string {
	entries, err := shipped.ReadDir("postures")
	if err != nil {
		panic("policy: the postures are embedded: " + err.Error())
	}
	var names []string
	for _, e := range entries {
		if name, is := strings.CutSuffix(e.Name(), casesSuffix); is {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

const casesSuffix = ".cases.yaml"

// Posture returns a policy file that comes with the program, and its cases; false where there is none of this name.
func Posture(name string) (file, cases []byte, ok bool) {
	if !slices.Contains(Postures(), name) {
		return nil, nil, false
	}
	file, err1 := shipped.ReadFile("postures/" + name + ".yaml")
	cases, err2 := shipped.ReadFile("postures/" + name + casesSuffix)
	return file, cases, err1 == nil && err2 == nil
}
