package config_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/comfygate/comfygate/config"
)

// files is a disk for Load.
type files map[string]string

func (f files) read(path string) ([]byte, error) {
	if text, ok := f[path]; ok {
		return []byte(text), nil
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
}

// environ is a sound environment with more entries.
func environ(more ...string) []string { return append([]string{"HOME=/home/ada"}, more...) }

func mustLoad(t *testing.T, more ...string) config.Config {
	t.Helper()
	c, _, err := config.Load(environ(more...), files{}.read, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// faults returns what Load finds wrong.
func faults(t *testing.T, disk files, more ...string) []config.Fault {
	t.Helper()
	_, _, err := config.Load(environ(more...), disk.read, nil)
	if err == nil {
		return nil
	}
	se, ok := errors.AsType[*config.SettingsError](err)
	if !ok {
		t.Fatalf("error is %T", err)
	}
	return se.Faults
}

func TestLoad_defaults(t *testing.T) {
	t.Parallel()
	c := mustLoad(t)
	for _, tc := range []struct {
		name      string
		got, want any
	}{
		{"JOBS__TIMEOUT", c.Jobs.Timeout, time.Hour},
		{"LIMITS__GRAPH_NODES", c.Limits.GraphNodes, 512},
		{"LIMITS__REQUEST_BYTES", c.Limits.RequestBytes, int64(6 << 20)},
		{"RATELIMIT__BURST", c.RateLimit.Burst, 10},
		{"UPSCALE__MAX_OUTPUT_PIXELS", c.Upscale.MaxOutputPixels, int64(16777216)},
		{"STORAGE__MAX_AGE", c.Storage.MaxAge, 604800 * time.Second},
		{"STORAGE__MAX_BYTES", c.Storage.MaxBytes, int64(5 << 30)},
		{"POLICY__UPSCALE_EXTENSIONS", strings.Join(c.Policy.UpscaleExtensions, " "), ".safetensors .sft .pth"},
		{"COMFYUI__URL", c.ComfyUI.URL, "http://127.0.0.1:8188"},
		{"HTTP__HOST", c.HTTP.Host, "127.0.0.1"}, // SC-08
		{"HTTP__PORT", c.HTTP.Port, 7861},
		{"SERVER__TRANSPORT", c.Server.Transport, config.TransportStdio},
		{"LOGGING__LEVEL", c.Logging.Level, zapcore.InfoLevel}, // SC-35
	} {
		if tc.got != tc.want {
			t.Errorf("%s = %v, want %v", tc.name, tc.got, tc.want)
		}
	}
}
