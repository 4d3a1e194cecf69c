package mcpserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/comfygate/comfygate/audit"
	"github.com/comfygate/comfygate/comfy"
	"github.com/comfygate/comfygate/comfy/fleet"
	"github.com/comfygate/comfygate/comfy/workflow"
	"github.com/comfygate/comfygate/images"
	"github.com/comfygate/comfygate/jobs"
	"github.com/comfygate/comfygate/limits"
	"github.com/comfygate/comfygate/policy"
	"github.com/comfygate/comfygate/tools"
)

const (
	startIt  = "Start ComfyUI, or set COMFYGATE_COMFYUI__URL to where it runs."
	tryOurs  = "To try without ComfyUI, start comfygate with --backend=embedded."
	askAdmin = "Ask the operator of this server."
)

// table is the one list from error to what the caller reads. The first row that matches wins: an error that wraps others comes first.
// It is made once, at the first error: each refusal asks it several times.
var table = sync.OnceValue(func() []row { //nolint:gochecknoglobals // an immutable table
	return slices.Concat(limitRows(), ownRows(), callRows(), upstreamRows(), workflowRows(), graphRows(), storedRows(), jobRows(), pictureRows(), toolRows())
})

func ownRows() []row {
	return []row{
		{
			code: "AUDIT_UNAVAILABLE", from: "audit.ErrUnwritable", retryable: true,
			meaning: "The audit log cannot be written, so the call was refused or its result is withheld.",
			advice:  "The operator must free disk space or mend the log; then try again.",
			match:   is(audit.ErrUnwritable),
		},
		{
			code: "INTERNAL", from: "mcpserver.PanicError",
			meaning: "Something went wrong inside comfygate. The call id leads the operator to the log.",
			advice:  "Report the call id to the operator.",
			match:   as(func(*PanicError) *wording { return &wording{} }),
		},
		{
			code: "SHUTTING_DOWN", from: "jobs.ErrClosed, comfy.ErrClosed", retryable: true,
			meaning: "The server is shutting down and takes no new calls.",
			advice:  "Try again when it is back.",
			match:   is(errClosing, jobs.ErrClosed, comfy.ErrClosed),
		},
	}
}

func callRows() []row {
	return []row{
		{
			code: "INVALID_PARAMETER", from: "mcpserver.ArgumentsError",
			meaning: "Arguments are wrong. All faults are named, each with what would fit.",
			advice:  "Correct the named arguments and call again.",
			match: as(func(e *ArgumentsError) *wording {
				return &wording{code: e.Code, message: sentence(e.Faults)}
			}),
		},
		{
			code:    "DIMENSION_ERROR",
			meaning: "Width or height is out of bounds or off the grid.",
			advice:  "Correct the named arguments and call again.",
		},
		{
			code:    "INVALID_PROMPT",
			meaning: "The prompt is empty, too long, or not text.",
			advice:  "Describe the picture in 1 to 10000 characters.",
		},
		{
			code: "POLICY_DENIED", from: "policy.DeniedError",
			meaning: "A rule forbids this call. The rule and its reason are named.",
			advice:  askAdmin,
			match: as(func(e *policy.DeniedError) *wording {
				return &wording{message: fmt.Sprintf("The rule %s forbids this: %s.", clean(e.Decision.Rule, 100), strings.TrimSuffix(clean(e.Decision.Reason, 500), "."))}
			}),
		},
		{
			code: "RATE_LIMITED", from: "limits.RateError", retryable: true,
			meaning: "Too many calls in a short time.",
			advice:  "Wait as long as retry_after_ms says, then call again.",
			match: as(func(e *limits.RateError) *wording {
				return &wording{
					message: fmt.Sprintf("The limit %s is reached: wait %s.", clean(e.Limit, 60), rounded(e.RetryAfter)),
					after:   e.RetryAfter,
				}
			}),
		},
		{
			code: "QUEUE_FULL", from: "limits.QueueFullError", retryable: true,
			meaning: "Too many jobs are waiting already.",
			advice:  "Wait for a job to end (status tells), or cancel one; then call again.",
			match: as(func(e *limits.QueueFullError) *wording {
				return &wording{message: fmt.Sprintf("%d of %d places are taken (%s).", e.Waiting, e.Max, clean(e.Limit, 60)), after: 5 * time.Second}
			}),
		},
		{
			code: "TIMEOUT", from: "context.DeadlineExceeded", retryable: true,
			meaning: "The call took longer than it may. Nothing is known to be wrong with its arguments.",
			advice:  "Ask status whether a job was made, then try again.",
			match: func(err error) *wording {
				if errors.Is(err, errTimeout) || errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, comfy.ErrUnreachable) {
					return &wording{}
				}
				return nil
			},
		},
		{
			code: "CANCELLED", from: "tools.ErrCancelRequested, tools.ErrCallerGone, context.Canceled",
			meaning: "The caller cancelled the call or went away.",
			advice:  "Call again if it is still wanted.",
			match:   is(tools.ErrCancelRequested, tools.ErrCallerGone, context.Canceled),
		},
	}
}

