package tools

import "github.com/comfygate/comfygate/policy"

// All returns every tool, in the order in which clients list them, or says what env lacks.
func All(env Env) ([]Tool, error) {
	env.Settings = env.Settings.withDefaults()
	if err := env.validate(); err != nil {
		return nil, err
	}
	e := &env
	e.lists = &inventory{server: e.Server, rules: e.Rules, folders: make(map[policy.Kind]folder)}
	e.glance = &glance{}
	var err error
	if e.bounds, err = e.limits(); err != nil {
		return nil, err
	}
	e.digests = &digests{}
	e.own = make(map[string]bool)
	own, err := e.ownTools()
	if err != nil {
		return nil, err
	}
	return append([]Tool{
		generateTool(e),
		upscaleTool(e),
		statusTool(e),
		cancelTool(e),
		getImageTool(e),
		uploadImageTool(e),
		listModelsTool(e),
		listWorkflowsTool(e),
		checkWorkflowTool(e),
		runWorkflowTool(e),
		saveWorkflowTool(e),
		describeNodesTool(e),
		manageQueueTool(e),
	}, own...), nil
}
