package doctor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/comfygate/comfygate/comfy"
)

// server looks at ComfyUI: does it answer, what is it, what has it.
func (v *visit) server(ctx context.Context) {
	info, err := v.Server.Probe(ctx)
	if err != nil {
		v.silent(ctx, err)
		return
	}
	v.answers(info)
	v.credentials()
	objects, err := v.Server.ObjectInfo(ctx)
	if err != nil {
		v.add(Finding{
			ID: "comfyui_nodes", Severity: Fail, Text: "ComfyUI does not tell its nodes: " + err.Error(),
			Fix: "look into ComfyUI's own log; a custom node can break this",
		})
		return
	}
	v.nodes(objects)
	v.models(ctx, objects)
	v.started(ctx, objects)
}

func (v *visit) answers(info comfy.ServerInfo) {
	if v.embedded() {
		v.add(Finding{
			ID: "comfyui_reachable", Severity: Info, Text: "the embedded ComfyUI is used: it draws placeholder pictures, for trying out",
			Fix: "for real pictures start ComfyUI and take COMFYGATE_COMFYUI__BACKEND away",
		})
		return
	}
	version := "of a version it does not tell"
	if info.Version != "" {
		version = info.Version
	}
	v.add(Finding{
		ID: "comfyui_reachable", Severity: OK,
		Text: fmt.Sprintf("ComfyUI %s answers at %s in %s", version, v.Server.Redacted(), info.LatencyHint.Round(time.Millisecond)),
	})
	if info.BelowFloor {
		v.add(Finding{
			ID: "comfyui_version", Severity: Warn, Text: "ComfyUI " + info.Version + " is older than v0.3.57: jobs cannot be told apart or stopped singly",
			Fix: "update ComfyUI",
		})
	}
	if !info.JobsAPI && !info.Cloud {
		v.add(Finding{ID: "comfyui_jobs_api", Severity: Info, Text: "this ComfyUI has no jobs API; queue and history are used in its place"})
	}
	v.devices(info.Devices)
}

func (v *visit) devices(devices []comfy.Device) {
	if len(devices) == 0 {
		return
	}
	cpu := true
	names := make([]string, len(devices))
	for i, d := range devices {
		cpu = cpu && d.Type == "cpu"
		names[i] = fmt.Sprintf("%s, %.1f of %.1f GiB free", d.Name, gibibytes(d.VRAMFree), gibibytes(d.VRAMTotal))
	}
	f := Finding{ID: "comfyui_devices", Severity: OK, Text: "ComfyUI computes on " + strings.Join(names, "; ")}
	if cpu {
		f.Severity, f.Fix = Info, "a picture takes minutes on a processor; with a graphics card, start ComfyUI without --cpu"
	}
	v.add(f)
}

func gibibytes(n int64) float64 { return float64(n) / (1 << 30) }

// A cause is a kind of failure to reach ComfyUI.
type cause struct {
	err      error
	id, text string
	fix      string
}

func causes() []cause {
	return []cause{
		{
			comfy.ErrAuth, "comfyui_credentials", "refuses the credentials, or wants some",
			"set COMFYGATE_COMFYUI__USERNAME and COMFYGATE_COMFYUI__PASSWORD, or COMFYGATE_COMFYUI__API_KEY, as the proxy in front of it wants",
		},
		{
			comfy.ErrRedirect, "comfyui_redirect", "redirects to another place, which is not followed",
			"set COMFYGATE_COMFYUI__URL to the address it redirects to",
		},
		{
			comfy.ErrProtocol, "comfyui_protocol", "answers, but not as a ComfyUI does",
			"look whether COMFYGATE_COMFYUI__URL names ComfyUI itself, with port and path",
		},
		{
			comfy.ErrUnreachable, "comfyui_unreachable", "does not answer",
			"start ComfyUI, or set COMFYGATE_COMFYUI__URL; to try without one: COMFYGATE_COMFYUI__BACKEND=embedded",
		},
	}
}

// silent tells what was tried and why it failed.
func (v *visit) silent(ctx context.Context, err error) {
	c := cause{nil, "comfyui_unreachable", "gives an answer that is of no use", "look into ComfyUI's own log"}
	for _, known := range causes() {
		if errors.Is(err, known.err) {
			c = known
			break
		}
	}
	f := Finding{ID: c.id, Severity: Fail, Text: fmt.Sprintf("ComfyUI at %s %s", v.Server.Redacted(), c.text), Fix: c.fix}
	why := err.Error()
	if c.err != nil { // the kind is told in our own words
		why = strings.TrimPrefix(strings.TrimPrefix(why, c.err.Error()), ": ")
	}
	if why != "" {
		f.Text += ": " + why
	}
	if c.id == "comfyui_unreachable" {
		f.Details = v.elsewhere(ctx)
	}
	v.add(f)
}

// elsewhere looks at the ports that ComfyUI usually has on this machine.
func (v *visit) elsewhere(ctx context.Context) []string {
	host, port, ok := v.target()
	if !ok || !v.loopback(ctx, host) {
		return nil
	}
	var found []string
	for _, usual := range []struct{ port, who string }{{"8188", "ComfyUI"}, {"8000", "ComfyUI Desktop"}} {
		if usual.port != port && v.open(ctx, net.JoinHostPort("127.0.0.1", usual.port)) {
			found = append(found, fmt.Sprintf("something listens on port %s, the usual one of %s: COMFYGATE_COMFYUI__URL=http://127.0.0.1:%s", usual.port, usual.who, usual.port))
		}
	}
	return found
}