func upstreamRows() []row {
	return []row{
		{
			code: "CIRCUIT_OPEN", from: "fleet.OpenError", retryable: true,
			meaning: "ComfyUI did not answer a moment ago and is left alone until it is back.",
			advice:  startIt,
			match: as(func(e *fleet.OpenError) *wording {
				return &wording{
					message:     "ComfyUI has not been answering" + whereMark + ": " + why(e.Cause) + ". It is asked again on its own.",
					suggestions: []string{startIt, tryOurs}, after: e.RetryAfter, upstream: true,
				}
			}),
		},
		{
			code: "COMFYUI_OFFLINE", from: "comfy.ErrUnreachable", retryable: true,
			meaning: "No ComfyUI answers at the configured address.",
			advice:  startIt + " " + tryOurs,
			match: func(err error) *wording {
				if !errors.Is(err, comfy.ErrUnreachable) {
					return nil
				}
				w := &wording{
					message:     "No ComfyUI answers" + whereMark + ": " + why(err) + ".",
					suggestions: []string{startIt, tryOurs}, upstream: true,
				}
				if !refused(err) {
					w.code = "COMFYUI_CONNECTION_ERROR"
					w.message = "The link to ComfyUI failed" + whereMark + ": " + why(err) + "."
					w.suggestions = []string{"Run comfygate doctor: it checks address, certificate and firewall.", tryOurs}
				}
				return w
			},
		},
		{
			code: "COMFYUI_CONNECTION_ERROR", retryable: true,
			meaning: "ComfyUI's address cannot be reached or the link broke: name, certificate, firewall, time-out.",
			advice:  "Run comfygate doctor.",
		},
		{
			code: "INSECURE_TRANSPORT", from: "comfy.ErrInsecure",
			meaning: "ComfyUI is remote and its address is not https.",
			advice:  "Set COMFYGATE_COMFYUI__URL to an https address.",
			match:   is(comfy.ErrInsecure),
		},
		{
			code: "UPSTREAM_AUTH_FAILED", from: "comfy.ErrAuth",
			meaning: "ComfyUI refused comfygate's credentials.",
			advice:  "The operator must check COMFYGATE_COMFYUI__API_KEY, or USERNAME and PASSWORD.",
			match:   is(comfy.ErrAuth),
		},
		{
			code: "UPSTREAM_REDIRECT", from: "comfy.ErrRedirect",
			meaning: "ComfyUI's address redirects to another place, which is not followed.",
			advice:  "The operator must set COMFYGATE_COMFYUI__URL to the final address.",
			match:   is(comfy.ErrRedirect),
		},
		{
			code: "UPSTREAM_RESPONSE_TOO_LARGE", from: "comfy.TooLargeError",
			meaning: "An answer of ComfyUI was larger than allowed.",
			advice:  "Ask for less: a smaller picture or fewer of them.",
			match: as(func(e *comfy.TooLargeError) *wording {
				return &wording{message: fmt.Sprintf("ComfyUI's answer (%s) passed the limit of %d bytes.", foreign(e.What, 60), e.Limit)}
			}),
		},
		{
			code: "UPSTREAM_PROTOCOL_ERROR", from: "comfy.ErrProtocol", retryable: true,
			meaning: "ComfyUI's answer was not understood.",
			advice:  "Check with comfygate doctor that the address is ComfyUI's and its version is supported.",
			match:   is(comfy.ErrProtocol),
		},
		{
			code: "UPSTREAM_ERROR", from: "comfy.StatusError", retryable: true,
			meaning: "ComfyUI answered that it could not do what was asked.",
			advice:  "Try again; if it stays so, the operator finds details in ComfyUI's log.",
			match: as(func(e *comfy.StatusError) *wording {
				return &wording{message: fmt.Sprintf("ComfyUI answered with status %d.", e.Status)}
			}),
		},
		{
			code: "RESOURCE_EXHAUSTED", from: "comfy.ErrTooMany", retryable: true,
			meaning: "Too much is going on at once.",
			advice:  "Wait until running jobs have ended, then call again.",
			match:   is(comfy.ErrTooMany),
		},
		{
			code: "NO_OUTPUT", from: "comfy.ErrNotFound",
			meaning: "ComfyUI does not have the picture any more.",
			advice:  "Make it again.",
			match:   is(comfy.ErrNotFound),
		},
		{
			code: "UPSTREAM_REJECTED", from: "comfy.RejectedError",
			meaning: "ComfyUI rejects the graph. What it says of each node is quoted.",
			advice:  "Correct what is named, or choose another model.",
			match:   as(rejected),
		},
		{
			code: "INSUFFICIENT_VRAM", from: "comfy.ErrOutOfMemory", retryable: true,
			meaning: "ComfyUI ran out of memory.",
			advice:  "Ask for a smaller size, fewer pictures, or a lighter model.",
			match:   is(comfy.ErrOutOfMemory),
		},
		{
			code: "GENERATION_FAILED", from: "comfy.ExecutionError",
			meaning: "A node failed while the job ran.",
			advice:  "Try another model or other settings; the operator finds details in ComfyUI's log.",
			match: as(func(e *comfy.ExecutionError) *wording {
				return &wording{message: fmt.Sprintf("The node %s failed: %s: %s.", foreign(e.Class, 80), foreign(e.Exception, 80),
					strings.TrimSuffix(foreign(e.Message, 300), "."))}
			}),
		},
	}
}

