package policy

import (
	"maps"
	"slices"
)

// ScopesOf returns the scopes of role, sorted; an unknown role has none. The slice is the caller's.
func ScopesOf(role Role) []Scope {
	viewer := []Scope{ImageRead, JobRead, ModelRead, WorkflowRead}
	operator := append([]Scope{ImageGenerate, ImageUpload, JobCancel, WorkflowRun, WorkflowWrite}, viewer...)
	scopes := map[Role][]Scope{
		Viewer:   viewer,
		Operator: operator,
		Admin:    append([]Scope{Operate}, operator...),
	}[role]
	slices.Sort(scopes)
	return scopes
}

// toolScopes are the tools there are, each with the scope it needs. A tool that is not here is denied.
func toolScopes() map[string]Scope {
	return map[string]Scope{
		"generate":       ImageGenerate,
		"edit":           ImageGenerate,
		"upscale":        ImageGenerate,
		"generate_video": ImageGenerate,
		"status":         JobRead,
		"cancel":         JobCancel,
		"get_image":      ImageRead,
		"upload_image":   ImageUpload,
		"list_models":    ModelRead,
		"list_workflows": WorkflowRead,
		"check_workflow": WorkflowRead,
		"describe_nodes": WorkflowRead,
		"run_workflow":   WorkflowRun,
		"save_workflow":  WorkflowWrite,
		"manage_queue":   Operate,
	}
}

// Tools returns the names of the tools that rules may allow, sorted.
func Tools() []string { return slices.Sorted(maps.Keys(toolScopes())) }