// target is where ComfyUI's URL points to.
func (v *visit) target() (host, port string, ok bool) {
	u, err := url.Parse(v.Config.ComfyUI.URL)
	if err != nil {
		return "", "", false
	}
	port = u.Port()
	switch {
	case port != "":
	case u.Scheme == "https" || u.Scheme == "wss":
		port = "443"
	default:
		port = "80"
	}
	return u.Hostname(), port, true
}

// shippedNodes are custom nodes that come with ComfyUI itself.
var shippedNodes = []string{"websocket_image_save"}

// coreNodes are nodes that every graph of ours is made of; a custom node can take their place (CLIENT-SEC-2).
var coreNodes = []string{
	"CLIPLoader", "CLIPTextEncode", "CheckpointLoaderSimple", "EmptyLatentImage", "KSampler", "LoadImage", "LoraLoader",
	"SaveImage", "UNETLoader", "UpscaleModelLoader", "VAEDecode", "VAEEncode", "VAELoader",
}

// nodes looks at where the nodes' code comes from.
func (v *visit) nodes(info *comfy.ObjectInfo) {
	packs, paid := map[string]int{}, 0
	for _, class := range info.Classes {
		switch pack, custom := strings.CutPrefix(class.Module, "custom_nodes."); {
		case custom && !slices.Contains(shippedNodes, pack):
			packs[pack]++
		case strings.HasPrefix(class.Module, "comfy_api_nodes"):
			paid++
		}
	}
	var replaced []string
	for _, name := range coreNodes {
		if class, ok := info.Classes[name]; ok && strings.HasPrefix(class.Module, "custom_nodes.") {
			replaced = append(replaced, fmt.Sprintf("%s comes from %s", name, class.Module))
		}
	}
	if len(replaced) > 0 {
		v.add(Finding{
			ID: "comfyui_core_nodes_replaced", Severity: Fail, Text: "custom nodes take the place of ComfyUI's own, so graphs that use them are refused",
			Details: replaced, Fix: "remove those custom nodes",
		})
	}
	if len(packs) > 0 {
		v.add(Finding{
			ID: "comfyui_custom_nodes", Severity: Info,
			Text: fmt.Sprintf("%s of custom nodes run with ComfyUI's rights: %s", count(len(packs), "pack"), short(slices.Sorted(maps.Keys(packs)))),
			Fix:  "comfygate does not use them; if nobody else does, start ComfyUI with --disable-all-custom-nodes",
		})
	}
	if paid > 0 {
		v.add(Finding{
			ID: "comfyui_api_nodes", Severity: Info, Text: fmt.Sprintf("ComfyUI offers %s that call paid services; comfygate refuses them", count(paid, "node")),
			Fix: "start ComfyUI with --disable-api-nodes",
		})
	}
}

// short lists names, at most ten.
func short(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
}

// started looks at the flags of ComfyUI's command line (IMG-08). Values of flags are not known here: they can be paths.
func (v *visit) started(ctx context.Context, info *comfy.ObjectInfo) {
	if v.Started == nil || v.embedded() || v.Server.Cloud() {
		return
	}
	start, err := v.Started(ctx)
	if err != nil {
		v.add(Finding{ID: "comfyui_flags", Severity: Info, Text: "ComfyUI does not tell how it was started: " + err.Error()})
		return
	}
	has := func(flag string) bool { return slices.Contains(start.Flags, flag) }
	if start.Manager || has("--enable-manager") {
		v.add(Finding{
			ID: "comfyui_manager", Severity: Warn, Text: "ComfyUI-Manager is there: whoever reaches ComfyUI can have it install code",
			Fix: "remove it where ComfyUI serves others than you",
		})
	}
	if has("--enable-cors-header") {
		v.add(Finding{
			ID: "comfyui_cors", Severity: Warn, Text: "ComfyUI was started with --enable-cors-header: web pages can call it around comfygate",
			Fix: "start ComfyUI without --enable-cors-header",
		})
	}
	var missing []string
	if !has("--disable-metadata") {
		missing = append(missing, "--disable-metadata keeps prompts and workflows out of ComfyUI's own copies of the pictures")
	}
	if !has("--disable-api-nodes") && len(info.Classes) > 0 {
		missing = append(missing, "--disable-api-nodes switches nodes off that call paid services")
	}
	if !has("--disable-all-custom-nodes") {
		missing = append(missing, "--disable-all-custom-nodes, with --whitelist-custom-nodes for those you need, runs no code but ComfyUI's")
	}
	if len(missing) == 0 {
		v.add(Finding{ID: "comfyui_flags", Severity: OK, Text: "ComfyUI was started with the flags that are recommended"})
		return
	}
	v.add(Finding{
		ID: "comfyui_flags", Severity: Info, Text: "ComfyUI can be started more safely", Details: missing,
		Fix: "add the flags to the command that starts ComfyUI",
	})
}