// rejected quotes ComfyUI's node errors: callers need them. The lists of valid values are cut off, because they name models
// that policy may hide (SC-52).
func rejected(e *comfy.RejectedError) *wording {
	parts := []string{}
	for _, n := range e.Nodes {
		details, _, _ := strings.Cut(n.Details, " not in ")
		part := fmt.Sprintf("node %s (%s)", foreign(n.Node, 20), foreign(n.Class, 60))
		if n.Input != "" {
			part += ", " + foreign(n.Input, 60)
		}
		part += ": " + foreign(n.Message, 120)
		if details != "" {
			part += " (" + foreign(details, 120) + ")"
		}
		if parts = append(parts, part); len(parts) == 5 {
			break
		}
	}
	if len(parts) == 0 {
		parts = append(parts, foreign(e.Message, 200))
	}
	return &wording{message: "ComfyUI rejects the graph: " + strings.Join(parts, "; ") + "."}
}

func workflowRows() []row {
	return []row{
		{
			code: "INVALID_PARAMETER", from: "workflow.FieldErrors",
			meaning: "Arguments cannot be honoured by this model family.",
			advice:  "Correct the named arguments and call again.",
			match:   as(fieldErrors),
		},
		{
			code: "INVALID_PARAMETER", from: "workflow.FieldError",
			meaning: "An argument cannot be honoured by this model family.",
			advice:  "Correct the named argument and call again.",
			match:   as(func(e *workflow.FieldError) *wording { return fieldErrors(workflow.FieldErrors{e}) }),
		},
		{
			code: "MODEL_NOT_ALLOWED", from: "workflow.ModelError",
			meaning: "The model is not installed or not allowed.",
			advice:  "Ask list_models for those there are.",
			match: as(func(e *workflow.ModelError) *wording {
				w := &wording{message: fmt.Sprintf("The model %q (%s) is not available here.", clean(e.Name, 120), clean(string(e.Kind), 40))}
				if len(e.Close) > 0 {
					w.suggestions = []string{"Similar names: " + clean(strings.Join(e.Close, ", "), 400) + "."}
				}
				return w
			}),
		},
		{
			code: "MODEL_FILES_MISSING", from: "workflow.MissingError",
			meaning: "The model family needs files that are not installed. Each is named with folder and source.",
			advice:  "Put the named files into ComfyUI's models folder.",
			match: as(func(e *workflow.MissingError) *wording {
				return &wording{message: fmt.Sprintf("%s needs files that are not installed.", clean(e.Title, 80)), suggestions: missing(e.Files)}
			}),
		},
		{
			code: "NO_MODEL", from: "workflow.NoModelError",
			meaning: "No usable model is installed.",
			advice:  "Install a model; some are suggested.",
			match: as(func(e *workflow.NoModelError) *wording {
				return &wording{suggestions: missing(e.Suggestions)}
			}),
		},
	}
}

