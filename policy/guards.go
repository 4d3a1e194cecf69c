package policy

// A Guard is a judgement that is built in: it stands before the rules of a policy file, and no rule can allow what it denies.
type Guard struct {
	ID     string // as decisions and records name it
	Denies string // for people
}

// Guards returns the ids of all decisions that no rule of a file makes, in the order in which they are judged. A file's rules may not
// take them.
func Guards() []Guard {
	return []Guard{
		{RuleNone, "everything, where no policy is loaded"},
		{RulePrincipal, "callers who are not known, and those under `disabled.principals` or `COMFYGATE_POLICY__DENIED_PRINCIPALS`"},
		{RuleTool, "a tool that there is not"},
		{RuleDisabled, "tools under `disabled.tools` or `COMFYGATE_POLICY__DISABLED_TOOLS`"},
		{RuleRole, "a tool whose scope the caller's role does not hold"},
		{RuleScope, "a tool whose scope the caller's token does not hold: it narrows the role"},
		{RuleModels, "a model of a type that can run code, with a name that leads outside, or that lists of models do not let pass"},
		{RuleNodeCount, "a graph of more nodes than `COMFYGATE_LIMITS__GRAPH_NODES` or `bounds.nodes`"},
		{RuleModules, "a node that is not ComfyUI's own: of custom nodes, or of a class that the server does not know"},
		{RuleClasses, "a node of a paid service, one that writes weights, reads folders, addresses or cameras, or one under `nodes.deny`"},
		{RuleConstraint, "a value of a node's input that `nodes.inputs` does not let pass"},
		{RuleSize, "sizes, counts or steps below zero"},
		{RulePixels, "more pixels than `COMFYGATE_LIMITS__JOB_PIXELS` or `bounds.pixels`; of a video `COMFYGATE_LIMITS__VIDEO_PIXELS` or `bounds.video_pixels`, all frames together"},
		{RuleWork, "more pixels times steps than `COMFYGATE_LIMITS__WORK_UNITS` or `bounds.work`; of a video `COMFYGATE_LIMITS__VIDEO_WORK_UNITS` or `bounds.video_work`"},
		{RuleNoMatch, "what no rule of the policy file allows"},
		{RuleAllow, "nothing: it allows what the guards let pass, where there is no policy file"},
	}
}
