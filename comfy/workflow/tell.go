package workflow

import (
	"path"
	"strings"

	"github.com/comfygate/comfygate/policy"
)

// Recognise returns the id of the family that a file's name tells. Files that no picture can be made with from a prompt, editing
// models say, have a family too. Nothing is asked of the server.
func (c *Catalog) Recognise(kind policy.Kind, file string) (family string, ok bool) {
	if r := c.tellByName(kind, file); r != nil {
		return r.ID, true
	}
	return "", false
}

// tellByName returns the recipe that a file's name tells, its folders' names failing that; nil when neither does.
func (c *Catalog) tellByName(kind policy.Kind, file string) *recipe {
	if r := c.tell(kind, "-"+spelled(stem(baseOf(file))), nameLength); r != nil {
		return r
	}
	return c.tell(kind, "-"+spelled(path.Dir(strings.ReplaceAll(file, `\`, "/"))), nameLength)
}

// tellByMetadata returns the recipe that a file's safetensors metadata tells, or nil.
func (c *Catalog) tellByMetadata(kind policy.Kind, meta map[string]string) *recipe {
	for _, key := range []string{"modelspec.architecture", "ss_base_model_version"} {
		if r := c.tell(kind, "-"+spelled(meta[key]), metadataLength); r != nil {
			return r
		}
	}
	return nil
}

func nameLength(r *recipe, word string) int     { return longest(r.Told.Names, word) }
func metadataLength(r *recipe, word string) int { return longest(r.Told.Metadata, word) }

// tell returns the recipe of the longest pattern that word holds, the first in order where several are as long. What cannot make pictures goes
// before what can: an editing model bears the name of the model it was made of.
func (c *Catalog) tell(kind policy.Kind, word string, length func(*recipe, string) int) *recipe {
	var best *recipe
	most := 0
	for _, r := range c.recipes() { // those that cannot come last
		if !r.holds(kind) {
			continue
		}
		n := length(r, word)
		if n > 0 && best != nil && best.makes() && !r.makes() {
			most = 0
		}
		if n > most {
			best, most = r, n
		}
	}
	return best
}