// graphRows are about workflows that callers bring.
func graphRows() []row {
	return []row{
		{
			code: "WORKFLOW_VALIDATION_ERROR", from: "workflow.GraphError",
			meaning: "The workflow is not a graph that can be run.",
			advice:  "Export it in ComfyUI with Workflow, Export (API).",
			match: as(func(e *workflow.GraphError) *wording {
				return &wording{message: "The workflow cannot be run: " + strings.TrimSuffix(foreign(e.Problem, 300), ".") + "."}
			}),
		},
		{
			code: "WORKFLOW_VALIDATION_ERROR", from: "workflow.ErrUIFormat",
			meaning: "The workflow is in the editor's format, which ComfyUI itself does not run.",
			advice:  "Export it in ComfyUI with Workflow, Export (API).",
			match:   is(workflow.ErrUIFormat),
		},
	}
}

func fieldErrors(list workflow.FieldErrors) *wording {
	faults := make([]string, 0, len(list))
	fields := make([]string, 0, len(list))
	for _, e := range list {
		text := clean(e.Field, 60) + ": " + strings.TrimSuffix(clean(e.Problem, 300), ".")
		if e.Fits != "" {
			text += "; use " + strings.TrimSuffix(clean(e.Fits, 300), ".")
		}
		faults, fields = append(faults, text), append(fields, e.Field)
	}
	return &wording{code: codeOf(fields), message: sentence(faults)}
}

func missing(files []workflow.MissingFile) (list []string) {
	for _, f := range files {
		list = append(list, fmt.Sprintf("Put %s into models/%s; it is in %s.", clean(f.Name, 160), clean(f.Folder, 60), clean(f.Repository, 160)))
	}
	return list
}

func jobRows() []row {
	return []row{
		{
			code: "JOB_NOT_FOUND", from: "jobs.ErrNotFound",
			meaning: "There is no such job of yours. Job ids end with the process that gave them.",
			advice:  "Ask status without job_id for your recent jobs; finished pictures are in ComfyUI's output folder under comfygate/.",
			match:   is(jobs.ErrNotFound),
		},
		{
			code: "GENERATION_TIMEOUT", from: "jobs.ErrTimeout", retryable: true,
			meaning: "The job ran longer than allowed and was stopped.",
			advice:  "Ask for a smaller size, fewer steps, or a lighter model.",
			match:   is(jobs.ErrTimeout),
		},
		{
			code: "QUEUE_TIMEOUT", from: "jobs.ErrQueueTimeout", retryable: true,
			meaning: "The job did not start in time and was dropped.",
			advice:  "Try again when fewer jobs are waiting.",
			match:   is(jobs.ErrQueueTimeout),
		},
		{
			code: "JOB_LOST", from: "jobs.ErrLost", retryable: true,
			meaning: "ComfyUI does not know the job any more, as after a restart.",
			advice:  "Call again.",
			match:   is(jobs.ErrLost),
		},
		{
			code: "JOB_INTERRUPTED", from: "jobs.ErrInterrupted", retryable: true,
			meaning: "Somebody stopped the job at ComfyUI itself.",
			advice:  "Call again if it is still wanted.",
			match:   is(jobs.ErrInterrupted),
		},
		{
			code: "DRAINING", from: "jobs.ErrDraining", retryable: true,
			meaning: "The operator has the server take in no new jobs at present. Those that run end, and what is there can still be read.",
			advice:  "Try again later, or ask the operator.",
			match:   drained,
		},
		{
			code: "CANCEL_UNVERIFIED", from: "jobs.ErrUnverified",
			meaning: "ComfyUI did not confirm that the job was stopped. It may still run there.",
			advice:  "Ask status, or look at ComfyUI's own queue.",
			match:   is(jobs.ErrUnverified),
		},
		{
			code: "JOB_STOPPED", from: "jobs.ErrStopped",
			meaning: "An operator of this server stopped the job.",
			advice:  "Ask the operator before you try again.",
			match:   is(jobs.ErrStopped),
		},
		{
			code: "NO_OUTPUT", from: "jobs.NoOutputError",
			meaning: "The job ended without the pictures that were expected, or without any result.",
			advice:  "Try again; if it stays so, the operator finds details in ComfyUI's log.",
			match: as(func(e *jobs.NoOutputError) *wording {
				if e.Want == 0 {
					return &wording{
						message:     "The graph ran and gave nothing: no picture, no file, no text.",
						suggestions: []string{"Give the graph a node that saves or shows its result, as SaveImage does."},
					}
				}
				return &wording{message: fmt.Sprintf("The job gave %d of %d pictures.", e.Got, e.Want)}
			}),
		},
	}
}

