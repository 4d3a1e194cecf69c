package policy

// AllowNode reports whether the rules let nodes of a class run, whatever its inputs and whoever asks. It is the filter that lists of classes
// go through, so that a denied class is nowhere offered (SC-52); a call's nodes are judged by [Rules.Decide].
func (r *Rules) AllowNode(n Node) bool {
	return r != nil && r.hash != "" && r.class(n) == granted
}
