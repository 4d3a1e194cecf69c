package tools

// All returns every tool, in the order in which clients list them, or says what env lacks.
func All(env Env) ([]Tool, error) {
	env.Settings = env.Settings.withDefaults()
	if err := env.validate(); err != nil {
		return nil, err
	}
	e := &env
	e.lists = &inventory{server: e.Server, rules: e.Rules}
	e.glance = &glance{}
	return []Tool{
		generateTool(e),
		upscaleTool(e),
		statusTool(e),
		cancelTool(e),
		getImageTool(e),
		uploadImageTool(e),
		listModelsTool(e),
	}, nil
}