// drained says when to come again: nobody knows how long an operator takes, and a minute is no burden.
func drained(err error) *wording {
	if !errors.Is(err, jobs.ErrDraining) {
		return nil
	}
	return &wording{after: time.Minute}
}

func pictureRows() []row {
	return []row{
		{
			code: "UPLOAD_PENDING", from: "images.ErrPending", retryable: true,
			meaning: "The picture's upload link has not been used yet.",
			advice:  "Upload to the link, then call again.",
			match:   is(images.ErrPending),
		},
		{
			code: "IMAGE_NOT_ENCODABLE", from: "images.ErrNotEncodable",
			meaning: "The picture cannot be encoded in the format that was asked for.",
			advice:  "Ask for png or jpeg.",
			match:   is(images.ErrNotEncodable),
		},
		{
			code: "IMAGE_DAMAGED", from: "images.CorruptError",
			meaning: "The picture is damaged.",
			advice:  "Use another file, or make the picture again.",
			match: as(func(e *images.CorruptError) *wording {
				return &wording{message: "The picture is damaged: " + strings.TrimSuffix(foreign(e.Why, 200), ".") + "."}
			}),
		},
		{
			code: "IMAGE_NOT_FOUND", from: "images.ErrNotFound",
			meaning: "There is no such picture of yours. Pictures are kept for a while only.",
			advice:  "Ask status for recent jobs and their pictures.",
			match:   is(images.ErrNotFound),
		},
		{
			code: "UNEXPECTED_OUTPUT_TYPE", from: "images.TypeError",
			meaning: "The data is not a PNG, JPEG or WebP picture.",
			advice:  "Use a picture of one of these formats.",
			match: as(func(e *images.TypeError) *wording {
				return &wording{message: fmt.Sprintf("The data is not a PNG, JPEG or WebP picture but %s.", foreign(e.Got, 60))}
			}),
		},
		{
			code: "UNEXPECTED_OUTPUT_TYPE", from: "images.MismatchError",
			meaning: "The picture is of another type than was declared.",
			advice:  "Declare its true type, or none.",
			match: as(func(e *images.MismatchError) *wording {
				return &wording{message: fmt.Sprintf("The picture is a %s, but was declared as %s.", clean(string(e.Got), 10), foreign(e.Declared, 60))}
			}),
		},
		{
			code: "IMAGE_OUT_OF_BOUNDS", from: "images.BoundsError",
			meaning: "A picture is larger than allowed, or not of the size that was asked for.",
			advice:  "Use a smaller picture; get_image gives smaller ones by max_side.",
			match:   as(outOfBounds),
		},
	}
}

// outOfBounds says which bound of a picture was not kept, and what helps against that.
func outOfBounds(e *images.BoundsError) *wording {
	w := &wording{message: fmt.Sprintf("The picture's %s is %d; %d is allowed.", clean(e.What, 40), e.Got, e.Max)}
	switch e.What {
	case "width", "height": // of a result; what comes in may have any
		w.message = fmt.Sprintf("ComfyUI made a picture whose %s is %d, where %d was asked for.", e.What, e.Got, e.Max)
		w.suggestions = []string{"Leave width and height out, so that the model's own size is taken, or choose another model."}
	case "bytes":
		w.suggestions = []string{"Use a smaller file. To look at a picture of yours, ask get_image with a smaller max_side or format jpeg."}
	case "pixels", "side", "memory bytes":
		w.suggestions = []string{"Use a picture of fewer pixels."}
	case "aspect":
		w.suggestions = []string{"Use a picture that is less long and narrow."}
	case "frames":
		w.suggestions = []string{"Use a still picture, or an animation of fewer frames."}
	case "scans", "metadata bytes":
		w.suggestions = []string{"Save the picture again without extras, as a plain PNG or JPEG."}
	}
	return w
}

// toolRows are codes that tools word themselves.
func toolRows() []row {
	return []row{
		{
			code:    "SECURITY_ERROR",
			meaning: "An argument looks like an attempt to reach something outside.",
			advice:  "Use the plain name that list_models or another tool gave.",
		},
		{
			code: "UPLOAD_INCOMPLETE", retryable: true,
			meaning: "An upload broke off, or was too slow.",
			advice:  "Send it again to the same link.",
		},
		{
			code: "RESOURCE_EXHAUSTED", retryable: true,
			meaning: "Disk or memory is short.",
			advice:  "The operator must free some; then try again.",
		},
	}
}
