package comfy

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/mod/semver"
)

// ServerInfo is what a probe learns (CLIENT-HTTP-1).
type ServerInfo struct {
	Version     string // comfyui_version; empty when not told
	BelowFloor  bool   // older than v0.3.57
	JobsAPI     bool   // /api/jobs answers
	JobCancel   bool   // POST /api/jobs/{id}/cancel is there (≥ 0.26)
	Cloud       bool   // speaks Comfy Cloud's dialect
	MaxUpload   int64  // bytes; 0 when not told
	Devices     []Device
	LatencyHint time.Duration // of the probe's first round trip
}

// A Device is one of the server's compute devices; memory in bytes.
type Device struct {
	Name, Type            string
	VRAMTotal, VRAMFree   int64
	TorchTotal, TorchFree int64
}

const (
	floorVersion  = "v0.3.57" // own prompt ids and interrupts that name their prompt
	cancelVersion = "v0.26.0"
	maxDevices    = 64
)

// Probe asks for version, features and whether the jobs API is there.
func (c *Client) Probe(ctx context.Context) (ServerInfo, error) {
	info := ServerInfo{Cloud: c.base.cloud}
	began := time.Now()
	if !c.base.cloud {
		if err := c.probeSystem(ctx, &info); err != nil {
			return ServerInfo{}, err
		}
		info.LatencyHint = time.Since(began)
	}
	features, err := getJSON[struct {
		MaxUpload float64 `json:"max_upload_size"`
	}](ctx, c, c.timeouts.Read, nil, "features")
	switch {
	case err != nil && status(err) != http.StatusNotFound: // a server without the route is merely old
		return ServerInfo{}, err
	case c.base.cloud:
		info.LatencyHint = time.Since(began)
	}
	info.MaxUpload = int64(max(features.MaxUpload, 0))
	_, err = getJSON[jobList](ctx, c, c.timeouts.Read, url.Values{"limit": {"1"}}, "jobs")
	if code := status(err); err != nil && code != http.StatusNotFound && code != http.StatusMethodNotAllowed {
		return ServerInfo{}, err
	}
	info.JobsAPI = err == nil
	info.JobCancel = info.JobsAPI && !older(info.Version, cancelVersion)
	c.dialect.learn(info)
	return info, nil
}

func (c *Client) probeSystem(ctx context.Context, info *ServerInfo) error {
	stats, err := getJSON[struct {
		System struct {
			Version string `json:"comfyui_version"`
		} `json:"system"`
		Devices []struct {
			Name       string  `json:"name"`
			Type       string  `json:"type"`
			VRAMTotal  float64 `json:"vram_total"`
			VRAMFree   float64 `json:"vram_free"`
			TorchTotal float64 `json:"torch_vram_total"`
			TorchFree  float64 `json:"torch_vram_free"`
		} `json:"devices"`
	}](ctx, c, c.timeouts.Read, nil, "system_stats")
	if err != nil {
		return err
	}
	info.Version = clean(stats.System.Version, 40)
	info.BelowFloor = older(info.Version, floorVersion)
	for _, d := range stats.Devices[:min(len(stats.Devices), maxDevices)] {
		info.Devices = append(info.Devices, Device{
			Name: clean(d.Name, 100), Type: clean(d.Type, 40),
			VRAMTotal: int64(d.VRAMTotal), VRAMFree: int64(d.VRAMFree),
			TorchTotal: int64(d.TorchTotal), TorchFree: int64(d.TorchFree),
		})
	}
	return nil
}

// older reports whether version is known and below floor.
func older(version, floor string) bool {
	v := "v" + strings.TrimPrefix(version, "v")
	return semver.IsValid(v) && semver.Compare(v, floor) < 0
}

// A dialect is which of the two ways of asking about a job the server knows. It starts unknown and corrects itself: a server
// behind the URL may be replaced by another version at any time.
type dialect struct{ jobs atomic.Int32 }

const (
	jobsUnknown int32 = iota
	jobsThere
	jobsMissing
)

func (d *dialect) learn(info ServerInfo) {
	if info.JobsAPI {
		d.jobs.Store(jobsThere)
	} else {
		d.jobs.Store(jobsMissing)
	}
}
