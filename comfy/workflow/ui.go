package workflow

// A UI is a workflow in the format of ComfyUI's editor.
type UI struct{}
