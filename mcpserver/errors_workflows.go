package mcpserver

import (
	"fmt"
	"slices"
	"strings"

	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/comfy/workflow/library"
	"github.com/comfygate/comfygate/tools"
)

// maxNamed are the faults of a workflow, or the classes that it lacks, that one error names; check_workflow names more.
const maxNamed = 10

// storedRows are about workflows that are found by name, and about what is wrong with a whole workflow.
func storedRows() []row {
	const (
		ask   = "Ask list_workflows for those there are."
		check = "Ask check_workflow: it names every fault and what would fit."
	)
	return []row{
		{
			code: "WORKFLOW_NOT_FOUND", from: "tools.WorkflowUnknownError",
			meaning: "There is no workflow of this name, neither saved here nor shipped with this ComfyUI.",
			advice:  ask,
			match: as(func(e *tools.WorkflowUnknownError) *wording {
				w := &wording{message: fmt.Sprintf("There is no workflow %q here.", clean(e.Name, 120))}
				if len(e.Close) > 0 {
					w.suggestions = []string{"Similar names: " + clean(strings.Join(e.Close, ", "), 400) + ".", ask}
				}
				return w
			}),
		},
		{
			code: "WORKFLOW_NOT_FOUND", from: "library.ErrNotFound, comfy.ErrNoTemplate",
			meaning: "The workflow is not there any more.",
			advice:  ask,
			match:   is(library.ErrNotFound, comfy.ErrNoTemplate),
		},
		{
			code: "WORKFLOW_BROKEN", from: "library.BrokenError",
			meaning: "A saved workflow's files cannot be used. What is wrong with them is told.",
			advice:  "The operator must mend or remove the file; then it works without a restart.",
			match: as(func(e *library.BrokenError) *wording {
				return &wording{message: fmt.Sprintf("The workflow %q: %s.", clean(e.Name, 60), strings.TrimSuffix(foreign(e.Problem, 300), "."))}
			}),
		},
		{
			code: "WORKFLOW_EXISTS", from: "library.ErrExists",
			meaning: "A workflow of this name is saved already.",
			advice:  "Choose another name, or set overwrite to true if it is to be replaced.",
			match:   is(library.ErrExists),
		},
		{
			code: "WORKFLOWS_FULL", from: "library.ErrFull",
			meaning: "No more workflows can be saved.",
			advice:  "The operator must remove some from the folder COMFYGATE_WORKFLOWS__DIR.",
			match:   is(library.ErrFull),
		},
		{
			code: "WORKFLOWS_OFF", from: "tools.ErrNoLibrary",
			meaning: "Workflows cannot be saved here: no folder for them is set.",
			advice:  "The operator can set COMFYGATE_WORKFLOWS__DIR. Until then give run_workflow the graph itself.",
			match:   is(tools.ErrNoLibrary),
		},
		{
			code: "WORKFLOW_VALIDATION_ERROR", from: "tools.GraphFaultsError",
			meaning: "The workflow could not run as it is. Its faults are named, each with its node and what would fit.",
			advice:  check,
			match:   as(graphFaults),
		},
		{
			code: "MODEL_FILES_MISSING", from: "tools.ModelsMissingError",
			meaning: "The workflow needs model files that are not available here. Each is named with its folder and, where the workflow says it, its source.",
			advice:  "Put the named files into ComfyUI's models folder, or name others in inputs.",
			match:   as(modelsMissing),
		},
		{
			code: "NODES_MISSING", from: "workflow.UnknownClassError",
			meaning: "The workflow needs node classes that this ComfyUI does not have.",
			advice:  "Update ComfyUI, or use another workflow.",
			match: as(func(e *workflow.UnknownClassError) *wording {
				var names, packages []string
				for _, c := range e.Classes[:min(len(e.Classes), maxNamed)] {
					names = append(names, foreign(c.Class, 80))
					if c.Package != "" && c.Package != "comfy-core" {
						packages = append(packages, foreign(c.Package, 80))
					}
				}
				w := &wording{message: "This ComfyUI has no nodes of these classes: " + strings.Join(names, ", ") + "."}
				if packages = slices.Compact(slices.Sorted(slices.Values(packages))); len(packages) > 0 {
					w.suggestions = []string{"The workflow says that they come from: " + strings.Join(packages, ", ") + ". Custom nodes are for the operator to install and to allow."}
				}
				return w
			}),
		},
	}
}

// graphFaults words the faults of a workflow. Where one of our own rules of safety is broken, its name is told, and the code says so.
func graphFaults(e *tools.GraphFaultsError) *wording {
	w := &wording{}
	if e.Unsafe() {
		w.code = "SECURITY_ERROR"
	}
	var parts []string
	for _, f := range e.Faults[:min(len(e.Faults), maxNamed)] {
		var text string
		if f.Node != "" {
			text = fmt.Sprintf("node %s (%s)", foreign(f.Node, 30), foreign(f.Class, 60))
			if f.Input != "" {
				text += ", " + foreign(f.Input, 60)
			}
			text += ": "
		}
		text += strings.TrimSuffix(foreign(f.Problem, 160), ".")
		if f.Rule != "" {
			text += " (rule " + clean(f.Rule, 40) + ")"
		}
		if f.Fits != "" {
			text += "; use " + strings.TrimSuffix(foreign(f.Fits, 120), ".")
		}
		parts = append(parts, text)
	}
	if n := len(e.Faults) - len(parts); n > 0 {
		parts = append(parts, fmt.Sprintf("and %d more", n))
	}
	w.message = sentence(parts)
	return w
}

func modelsMissing(e *tools.ModelsMissingError) *wording {
	w := &wording{message: fmt.Sprintf("%s needs model files that are not available here.", clean(e.Workflow, 80))}
	for _, one := range e.Instead[:min(len(e.Instead), 3)] {
		w.suggestions = append(w.suggestions, "Name another in inputs: "+clean(one, 300)+".")
	}
	for _, f := range e.Files[:min(len(e.Files), 7)] {
		text := fmt.Sprintf("Put %s into models/%s", clean(f.Name, 160), clean(f.Folder, 60))
		if f.Repository != "" {
			text += "; the workflow says it is at " + clean(f.Repository, 200)
		}
		w.suggestions = append(w.suggestions, text+".")
	}
	return w
}
