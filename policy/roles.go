package policy

import (
	"maps"
	"slices"
	"strings"
)

// ScopesOf returns the scopes of role, sorted; an unknown role has none. The slice is the caller's.
func ScopesOf(role Role) []Scope { return slices.Clone(roleScopes[role]) }

// roleScopes are the built-in roles: each holds what the one before it holds.
var roleScopes = func() map[Role][]Scope {
	viewer := []Scope{ImageRead, JobRead, ModelRead, WorkflowRead}
	operator := slices.Concat(viewer, []Scope{ImageGenerate, ImageUpload, JobCancel, WorkflowRun, WorkflowWrite})
	admin := slices.Concat(operator, []Scope{Operate})
	for _, scopes := range [][]Scope{viewer, operator, admin} {
		slices.Sort(scopes)
	}
	return map[Role][]Scope{Viewer: viewer, Operator: operator, Admin: admin}
}()

// ScopesOf returns the scopes of a role, of the policy file's roles too, sorted; an unknown role has none. The slice is the caller's.
func (r *Rules) ScopesOf(role Role) []Scope {
	if r == nil || r.file == nil {
		return ScopesOf(role)
	}
	return r.file.file.scopesOf(role)
}

// RoleOf returns the role that the policy file gives a principal. False: it says nothing of principals, and what authentication told holds.
// A file that names principals gives the role of "*", or none, to those it does not name.
func (r *Rules) RoleOf(principal string) (Role, bool) {
	if r == nil || r.file == nil || len(r.file.file.Principals) == 0 {
		return "", false
	}
	role, named := r.file.file.Principals[principal]
	if !named {
		role = r.file.file.Principals["*"]
	}
	return role, true
}

// Limits returns what the policy file says of a principal's limits: its own before its role's, field by field.
func (r *Rules) Limits(principal string, role Role) Limits {
	if r == nil || r.file == nil {
		return Limits{}
	}
	l, of := r.file.file.Limits.Principals[principal], r.file.file.Limits.Roles[role]
	return Limits{
		GeneratePerMinute: firstOf(l.GeneratePerMinute, of.GeneratePerMinute),
		StatusPerMinute:   firstOf(l.StatusPerMinute, of.StatusPerMinute),
		JobsAtOnce:        firstOf(l.JobsAtOnce, of.JobsAtOnce),
		Pending:           firstOf(l.Pending, of.Pending),
		WorkPerHour:       firstOf(l.WorkPerHour, of.WorkPerHour),
		WorkPerDay:        firstOf(l.WorkPerDay, of.WorkPerDay),
	}
}

func firstOf[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

// toolScopes are the tools there are, each with the scope it needs. A tool that is not here is denied.
var toolScopes = map[string]Scope{
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

// SavedTool begins the name of a tool that a saved workflow makes; running it needs [WorkflowRun].
const SavedTool = "workflow_"

// ScopeOf returns the scope that a tool needs; "" for one that there is not.
func ScopeOf(tool string) Scope {
	if scope, known := toolScopes[tool]; known {
		return scope
	}
	if name, saved := strings.CutPrefix(tool, SavedTool); saved && name != "" {
		return WorkflowRun
	}
	return ""
}

// Tools returns the names of the tools that rules may allow, sorted.
func Tools() []string { return slices.Sorted(maps.Keys(toolScopes)) }
